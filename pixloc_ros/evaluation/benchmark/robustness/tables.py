"""The figures as tables: for the terminal and the page, as Markdown, as CSV."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from pixloc_ros.evaluation.benchmark.robustness.conditions import Condition
from pixloc_ros.evaluation.benchmark.robustness.methods import METHODS
from pixloc_ros.evaluation.benchmark.robustness.results import Cell
from pixloc_ros.evaluation.metrics import RECALL_THRESHOLDS
from pixloc_ros.evaluation.report import Table

#: The cells of one scene: condition -> method -> figures.
Cells = dict[Condition, dict[str, Cell]]

THRESHOLDS = tuple(f"{m:g} m {deg:g} deg" for m, deg in RECALL_THRESHOLDS)


def overview(scene: str, cells: Cells) -> Table:
    """One row per condition, one column per method: recall at the three thresholds, in percent."""
    methods = _methods(cells)
    rows = tuple(
        (condition.title, *(_recall(by_method.get(method)) for method in methods))
        for condition, by_method in cells.items()
    )
    title = f"{scene}: recall (%) at {' | '.join(THRESHOLDS)}"
    return Table(title, ("", *(METHODS[method] for method in methods)), rows)


def details(scene: str, cells: Cells) -> Table:
    """One row per condition and method, all figures."""
    rows = tuple(
        (condition.title, METHODS[method], *_figures(cell))
        for condition, by_method in cells.items()
        for method, cell in by_method.items()
    )
    header = ("", "", *(f"% in {t}" for t in THRESHOLDS), "median cm", "deg", "CPU ms", "queries")
    return Table(f"{scene}: all figures", header, rows)


def markdown(table: Table, note: str = "") -> str:
    lines = [f"### {table.title}", "", _line(table.header)]
    lines.append(_line(["---"] + ["---:"] * (len(table.header) - 1)))
    lines += [_line(cell.replace("|", "\\|") for cell in row) for row in table.rows]
    return "\n".join([*lines, "", *([note, ""] if note else [])])


def write_csv(path: Path, scenes: dict[str, Cells]) -> None:
    """All cells, one line each, in SI units and degrees; an empty median is an infinite one."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        recalls = [f"recall_{m:g}m_{deg:g}deg" for m, deg in RECALL_THRESHOLDS]
        writer.writerow(
            (
                "scene",
                "condition",
                "method",
                "queries",
                *recalls,
                "position_median_m",
                "rotation_median_deg",
                "median_cpu_ms",
            )
        )
        for scene, cells in scenes.items():
            for condition, by_method in cells.items():
                for method, c in by_method.items():
                    medians = [c.position_median_m, c.rotation_median_deg]
                    medians = [f"{v:.5f}" if math.isfinite(v) else "" for v in medians]
                    writer.writerow(
                        (
                            scene,
                            condition.name,
                            method,
                            c.count,
                            *(f"{share:.4f}" for share in c.recall),
                            *medians,
                            f"{c.median_ms:.1f}",
                        )
                    )


def _methods(cells: Cells) -> list[str]:
    found = {method for by_method in cells.values() for method in by_method}
    return [method for method in METHODS if method in found]


def _recall(cell: Cell | None) -> str:
    return "|".join(f"{100 * share:.0f}" for share in cell.recall) if cell else "-"


def _figures(cell: Cell) -> tuple[str, ...]:
    return (
        *(f"{100 * share:.0f}" for share in cell.recall),
        _median(100 * cell.position_median_m, ".1f"),
        _median(cell.rotation_median_deg, ".3f"),
        f"{cell.median_ms:.0f}",
        str(cell.count),
    )


def _median(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "none"


def _line(cells) -> str:
    return "| " + " | ".join(cells) + " |"

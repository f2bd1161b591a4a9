"""The report of a run: a folder with tables (Markdown, CSV), plots, and one page with all of it."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.evaluation.benchmark.robustness.conditions import (
    BASIN_DEGREES,
    BASIN_METRES,
    CONDITIONS,
    Condition,
    basin_condition,
    changed,
)
from pixloc_ros.evaluation.benchmark.robustness.methods import METHODS
from pixloc_ros.evaluation.benchmark.robustness.results import Cell, wilson
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene
from pixloc_ros.evaluation.metrics import RECALL_THRESHOLDS
from pixloc_ros.evaluation.plots import new_figure, to_png
from pixloc_ros.evaluation.report import Table, write_html

#: The cells of one scene: condition -> method -> figures.
Cells = dict[Condition, dict[str, Cell]]

THRESHOLDS = tuple(f"{m:g} m {deg:g} deg" for m, deg in RECALL_THRESHOLDS)
WAYS = {
    True: "Feature rows search as the tracker does from an uncertain pose: many hypotheses drawn "
    "from the prior's covariance.",
    False: "Feature rows start once, at the prior, with up to 100 steps a level.",
}
NOTE = (
    "A query without a pose counts as missed. Priors are off by exactly the stated amounts, 1.5 m "
    "and 4 deg where nothing is stated, in a random direction that is the same for all rows. "
    "Matched + aligned: places, matches and PnP give further starts; no prior: nothing but them. "
    "{way} 1 reference in 4: of every 20th frame on KITTI; points keep the positions that all "
    "references gave them. Occlusion, blur and defocus are scaled with the image. CPU ms: time of "
    "the processor, all threads, from the image of a query to its pose, median."
)
_COLOURS = dict(zip(METHODS, ("#0b6fb8", "#17becf", "#b0b0b0", "#e07b00", "#3a923a", "#8c564b")))
#: Which of the recall thresholds the basin is shown at: (0.25 m, 2 deg).
_BASIN_THRESHOLD = 1


@dataclass(frozen=True)
class SceneReport:
    """What was measured on a scene; `basin` is empty when it was not asked for."""

    scene: Scene
    cells: Cells
    basin: Cells


def write_report(
    folder: Path,
    title: str,
    scenes: list[SceneReport],
    with_search: bool,
    seed: int,
    skipped: list[str],
) -> None:
    """Write robustness.md, .csv, .html and the pictures into `folder`. skipped: rows left out."""
    folder.mkdir(parents=True, exist_ok=True)
    note = " ".join([NOTE.format(way=WAYS[with_search]), *skipped])
    tables, pictures, lines = [], {}, [f"# {title}", "", note, ""]
    for report in scenes:
        name, links = report.scene.name, []
        for key, (caption, png) in _draw(report, seed).items():
            file = f"{key}_{name.replace(':', '_')}.png"
            (folder / file).write_bytes(png)
            pictures[f"{name}: {caption}"] = png
            links.append(f"![{caption}]({file})\n")
        both = overview(name, report.cells), details(name, report.cells)
        tables += both
        lines += [*(_markdown(table, report.scene.note) for table in both), *links]
    (folder / "robustness.md").write_text("\n".join(lines))
    _write_csv(folder / "robustness.csv", {r.scene.name: {**r.cells, **r.basin} for r in scenes})
    notes = [note, *(f"{r.scene.name}: {r.scene.note}" for r in scenes if r.scene.note)]
    write_html(folder / "robustness.html", title, tables, pictures, " ".join(notes))


# ------------------------------------------------------------------ tables


def overview(scene: str, cells: Cells) -> Table:
    """One row per condition, one column per method: recall at the three thresholds, in percent."""
    methods = _methods(cells)
    rows = tuple(
        (condition.title, *("|".join(_recall(by[m])) if m in by else "-" for m in methods))
        for condition, by in cells.items()
    )
    title = f"{scene}: recall (%) at {' | '.join(THRESHOLDS)}"
    return Table(title, ("", *(METHODS[method] for method in methods)), rows)


def details(scene: str, cells: Cells) -> Table:
    """One row per condition and method, all figures."""
    rows = tuple(
        (
            condition.title,
            METHODS[method],
            *_recall(cell),
            _median(100 * cell.position_median_m, ".1f"),
            _median(cell.rotation_median_deg, ".3f"),
            f"{cell.median_ms:.0f}",
            str(cell.count),
        )
        for condition, by_method in cells.items()
        for method, cell in by_method.items()
    )
    header = ("", "", *(f"% in {t}" for t in THRESHOLDS), "median cm", "deg", "CPU ms", "queries")
    return Table(f"{scene}: all figures", header, rows)


def _methods(cells: Cells) -> list[str]:
    found = {method for by_method in cells.values() for method in by_method}
    return [method for method in METHODS if method in found]


def _recall(cell: Cell) -> list[str]:
    return [f"{100 * share:.0f}" for share in cell.recall]


def _median(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "none"


def _markdown(table: Table, note: str) -> str:
    rows = [table.header, ["---"] + ["---:"] * (len(table.header) - 1)]
    rows += [[cell.replace("|", "\\|") for cell in row] for row in table.rows]
    lines = [f"### {table.title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
    return "\n".join([*lines, *([note, ""] if note else [])])


def _write_csv(path: Path, scenes: dict[str, Cells]) -> None:
    """All cells, one line each, in SI units and degrees; an empty median is an infinite one."""
    header = ["scene", "condition", "method", "queries"]
    header += [f"recall_{m:g}m_{deg:g}deg" for m, deg in RECALL_THRESHOLDS]
    header += ["position_median_m", "rotation_median_deg", "median_cpu_ms"]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for scene, cells in scenes.items():
            for condition, by_method in cells.items():
                for method, c in by_method.items():
                    medians = (c.position_median_m, c.rotation_median_deg)
                    writer.writerow(
                        (
                            scene,
                            condition.name,
                            method,
                            c.count,
                            *(f"{share:.4f}" for share in c.recall),
                            *(f"{v:.5f}" if math.isfinite(v) else "" for v in medians),
                            f"{c.median_ms:.1f}",
                        )
                    )


# ------------------------------------------------------------------ pictures, PNG bytes


def _draw(report: SceneReport, seed: int) -> dict[str, tuple[str, bytes]]:
    """File stem -> caption and PNG."""
    drawn = {"recall": ("recall by condition; bars of one sigma", recall_plot(report.cells))}
    if report.basin:
        drawn["basin"] = ("convergence basin of a single start", basin_plot(report.basin))
    drawn["changes"] = ("one query under every change", sheet(report.scene, seed))
    return drawn


def recall_plot(cells: Cells) -> bytes:
    """Bars by condition and method at the two finer thresholds, with Wilson intervals (1 sigma)."""
    methods = _methods(cells)
    figure, axes = new_figure(max(6.0, 1.3 * len(cells) + 2), 6.5, rows=2)
    width = 0.8 / len(methods)
    for threshold, one in enumerate(axes):
        for k, method in enumerate(methods):
            found = [(x, c[method]) for x, c in enumerate(cells.values()) if method in c]
            x = np.array([x for x, _ in found]) + (k - (len(methods) - 1) / 2) * width
            share = np.array([c.recall[threshold] for _, c in found])
            bounds = np.array([wilson(c.recall[threshold], c.count) for _, c in found])
            reach = np.abs(bounds - share[:, None]).T * 100
            one.bar(x, 100 * share, width * 0.92, color=_COLOURS[method], label=METHODS[method])
            one.errorbar(x, 100 * share, reach, fmt="none", ecolor="#444444", lw=0.8)
        one.set_ylabel(f"recall (%) at {THRESHOLDS[threshold]}")
        one.set_xlim(-0.6, len(cells) - 0.4)
        one.set_ylim(0, 103)
        one.grid(axis="y", color="#dddddd", lw=0.6)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    titles = [condition.title.replace(", ", ",\n") for condition in cells]
    axes[1].set_xticks(range(len(cells)), titles, rotation=25, ha="right")
    axes[0].set_xticks(range(len(cells)), [""] * len(cells))
    axes[0].legend(frameon=False, ncols=len(methods), loc="lower left", bbox_to_anchor=(0, 1))
    return to_png(figure)


def basin_plot(cells: Cells) -> bytes:
    """A heat map per method: recall (0.25 m, 2 deg) over shift and turn of a single start."""
    methods = _methods(cells)
    figure, axes = new_figure(3.1 * len(methods) + 0.8, 3.4, columns=len(methods))
    axes = np.atleast_1d(axes)
    for method, one in zip(methods, axes):
        one.grid(False)
        share = np.array(
            [
                [
                    cells[basin_condition(metres, degrees)][method].recall[_BASIN_THRESHOLD]
                    for metres in BASIN_METRES
                ]
                for degrees in BASIN_DEGREES
            ]
        )
        picture = one.imshow(
            100 * share, origin="lower", vmin=0, vmax=100, cmap="viridis", aspect="auto"
        )
        for (row, column), value in np.ndenumerate(share):
            colour = "white" if value < 0.6 else "black"
            one.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
        one.set_xticks(range(len(BASIN_METRES)), [f"{m:g}" for m in BASIN_METRES])
        one.set_yticks(range(len(BASIN_DEGREES)), [f"{d:g}" for d in BASIN_DEGREES])
        one.set_title(METHODS[method], fontsize=10)
        one.set_xlabel("shift of the start (m)")
    axes[0].set_ylabel("turn of the start (deg)")
    figure.colorbar(picture, ax=axes, label=f"recall (%) at {THRESHOLDS[_BASIN_THRESHOLD]}")
    return to_png(figure)


def sheet(scene: Scene, seed: int, width: int = 620) -> bytes:
    """The scene's middle query as it is and under every change, two side by side."""
    i = len(scene.queries) // 2
    image, query = scene.queries.image(i), scene.queries.names[i]
    tiles = []
    for change in dict.fromkeys(condition.change for condition in CONDITIONS):
        tile = changed(image, change, query, seed)
        tile = cv2.cvtColor(tile, cv2.COLOR_GRAY2BGR if tile.ndim == 2 else cv2.COLOR_RGB2BGR)
        size = (width, round(width * tile.shape[0] / tile.shape[1]))
        tile = cv2.resize(tile, size, interpolation=cv2.INTER_AREA)
        title = (change or "clean").replace("_", " ")
        for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(
                tile, title, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness, cv2.LINE_AA
            )
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (len(tiles) % 2)
    rows = [np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)]
    return cv2.imencode(".png", np.vstack(rows))[1].tobytes()

"""The figures of a run for people: a table on the terminal, JSON, a page of HTML without files."""

from __future__ import annotations

import base64
import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Template

from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation import plots
from pixloc_ros.evaluation.agreement import Agreement
from pixloc_ros.evaluation.metrics import RECALL_THRESHOLDS, Metrics
from pixloc_ros.evaluation.runner import RunResult
from pixloc_ros.evaluation.trajectory import Track
from pixloc_ros.images.overlay import draw

_PAGE = Path(__file__).with_name("report.html.j2")


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; the first column names what the row is about."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def metrics_table(title: str, columns: dict[str, Metrics]) -> Table:
    """One column per run, one row per figure."""
    rows = []
    for label, value in _FIGURES.items():
        cells = [value(metrics) for metrics in columns.values()]
        if any(cell != "-" for cell in cells):
            rows.append((label, *cells))
    return Table(title, ("", *columns), tuple(rows))


def agreement_table(title: str, run: Agreement) -> Table:
    """What a run says of itself."""
    cells = (
        ("accepted fixes", _number(100 * run.accepted, ".1f", "% of the frames")),
        ("longest time without one", _number(run.longest_gap_s, ".1f", "s")),
        (
            "correction of odometry per frame, median / p95",
            _pair(100 * run.correction_median_m, 100 * run.correction_p95_m, ".1f", "cm"),
        ),
        ("", _pair(run.correction_median_deg, run.correction_p95_deg, ".2f", "deg")),
        ("way, by poses / by odometry", _pair(run.way_m, run.odometry_way_m, ".1f", "m")),
        ("speed, median / largest", _pair(run.speed_median, run.speed_max, ".1f", "m/s")),
        ("standard deviation, median", _number(100 * run.std_m, ".1f", "cm")),
        ("", _number(run.std_deg, ".2f", "deg")),
    )
    return Table(title, ("", ""), cells)


def timing_table(run: RunResult) -> Table:
    """Median and 95th percentile of each part of a frame's work, milliseconds."""
    parts: dict[str, list[float]] = {}
    for result in run.results:
        for part, milliseconds in result.fix.timings_ms.items():
            parts.setdefault(part, []).append(milliseconds)
    rows = [
        (part, f"{np.median(values):.1f}", f"{np.percentile(values, 95):.1f}")
        for part, values in parts.items()
    ]
    return Table("Time per frame (ms)", ("part", "p50", "p95"), tuple(rows))


def _number(value: float, form: str, unit: str) -> str:
    return "-" if math.isnan(value) else f"{value:{form}} {unit}".strip()


def _pair(a: float, b: float, form: str, unit: str) -> str:
    return "-" if math.isnan(a) else f"{a:{form}} / {b:{form}} {unit}"


_FIGURES = {
    "frames, with a pose": lambda m: f"{m.frames}, {m.localized}",
    "share of frames tracking, starting": lambda m: _pair(
        100 * m.tracking, 100 * m.starting, ".1f", "%"
    ),
    "position error median / p95": lambda m: _pair(
        100 * m.position_median_m, 100 * m.position_p95_m, ".2f", "cm"
    ),
    "position error largest": lambda m: _number(100 * m.position_max_m, ".1f", "cm"),
    "rotation error median / p95": lambda m: _pair(
        m.rotation_median_deg, m.rotation_p95_deg, ".3f", "deg"
    ),
    "rotation error largest": lambda m: _number(m.rotation_max_deg, ".2f", "deg"),
    "recall at " + ", ".join(f"{m:g} m {deg:g} deg" for m, deg in RECALL_THRESHOLDS): lambda m: (
        "-"
        if math.isnan(m.position_median_m) and m.localized
        else " / ".join(f"{100 * share:.1f}" for share in m.recall) + " %"
    ),
    "normalised error squared (6 is consistent)": lambda m: _number(m.nees_mean, ".1f", ""),
    "inside its 95 % bound": lambda m: _number(100 * m.nees_inside_95, ".0f", "%"),
    "latency p50 / p95": lambda m: _pair(m.latency_p50_ms, m.latency_p95_ms, ".0f", "ms"),
    "rate": lambda m: _number(m.rate_hz, ".1f", "frames/s"),
}


def print_table(table: Table, console=None) -> None:
    """Print with rich."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    grid = RichTable(title=table.title, title_justify="left", title_style="bold")
    for i, name in enumerate(table.header):
        grid.add_column(name, justify="left" if i == 0 else "right")
    for row in table.rows:
        grid.add_row(*map(escape, row))
    (console or Console()).print(grid)


def write_json(path: str | Path, figures: dict) -> None:
    """Figures as JSON; NaN becomes null."""
    Path(path).write_text(json.dumps(_clean(figures), indent=1) + "\n")


def write_frames(path: str | Path, run: RunResult) -> None:
    """What the tracker said about each frame, as CSV."""
    with Path(path).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            (
                "stamp_ns",
                "state",
                "accepted",
                "points",
                "inliers",
                "cost",
                "correction_m",
                "correction_deg",
                "total_ms",
                "reasons",
            )
        )
        for r in run.results:
            metres, radians = r.fix.correction
            writer.writerow(
                (
                    r.stamp_ns,
                    r.state.value,
                    int(r.accepted),
                    r.fix.num_points,
                    r.fix.num_inliers,
                    f"{r.fix.cost:.5f}",
                    f"{metres:.4f}",
                    f"{math.degrees(radians):.4f}",
                    f"{r.fix.timings_ms.get('total', math.nan):.2f}",
                    "; ".join(r.reasons),
                )
            )


def _clean(value):
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value


def sample_overlays(run: RunResult, longer_side: int = 960) -> dict[str, bytes]:
    """PNG by caption of the frames that were run ``with_view``, no larger than ``longer_side``."""
    pictures = {}
    for i, result in enumerate(run.results):
        if not result.fix.views:
            continue
        canvas = draw(run.drive.image(i), result)
        factor = longer_side / max(canvas.shape[:2])
        if factor < 1:
            canvas = cv2.resize(canvas, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        png = cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))[1].tobytes()
        pictures[
            f"Frame {i}: map points where the estimated pose puts them; green where the "
            "image agrees with the map, red where it does not"
        ] = png
    return pictures


def run_pictures(drive: Drive, tracks: list[Track]) -> dict[str, bytes]:
    """The plots of a run by caption, as far as the drive has ground truth for them."""
    pictures = {"The way, seen from above": plots.trajectory_plot(drive, tracks)}
    if drive.T_map_base is not None:
        pictures["Error over time; the shade is what the covariance allows"] = plots.error_plot(
            drive, tracks
        )
    timed = [t for t in tracks if t.latencies_ms is not None and np.isfinite(t.latencies_ms).any()]
    if timed:
        pictures["Time from image to pose"] = plots.latency_plot(timed)
    return pictures


def write_html(
    path: str | Path, title: str, tables: list[Table], pictures: dict[str, bytes], note: str = ""
) -> None:
    """One page that stands alone: tables, then pictures (PNG bytes by caption) embedded."""
    template = Template(_PAGE.read_text(), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    encoded = {caption: base64.b64encode(png).decode() for caption, png in pictures.items()}
    page = template.render(title=title, note=note, tables=tables, pictures=encoded)
    Path(path).write_text(page)

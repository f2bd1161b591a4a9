"""The report of a run: a folder with tables (Markdown, CSV), plots, and one page with all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pixloc_ros.evaluation.benchmark.robustness import plots
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene
from pixloc_ros.evaluation.benchmark.robustness.tables import (
    Cells,
    details,
    markdown,
    overview,
    write_csv,
)
from pixloc_ros.evaluation.report import write_html

WAYS = {
    True: "Feature rows search as the tracker does from an uncertain pose: many hypotheses drawn "
    "from the prior's covariance.",
    False: "Feature rows start once, at the prior, with up to 100 steps a level.",
}
NOTE = (
    "A query without a pose counts as missed. Priors are off by exactly the stated amounts, 1.5 m "
    "and 4 deg where nothing is stated, in a random direction that is the same for all rows. "
    "{way} 1 reference in 4: of every 20th frame on KITTI; points keep the positions that all "
    "references gave them. Occlusion, blur and defocus are scaled with the image. CPU ms: time of "
    "the processor, all threads, from the image of a query to its pose, median."
)


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
        name = report.scene.name
        drawn = _draw(report, seed)
        for key, (caption, png) in drawn.items():
            (folder / f"{key}_{name.replace(':', '_')}.png").write_bytes(png)
            pictures[f"{name}: {caption}"] = png
        for table in (overview(name, report.cells), details(name, report.cells)):
            tables.append(table)
            lines.append(markdown(table, report.scene.note))
        lines += [
            f"![{caption}]({key}_{name.replace(':', '_')}.png)\n"
            for key, (caption, _) in drawn.items()
        ]
    (folder / "robustness.md").write_text("\n".join(lines))
    write_csv(folder / "robustness.csv", {r.scene.name: {**r.cells, **r.basin} for r in scenes})
    notes = [note, *(f"{r.scene.name}: {r.scene.note}" for r in scenes if r.scene.note)]
    write_html(folder / "robustness.html", title, tables, pictures, " ".join(notes))


def _draw(report: SceneReport, seed: int) -> dict[str, tuple[str, bytes]]:
    """File stem -> caption and PNG."""
    drawn = {"recall": ("recall by condition; bars of one sigma", plots.recall_plot(report.cells))}
    if report.basin:
        drawn["basin"] = ("convergence basin of a single start", plots.basin_plot(report.basin))
    drawn["changes"] = ("one query under every change", plots.sheet(report.scene, seed))
    return drawn

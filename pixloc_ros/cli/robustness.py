"""benchmark robustness: hard conditions, our features beside untrained ones and SIFT + PnP.

Every scene of the shared data, every condition (light, night, blur, occlusion, sparse references,
far priors), from the same starts. What was measured is kept in --out; the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.flags import scene_parser
from pixloc_ros.cli.scenario import shared_data
from pixloc_ros.cli.support import progress_bar
from pixloc_ros.core.errors import ConfigError, MissingPackage
from pixloc_ros.core.network import Checkpoint, load_checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.evaluation.benchmark.robustness.conditions import BASIN, CONDITIONS, Condition
from pixloc_ros.evaluation.benchmark.robustness.methods import METHODS, Unavailable, open_localizer
from pixloc_ros.evaluation.benchmark.robustness.page import (
    Cells,
    SceneReport,
    details,
    overview,
    write_report,
)
from pixloc_ros.evaluation.benchmark.robustness.results import Results, measure, summarize
from pixloc_ros.evaluation.benchmark.robustness.scenes import SCENES, open_scene
from pixloc_ros.evaluation.report import print_table

TITLES = {True: "Robustness, search around the prior", False: "Robustness, a single start"}


def parse(argv: list[str]) -> argparse.Namespace:
    parser = scene_parser("benchmark robustness", __doc__, SCENES, Path("runs/robustness"))
    parser.add_argument("--methods", default=",".join(METHODS), help="default: %(default)s")
    parser.add_argument(
        "--conditions", default=",".join(c.name for c in CONDITIONS), help="default: %(default)s"
    )
    parser.add_argument(
        "--queries",
        type=int,
        default=20,
        help="of each scene, evenly chosen; 0: all (default %(default)s)",
    )
    parser.add_argument(
        "--search",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="search around the prior as the tracker does, or start once at it",
    )
    parser.add_argument(
        "--basin",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the convergence basins too, with half of the queries",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    scenes = chosen("scene", arguments.scenes, SCENES)
    methods = chosen("method", arguments.methods, METHODS)
    wanted = chosen("condition", arguments.conditions, [c.name for c in CONDITIONS])
    conditions = [c for c in CONDITIONS if c.name in wanted]
    ours = load_checkpoint(arguments.checkpoint)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = Results(arguments.out / "measurements.csv")
    reports, skipped = [], {}
    title = f"{TITLES[arguments.search]}: {ours.name} {ours.identity[:12]}"
    folder = arguments.out / ("search" if arguments.search else "single_start")
    with progress_bar(console) as progress:
        for name in scenes:
            data = arguments.data or shared_data(name.partition(":")[0]).parent
            scene = open_scene(name, data, arguments.out, progress).sample(arguments.queries)
            report = SceneReport(scene, {}, {})
            for method in methods:
                try:
                    _measure(report, method, ours, conditions, results, arguments, progress)
                except (Unavailable, MissingPackage) as reason:
                    skipped[method] = str(reason)
            reports.append(report)
            write_report(
                folder, title, reports, arguments.search, arguments.seed, list(skipped.values())
            )
    for report in reports:
        print_table(details(report.scene.name, report.cells), console)
    for report in reports:
        print_table(overview(report.scene.name, report.cells), console)
        if report.scene.note:
            console.print(report.scene.note)
    for reason in skipped.values():
        console.print(reason)
    console.print(f"report: {folder / 'robustness.html'}")
    return 0


def _measure(
    report: SceneReport,
    method: str,
    ours: Checkpoint,
    conditions: list[Condition],
    results: Results,
    arguments: argparse.Namespace,
    progress: Progress,
) -> None:
    """Fill in one method's column of a scene's cells."""
    scene, out, seed = report.scene, arguments.out, arguments.seed
    ways = [(report.cells, conditions, scene, arguments.search)]
    if arguments.basin and method not in ("sift", "matched"):
        half = scene.sample(-(-len(scene.queries) // 2))
        ways.append((report.basin, BASIN, half, False))
    for cells, rows, part, with_search in ways:
        localizer = open_localizer(method, part, ours, with_search, out, progress)
        found = measure(part, method, localizer, rows, results, seed, progress)
        _enter(cells, rows, method, found)


def _enter(cells: Cells, conditions: Sequence[Condition], method: str, found: dict) -> None:
    for condition in (c for c in conditions if c.name in found):
        cells.setdefault(condition, {})[method] = summarize(found[condition.name])


def chosen(what: str, text: str, known: Sequence[str]) -> list[str]:
    """The names in a comma-separated list, all of them known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    strange = [name for name in names if name not in known]
    if strange or not names:
        raise ConfigError(f"no {what} '{', '.join(strange)}'; known are {', '.join(known)}")
    return names

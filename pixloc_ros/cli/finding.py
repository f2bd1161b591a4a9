"""benchmark finding: starts from nothing, and robots that are carried away.

Over the drives of the scenes. The tracker runs as in the node: two of three frames that agree, then
tracking.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import scene_parser
from pixloc_ros.cli.robustness import chosen
from pixloc_ros.cli.scenario import shared_data
from pixloc_ros.cli.support import progress_bar
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.datasets.dead_reckoning import with_simulated_odometry
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.benchmark.finding import Attempt, attempts
from pixloc_ros.evaluation.benchmark.robustness.scenes import (
    SCENES,
    open_map,
    open_scene,
    with_places,
)
from pixloc_ros.finding import Finder, Places

#: herzjesus is no drive; the rendered street is the demo's kind, of another seed.
KNOWN = (*(scene for scene in SCENES if scene != "herzjesus"), "rendered_101")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = scene_parser("benchmark finding", __doc__, KNOWN, Path("runs/finding"))
    parser.add_argument(
        "--starts", type=int, default=12, help="of each kind and scene (default %(default)s)"
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    network = load_checkpoint(arguments.checkpoint)
    found: list[Attempt] = []
    with progress_bar(console) as progress:
        for name in chosen("scene", arguments.scenes, KNOWN):
            rendered = name.startswith("rendered")
            data = arguments.data or (
                Path() if rendered else shared_data(name.partition(":")[0]).parent
            )
            scene = open_scene(name, data, arguments.out, progress)
            feature_map = open_map(scene, network, "ours", arguments.out, progress)
            finder = Finder(Places(with_places(scene, feature_map, progress)))
            drive = scene.queries
            if drive.odometry is None:
                drive = with_simulated_odometry(drive, seed=arguments.seed)
            localizer = Localizer(network, feature_map)
            found += attempts(localizer, finder, name, drive, arguments.starts, progress)
    report.print_table(table_of(found), console)
    report.write_json(arguments.out / "finding.json", [asdict(attempt) for attempt in found])
    return 0


def table_of(found: Sequence[Attempt]) -> report.Table:
    """By scene, and whether the robot was carried away."""
    rows = []
    for scene, carried in dict.fromkeys((a.scene, a.carried) for a in found):
        here = [a for a in found if (a.scene, a.carried) == (scene, carried)]
        seconds, work = (np.array([getattr(a, k) for a in here]) for k in ("seconds", "work_ms"))
        rows.append(
            (
                f"{scene}, {'carried away' if carried else 'from nothing'}",
                f"{np.isfinite(seconds).sum()} of {len(here)}",
                f"{np.median([a.frames for a in here]):g}, {max(a.frames for a in here):g}",
                f"{np.median(seconds):.1f}, {seconds.max():.1f}",
                f"{np.median(work):.0f}, {work.max():.0f}",
                f"{sum(a.wrong for a in here)} of {sum(a.accepted for a in here)}",
                str(sum(a.too_certain for a in here)),
            )
        )
    header = ("", "right", "frames: median, most", "s: median, most", "longest frame, ms")
    header = (*header, "accepted wrong", "poses beyond 5 sigmas")
    return report.Table("Until the first right pose, by the images' stamps", header, tuple(rows))

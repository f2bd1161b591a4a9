"""calibrate: fit the covariance to a drive with ground truth, and store it with the map.

Fitted to every second frame and judged on the others. A pose that is off by more than 0.5 m is a
wrong one, which no covariance should cover, and is left out; how many are is said.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import run_parser
from pixloc_ros.cli.support import open_run, progress_bar, run_command
from pixloc_ros.core.covariance import write_covariance
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.consistency import Consistency, Errors, fit
from pixloc_ros.evaluation.runner import run_drive

WRONG_M = 0.5


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("calibrate", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = run_parser("calibrate", __doc__)
    parser.add_argument("--dry-run", action="store_true", help="store nothing")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    drive, localizer, settings = open_run(arguments)
    if drive.T_map_base is None:
        raise DataError(f"drive '{drive.name}' has no ground truth to calibrate with")
    with progress_bar(console) as progress:
        done = run_drive(localizer, Tracker(settings.tracker), drive, progress=progress)
    drive, results = done.drive, done.results
    accepted = np.array([result.accepted for result in results])
    metres = np.full(len(drive), np.inf)
    for i in np.flatnonzero(accepted):
        metres[i] = transforms.pose_error(results[i].fix.T_map_base, drive.T_map_base[i])[0]
    right = np.flatnonzero(metres < WRONG_M)
    if len(right) < accepted.sum():
        console.print(f"left out: {accepted.sum() - len(right)} poses off by more than {WRONG_M} m")
    known = Errors.of(
        [results[i].fix for i in right], drive.T_map_base[right], localizer.covariance
    )
    found = fit(known[::2])
    judged = known[1::2]
    report.print_table(
        report.Table(
            "Consistency of the other frames",
            ("", "frames", "mean (6)", "median (5.3)", "inside 95 % by axis"),
            tuple(
                (name, str(c.count), f"{c.mean:.1f}", f"{c.median:.1f}", _percent(c.inside))
                for name, c in (
                    ("as before", Consistency.of(judged, localizer.covariance)),
                    ("fitted", Consistency.of(judged, found)),
                )
            ),
        ),
        console,
    )
    values = {name: float(f"{value:.3g}") for name, value in asdict(found).items()}
    console.print(", ".join(f"{name}: {value:g}" for name, value in values.items()))
    if not arguments.dry_run:
        write_covariance(arguments.map, values, {"drive": drive.name, "frames": len(known)})
        console.print(f"stored with the map: {arguments.map}")
    return 0


def _percent(shares: tuple[float, ...]) -> str:
    return " ".join(f"{100 * share:.0f}" for share in shares) + " %"


if __name__ == "__main__":
    sys.exit(main())

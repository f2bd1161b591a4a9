"""calibrate: fit the covariance to a drive, and store it with the map.

To its errors where the drive has ground truth; else to odometry between the fixes, which tells
scale and growth, but not the map's own error. Fitted to one half and judged on the other. A pose
that is off by more than 0.5 m is a wrong one, which no covariance should cover, and is left out;
how many are is said.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import run_parser
from pixloc_ros.cli.support import open_run, open_start, progress_bar, run_command
from pixloc_ros.core.covariance import CovarianceConfig, write_covariance
from pixloc_ros.core.frame import Fix
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.core.tracker.motion import OdometryNoise
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.consistency import Consistency, Errors, Known, fit
from pixloc_ros.evaluation.motions import WRONG_M, Motions, fit_to_motions
from pixloc_ros.evaluation.runner import run_drive


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("calibrate", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = run_parser("calibrate", __doc__)
    parser.add_argument("--dry-run", action="store_true", help="store nothing")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    drive, localizer, settings = open_run(arguments, use_prior=False)
    initial, finder = open_start(arguments, drive, localizer)
    with progress_bar(console) as progress:
        tracker = Tracker(settings.tracker, finds_itself=finder is not None)
        done = run_drive(localizer, tracker, drive, initial, progress=progress, finder=finder)
    drive, results = done.drive, done.results
    accepted = [i for i, result in enumerate(results) if result.accepted]
    fixes = [results[i].fix for i in accepted]
    if drive.T_map_base is not None:
        found = to_truth(fixes, drive.T_map_base[accepted], localizer.covariance, console)
    else:
        odometry = [
            transforms.inverse(results[i].T_map_odom) @ fix.T_map_base
            for i, fix in zip(accepted, fixes)
        ]
        noise = settings.tracker.odometry_noise
        found = to_odometry(fixes, np.array(odometry), localizer.covariance, noise, console)
    values = {name: float(f"{value:.3g}") for name, value in asdict(found).items()}
    console.print(", ".join(f"{name}: {value:g}" for name, value in values.items()))
    if not arguments.dry_run:
        against = "odometry" if drive.T_map_base is None else "ground truth"
        card = {"drive": drive.name, "frames": len(fixes), "against": against}
        write_covariance(arguments.map, values, card)
        console.print(f"stored with the map: {arguments.map}")
    return 0


def to_truth(
    fixes: Sequence[Fix], truth: np.ndarray, used: CovarianceConfig, console: Console
) -> CovarianceConfig:
    """Fitted to the errors of fixes with their true T_map_base (N, 4, 4)."""
    poses = np.array([fix.T_map_base for fix in fixes]).reshape(-1, 4, 4)
    right = np.flatnonzero(transforms.pose_error(poses, truth)[0] < WRONG_M)
    _tell_wrong(len(fixes) - len(right), "poses", console)
    known = Errors.of([fixes[i] for i in right], truth[right], used)
    found = fit(known[::2])
    judged = {"as before": used, "fitted": found}
    _show("frames", {name: (known[1::2], config) for name, config in judged.items()}, console)
    return found


def to_odometry(
    fixes: Sequence[Fix],
    T_odom_base: np.ndarray,
    used: CovarianceConfig,
    noise: OdometryNoise,
    console: Console,
) -> CovarianceConfig:
    """Fitted to odometry (N, 4, 4) between the fixes. noise: of odometry, as stated."""
    motions = Motions.between(fixes, T_odom_base, used, noise)
    _tell_wrong(motions.wrong, "motions", console)
    found, measured = fit_to_motions(motions[::2], used)
    judged = replace(motions, odometry=measured)[1::2]
    _show("motions", {"as before": (judged, used), "fitted": (judged, found)}, console)
    return found


def _tell_wrong(count: int, what: str, console: Console) -> None:
    if count:
        console.print(f"left out: {count} {what} off by more than {WRONG_M} m")


def _show(what: str, rows: dict[str, tuple[Known, CovarianceConfig]], console: Console) -> None:
    """Consistency by name of the settings."""
    found = {name: Consistency.of(*judged) for name, judged in rows.items()}
    axes = len(next(iter(found.values())).inside)
    median = axes * (1 - 2 / (9 * axes)) ** 3  # of chi-square (Wilson and Hilferty 1931)
    header = ("", what, f"mean ({axes})", f"median ({median:.1f})", "inside 95 % by axis")
    cells = tuple(
        (name, str(c.count), f"{c.mean:.1f}", f"{c.median:.1f}", _percent(c.inside))
        for name, c in found.items()
    )
    report.print_table(report.Table("Consistency of the other half", header, cells), console)


def _percent(shares: tuple[float, ...]) -> str:
    return " ".join(f"{100 * share:.0f}" for share in shares) + " %"


if __name__ == "__main__":
    sys.exit(main())

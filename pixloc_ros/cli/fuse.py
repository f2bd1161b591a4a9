"""fuse: what robot_localization's EKF would make of a recorded live run, with the parameter file
that its node will read. For trying settings without driving; docs/fusion.md goes through them."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import yaml
from rich.console import Console

from pixloc_ros.cli.support import DEMO, run_command, shipped
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.fusion.plots import error_picture
from pixloc_ros.evaluation.fusion.recording import (
    delayed,
    read_recording,
    with_outage,
    with_outliers,
)
from pixloc_ros.evaluation.fusion.run import FusionFigures, figures, run_filter
from pixloc_ros.evaluation.fusion.settings import read_settings
from pixloc_ros.evaluation.fusion.study import OUTAGE, study


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("fuse", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuse", description=__doc__)
    parser.add_argument(
        "bag",
        type=Path,
        nargs="?",
        default=DEMO / "bag",
        help="bag that was played (default: the demo's)",
    )
    parser.add_argument(
        "live",
        type=Path,
        nargs="?",
        default=DEMO / "live",
        help="what pose_recorder left of the run (default: the demo's)",
    )
    parser.add_argument(
        "--ekf",
        type=Path,
        default=shipped("config/ekf.yaml"),
        help="parameter file (default: the package's config/ekf.yaml)",
    )
    parser.add_argument("--node", default="ekf_map", help="whose parameters in that file")
    parser.add_argument(
        "--odom", default="", metavar="TOPIC", help="nav_msgs/Odometry of the bag (the only one)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=1.0,
        help="speed at which the bag was played: latencies are told in its time",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a parameter, as YAML; may be repeated",
    )
    parser.add_argument(
        "--delay",
        type=float,
        default=0.0,
        metavar="S",
        help="publish every pose so much later than it was",
    )
    parser.add_argument(
        "--outliers",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the poses that are put wrong by 1 m and 3 deg",
    )
    parser.add_argument(
        "--outage",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="no poses between these seconds of the bag",
    )
    parser.add_argument("--picture", type=Path, metavar="PNG", help="errors over time")
    parser.add_argument(
        "--study",
        type=Path,
        metavar="FOLDER",
        help="draw what wrong settings do to this run: fusion_*.png",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    recording = read_recording(arguments.bag, arguments.live, arguments.rate, arguments.odom)
    if not recording.has_ground_truth:
        console.print("the bag has no ground truth: errors are against the poses as recorded")
    if arguments.study:
        arguments.study.mkdir(parents=True, exist_ok=True)
        for name, runs in study(recording, arguments.ekf, arguments.node):
            path = arguments.study / f"fusion_{name}.png"
            path.write_bytes(error_picture(runs, OUTAGE))
            columns = dict(zip(("as configured", name), (figures(run) for _, run in runs)))
            report.print_table(table(str(path), columns), console)
        return 0
    recording = with_outliers(delayed(recording, arguments.delay), arguments.outliers)
    if arguments.outage:
        recording = with_outage(recording, *arguments.outage)
    settings = read_settings(arguments.ekf, arguments.node, _changes(arguments.set))
    fused = run_filter(settings, recording)
    report.print_table(table(str(arguments.live), {arguments.node: figures(fused)}), console)
    if arguments.picture:
        arguments.picture.write_bytes(error_picture([(arguments.node, fused)], arguments.outage))
        console.print(f"picture: {arguments.picture}")
    return 0


def table(title: str, columns: dict[str, FusionFigures]) -> report.Table:
    """One column per run; errors are root mean squares, "-" where none can be told."""
    rows = {
        "poses, latency p95": lambda f: f"{f.poses}, {f.latency_p95_s:.2f} s",
        "good poses used": lambda f: _share(f.accepted),
        "wrong poses refused": lambda f: _share(f.rejected_outliers),
        "innovation squared, of used poses (1: consistent)": lambda f: f"{f.nis:.2f}",
        "error of the poses as they were": lambda f: _error(f.raw_m, f.raw_deg),
        "error of the filter at the same stamps": lambda f: _error(f.at_poses_m, f.at_poses_deg),
        "error of the filter as published": lambda f: _error(f.published_m, f.published_deg),
        "largest of these": lambda f: _error(f.published_max_m, math.nan),
        "largest in its standard deviations": lambda f: (
            "-" if math.isnan(f.worst_sigma) else f"{f.worst_sigma:.1f}"
        ),
    }
    cells = tuple((name, *(show(f) for f in columns.values())) for name, show in rows.items())
    return report.Table(title, ("", *columns), cells)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _error(metres: float, degrees: float) -> str:
    if math.isnan(metres):
        return "-"
    return f"{100 * metres:.1f} cm" + ("" if math.isnan(degrees) else f" / {degrees:.3f} deg")


def _changes(pairs: list[str]) -> dict:
    changes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: expected NAME=VALUE")
        changes[name] = yaml.safe_load(value)
    return changes


if __name__ == "__main__":
    sys.exit(main())

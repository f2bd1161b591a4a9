"""make_robotcar: a mapping and a later drive through the synthetic street in the raw layout of the
Oxford RobotCar Dataset, with the SDK's calibration folders beside them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.support import progress_bar, run_command
from pixloc_ros.datasets.robotcar.camera import SENSORS
from pixloc_ros.datasets.robotcar.generate import RigOptions, write_dataset


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("make_robotcar", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make_robotcar", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets models/, extrinsics/ and the two drives")
    parser.add_argument(
        "--cameras",
        nargs="+",
        choices=tuple(SENSORS),
        metavar="CAMERA",
        default=["stereo_left"],
        help=f"of {', '.join(SENSORS)}",
    )
    parser.add_argument("--query-frames", type=int, default=80)
    parser.add_argument(
        "--width",
        type=int,
        default=640,
        help="of the stereo images (4:3); the others are square and 0.8 times as wide",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the street and the motion")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    width = arguments.width
    rig = RigOptions((width, width * 3 // 4), (width * 4 // 5,) * 2, tuple(arguments.cameras))
    with progress_bar(console) as progress:
        folders = write_dataset(
            arguments.folder, arguments.seed, arguments.query_frames, rig, progress
        )
    for name, folder in folders.items():
        console.print(f"{name}: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

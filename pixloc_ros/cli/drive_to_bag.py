"""drive_to_bag: write a recorded drive as a rosbag2 bag that any ROS 2 machine can play."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.flags import add_odometry, add_skip_every
from pixloc_ros.cli.support import open_drive, progress_bar, run_command
from pixloc_ros.datasets.bag import write_bag
from pixloc_ros.datasets.bag_topics import STORAGES


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("drive_to_bag", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="drive_to_bag", description=__doc__)
    parser.add_argument("drive", help="image folder, or folder:session")
    parser.add_argument("bag", type=Path, help="folder to write; must not exist yet")
    parser.add_argument("--storage", choices=STORAGES, default="mcap")
    parser.add_argument(
        "--image-format",
        choices=("raw", "jpeg", "png"),
        default="raw",
        help="raw: sensor_msgs/Image; else CompressedImage",
    )
    add_odometry(parser)
    add_skip_every(parser)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    drive = open_drive(arguments.drive, arguments.odometry, arguments.skip_every, arguments.seed)
    with progress_bar(console) as progress:
        write_bag(
            drive,
            arguments.bag,
            arguments.storage,
            image_format=arguments.image_format,
            progress=progress,
        )
    console.print(f"{arguments.bag}: {len(drive)} images, {len(drive.odometry)} odometry poses")
    return 0


if __name__ == "__main__":
    sys.exit(main())

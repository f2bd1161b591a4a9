"""robotcar_to_bag: write a raw drive of the Oxford RobotCar Dataset as a rosbag2 bag.

Images are demosaiced and undistorted; stamps are the recording's own. Interrupted, the same command
goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.flags import add_settings, settings_of
from pixloc_ros.cli.support import progress_bar, run_command
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_topics import STORAGES, BagTopics
from pixloc_ros.datasets.robotcar.bag import BagOptions, write_robotcar_bag
from pixloc_ros.datasets.robotcar.camera import SENSORS
from pixloc_ros.datasets.robotcar.drive import RobotCar
from pixloc_ros.datasets.robotcar.frames import Origin
from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.messages.maker import IMAGE_FORMATS
from pixloc_ros.messages.poses import pose_of, to_xyz_rpy


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("robotcar_to_bag", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    default, origin = BagOptions(), Origin()
    parser = argparse.ArgumentParser(prog="robotcar_to_bag", description=__doc__)
    parser.add_argument("drive", type=Path, help="folder named after the drive's date and time")
    parser.add_argument("bag", type=Path, help="folder to write; must not exist yet")
    add_settings(
        parser,
        default,
        cameras={
            "choices": tuple(SENSORS),
            "metavar": "CAMERA",
            "help": f"default: all that are there, of {', '.join(SENSORS)}",
        },
        odometry={
            "choices": ("vo", "ins"),
            "help": "source of /odom (default: vo where it is there)",
        },
        truth={
            "choices": ("rtk", "ins", "none"),
            "help": "source of /ground_truth/odometry (default: rtk where it is there)",
        },
        image_format={"choices": IMAGE_FORMATS},
        start_s={"flag": "--start", "metavar": "S", "help": "leave out the first seconds"},
        end_s={
            "flag": "--end",
            "metavar": "S",
            "help": "leave out what comes after so many seconds",
        },
        image_rate={
            "metavar": "HZ",
            "help": "most images of a camera in a second (default: all)",
        },
        storage={"choices": STORAGES},
        part_s={
            "flag": "--part",
            "metavar": "S",
            "help": f"seconds of the drive in one file (default {default.part_s:g})",
        },
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="folder with models/ and extrinsics/ (default: beside the drive, or "
        "what ROBOTCAR_SDK names)",
    )
    parser.add_argument(
        "--origin",
        type=float,
        nargs=3,
        metavar=("NORTH", "EAST", "DOWN"),
        default=(origin.northing, origin.easting, origin.down),
        help="UTM position of the map frame's origin, the same for map and drive "
        f"(default {origin.northing:g} {origin.easting:g} {origin.down:g})",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    options = settings_of(BagOptions, arguments)
    drive = RobotCar(arguments.drive, arguments.calibration, Origin(*arguments.origin))
    with progress_bar(console) as progress:
        counts = write_robotcar_bag(drive, arguments.bag, options, progress)
    for topic, count in counts.items():
        console.print(f"{topic}: {count}", highlight=False)
    console.print(f"{arguments.bag}: {sum(counts.values())} messages")
    if counts.get(BagTopics.ground_truth):
        console.print(
            f"begins at  initial_pose: {start_of(arguments.bag)}", highlight=False, soft_wrap=True
        )
    return 0


def start_of(bag: Path) -> str:
    """The first ground truth that odometry covers, as the parameter `initial_pose` in YAML."""
    reader = BagReader(bag)
    begin = 0
    if reader.has(BagTopics.odom):
        begin = stamp_of(reader.first_message(BagTopics.odom))
    truth = reader.messages(BagTopics.ground_truth)
    message = next((m for m in truth if stamp_of(m) >= begin), None)
    if message is None:
        return "unknown: the ground truth ends before odometry begins"
    names = ("x", "y", "z", "roll", "pitch", "yaw")
    values = to_xyz_rpy(pose_of(message.pose.pose))
    components = ", ".join(f"{n}: {v:.3f}" for n, v in zip(names, values))
    return "{" + f"{components}, stamp: {stamp_of(message) * 1e-9:.6f}" + "}"


if __name__ == "__main__":
    sys.exit(main())

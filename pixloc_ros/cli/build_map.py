"""build_map: a feature map from a COLMAP model and its images, or from images with poses alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import add_bag, add_network, add_settings, settings_of
from pixloc_ros.cli.map_info import print_summary
from pixloc_ros.cli.support import progress_bar, run_command
from pixloc_ros.core.errors import ConfigError, MissingPackage
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.datasets.bag_topics import BagInput
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.folder import read_drive, write_drive
from pixloc_ros.datasets.place import read_place
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.inspect import MapSummary
from pixloc_ros.mapping.landmarks import add_places
from pixloc_ros.mapping.plan import BuildOptions
from pixloc_ros.mapping.posed_images import spaced
from pixloc_ros.mapping.triangulate import triangulate

EPILOG = """examples:
  build_map --model sfm/sparse --images sfm/images --scale 1 --out maps/street
  build_map --drive recordings/monday:map --spacing 1.0 --out maps/street
  build_map --drive kitti00_clip --every 5 --out maps/kitti00
  build_map --add places --model sfm/sparse --images sfm/images --out maps/street

Interrupted? Run the same command again: it continues where it stopped."""


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("build_map", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    default = BuildOptions()
    parser = argparse.ArgumentParser(
        prog="build_map",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="folder of a COLMAP or hloc model (bin or txt)")
    source.add_argument(
        "--drive",
        metavar="PLACE",
        help="images with poses to triangulate: folder, folder:session, bag, "
        "bag:camera, raw RobotCar drive, drive:camera",
    )
    parser.add_argument(
        "--images", type=Path, help="folder that the model's image names start from"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the map")
    add_network(parser)
    parser.add_argument(
        "--add",
        choices=("places",),
        help="only add to the map that is there: places, from which a robot finds itself",
    )
    parser.add_argument(
        "--places",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="give the map places, where the packages for it are installed (extra 'places')",
    )
    drive = parser.add_argument_group("with --drive")
    add_bag(parser)
    drive.add_argument("--every", type=int, default=1, metavar="N", help="use every N-th frame")
    drive.add_argument(
        "--spacing",
        type=float,
        default=0.0,
        metavar="M",
        help="use frames at least M metres (or 20 degrees) apart",
    )
    drive.add_argument(
        "--model-out",
        type=Path,
        help="folder of the COLMAP model that is made (default: <out>_model)",
    )
    model = parser.add_argument_group("with --model")
    add_settings(
        model,
        default,
        up={"help": "axis of the model that points up (write --up=-y)"},
        scale={"help": "metres per unit of the model"},
    )
    model.add_argument(
        "--transform",
        type=Path,
        metavar="FILE",
        help="text file with a 4x4 T_map_world, applied after --up and --scale",
    )
    add_settings(
        parser.add_argument_group("details"),
        default,
        resize={"metavar": "PX", "help": "longer side given to the network (default %(default)s)"},
        min_track_length={},
        max_error={"metavar": "PX", "help": "largest mean reprojection error of a point"},
        max_points_per_keyframe={
            "flag": "--max-points",
            "metavar": "N",
            "help": "most points kept of a keyframe",
        },
        tile_size={"metavar": "M"},
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    with progress_bar(console) as progress:
        if arguments.add and not arguments.model:
            raise ConfigError("--add needs --model and --images, those that the map was built from")
        if arguments.drive:
            drive = _chosen_frames(arguments)
            model = arguments.model_out or arguments.out.with_name(arguments.out.name + "_model")
            images = drive.image_dir
            triangulate(drive.posed_images(), model, progress)
        else:
            model, images = arguments.model, arguments.images
            if images is None:
                raise ConfigError("--model needs --images, the folder of its images")
        options = _options(arguments)
        sfm = read_model(model)
        if not arguments.add:
            checkpoint = load_checkpoint(arguments.checkpoint, arguments.device)
            build_map(sfm, images, checkpoint, arguments.out, options, progress)
        if arguments.add or arguments.places:
            try:
                add_places(arguments.out, sfm, images, arguments.device, progress)
            except MissingPackage as error:
                if arguments.add:
                    raise
                console.print(f"the map has no places: {error}")
    print_summary(MapSummary(arguments.out, FeatureMap.open(arguments.out).info), console)
    if arguments.drive:
        console.print(f"COLMAP model: {model}, its images: {images}")
    return 0


def _chosen_frames(arguments: argparse.Namespace) -> Drive:
    """The frames to map, as files (those that are none yet are written beside the map)."""
    drive = read_place(arguments.drive, settings_of(BagInput, arguments))
    drive = drive.subset(slice(None, None, arguments.every))
    if arguments.spacing > 0:
        drive = drive.subset(spaced(drive.T_map_cam, arguments.spacing))
    if drive.image_dir is None:
        folder = arguments.out.with_name(arguments.out.name + "_images")
        drive = read_drive(write_drive(folder, drive, suffix=".png"))
    return drive


def _options(arguments: argparse.Namespace) -> BuildOptions:
    others: dict[str, Any] = {"up": "z", "scale": 1.0} if arguments.drive else {}
    if arguments.transform:
        try:
            rows = np.loadtxt(arguments.transform).reshape(4, 4)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{arguments.transform}: not a 4x4 matrix: {error}") from error
        others["T_map_world"] = rows.tolist()
    return settings_of(BuildOptions, arguments, **others)


if __name__ == "__main__":
    sys.exit(main())

"""Flags of the executables: those of settings, made from their dataclass, and those that several
executables share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pixloc_ros.core.config import from_dict
from pixloc_ros.datasets.bag_topics import BagInput

T = TypeVar("T")


def add_settings(parser, default: Any, **flags: dict[str, Any]) -> None:
    """A flag for each named field of a dataclass, with the field's type, default and choices.

    default: an instance. flags: by field, what `add_argument` is told beside; `flag` is the name on
    the command line where it is not the field's.
    """
    kinds = get_type_hints(type(default))
    for name, more in flags.items():
        flag = more.pop("flag", f"--{name.replace('_', '-')}")
        known = {"dest": name, "default": getattr(default, name), **_read_as(kinds[name])}
        parser.add_argument(flag, **{**known, **more})


def _read_as(kind: Any) -> dict[str, Any]:
    """How `add_argument` reads a value of an annotated type."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) is Literal:
        return {"choices": parts}
    if get_origin(kind) is tuple:
        return {"type": parts[0], "nargs": "+" if Ellipsis in parts else len(parts)}
    return {"type": parts[0] if parts else kind}  # parts: of a value or None


def settings_of(cls: type[T], arguments: argparse.Namespace, **others: Any) -> T:
    """The settings that were typed, checked as those of a file are; others: fields without flag."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    typed = {name: value for name, value in vars(arguments).items() if name in names}
    return from_dict(cls, {**typed, **others})


def run_parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """The arguments of a command that runs over a drive in a map; `support.open_run` opens both."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--map", type=Path, required=True, help="folder written by build_map")
    parser.add_argument("--drive", required=True, help="bag, image folder, or folder:session")
    add_bag(parser)
    add_network(parser)
    add_odometry(parser)
    add_skip_every(parser)
    add_start(parser)
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    return parser


def scene_parser(
    prog: str, description: str | None, scenes: Sequence[str], out: Path
) -> argparse.ArgumentParser:
    """The arguments of a benchmark over scenes: `--scenes`, `--checkpoint`, `--data`, `--out` and
    `--seed`."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--scenes", default=",".join(scenes), help="default: %(default)s")
    parser.add_argument("--checkpoint", default="small", help="shipped name or folder")
    parser.add_argument("--data", type=Path, help="folder of the scenes (default: shared data)")
    parser.add_argument(
        "--out",
        type=Path,
        default=out,
        help="models, maps, what was measured (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def add_start(parser) -> None:
    """`--start` and `--from-nothing`; `support.open_start` reads them."""
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--start",
        type=float,
        nargs="+",
        metavar="NUMBER",
        help="where the drive begins in the map: x y yaw, or x y z roll pitch yaw (m, rad, as the "
        "node's initial_pose), instead of the ground truth",
    )
    begin.add_argument(
        "--from-nothing",
        action="store_true",
        help="nobody says where the drive begins: it is found in the map",
    )


def add_network(parser) -> None:
    """`--checkpoint` and `--device`."""
    parser.add_argument("--checkpoint", default="small", help="shipped name, folder or .tar")
    parser.add_argument("--device", default="cpu")


def add_odometry(parser) -> None:
    """`--odometry` and, for the simulated one, `--seed`."""
    parser.add_argument(
        "--odometry",
        choices=("recorded", "simulated"),
        default="recorded",
        help="simulated: 50 Hz from the ground truth, 1 %% drift and noise",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the simulated odometry")


def add_skip_every(parser) -> None:
    """`--skip-every`."""
    parser.add_argument(
        "--skip-every",
        type=int,
        default=0,
        metavar="N",
        help="leave out the frames 0, N, 2N, ... that the map was built from",
    )


def add_bag(parser) -> None:
    """The flags of `BagInput`: topics, frames and what a bag does not say of its camera."""
    group = parser.add_argument_group("of a bag (what is not named is found in it)")
    add_settings(
        group,
        BagInput(),
        image={"metavar": "TOPIC"},
        camera_info={"metavar": "TOPIC"},
        odom={
            "metavar": "TOPIC",
            "help": "Odometry, PoseWithCovarianceStamped, PoseStamped, or /tf",
        },
        ground_truth={"metavar": "TOPIC"},
        base_frame_id={"metavar": "FRAME", "help": "as the node's parameter: the robot's frame"},
        extrinsics={
            "nargs": 6,
            "metavar": ("X", "Y", "Z", "ROLL", "PITCH", "YAW"),
            "help": "of the camera's optical frame in the base (m, rad) instead of tf",
        },
    )
    group.add_argument(
        "--image-is-rectified",
        action="store_true",
        help="as the node's parameter: the images are undistorted already, use camera_info's P",
    )

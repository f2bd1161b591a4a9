"""robotcar_seasons: the reference model of RobotCar Seasons as a COLMAP model, and the benchmark's
submission file from its query lists, with starting poses of retrieval or of another method."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import add_network
from pixloc_ros.cli.localize_images import add_start, localize
from pixloc_ros.cli.support import progress_bar, run_command
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.datasets.hloc import Query
from pixloc_ros.datasets.robotcar import seasons
from pixloc_ros.mapping.colmap import read_image_poses
from pixloc_ros.mapping.nvm import import_nvm

NVM = Path("3D-models/all-merged/all.nvm")
#: Names of the axes, one of which points up in the model.
_AXES = ("x", "y", "z")

EPILOG = """examples:
  robotcar_seasons import RobotCar-Seasons --out models/seasons
  build_map --model models/seasons --images RobotCar-Seasons/images --scale 1 --up=AXIS \\
      --out maps/seasons                                  (import says which AXIS)
  robotcar_seasons evaluate RobotCar-Seasons --model models/seasons --map maps/seasons \\
      --pairs pairs-query-netvlad10-percam-perloc.txt --out submission.txt"""


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("robotcar_seasons", lambda console: arguments.run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="robotcar_seasons",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    bring = commands.add_parser("import", help="NVM model and intrinsics -> COLMAP model")
    bring.add_argument("root", type=Path, help="folder of the data set")
    bring.add_argument("--nvm", type=Path, help=f"the model (default: <root>/{NVM})")
    bring.add_argument("--out", type=Path, required=True, help="folder of the COLMAP model")
    bring.set_defaults(run=run_import)
    judge = commands.add_parser("evaluate", help="localize the queries, write the submission file")
    judge.add_argument("root", type=Path, help="folder of the data set")
    add_start(judge, required=True)
    judge.add_argument(
        "--conditions",
        nargs="+",
        choices=seasons.CONDITIONS,
        default=list(seasons.CONDITIONS),
        metavar="CONDITION",
        help=f"default: all, {', '.join(seasons.CONDITIONS)}",
    )
    judge.add_argument(
        "--queries",
        type=Path,
        help="hloc's list with intrinsics, {condition} in its name standing for "
        "each (default: the images and intrinsics of the data set)",
    )
    add_network(judge)
    judge.add_argument("--out", type=Path, required=True, help="the submission file")
    judge.set_defaults(run=run_evaluate)
    return parser.parse_args(argv)


def run_import(arguments: argparse.Namespace, console: Console) -> int:
    cameras = seasons.read_intrinsics(arguments.root)
    nvm = arguments.nvm or arguments.root / NVM
    with progress_bar(console) as progress:
        import_nvm(nvm, cameras, seasons.camera_of, image_name, arguments.out, progress)
    poses = np.stack(list(read_image_poses(arguments.out).values()))
    up = -poses[:, :3, 1].mean(0)
    axis = int(np.argmax(np.abs(up)))
    console.print(
        f"{arguments.out}: {len(poses)} images; up is "
        f"{'-' if up[axis] < 0 else ''}{_AXES[axis]}: build_map "
        f"--up={'-' if up[axis] < 0 else ''}{_AXES[axis]} --scale 1",
        highlight=False,
    )
    return 0


def image_name(name: str) -> str:
    """The file of an NVM image below images/: the model knows PNG, the data set ships JPEG."""
    return str(Path(name).with_suffix(".jpg")).removeprefix("./")


def run_evaluate(arguments: argparse.Namespace, console: Console) -> int:
    queries = [
        query for condition in arguments.conditions for query in queries_of(arguments, condition)
    ]
    found = localize(arguments, queries, arguments.root / "images", console)
    console.print(f"written: {seasons.write_submission(arguments.out, found)}")
    return 0


def queries_of(arguments: argparse.Namespace, condition: str) -> list[Query]:
    if arguments.queries is None:
        return seasons.queries_of(arguments.root, condition)
    path = str(arguments.queries)
    if len(arguments.conditions) > 1 and "{condition}" not in path:
        raise ConfigError("--queries for several conditions needs {condition} in its name")
    return seasons.read_query_list(Path(path.replace("{condition}", condition)))


if __name__ == "__main__":
    sys.exit(main())

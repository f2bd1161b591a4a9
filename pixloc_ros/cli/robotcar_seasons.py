"""robotcar_seasons: the reference model of RobotCar Seasons as a COLMAP model, and the benchmark's
submission file from its query lists, with starting poses of retrieval or of another method."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import add_network
from pixloc_ros.cli.support import open_map, progress_bar, run_command
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.datasets.hloc import Query, read_pairs
from pixloc_ros.datasets.robotcar import seasons
from pixloc_ros.evaluation.retrieval import localize_images, map_from_model
from pixloc_ros.images.files import read_image
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
    judge.add_argument("--map", type=Path, required=True, help="folder written by build_map")
    judge.add_argument(
        "--model",
        type=Path,
        required=True,
        help="the COLMAP model (imported, or hloc's) that the map was built from",
    )
    start = judge.add_mutually_exclusive_group(required=True)
    start.add_argument("--pairs", type=Path, help="retrieval: lines `query reference`, best first")
    start.add_argument(
        "--poses", type=Path, help="poses to refine: lines `name qw qx qy qz tx ty tz`"
    )
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
    judge.add_argument(
        "--references",
        type=int,
        default=3,
        metavar="K",
        help="retrieved images tried in turn (default 3)",
    )
    judge.add_argument(
        "--sigma",
        type=float,
        nargs=2,
        metavar=("M", "DEG"),
        help="how far off a starting pose is (default: 2 m, 5 deg with --pairs; "
        "0.3 m, 1 deg with --poses)",
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
    poses = read_image_poses(arguments.model)
    network, feature_map, settings = open_map(
        arguments.map, arguments.checkpoint, device=arguments.device
    )
    T_map_world = map_from_model(feature_map, poses)
    queries = [
        query for condition in arguments.conditions for query in queries_of(arguments, condition)
    ]
    names = [query.name for query in queries]
    proposals = {
        name: [T_map_world @ T for T in starts]
        for name, starts in starts_of(arguments, names, poses).items()
    }
    metres, degrees = arguments.sigma or ((2.0, 5.0) if arguments.pairs else (0.3, 1.0))
    localizer = Localizer(network, feature_map, settings.localizer, arguments.device)
    with progress_bar(console) as progress:
        found = localize_images(
            localizer,
            [(query.name, query.camera) for query in queries],
            lambda name: read_image(arguments.root / "images" / name),
            proposals,
            (metres, np.radians(degrees)),
            settings.tracker.gates,
            progress,
        )
    T_world_map = transforms.inverse(T_map_world)
    seasons.write_submission(
        arguments.out, {name: T_world_map @ a.T_map_cam for name, a in found.items()}
    )
    aligned = sum(attempt.accepted for attempt in found.values())
    console.print(
        f"{arguments.out}: {len(found)} poses for {len(queries)} queries, {aligned} "
        f"aligned; {len(queries) - len(found)} queries had no starting pose"
    )
    return 0


def queries_of(arguments: argparse.Namespace, condition: str) -> list[Query]:
    if arguments.queries is None:
        return seasons.queries_of(arguments.root, condition)
    path = str(arguments.queries)
    if len(arguments.conditions) > 1 and "{condition}" not in path:
        raise ConfigError("--queries for several conditions needs {condition} in its name")
    return seasons.read_query_list(Path(path.replace("{condition}", condition)))


def starts_of(
    arguments: argparse.Namespace, names: list[str], poses: dict[str, np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """T_world_cam to start from, by query; queries without any are left out."""
    if arguments.poses:
        known = seasons.read_submission(arguments.poses)
        return {
            name: [known[seasons.submitted_name(name)]]
            for name in names
            if seasons.submitted_name(name) in known
        }
    pairs = read_pairs(arguments.pairs)
    starts = {}
    for name in names:
        retrieved = [poses[r] for r in pairs.get(name, ()) if r in poses]
        if retrieved:
            starts[name] = retrieved[: arguments.references]
    return starts


if __name__ == "__main__":
    sys.exit(main())

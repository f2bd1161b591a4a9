"""localize_images: single images in a map, from retrieval, from poses to refine, or from nothing.

In and out are the text files of hloc: a list of queries with intrinsics, pairs or poses, results.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import add_network
from pixloc_ros.cli.support import open_map, progress_bar, run_command
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.datasets.hloc import Query, read_pairs, read_poses, read_queries, write_poses
from pixloc_ros.evaluation.retrieval import localize_images, map_from_model
from pixloc_ros.finding import Finder, Places
from pixloc_ros.images.files import read_image
from pixloc_ros.mapping.colmap import read_image_poses

EPILOG = """examples:
  localize_images --map maps/city --model sfm --images images --queries queries.txt --out ours.txt
  localize_images --map maps/city --model sfm --images images --queries queries.txt \\
      --poses hloc_results.txt --out refined.txt
  localize_images --map maps/city --model sfm --images images --queries queries.txt \\
      --pairs pairs-netvlad20.txt --out ours.txt"""


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("localize_images", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="localize_images",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_start(parser)
    parser.add_argument("--images", type=Path, required=True, help="folder of the queries")
    parser.add_argument(
        "--queries",
        type=Path,
        required=True,
        help="lines `name MODEL width height params...`",
    )
    add_network(parser)
    parser.add_argument("--out", type=Path, required=True, help="poses, in the frame of the model")
    return parser.parse_args(argv)


def add_start(parser, required: bool = False) -> None:
    """`--map`, `--model`, and what says where to start: `--pairs` or `--poses`, one of which may be
    required; `localize` reads them."""
    parser.add_argument("--map", type=Path, required=True, help="folder written by build_map")
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        help="the COLMAP or hloc model that the map was built from, in whose frame poses are",
    )
    start = parser.add_mutually_exclusive_group(required=required)
    start.add_argument("--pairs", type=Path, help="retrieval: lines `query reference`, best first")
    start.add_argument(
        "--poses", type=Path, help="poses to refine: lines `name qw qx qy qz tx ty tz`"
    )
    parser.add_argument(
        "--references",
        type=int,
        default=3,
        metavar="K",
        help="retrieved images tried, with --pairs (default %(default)s)",
    )
    parser.add_argument(
        "--sigma",
        type=float,
        nargs=2,
        metavar=("M", "DEG"),
        help="how far off a starting pose is (default: 2 m, 5 deg with --pairs; "
        "0.3 m, 1 deg with --poses)",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    write_poses(
        arguments.out,
        localize(arguments, read_queries(arguments.queries), arguments.images, console),
    )
    return 0


def localize(
    arguments: argparse.Namespace, queries: list[Query], image_dir: Path, console: Console
) -> dict[str, np.ndarray]:
    """T_world_cam (4, 4) by query, in the frame of the model; says how many were found. image_dir:
    that the names of the queries start from. Arguments: those of `add_start` and `add_network`."""
    references = read_image_poses(arguments.model)
    network, feature_map, settings = open_map(
        arguments.map, arguments.checkpoint, device=arguments.device
    )
    T_map_world = map_from_model(feature_map, references)
    starts = starts_of(arguments, queries, references)
    from_nothing = not (arguments.pairs or arguments.poses)
    finder = Finder(Places(feature_map), device=arguments.device) if from_nothing else None
    metres, degrees = arguments.sigma or ((2.0, 5.0) if arguments.pairs else (0.3, 1.0))
    with progress_bar(console) as progress:
        found = localize_images(
            Localizer(network, feature_map, settings.localizer, arguments.device),
            [(query.name, query.camera) for query in queries],
            lambda name: read_image(image_dir / name),
            {name: [T_map_world @ T for T in poses] for name, poses in starts.items()},
            (metres, np.radians(degrees)),
            settings.tracker.gates,
            progress,
            finder,
        )
    aligned = sum(attempt.accepted for attempt in found.values())
    console.print(
        f"{len(found)} poses for {len(queries)} queries, {aligned} aligned; "
        f"{len(queries) - len(found)} queries had no starting pose"
    )
    T_world_map = transforms.inverse(T_map_world)
    return {name: T_world_map @ attempt.T_map_cam for name, attempt in found.items()}


def starts_of(
    arguments: argparse.Namespace, queries: list[Query], references: dict[str, np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """T_world_cam to start from, by query; DataError where a file fits none of the queries."""
    starts: dict[str, list[np.ndarray]] = {}
    if arguments.pairs:
        pairs = read_pairs(arguments.pairs)
        for query in queries:
            known = [references[r] for r in pairs.get(query.name, ()) if r in references]
            starts[query.name] = known[: arguments.references]
    elif arguments.poses:
        poses = read_poses(arguments.poses)
        for query in queries:
            # Results name a query as the server wants it, often without its folders.
            parts = Path(query.name).parts
            names = ("/".join(parts[k:]) for k in range(len(parts)))
            starts[query.name] = [poses[name] for name in names if name in poses][:1]
    else:
        return starts
    if not any(starts.values()):
        first = queries[0].name if queries else "missing"
        raise DataError(
            f"{arguments.pairs or arguments.poses}: names none of the {len(queries)} queries, the "
            f"first of which is {first}"
        )
    return starts


if __name__ == "__main__":
    sys.exit(main())

"""benchmark: disturbed priors, speed beside the official way of working and SIFT + PnP, memory.

`benchmark robustness --help` tells of the comparison of features under hard conditions,
`benchmark trust --help` of wrong poses that are believed, `benchmark finding --help` of starts from
nothing, `benchmark large-map --help` of maps of many kilometres, `benchmark gpu --help` of a run on
a GPU.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from pixloc_ros.cli import finding, gpu, gpu_pack, large_map, robustness, trust
from pixloc_ros.cli.flags import add_bag, add_network, add_skip_every, settings_of
from pixloc_ros.cli.scenario import prepare
from pixloc_ros.cli.support import open_drive, open_map, progress_bar, run_command
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import Checkpoint, load_checkpoint
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.bag_topics import BagInput
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.benchmark.memory import loop_drive
from pixloc_ros.evaluation.benchmark.official import OfficialLocalizer
from pixloc_ros.evaluation.benchmark.priors import (
    Disturbance,
    localize_from_disturbed,
    single_start,
)
from pixloc_ros.evaluation.benchmark.speed import Contender, Localize, our_way, race
from pixloc_ros.evaluation.metrics import Metrics
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.sift_pnp import SiftPnp

PRIORS = "1.5/4,3/8,5/12"
#: `benchmark NAME`: those with a file of their own.
PARTS = {
    "robustness": robustness,
    "trust": trust,
    "finding": finding,
    "large-map": large_map,
    "gpu": gpu,
    "gpu-pack": gpu_pack,
}


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    command = PARTS.get(argv[0] if argv else "", sys.modules[__name__])
    arguments = command.parse(argv[1:] if command in PARTS.values() else argv)
    return run_command("benchmark", lambda console: command.run(arguments, console))


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument(
        "--scenario",
        default="kitti00",
        help="without --map: a drive of demo, prepared in --out (kitti00)",
    )
    parser.add_argument("--out", type=Path, default=Path("demo_output"))
    parser.add_argument("--map", type=Path, help="folder written by build_map")
    parser.add_argument("--drive", help="with --map: bag, image folder, or folder:session")
    add_network(parser)
    add_bag(parser)
    add_skip_every(parser)
    parser.add_argument("--frames", type=int, default=0, help="use about this many frames; 0: all")
    parser.add_argument(
        "--priors",
        default=PRIORS,
        metavar="M/DEG,...",
        help=f"sizes of disturbed priors (default {PRIORS}); empty: leave out",
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="COLMAP model of the map, for the comparison with the official way "
        "of working and SIFT + PnP",
    )
    parser.add_argument("--images", type=Path, help="folder of the model's images")
    parser.add_argument(
        "--references",
        default="2,4",
        metavar="K,...",
        help="reference images of the official way, its own default is 2 to 5",
    )
    parser.add_argument("--loops", type=int, default=5, help="runs of the drive for memory")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    drive = choose_drive(arguments, console)
    if arguments.frames:
        drive = drive.subset(range(0, len(drive), max(1, len(drive) // arguments.frames)))
    network, feature_map, settings = open_map(
        arguments.map, arguments.checkpoint, arguments.config, arguments.device
    )
    localizer = Localizer(network, feature_map, settings.localizer, arguments.device)
    height, width = drive.image(0).shape[:2]
    localizer.warm_up(width, height)
    figures = {
        "drive": drive.name,
        "frames": len(drive),
        "image": [width, height],
        "threads": torch.get_num_threads(),
        "seed": arguments.seed,
    }
    tables = []
    with progress_bar(console) as progress:
        if arguments.priors:
            config = single_start(settings.localizer)
            single = Localizer(network, feature_map, config, arguments.device)
            localizers = {"one start": single, "search": localizer}
            metrics = measure_priors(localizers, drive, arguments, progress)
            tables.append(report.metrics_table(f"{drive.name}: disturbed priors", metrics))
            figures["priors"] = {name: m.to_dict() for name, m in metrics.items()}
        if arguments.model:
            ways = ways_to_localize(localizer, network, drive, arguments)
            contenders = race(ways, drive, seed=arguments.seed, progress=progress)
            tables.append(speed_table(contenders))
            figures["speed"] = [asdict(contender) for contender in contenders]
        if arguments.loops:
            memory = loop_drive(
                localizer, Tracker(settings.tracker), drive, arguments.loops, progress
            )
            figures["memory"] = asdict(memory)
            tables.append(report.Table("Memory", ("", ""), (("resident", str(memory)),)))
    for table in tables:
        report.print_table(table, console)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        report.write_json(arguments.json, figures)
    return 0


def choose_drive(arguments: argparse.Namespace, console: Console) -> Drive:
    """The drive that was asked for; fills in map, model and images of a scenario."""
    if arguments.map:
        if not arguments.drive or (arguments.model and not arguments.images):
            raise ConfigError("--map needs --drive, and --model needs --images")
        return open_drive(
            arguments.drive,
            "simulated",
            arguments.skip_every,
            arguments.seed,
            settings_of(BagInput, arguments),
        )
    folder = arguments.out / arguments.scenario.replace(":", "_")
    checkpoint = load_checkpoint(arguments.checkpoint, arguments.device)
    with progress_bar(console) as progress:
        prepared = prepare(arguments.scenario, folder, checkpoint, progress)
    arguments.map, arguments.model = prepared.map_dir, prepared.model_dir
    arguments.images = prepared.image_dir
    arguments.json = arguments.json or folder / "benchmark.json"
    return prepared.drive


def measure_priors(
    localizers: dict[str, Localizer], drive: Drive, arguments: argparse.Namespace, progress
) -> dict[str, Metrics]:
    """Metrics by size of the disturbance: from one starting pose, and from many."""
    metrics = {}
    for text in arguments.priors.split(","):
        disturbance = Disturbance(*map(float, text.split("/")))
        for name, localizer in localizers.items():
            metrics[f"{disturbance}, {name}"] = localize_from_disturbed(
                localizer, drive, disturbance, seed=arguments.seed, progress=progress
            )
    return metrics


def ways_to_localize(
    localizer: Localizer,
    checkpoint: Checkpoint,
    drive: Drive,
    arguments: argparse.Namespace,
) -> dict[str, Localize]:
    """Ours first, then the official way with each number of references, then SIFT + PnP."""
    model, device = read_model(arguments.model), arguments.device
    ways = {"ours, features from the map": our_way(localizer, drive)}
    for k in map(int, arguments.references.split(",")):
        official = OfficialLocalizer(
            checkpoint, model, arguments.images, localizer.map.info.resize, k, device
        )
        ways[f"official way, {k} references anew"] = lambda i, prior, official=official: (
            official.localize(drive.image(i), drive.camera, prior)
        )
    sift = SiftPnp(model, arguments.images)
    ways["SIFT + PnP"] = lambda i, prior: sift.localize(drive.image(i), drive.camera, prior)
    return ways


def speed_table(contenders: list[Contender]) -> report.Table:
    ours = contenders[0].median_ms
    rows = tuple(
        (
            c.name,
            f"{c.median_ms:.0f}",
            f"{c.p95_ms:.0f}",
            f"{c.median_ms / ours:.1f} x",
            f"{100 * c.position_median_m:.1f} cm / {c.rotation_median_deg:.3f} deg",
            f"{100 * c.recall[0]:.0f} / {100 * c.recall[1]:.0f} %",
        )
        for c in contenders
    )
    return report.Table(
        "Time per frame, one run, same images and priors",
        ("", "median ms", "p95 ms", "to ours", "median error", "recall 0.1 m, 0.25 m"),
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())

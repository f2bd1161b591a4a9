"""benchmark large-map: what a map of many kilometres costs. A map is laid out again and again to
that length and its drive tracked through all of it: time to open, memory, selection of points."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import add_network
from pixloc_ros.cli.support import DEMO, open_drive, open_map, progress_bar
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.benchmark.large_map import (
    LargeMapRun,
    Stretched,
    drive_through,
    stretch_drive,
    stretch_map,
)
from pixloc_ros.evaluation.metrics import evaluate_track


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark large-map", description=__doc__)
    parser.add_argument(
        "--map", type=Path, default=DEMO / "map", help="a map along a road (default: the demo's)"
    )
    parser.add_argument(
        "--drive",
        default=str(DEMO / "bag"),
        help="a drive through that map, with truth (default: the demo's)",
    )
    parser.add_argument("--kilometres", type=float, default=10.0)
    parser.add_argument("--frames-per-copy", type=int, default=3)
    parser.add_argument(
        "--cache-mb", type=float, default=64.0, help="bound on the tiles held in memory"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/large_map"),
        help="gets the large map, which is removed at the end, and figures",
    )
    add_network(parser)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    source = open_drive(arguments.drive)
    network, _, settings = open_map(arguments.map, arguments.checkpoint, device=arguments.device)
    folder = arguments.out / "map"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with progress_bar(console) as progress:
            stretched = stretch_map(arguments.map, folder, arguments.kilometres, progress)
            drive = stretch_drive(source, stretched, arguments.frames_per_copy)
            done = drive_through(
                lambda opened: Localizer(network, opened, settings.localizer, arguments.device),
                Tracker(settings.tracker),
                stretched,
                drive,
                arguments.cache_mb,
                progress,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = figures_of(stretched, done, arguments.cache_mb)
    metrics = evaluate_track(done.track, drive)
    rows = tuple((name.replace("_", " "), f"{value:.4g}") for name, value in figures.items())
    report.print_table(
        report.Table(f"A map of {stretched.kilometres:.1f} km", ("", ""), rows), console
    )
    report.print_table(report.metrics_table(drive.name, {"offline": metrics}), console)
    report.write_json(arguments.out / "large_map.json", {**figures, **metrics.to_dict()})
    return 0


def figures_of(stretched: Stretched, done: LargeMapRun, cache_mb: float) -> dict[str, float]:
    """What was asked, in numbers; the slope is that of the second half of the way."""
    km, megabytes = done.kilometres, done.resident_mb
    half = km >= km[-1] / 2
    return {
        "copies": stretched.copies,
        "seconds_to_open": done.open_s,
        "cache_MB": cache_mb,
        "resident_MB_at_one_tenth": float(megabytes[km <= km[-1] / 10][-1]),
        "resident_MB_at_half": float(megabytes[half][0]),
        "resident_MB_at_the_end": float(megabytes[-1]),
        "slope_of_the_second_half_MB_per_km": float(np.polyfit(km[half], megabytes[half], 1)[0]),
        "selection_ms_p50_at_the_beginning": float(np.median(done.selection_ms[0])),
        "selection_ms_p50_at_the_end": float(np.median(done.selection_ms[1])),
    }

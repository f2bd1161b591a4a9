"""demo: a recorded drive from end to end. A map is built and a bag written; then the localizer, a
bag player and a recorder run as separate processes that communicate over DDS. The live poses are
compared with the ground truth and with the same drive run offline. Exit status 0 only if the
drive was really tracked within its limits."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.evaluate import evaluate
from pixloc_ros.cli.pixloc import REMEDIES
from pixloc_ros.cli.processes import LiveRun, run_live
from pixloc_ros.cli.scenario import Limits, Prepared, prepare
from pixloc_ros.cli.support import progress_bar, run_command
from pixloc_ros.core.errors import PixlocError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.bag import read_bag, write_bag
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.benchmark.memory import trend
from pixloc_ros.evaluation.metrics import Metrics, disagreement, evaluate_track
from pixloc_ros.evaluation.runner import RunResult
from pixloc_ros.finding import Finder, Places

NOT_LOCALIZED = 4
#: A trend of the node's memory means nothing over a shorter run than this (s).
MEMORY_SECONDS = 300.0


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("demo", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--drive",
        default="synthetic",
        help="synthetic (embedded), robotcar (the same street as a raw RobotCar "
        "drive), kitti00, kitti06 or street_a:query_noon, ...",
    )
    parser.add_argument("--out", type=Path, default=Path("demo_output"))
    parser.add_argument("--checkpoint", default="small", help="shipped name, folder or .tar")
    parser.add_argument("--rate", type=float, default=1.0, help="playing speed of the bag")
    parser.add_argument(
        "--loop-minutes",
        type=float,
        default=0.0,
        metavar="M",
        help="play the bag over and over, to see whether the node's memory grows",
    )
    parser.add_argument("--fresh", action="store_true", help="make drive and map anew")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    if find_spec("rclpy") is None:  # before a minute of preparation, not after it
        raise PixlocError(f"the live part needs ROS 2, rclpy is not installed; {REMEDIES['rclpy']}")
    begin = time.monotonic()
    folder = arguments.out / arguments.drive.replace(":", "_")
    if arguments.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    checkpoint = load_checkpoint(arguments.checkpoint)
    with progress_bar(console) as progress:
        prepared = prepare(arguments.drive, folder, checkpoint, progress)
        bag, drive = _bag(prepared, folder / "bag", progress)
        seconds = (drive.odometry.stamps_ns[-1] - drive.odometry.stamps_ns[0]) * 1e-9
        parameters = node_parameters(prepared, arguments.checkpoint)
        live = run_live(
            folder / "live",
            parameters,
            bag,
            seconds,
            arguments.rate,
            60 * arguments.loop_minutes,
            progress,
            remappings(prepared),
        )
        feature_map = FeatureMap.open(prepared.map_dir, checkpoint.identity)
        localizer = Localizer(checkpoint, feature_map)
        finder = Finder(Places(feature_map))
        tracker = Tracker(finds_itself=True)
        offline, offline_metrics = evaluate(
            localizer, tracker, drive, progress, initial=None, finder=finder
        )
    live_metrics = measure_live(live, drive)
    tables = [
        report.metrics_table(
            f"{prepared.drive.name}: live over DDS, and offline",
            {"live": live_metrics, "offline": offline_metrics},
        ),
        live_table(live, offline, arguments.rate),
        report.timing_table(offline),
    ]
    for table in tables:
        report.print_table(table, console)
    write_results(folder, drive, live, live_metrics, offline, offline_metrics, tables)
    console.print(
        f"report: {folder / 'report.html'}   pictures: {folder / 'trajectory.png'}, "
        f"{folder / 'overlay.png'}"
    )
    console.print(f"{time.monotonic() - begin:.0f} s in all")
    return verdict(
        prepared.limits,
        prepared.judged(drive, live.track, live_metrics),
        prepared.judged(drive, offline.track(), offline_metrics),
        console,
    )


def node_parameters(prepared: Prepared, checkpoint: str) -> dict:
    """Parameters of the localizer: map and network; it finds itself."""
    named = Path(checkpoint)
    compressed = prepared.recording is not None and prepared.recording.compressed
    return {
        "image_transport": "compressed" if compressed else "raw",
        "use_sim_time": True,
        "map": str(prepared.map_dir.resolve()),
        "checkpoint": str(named.resolve()) if named.exists() else checkpoint,
        "initialization": "auto",
    }


def remappings(prepared: Prepared) -> dict[str, str]:
    """Topics of the localizer that have another name in the bag."""
    if prepared.recording is None:
        return {}
    topics = prepared.recording.topics
    return {"image": topics.image, "camera_info": topics.camera_info, "odom": topics.odom}


def measure_live(live: LiveRun, drive: Drive) -> Metrics:
    """Figures of the frames that the node took on; frames it passed over count for nothing."""
    seen = np.isin(drive.stamps_ns, live.track.stamps_ns)
    metrics = evaluate_track(live.track, drive.subset(np.flatnonzero(seen)), live.rate_hz)
    answered = min(1.0, len(live.track) / live.processed)
    return replace(
        metrics,
        frames=live.processed,
        localized=len(live.track),
        tracking=live.accepted / live.processed,
        starting=live.starting / live.processed,
        recall=tuple(share * answered for share in metrics.recall),
    )


def live_table(live: LiveRun, offline: RunResult, rate: float) -> report.Table:
    metres, degrees = disagreement(live.track, offline.track())
    seconds, megabytes = live.memory
    memory = f"{megabytes[-1]:.0f} MB" if seconds[-1] < MEMORY_SECONDS else trend(*live.memory)
    return report.Table(
        "Live run",
        ("", ""),
        (
            ("playing speed", f"{rate:g} x"),
            ("frames processed, passed over for newer ones", f"{live.processed}, {live.dropped}"),
            ("difference to offline (median)", f"{1000 * metres:.2f} mm / {degrees:.4f} deg"),
            ("memory of the node", str(memory)),
        ),
    )


def write_results(
    folder: Path,
    drive: Drive,
    live: LiveRun,
    live_metrics: Metrics,
    offline: RunResult,
    offline_metrics: Metrics,
    tables: list[report.Table],
) -> None:
    """trajectory.png, overlay.png, metrics.json and report.html."""
    pictures = report.run_pictures(drive, [offline.track(), live.track])
    (folder / "trajectory.png").write_bytes(next(iter(pictures.values())))
    overlays = report.sample_overlays(offline)
    for png in list(overlays.values())[:1]:
        (folder / "overlay.png").write_bytes(png)
    report.write_html(
        folder / "report.html", f"pixloc_ros on {drive.name}", tables, {**pictures, **overlays}
    )
    report.write_json(
        folder / "metrics.json",
        {
            "live": live_metrics.to_dict(),
            "offline": offline_metrics.to_dict(),
            "processed": live.processed,
            "accepted": live.accepted,
            "starting": live.starting,
            "dropped": live.dropped,
            "memory": {"seconds": live.memory[0], "megabytes": live.memory[1]},
        },
    )


def verdict(limits: Limits, live: Metrics, offline: Metrics, console: Console) -> int:
    """0 if both runs keep the limits; else say what they do not keep."""
    failed = False
    for name, metrics in (("live", live), ("offline", offline)):
        for violation in limits.violations(metrics):
            failed = True
            console.print(f"[red]{name}: {violation}")
    if failed:
        return NOT_LOCALIZED
    console.print(
        f"[green]tracked: {100 * live.position_median_m:.1f} cm / {live.rotation_median_deg:.3f} "
        f"deg median, within {100 * limits.position_median_m:g} cm / "
        f"{limits.rotation_median_deg:g} deg; p95 within {100 * limits.position_p95_m:g} cm / "
        f"{limits.rotation_p95_deg:g} deg"
    )
    return 0


def _bag(prepared: Prepared, path: Path, progress) -> tuple[Path, Drive]:
    """The bag to play, and the drive as it comes back from it: what both runs will see."""
    if prepared.recording is not None:
        return prepared.recording.bag, prepared.drive
    shutil.rmtree(path, ignore_errors=True)
    write_bag(prepared.drive, path, progress=lambda i, n, _: progress(i, n, "bag"))
    return path, replace(read_bag(path), name=prepared.drive.name)


if __name__ == "__main__":
    sys.exit(main())

"""evaluate: run the tracker over a recorded drive, as the node would, and say how well it did."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import run_parser
from pixloc_ros.cli.support import open_run, open_start, progress_bar, run_command
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.agreement import agreement_of
from pixloc_ros.evaluation.animation import frames_to_show, tracking_gif
from pixloc_ros.evaluation.metrics import Metrics, evaluate_track
from pixloc_ros.evaluation.runner import RunResult, run_drive
from pixloc_ros.evaluation.trajectory import write_tum
from pixloc_ros.finding import Finder

#: Frames of a run that the report shows; map points that the moving picture shows.
OVERLAYS, GIF_POINTS = 4, 20_000


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("evaluate", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = run_parser("evaluate", __doc__)
    parser.add_argument("--out", type=Path, help="folder for trajectories, figures and report")
    parser.add_argument("--gif", type=Path, metavar="FILE", help="moving picture of the tracking")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    drive, localizer, settings = open_run(arguments)
    initial, finder = open_start(arguments, drive, localizer)
    tracker = Tracker(settings.tracker, finds_itself=finder is not None)
    with progress_bar(console) as progress:
        shown = frames_to_show(len(drive)) if arguments.gif else ()
        result, metrics = evaluate(localizer, tracker, drive, progress, shown, initial, finder)
    tables = [
        report.metrics_table(f"{drive.name} on {arguments.map.name}", {"offline": metrics}),
        report.timing_table(result),
    ]
    if drive.T_map_base is None:
        title = "Without ground truth: agreement with itself"
        tables.insert(1, report.agreement_table(title, agreement_of(result)))
    for table in tables:
        report.print_table(table, console)
    if arguments.out:
        write_results(arguments.out, result, metrics, tables)
        console.print(f"report: {arguments.out / 'report.html'}")
    if arguments.gif and not metrics.localized:
        console.print("no moving picture: no frame has a pose")
    elif arguments.gif:
        arguments.gif.parent.mkdir(parents=True, exist_ok=True)
        arguments.gif.write_bytes(tracking_gif(result, localizer.map.point_cloud(GIF_POINTS)))
        console.print(f"moving picture: {arguments.gif}")
    return 0


def evaluate(
    localizer: Localizer,
    tracker: Tracker,
    drive: Drive,
    progress: Progress | None = None,
    with_view: Iterable[int] = (),
    initial: str | np.ndarray | None = "ground_truth",
    finder: Finder | None = None,
) -> tuple[RunResult, Metrics]:
    """Run and measure; `OVERLAYS` frames along the way, or those given, carry their points.

    initial, finder: where the drive begins, or what finds that, as `run_drive` takes them.
    """
    localizer.warm_up(*(round(float(side)) for side in drive.camera.size))
    samples = np.linspace(0, len(drive) - 1, OVERLAYS + 2)[1:-1].astype(int).tolist()
    with_view = set(with_view) or set(samples)
    result = run_drive(
        localizer, tracker, drive, initial, progress=progress, with_view=with_view, finder=finder
    )
    rate_hz = len(drive) / result.wall_s
    return result, evaluate_track(result.track(), drive, rate_hz)


def write_results(
    folder: Path, result: RunResult, metrics: Metrics, tables: list[report.Table]
) -> None:
    """Trajectories (TUM), metrics.json, plots and report.html into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    drive, track = result.drive, result.track()
    known = np.isfinite(track.poses).all(axis=(1, 2))
    write_tum(folder / "estimated.tum", track.stamps_ns[known], track.poses[known])
    if drive.T_map_base is not None:
        write_tum(folder / "ground_truth.tum", drive.stamps_ns, drive.T_map_base)
    figures = metrics.to_dict()
    if drive.T_map_base is None:
        figures["agreement"] = agreement_of(result).to_dict()
    report.write_json(folder / "metrics.json", figures)
    report.write_frames(folder / "frames.csv", result)
    pictures = report.run_pictures(drive, [track])
    (folder / "trajectory.png").write_bytes(next(iter(pictures.values())))
    overlays = list(report.sample_overlays(result).items())
    pictures.update(overlays[:: max(1, len(overlays) // OVERLAYS)][:OVERLAYS])
    report.write_html(folder / "report.html", f"Evaluation of {drive.name}", tables, pictures)


if __name__ == "__main__":
    sys.exit(main())

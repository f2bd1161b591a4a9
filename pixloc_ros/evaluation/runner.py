"""Runs the tracker over a recorded drive: the node's work, without ROS and without waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.process import PlaceFinder, process_frame
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import FrameResult, Tracker, TrackState
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.trajectory import Track

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What the tracker said about each frame of a drive, in the drive's order.

    drive: without the images that could not be read.
    """

    drive: Drive
    results: tuple[FrameResult, ...]
    wall_s: float

    def track(self, name: str = "offline") -> Track:
        """The run as a trajectory; NaN where no pose, covariance or latency was given out."""
        no_pose, no_covariance = np.full((4, 4), np.nan), np.full((6, 6), np.nan)
        located = [r if r.T_map_base is not None else None for r in self.results]
        return Track(
            name=name,
            stamps_ns=self.drive.stamps_ns,
            poses=np.stack([r.T_map_base if r else no_pose for r in located]),
            tracking=np.array([r.state is TrackState.TRACKING for r in self.results]),
            covariances=np.stack([r.covariance if r else no_covariance for r in located]),
            latencies_ms=np.array([r.fix.timings_ms.get("total", np.nan) for r in self.results]),
            starting=np.array([r.state is TrackState.STARTING for r in self.results]),
        )


def run_drive(
    localizer: Localizer,
    tracker: Tracker,
    drive: Drive,
    initial: str | np.ndarray | None = "ground_truth",
    covariance: np.ndarray | None = None,
    progress: Progress | None = None,
    with_view: Collection[int] = (),
    finder: PlaceFinder | None = None,
) -> RunResult:
    """Localize every frame of a drive, in the order of calls that the node has.

    Odometry goes in by stamp; a frame is processed once odometry has reached its stamp. The same
    drive gives the same poses at every run.

    Args:
        initial: T_map_base (4, 4) at the first frame that odometry covers, or "ground_truth" to
            take the drive's own; None: the tracker finds itself, with the finder.
        covariance: of that pose, (6, 6) in ROS order; without one, that of a pose clicked in rviz.
        with_view: indices of frames whose results shall carry the points for an overlay.
        finder: for a tracker that was made to find itself.
    """
    if drive.odometry is None:
        raise DataError(f"drive '{drive.name}' has no odometry; simulate it first")
    first = int(np.searchsorted(drive.stamps_ns, drive.odometry.stamps_ns[0]))
    if first == len(drive):
        raise DataError(f"drive '{drive.name}': odometry begins after the last image")
    if isinstance(initial, str):
        if drive.T_map_base is None:
            raise DataError(f"drive '{drive.name}' has no ground truth to start from")
        initial = drive.T_map_base[first]

    tracker.reset()
    if initial is not None:
        tracker.set_pose(int(drive.stamps_ns[first]), initial, covariance)
    odometry, fed, results = drive.odometry, 0, []
    refused: dict[int, DataError] = {}
    begin = time.perf_counter()
    for i, stamp_ns in enumerate(drive.stamps_ns.tolist()):
        covered = np.searchsorted(odometry.stamps_ns, stamp_ns, side="left") + 1
        for k in range(fed, min(covered, len(odometry))):
            tracker.odometry.add(int(odometry.stamps_ns[k]), odometry.T_odom_base[k])
        fed = max(fed, covered)
        try:
            frame = Frame(stamp_ns, drive.image(i), drive.camera, drive.T_base_cam)
        except DataError as error:  # as in the node, such an image never gets to the tracker
            refused[i] = error
            continue
        results.append(process_frame(localizer, tracker, frame, i in with_view, finder))
        if progress:
            progress(i + 1, len(drive), "frames")
    if refused:
        first = next(iter(refused.values()))
        log.warning("%s: %d images left out: %s", drive.name, len(refused), first)
        drive = drive.subset(np.setdiff1d(np.arange(len(drive)), list(refused)))
    return RunResult(drive, tuple(results), time.perf_counter() - begin)

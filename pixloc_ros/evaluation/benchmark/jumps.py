"""What becomes of a jump of odometry that nobody announces: is anything wrong believed, and for how
long is the pose not right? The same piece of a drive, with one jump each, through the tracker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import FrameResult, Tracker
from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.evaluation.benchmark.trust import RIGHT, WRONG
from pixloc_ros.evaluation.runner import run_drive

#: Frames before the jump, and from it on; from the middle of the drive.
BEFORE, AFTER = 6, 15
METRES = (0.5, 1.0, 2.0, 3.0)
#: Along and sideways, in the base's frame.
DIRECTIONS = {"along": (1.0, 0.0), "sideways": (0.0, 1.0)}
#: A pose further off than so many of its standard deviations, on any axis, was too certain.
SIGMAS = 5.0
#: Hz. Between poses as rare as the second, no jump is faster than a robot could be.
RATES = (50, 10)


@dataclass(frozen=True)
class FrameAfter:
    """A frame after a jump of odometry (metres, direction; rate: of odometry, Hz). after: 0 is the
    first that it reaches. off_m, off_deg: error of the pose that is given out; sigmas: of its
    largest axis, in the standard deviations that it comes with; infinite without a pose."""

    scene: str
    metres: float
    direction: str
    rate: int
    after: int
    accepted: bool
    off_m: float
    off_deg: float
    sigmas: float

    @property
    def right(self) -> bool:
        return self.accepted and self.off_m < RIGHT[0] and self.off_deg < RIGHT[1]

    @property
    def wrong(self) -> bool:
        return self.accepted and (self.off_m > WRONG[0] or self.off_deg > WRONG[1])


def jumping(drive: Drive, jump: np.ndarray, at: int, every: int = 1) -> Drive:
    """The drive, whose odometry believes that the base moved by `jump` (4, 4) after frame `at`;
    every: only so many of its poses are given."""
    track, after = drive.odometry, drive.odometry.stamps_ns > drive.stamps_ns[at]
    before = track.T_odom_base[np.flatnonzero(after)[0] - 1]
    moved = track.T_odom_base.copy()
    moved[after] = before @ jump @ transforms.inverse(before) @ moved[after]
    return replace(drive, odometry=Odometry(track.stamps_ns[::every], moved[::every]))


def drive_on(
    localizer: Localizer, scene: str, drive: Drive, progress: Progress | None = None
) -> list[FrameAfter]:
    """The frames after every jump, at the rates that odometry has. drive: with ground truth."""
    middle = max(0, (len(drive) - BEFORE - AFTER) // 2)
    piece = drive.subset(range(middle, min(middle + BEFORE + AFTER, len(drive))))
    seconds = np.median(np.diff(drive.odometry.stamps_ns)) * 1e-9
    rates = [rate for rate in RATES if rate * seconds < 1.1]
    cases = [(m, d, r) for m in METRES for d in DIRECTIONS for r in rates]
    frames = []
    for count, (metres, direction, rate) in enumerate(cases):
        shift = metres * np.array([*DIRECTIONS[direction], 0.0, 0.0, 0.0, 0.0])
        every = max(1, round(1 / (seconds * rate)))
        jumped = jumping(piece, transforms.exp(shift), BEFORE - 1, every)
        results = run_drive(localizer, Tracker(), jumped).results[BEFORE:]
        for after, (result, T) in enumerate(zip(results, piece.T_map_base[BEFORE:])):
            frames.append(
                FrameAfter(
                    scene, metres, direction, rate, after, result.accepted, *given_out(result, T)
                )
            )
        if progress:
            progress(count + 1, len(cases), f"{scene}, jumps")
    return frames


def frames_until_right(frames: Sequence[FrameAfter]) -> list[float]:
    """Of each jump: frames until one is accepted and right, itself counted; infinite for never."""
    first: dict[tuple, float] = {}
    for frame in frames:
        jump = (frame.scene, frame.metres, frame.direction, frame.rate)
        known = first.setdefault(jump, math.inf)
        first[jump] = min(known, frame.after + 1 if frame.right else math.inf)
    return list(first.values())


def given_out(result: FrameResult, T_map_base: np.ndarray) -> tuple[float, float, float]:
    """Metres and degrees that the pose which is given out is off, and on its worst axis the
    standard deviations; infinite without a pose."""
    if result.T_map_base is None:
        return math.inf, math.inf, math.inf
    metres, radians = transforms.pose_error(result.T_map_base, T_map_base)
    error = transforms.error6(result.T_map_base, T_map_base)
    sigmas = np.abs(error) / np.sqrt(np.diag(result.covariance))
    return float(metres), math.degrees(radians), float(sigmas.max())

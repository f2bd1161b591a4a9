"""How far off may a starting pose be? Every frame alone, from a prior off by a known amount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import Frame, Tracker
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.metrics import Metrics, evaluate_track
from pixloc_ros.evaluation.trajectory import Track

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Disturbance:
    """Length of the shift in metres and angle of the turn in degrees; directions are random."""

    metres: float
    degrees: float

    def __str__(self) -> str:
        return f"{self.metres:g} m / {self.degrees:g} deg"

    def apply(self, T_map_cam: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Shift the camera's centre, and turn the camera about it: exactly the stated amounts."""
        shift, axis = random.normal(size=(2, 3))
        shift *= self.metres / np.linalg.norm(shift)
        axis *= np.radians(self.degrees) / np.linalg.norm(axis)
        disturbed = T_map_cam @ transforms.exp(np.concatenate([np.zeros(3), axis]))
        disturbed[:3, 3] += shift
        return disturbed


def localize_from_disturbed(
    tracker: Tracker,
    drive: Drive,
    disturbance: Disturbance,
    seed: int = 0,
    progress: Progress | None = None,
) -> Metrics:
    """Localize every frame of a drive from scratch, with no odometry to speak of.

    The tracker is told the disturbed pose and a covariance of that size, as by an `initialpose`.
    Frames that it does not accept count as missed.
    """
    random = np.random.default_rng(seed)
    sigma = np.repeat([disturbance.metres, np.radians(disturbance.degrees)], 3) / np.sqrt(3)
    poses = np.full((len(drive), 4, 4), np.nan)
    latencies = np.full(len(drive), np.nan)
    for i, stamp_ns in enumerate(drive.stamps_ns.tolist()):
        prior = disturbance.apply(drive.T_map_cam[i], random)
        tracker.reset()
        tracker.odometry.add(stamp_ns, np.eye(4))
        tracker.set_pose(stamp_ns, prior @ transforms.inverse(drive.T_base_cam), np.diag(sigma**2))
        result = tracker.process(Frame(stamp_ns, drive.image(i), drive.camera, drive.T_base_cam))
        latencies[i] = result.timings_ms.get("total", np.nan)
        if result.accepted:
            poses[i] = result.T_map_base
        if progress:
            progress(i + 1, len(drive), f"priors {disturbance}")
    found = np.isfinite(poses).all(axis=(1, 2))
    return evaluate_track(
        Track(str(disturbance), drive.stamps_ns, poses, found, latencies_ms=latencies), drive
    )

"""Three ways to localize the same images from the same priors, timed in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.benchmark.priors import Disturbance, localize_frame
from pixloc_ros.evaluation.metrics import evaluate_track
from pixloc_ros.evaluation.trajectory import Track

#: Takes frame number and prior T_map_cam; gives T_map_cam, or None where it failed.
Localize = Callable[[int, np.ndarray], "np.ndarray | None"]

#: As far off as an odometry prior may be between two frames.
TRACKING_PRIOR = Disturbance(0.3, 1.0)


@dataclass(frozen=True)
class Contender:
    """How one way of working did: milliseconds per frame, errors where it found a pose."""

    name: str
    median_ms: float
    p95_ms: float
    position_median_m: float
    rotation_median_deg: float
    recall: tuple[float, ...]


def race(
    ways: dict[str, Localize],
    drive: Drive,
    disturbance: Disturbance = TRACKING_PRIOR,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Contender]:
    """Localize every frame in each way, turn by turn, so that load on the machine affects all."""
    random = np.random.default_rng(seed)
    poses = {name: np.full((len(drive), 4, 4), np.nan) for name in ways}
    latencies = {name: np.zeros(len(drive)) for name in ways}
    for i in range(len(drive)):
        prior = disturbance.apply(drive.T_map_cam[i], random)
        for name, localize in ways.items():
            begin = time.perf_counter()
            T_map_cam = localize(i, prior)
            latencies[name][i] = (time.perf_counter() - begin) * 1e3
            if T_map_cam is not None:
                poses[name][i] = T_map_cam @ transforms.inverse(drive.T_base_cam)
        if progress:
            progress(i + 1, len(drive), "speed")
    return [_summarize(name, drive, poses[name], latencies[name]) for name in ways]


def our_way(
    localizer: Localizer, drive: Drive, disturbance: Disturbance = TRACKING_PRIOR
) -> Localize:
    """Our own way, reference features from the map, as a frame that is being tracked. Like the
    others it gives its pose whatever the gates would say."""

    def localize(i: int, prior: np.ndarray) -> np.ndarray | None:
        fix, _ = localize_frame(localizer, drive, i, prior, disturbance)
        return None if fix.failure else fix.T_map_base @ drive.T_base_cam

    return localize


def _summarize(name: str, drive: Drive, poses: np.ndarray, latencies: np.ndarray) -> Contender:
    found = np.isfinite(poses).all(axis=(1, 2))
    m = evaluate_track(Track(name, drive.stamps_ns, poses, found, latencies_ms=latencies), drive)
    return Contender(
        name,
        m.latency_p50_ms,
        m.latency_p95_ms,
        m.position_median_m,
        m.rotation_median_deg,
        m.recall,
    )

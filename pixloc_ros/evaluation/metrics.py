"""How well a trajectory agrees with the ground truth: errors, recall, consistency."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.trajectory import Track

#: (metres, degrees): the thresholds at which recall is stated.
RECALL_THRESHOLDS = ((0.1, 0.25), (0.25, 2.0), (0.5, 5.0))
#: A pose with six degrees of freedom lies inside this bound 95 times in 100 (chi square).
NEES_BOUND_95 = 12.592


@dataclass(frozen=True)
class Metrics:
    """The figures of one trajectory over one drive; NaN where they cannot be told.

    frames: images of the drive. localized: those with a pose. tracking: share of the frames in
    that state. starting: share of the frames that were to confirm a given pose, before tracking
    begins; they have no pose and count as not tracked. Position errors in metres, rotation errors
    in degrees, over the localized frames.
    recall: share of all frames within each of ``RECALL_THRESHOLDS``. Latencies from image to pose
    in milliseconds. nees_mean: mean of e^T C^-1 e, which is 6 for a consistent covariance;
    nees_inside_95: share of the frames within the bound that 95 % should respect.
    """

    frames: int
    localized: int
    tracking: float
    starting: float
    position_median_m: float
    position_p95_m: float
    position_max_m: float
    position_rmse_m: float
    rotation_median_deg: float
    rotation_p95_deg: float
    rotation_max_deg: float
    recall: tuple[float, ...]
    nees_mean: float
    nees_inside_95: float
    latency_p50_ms: float
    latency_p95_ms: float
    rate_hz: float

    def to_dict(self) -> dict:
        return asdict(self)


def evaluate_track(track: Track, drive: Drive, rate_hz: float = float("nan")) -> Metrics:
    """Compare a trajectory with a drive's ground truth, frame by frame of the same nanosecond.

    ``rate_hz``: frames per second that the run achieved.
    """
    _, mine, frames = np.intersect1d(track.stamps_ns, drive.stamps_ns, return_indices=True)
    finite = np.isfinite(track.poses[mine]).all(axis=(1, 2))
    latencies = np.full(1, np.nan)
    if track.latencies_ms is not None and np.isfinite(track.latencies_ms).any():
        latencies = track.latencies_ms[np.isfinite(track.latencies_ms)]
    tracking = float(track.tracking[mine].sum() / len(drive))
    starting = 0.0 if track.starting is None else float(track.starting[mine].sum() / len(drive))
    mine, frames = mine[finite], frames[finite]
    metres = degrees = nees = np.full(1, np.nan)
    if drive.T_map_base is not None and len(mine):
        truth = drive.T_map_base[frames]
        metres, degrees = pose_errors(track.poses[mine], truth)
        if track.covariances is not None:
            nees = normalised_errors(track.poses[mine], truth, track.covariances[mine])
    return Metrics(
        frames=len(drive),
        localized=len(mine),
        tracking=tracking,
        starting=starting,
        position_median_m=float(np.median(metres)),
        position_p95_m=float(np.percentile(metres, 95)),
        position_max_m=float(metres.max()),
        position_rmse_m=float(np.sqrt(np.mean(metres**2))),
        rotation_median_deg=float(np.median(degrees)),
        rotation_p95_deg=float(np.percentile(degrees, 95)),
        rotation_max_deg=float(degrees.max()),
        recall=recall(metres, degrees, len(drive)),
        nees_mean=float(np.mean(nees)),
        nees_inside_95=float(np.mean(nees <= NEES_BOUND_95))
        if np.isfinite(nees).all()
        else float("nan"),
        latency_p50_ms=float(np.percentile(latencies, 50)),
        latency_p95_ms=float(np.percentile(latencies, 95)),
        rate_hz=rate_hz,
    )


def pose_errors(poses: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute pose errors (N,) in metres and (N,) in degrees; no alignment beforehand.

    ``poses`` and ``truth``: (N, 4, 4) of the same frames, row by row.
    """
    metres, radians = transforms.pose_error(poses, truth)
    return metres, np.degrees(radians)


def recall(metres: np.ndarray, degrees: np.ndarray, frames: int) -> tuple[float, ...]:
    """Share of ``frames`` whose errors lie within each of ``RECALL_THRESHOLDS``; NaN is a miss."""
    return tuple(
        float(np.sum((metres <= m) & (degrees <= deg)) / frames) for m, deg in RECALL_THRESHOLDS
    )


def normalised_errors(poses: np.ndarray, truth: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """(N,) normalised estimation error squared, e^T C^-1 e, of poses (N, 4, 4)."""
    errors = np.stack([transforms.error6(T, reference) for T, reference in zip(poses, truth)])
    return np.einsum("ni,ni->n", errors, np.linalg.solve(covariances, errors[..., None])[..., 0])


def disagreement(a: Track, b: Track) -> tuple[float, float]:
    """Median distance (m) and angle (deg) between two trajectories at their common stamps."""
    _, first, second = np.intersect1d(a.stamps_ns, b.stamps_ns, return_indices=True)
    both = np.isfinite(a.poses[first] + b.poses[second]).all(axis=(1, 2))
    if not both.any():
        return float("nan"), float("nan")
    metres, degrees = pose_errors(a.poses[first[both]], b.poses[second[both]])
    return float(np.median(metres)), float(np.median(degrees))

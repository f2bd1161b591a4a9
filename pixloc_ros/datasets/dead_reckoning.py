"""Odometry for drives that were recorded without any, simulated from their ground truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.synthetic.odometry import simulate_odometry


def with_simulated_odometry(
    drive: Drive, rate_hz: float = 50.0, seed: int = 0, scale_drift: float = 0.01
) -> Drive:
    """The drive with drifting odometry at ``rate_hz`` in place of what it had.

    The true motion between frames is interpolated, then disturbed by ``simulate_odometry``:
    ``scale_drift`` is the relative error of the distance, besides its noise. Same seed, same
    odometry.
    """
    if drive.T_map_base is None:
        raise DataError(f"drive '{drive.name}' has no ground truth to simulate odometry from")
    first, last = int(drive.stamps_ns[0]), int(drive.stamps_ns[-1])
    stamps_ns = np.append(np.arange(first, last, round(1e9 / rate_hz)), last)
    truth = interpolate_poses(drive.stamps_ns, drive.T_map_base, stamps_ns)
    measured = simulate_odometry(stamps_ns, truth, seed, scale_drift=scale_drift)
    return replace(drive, odometry=Odometry(stamps_ns, measured))


def interpolate_poses(stamps_ns: np.ndarray, poses: np.ndarray, at_ns: np.ndarray) -> np.ndarray:
    """Poses (M, 4, 4) with increasing stamps (M,), interpolated at ``at_ns`` (N,) -> (N, 4, 4).

    ``DataError`` if a stamp lies outside: poses are never extrapolated.
    """
    if at_ns[0] < stamps_ns[0] or at_ns[-1] > stamps_ns[-1]:
        raise DataError(
            f"poses cover {stamps_ns[0]}..{stamps_ns[-1]} ns, asked for {at_ns[0]}..{at_ns[-1]} ns"
        )
    if len(stamps_ns) == 1:
        return poses.copy()
    right = np.clip(np.searchsorted(stamps_ns, at_ns, side="left"), 1, len(stamps_ns) - 1)
    left = right - 1
    alpha = (at_ns - stamps_ns[left]) / (stamps_ns[right] - stamps_ns[left])
    return transforms.interpolate(poses[left], poses[right], alpha)


def covered(stamps_ns: np.ndarray, at_ns: np.ndarray, max_gap_ns: int) -> np.ndarray:
    """Which of ``at_ns`` (N,) lie between stamps (M,) at most ``max_gap_ns`` apart, or on one."""
    right = np.searchsorted(stamps_ns, at_ns, side="left")
    inside = right < len(stamps_ns)
    right = np.minimum(right, len(stamps_ns) - 1)
    exact = inside & (stamps_ns[right] == at_ns)
    gap = stamps_ns[right] - stamps_ns[np.maximum(right - 1, 0)]
    return exact | (inside & (right > 0) & (gap <= max_gap_ns))

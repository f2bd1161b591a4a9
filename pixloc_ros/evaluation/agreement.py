"""How well a run agrees with itself and with its odometry: what can be said without ground truth.

None of these figures proves a pose: a map that is wrong everywhere in the same way agrees with
itself, too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from pixloc_ros.datasets.dead_reckoning import interpolate_poses
from pixloc_ros.evaluation.runner import RunResult


@dataclass(frozen=True)
class Agreement:
    """Figures of one run; NaN where they cannot be told.

    accepted: share of the frames whose fix was accepted. longest_gap_s: the longest time between
    two such, or to either end of the run. correction: from the prior that odometry carried to the
    fix, of accepted frames. way_m, odometry_way_m: lengths of the way through the accepted poses,
    and through odometry at the same stamps. speed: between accepted frames that follow each other
    (m/s). std: position (m, the largest axis) and rotation (deg) that the covariance states,
    in the median.
    """

    accepted: float
    longest_gap_s: float
    correction_median_m: float
    correction_p95_m: float
    correction_median_deg: float
    correction_p95_deg: float
    way_m: float
    odometry_way_m: float
    speed_median: float
    speed_max: float
    std_m: float
    std_deg: float

    def to_dict(self) -> dict:
        return asdict(self)


def agreement_of(run: RunResult) -> Agreement:
    """The figures of a run."""
    results = [r for r in run.results if r.accepted and r.T_map_base is not None]
    stamps_ns = np.array([r.stamp_ns for r in results], np.int64)
    ends = run.drive.stamps_ns[[0, -1]]
    gaps = np.diff(np.concatenate([ends[:1], stamps_ns, ends[1:]])) * 1e-9
    corrections = np.array([r.fix.correction for r in results]).reshape(-1, 2)
    metres, degrees = corrections[:, 0], np.degrees(corrections[:, 1])
    std = np.sqrt([np.diag(r.covariance) for r in results]).reshape(-1, 6)
    steps, odometry_steps, seconds = _steps(run, stamps_ns, results)
    speeds = steps / seconds
    return Agreement(
        accepted=len(results) / len(run.results),
        longest_gap_s=float(gaps.max()),
        correction_median_m=_quantile(metres, 50),
        correction_p95_m=_quantile(metres, 95),
        correction_median_deg=_quantile(degrees, 50),
        correction_p95_deg=_quantile(degrees, 95),
        way_m=float(steps.sum()) if len(steps) else float("nan"),
        odometry_way_m=float(odometry_steps.sum()) if len(steps) else float("nan"),
        speed_median=_quantile(speeds, 50),
        speed_max=_quantile(speeds, 100),
        std_m=_quantile(std[:, :3].max(axis=1), 50),
        std_deg=_quantile(np.degrees(std[:, 3:].max(axis=1)), 50),
    )


def _steps(run: RunResult, stamps_ns: np.ndarray, results: list) -> tuple[np.ndarray, ...]:
    """Lengths (m) from pose to pose, by odometry, and times (s), of accepted poses."""
    if len(results) < 2:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    odometry = run.drive.odometry
    measured = interpolate_poses(odometry.stamps_ns, odometry.T_odom_base, stamps_ns)
    lengths = (
        np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1)
        for T in (np.stack([r.T_map_base for r in results]), measured)
    )
    return *lengths, np.diff(stamps_ns) * 1e-9


def _quantile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")

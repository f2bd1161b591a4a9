"""Gates: the reasons for which an aligned pose is not believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.frame import Fix


@dataclass(frozen=True)
class GateConfig:
    """min_points: fewest map points that must take part. min_probability: of being right, as the
    checkpoint's model has it (`core/trust.py`; docs/trust.md has the curve it was chosen from).
    min_inlier_ratio, max_cost: for a checkpoint without such a model: share of the points that must
    be inliers (`LocalizerConfig.inlier_residual`), and mean robust feature cost above which image
    and map do not agree. max_correction_m,
    max_correction_deg: largest update of the prior that is ever believed, also of a vague initial
    pose; below it the update must lie within max_correction_sigma standard deviations of prior and
    result. max_position_std, max_rotation_std_deg: a geometry
    that pins the pose down worse than this is not a fix, nor is an image that alone tells no axis
    of the position better. start_fixes: after a pose was given, or from lost, tracking begins once
    so many fixes among the newest start_frames frames agree within max_correction_sigma, given the
    odometry between them; 1: with the first. max_fix_age (s): without a fix for so long the pose
    counts as carried by odometry, whether or not images come. max_coast_distance (m),
    max_coast_time (s): how far odometry may carry it before it counts as lost. max_coast_std: by
    how much (m) its standard deviation may grow meanwhile. doubt_m, doubt_deg: every rejected fix
    in a row says that the pose may be this much further off (one standard deviation), so that a
    jump of the odometry is searched for in a few frames; max_doubts: of so many at most, and at
    once where odometry was seen to jump. find_after: so many rejected fixes in a row, and the robot
    is looked for in the whole map, where that can be done.
    """

    min_points: int = 40
    min_probability: float = 0.9
    min_inlier_ratio: float = 0.06
    max_cost: float = 0.08
    max_correction_m: float = 20.0
    max_correction_deg: float = 40.0
    max_correction_sigma: float = 6.0
    max_position_std: float = 0.5
    max_rotation_std_deg: float = 2.0
    start_fixes: int = 2
    start_frames: int = 3
    max_fix_age: float = 2.0
    max_coast_distance: float = 30.0
    max_coast_time: float = 15.0
    max_coast_std: float = 5.0
    doubt_m: float = 0.5
    doubt_deg: float = 2.0
    max_doubts: int = 6
    find_after: int = 3

    def __post_init__(self) -> None:
        if self.start_fixes > self.start_frames:
            raise ValueError(
                f"start_fixes {self.start_fixes} > start_frames {self.start_frames}: "
                "tracking would never begin"
            )

    def doubt(self, rejected: int) -> np.ndarray:
        """(6, 6) in ROS order: what fixes rejected in a row add to the covariance of a pose."""
        std = rejected * np.array([self.doubt_m, math.radians(self.doubt_deg)])
        return np.diag(np.repeat(std**2, 3))

    def too_far(self, metres: float, seconds: float, std_m: float) -> str:
        """Why a pose is lost that odometry has carried so far, or "" while it is not. std_m: growth
        of its standard deviation on the way."""
        if metres > self.max_coast_distance:
            return f"carried by odometry for {metres:.1f} m > {self.max_coast_distance:.1f} m"
        if seconds > self.max_coast_time:
            return f"carried by odometry for {seconds:.1f} s > {self.max_coast_time:.1f} s"
        if not std_m <= self.max_coast_std:
            return f"position std grown by {std_m:.1f} m > {self.max_coast_std:.1f} m"
        return ""


def judge(config: GateConfig, fix: Fix, prior_covariance: np.ndarray) -> tuple[str, ...]:
    """Reasons to reject a fix; empty if it is to be believed.

    prior_covariance (6, 6) in ROS order: of the prior that the fix started from.
    """
    if fix.failure:
        return (fix.failure,)
    reasons = []
    if fix.num_points < config.min_points:
        reasons.append(f"points in view {fix.num_points} < {config.min_points}")
    if math.isnan(fix.probability):
        reasons += _by_fixed_limits(config, fix)
    elif fix.probability < config.min_probability:
        reasons.append(
            f"probability of being right {fix.probability:.2f} < {config.min_probability:.2f}"
        )
    finite = np.isfinite(fix.covariance).all()
    std = np.sqrt(np.diag(fix.covariance)) if finite else np.full(6, math.inf)
    if not std[:3].max() <= config.max_position_std:
        reasons.append(f"position std {std[:3].max():.2f} m > {config.max_position_std:.2f} m")
    if not math.degrees(std[3:].max()) <= config.max_rotation_std_deg:
        reasons.append(
            f"rotation std {math.degrees(std[3:].max()):.2f} deg > "
            f"{config.max_rotation_std_deg:.2f} deg"
        )
    distance, angle = fix.correction
    if not distance <= config.max_correction_m:
        reasons.append(f"correction {distance:.2f} m > {config.max_correction_m:.2f} m")
    if not math.degrees(angle) <= config.max_correction_deg:
        reasons.append(
            f"correction {math.degrees(angle):.1f} deg > {config.max_correction_deg:.1f} deg"
        )
    if not reasons:
        sigma = mahalanobis(fix.update, prior_covariance + fix.covariance)
        if not sigma <= config.max_correction_sigma:
            reasons.append(f"correction of {sigma:.1f} sigma > {config.max_correction_sigma:.1f}")
    best = math.sqrt(max(np.diag(fix.image_covariance)[:3].min(), 0.0))
    if not best <= config.max_position_std:
        reasons.append(f"the image alone tells no position: std {best:.2f} m at best")
    return tuple(reasons)


def mahalanobis(error6: np.ndarray, covariance: np.ndarray) -> float:
    """sqrt(e^T C^-1 e)."""
    return float(np.sqrt(error6 @ np.linalg.solve(covariance, error6)))


def _by_fixed_limits(config: GateConfig, fix: Fix) -> list[str]:
    """What must hold where no model of trust belongs to the checkpoint."""
    reasons = []
    if fix.num_inliers < config.min_inlier_ratio * fix.num_points:
        reasons.append(
            f"inliers {fix.num_inliers} of {fix.num_points} < {100 * config.min_inlier_ratio:.0f} %"
        )
    if not fix.cost <= config.max_cost:
        reasons.append(f"cost {fix.cost:.3f} > {config.max_cost:.3f}")
    return reasons

"""What makes a covariance consistent where nobody knows the truth: odometry between the fixes.

Over a short way odometry measures the motion between two fixes about as well as they do. The error
of both fixes is the same however long the way is, that of odometry grows with it: windows of
several lengths tell them apart. What neighbouring fixes have in common stays unseen, the map's own
error above all; that is kept as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Fix
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.motion import Anchor, OdometryNoise
from pixloc_ros.core.tracker.odometry import OdometrySample
from pixloc_ros.evaluation.consistency import FEWEST, most_likely

#: From each fix to the next one at least so far away (m), at most twice the longest.
WAYS = (0.5, 1.0, 2.0, 4.0)
#: A motion that is off by more (m) is one of a wrong fix, or of odometry that jumped.
WRONG_M = 0.5
#: Axes in which odometry never moves by more (m, rad) are none that it measures.
STILL = 1e-6
_NO_NOISE = OdometryNoise(0.0, 0.0, 0.0, 0.0, 0.0)
_LEAST_VARIANCE = 1e-14


@dataclass(frozen=True)
class Motions:
    """Of N motions between two fixes, in the K axes that odometry measures of (x, y, z, rotation
    about x, y, z) of the base where they end: errors (N, K) against odometry, m, rad.

    image_variance (N, K): what both images give, not scaled; grown_variance (N, K): the same, each
    times its cross-check squared (px^2). way (N,), m. odometry (K,): its standard deviation per
    metre of the way. wrong: motions left out.
    """

    errors: np.ndarray
    image_variance: np.ndarray
    grown_variance: np.ndarray
    way: np.ndarray
    odometry: np.ndarray
    wrong: int = 0

    @classmethod
    def between(
        cls,
        fixes: Sequence[Fix],
        T_odom_base: np.ndarray,
        used: CovarianceConfig,
        noise: OdometryNoise,
    ) -> Motions:
        """Of fixes that owe nothing to odometry (`LocalizerConfig.use_prior` is False), with
        odometry at each of them (N, 4, 4). used: what they were made with; noise: as stated."""
        pairs = _pairs(T_odom_base[:, :3, 3])
        found = [
            _motion(fixes[i], fixes[j], T_odom_base[i], T_odom_base[j], used) for i, j in pairs
        ]
        if not found:
            raise DataError(f"no two fixes with {WAYS[0]} to {2 * WAYS[-1]} m of odometry between")
        errors, variance, grown, moved = (np.stack(column) for column in zip(*found))
        right = np.linalg.norm(errors[:, :3], axis=1) < WRONG_M
        axes = np.abs(moved).max(axis=0) > STILL
        stated = np.repeat([noise.translation_per_m, noise.rotation_per_m], 3)
        return cls(
            errors[right][:, axes],
            np.maximum(variance[right][:, axes], _LEAST_VARIANCE),
            grown[right][:, axes],
            np.linalg.norm(moved[right, :3], axis=1),
            stated[axes],
            int(np.sum(~right)),
        )

    def variance(self, config: CovarianceConfig) -> np.ndarray:
        """(N, K) with these settings and odometry's noise."""
        of_images = config.scale * self.image_variance + config.growth * self.grown_variance
        return of_images + (self.way[:, None] * self.odometry) ** 2

    def __getitem__(self, rows: np.ndarray | slice) -> Motions:
        per_motion = (self.errors, self.image_variance, self.grown_variance, self.way)
        return Motions(*(values[rows] for values in per_motion), self.odometry, self.wrong)

    def __len__(self) -> int:
        return len(self.errors)


def fit_to_motions(motions: Motions, used: CovarianceConfig) -> tuple[CovarianceConfig, np.ndarray]:
    """Scale and growth under which the motions are most likely, with the map's error as in `used`;
    and odometry's noise (K,) as it is found with them. Where the motions say nothing of a number,
    the default and the stated noise remain. DataError: too few motions."""
    if len(motions) < FEWEST:
        raise DataError(f"{len(motions)} motions between fixes; at least {FEWEST} are needed")
    image, grown = map(torch.as_tensor, (motions.image_variance, motions.grown_variance))
    way = torch.as_tensor(motions.way)[:, None]

    def variance(numbers: torch.Tensor) -> torch.Tensor:
        return numbers[0] * image + numbers[1] * grown + (way * numbers[2:]) ** 2

    default = CovarianceConfig()
    start = [default.scale, default.growth, *motions.odometry.tolist()]
    scale, growth, *odometry = most_likely(motions.errors, variance, start, belief=1.0)
    return replace(used, scale=scale, growth=growth), np.array(odometry)


def _pairs(positions: np.ndarray) -> list[tuple[int, int]]:
    """By the positions (N, 3) that odometry gives: windows of all lengths, each once."""
    pairs = set()
    for i in range(len(positions)):
        metres = np.linalg.norm(positions[i + 1 :] - positions[i], axis=1)
        for least in WAYS:
            far = np.flatnonzero(metres >= least)
            if len(far) and metres[far[0]] <= 2 * WAYS[-1]:
                pairs.add((i, i + 1 + int(far[0])))
    return sorted(pairs)


def _motion(
    a: Fix, b: Fix, T_odom_a: np.ndarray, T_odom_b: np.ndarray, used: CovarianceConfig
) -> tuple[np.ndarray, ...]:
    """Error, variance, grown variance and odometry's motion, each (6,) in the base's axes at b."""
    sample = OdometrySample(0, T_odom_b)
    anchor = Anchor(0, a.T_map_base, OdometrySample(0, T_odom_a), _of_image(a, used))
    T_map_base, carried = anchor.predict(sample, _NO_NOISE)
    turn = np.kron(np.eye(2), b.T_map_base[:3, :3])

    def variance(of_a: float, of_b: float) -> np.ndarray:
        return np.diag(turn.T @ (of_a * carried + of_b * _of_image(b, used)) @ turn)

    return (
        turn.T @ transforms.error6(b.T_map_base, T_map_base),
        variance(1.0, 1.0),
        variance(a.crosscheck**2, b.crosscheck**2),
        transforms.log(transforms.inverse(T_odom_a) @ T_odom_b),
    )


def _of_image(fix: Fix, used: CovarianceConfig) -> np.ndarray:
    """(6, 6): what the image gives, neither scaled nor with the map's own."""
    return (fix.image_covariance - used.of_map()) / used.of_image(fix.crosscheck)

"""What makes a covariance consistent: factors fitted to errors that are known.

The variance of an axis is modelled as (scale + growth px^2) v + m^2 with the variance v that the
image gives, the cross-check px, and the map's own error m. The likelihood is that of Student's t
with five degrees of freedom, so that single gross errors do not rule it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch

from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Fix
from pixloc_ros.core.geometry import transforms

DEGREES_OF_FREEDOM = 5.0
FEWEST = 20


@dataclass(frozen=True)
class Errors:
    """Of N fixes: errors (N, 6) in ROS order (m, rad), image_variance (N, 6) that the image gives,
    neither scaled nor with the map's own, and crosscheck (N,), px."""

    errors: np.ndarray
    image_variance: np.ndarray
    crosscheck: np.ndarray

    @classmethod
    def of(cls, fixes: Sequence[Fix], truth: np.ndarray, used: CovarianceConfig) -> Errors:
        """From fixes with their true T_map_base (N, 4, 4); used: what they were made with."""
        return cls.from_stds(
            np.stack([transforms.error6(fix.T_map_base, T) for fix, T in zip(fixes, truth)]),
            np.sqrt([np.diag(fix.image_covariance) for fix in fixes]),
            np.array([fix.crosscheck for fix in fixes]),
            used,
        )

    @classmethod
    def from_stds(
        cls, errors: np.ndarray, stds: np.ndarray, crosscheck: np.ndarray, used: CovarianceConfig
    ) -> Errors:
        """stds (N, 6): as they were published, of the image alone."""
        of_image = (stds**2 - np.diag(used.of_map())) / used.of_image(crosscheck)[:, None]
        return cls(errors, np.maximum(of_image, 1e-14), crosscheck)

    def variance(self, config: CovarianceConfig) -> np.ndarray:
        """(N, 6) with these settings."""
        return config.of_image(self.crosscheck)[:, None] * self.image_variance + np.diag(
            config.of_map()
        )

    def __getitem__(self, rows: np.ndarray | slice) -> Errors:
        return Errors(self.errors[rows], self.image_variance[rows], self.crosscheck[rows])

    def __len__(self) -> int:
        return len(self.errors)


def fit(known: Errors) -> CovarianceConfig:
    """The settings under which the errors are most likely. DataError: too few of them."""
    if len(known) < FEWEST:
        raise DataError(f"{len(known)} fixes with ground truth; at least {FEWEST} are needed")
    image, px = torch.as_tensor(known.image_variance), torch.as_tensor(known.crosscheck)

    def variance(numbers: torch.Tensor) -> torch.Tensor:
        scale, growth, metres, radians = numbers
        of_map = torch.stack([metres] * 3 + [radians] * 3) ** 2
        return (scale + growth * px**2)[:, None] * image + of_map

    start = CovarianceConfig()
    numbers = [start.scale, start.growth, start.map_std_m, math.radians(start.map_std_deg)]
    scale, growth, metres, radians = most_likely(known.errors, variance, numbers)
    return CovarianceConfig(scale, growth, metres, math.degrees(radians))


def most_likely(
    errors: np.ndarray,
    variance: Callable[[torch.Tensor], torch.Tensor],
    start: Sequence[float],
    belief: float = 0.0,
) -> list[float]:
    """The positive numbers (P) under whose variance (N, K) the errors (N, K) are most likely.

    belief: how much `start` counts beside the errors: 1 takes its logarithms as known to one unit.
    """
    squared = torch.as_tensor(errors) ** 2
    before = torch.tensor(start, dtype=torch.float64).log()
    logarithms = before.clone().requires_grad_()
    solver = torch.optim.LBFGS([logarithms], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        expected = variance(logarithms.clamp(-16, 8).exp())
        tail = torch.log1p(squared / expected / DEGREES_OF_FREEDOM)
        value = (0.5 * expected.log() + 0.5 * (DEGREES_OF_FREEDOM + 1) * tail).mean()
        value = value + 0.5 * belief * (logarithms - before).square().sum() / squared.numel()
        value.backward()
        return value

    solver.step(loss)
    return logarithms.detach().clamp(-16, 8).exp().tolist()


class Known(Protocol):
    """Errors (N, K) that are known, with the variance that settings give each of them."""

    @property
    def errors(self) -> np.ndarray: ...

    def variance(self, config: CovarianceConfig) -> np.ndarray: ...


@dataclass(frozen=True)
class Consistency:
    """Of N errors, from the variances of their axes: mean and median of the sum of the squared
    normalised errors (6 and 5.3 for six axes, if consistent), and by axis the share within 1.96
    standard deviations (95 %)."""

    count: int
    mean: float
    median: float
    inside: tuple[float, ...]

    @classmethod
    def of(cls, known: Known, config: CovarianceConfig) -> Consistency:
        squared = known.errors**2 / known.variance(config)
        total = squared.sum(1)
        inside = (squared < 1.96**2).mean(0)
        return cls(
            len(squared), float(total.mean()), float(np.median(total)), tuple(inside.tolist())
        )

    def to_dict(self) -> dict:
        return asdict(self)

"""Candidate poses where the prior does not suffice.

A single start finds the pose from within the basin of the coarsest features. Where the prior is
less certain than that, poses drawn from its covariance are aligned as one batch on the coarse
levels, and those of the highest score go on to the finest level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from pixloc_ros.core.alignment import AlignerConfig, Alignment, PosePrior, Problem, align
from pixloc_ros.core.config import require_positive
from pixloc_ros.core.geometry.pose import Pose


@dataclass(frozen=True)
class SearchConfig:
    """std_m, std_deg: what a single starting pose can take; a prior less certain than either is
    searched with many. fewest, hypotheses: starting poses of a search, from a prior just too
    uncertain for a single one, and at most; in between they grow with the square of its standard
    deviation. points: how many of the frame's points judge them on the coarse levels. survivors:
    how many poses reach the finest level, with all points. spread: the draws are cut off at this
    many standard deviations.
    """

    std_m: float = 0.5
    std_deg: float = 3.0
    fewest: int = 16
    hypotheses: int = 48
    points: int = 128
    survivors: int = 4
    spread: float = 2.0

    def __post_init__(self) -> None:
        names = "std_m", "std_deg", "fewest", "hypotheses", "points", "survivors"
        require_positive(self, *names)

    def width(self, covariance: np.ndarray) -> float:
        """Largest std of a prior (6, 6), in ROS order, over what a single start can take."""
        std = np.sqrt(np.diag(covariance))
        return float(max(std[:3].max() / self.std_m, np.degrees(std[3:].max()) / self.std_deg))

    def starts(self, width: float) -> int:
        """Starting poses for a prior of that width; one where a single start suffices."""
        return 1 if width <= 1 else min(self.hypotheses, math.ceil(self.fewest * width**2))


def search(
    problem: Problem,
    start: Pose,
    covariance: torch.Tensor,
    count: int,
    aligner: AlignerConfig,
    config: SearchConfig,
    prior: PosePrior | None = None,
) -> Alignment:
    """Align from `count` poses drawn around `start` (1,); returns the survivors (S).

    covariance: (6, 6) of the start, left-increment tangent in the rig frame (m, rad).
    """
    increments = draw(count, covariance, config.spread)
    starts = start.expand(count).retract(increments)
    coarse = align(
        starts,
        problem.part(slice(1, None), config.points),
        replace(aligner, iterations=aligner.iterations[1:]),
        prior and prior.expand(count),
    )
    best = coarse.score.topk(min(config.survivors, count)).indices
    return align(coarse.T_rig_map[best], problem, aligner, prior and prior.expand(len(best)))


def draw(count: int, covariance: torch.Tensor, spread: float) -> torch.Tensor:
    """Increments (count, 6) of a pose, spread evenly over the covariance (6, 6), zero first.

    A Sobol sequence covers six dimensions with far fewer samples than independent draws, and is
    the same at every call.
    """
    uniform = torch.quasirandom.SobolEngine(6).draw(count + 1)[1:]
    normal = torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-6, 1 - 1e-6)) * 2**0.5
    normal = normal.clamp(-spread, spread).to(covariance)
    normal[0] = 0
    return normal @ torch.linalg.cholesky(covariance).mT

"""Many starting poses, aligned together and scored together.

A single start finds the pose from within the basin of the coarsest features. Where the prior is
less certain than that, poses drawn from its covariance are aligned as one batch on the coarse
levels; the best supported ones go on to the finest level, and the best of these is the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from pixloc_ros.core.alignment import (
    AlignerConfig,
    Alignment,
    PosePrior,
    QueryLevel,
    ReferenceLevel,
    align,
)
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose


@dataclass(frozen=True)
class InitializerConfig:
    """fewest, hypotheses: starting poses of a search, from a prior just too uncertain for a single
    one, and at most; in between they grow with the square of its standard deviation. points: how
    many of the frame's points judge them on the coarse levels. survivors: how many poses reach the
    finest level, with all points. spread: the draws are cut off at this many standard deviations.
    """

    fewest: int = 16
    hypotheses: int = 48
    points: int = 128
    survivors: int = 4
    spread: float = 2.0

    def starts(self, width: float) -> int:
        """Starting poses for a prior whose std is `width` times what a single one can take."""
        return min(self.hypotheses, math.ceil(self.fewest * max(width, 1.0) ** 2))


@dataclass(frozen=True)
class Problem:
    """One frame against its map points: all that `align` needs besides a starting pose."""

    points: torch.Tensor
    mask: torch.Tensor
    reference: list[ReferenceLevel]
    query: list[QueryLevel]
    cameras: Camera
    T_cam_rig: Pose
    damping: torch.Tensor

    def align(
        self, start: Pose, config: AlignerConfig, prior: PosePrior | None = None
    ) -> Alignment:
        """Align from every pose of the batch `start`: T_rig_map (B,)."""
        return align(
            start,
            self.points,
            self.mask,
            self.reference,
            self.query,
            self.cameras,
            self.T_cam_rig,
            self.damping,
            config,
            prior,
        )

    def coarse(self, points: int) -> Problem:
        """The same problem on all levels but the finest, with the first `points` points.

        The map gives points in the order of their worth, so the first ones cover the image.
        """
        reference = [
            ReferenceLevel(level.features[:, :, :points], level.confidence[:, :, :points])
            for level in self.reference[1:]
        ]
        return replace(
            self,
            points=self.points[:, :, :points],
            mask=self.mask[:, :, :points],
            reference=reference,
            query=self.query[1:],
            damping=self.damping[1:],
        )


def search(
    problem: Problem,
    start: Pose,
    covariance: torch.Tensor,
    width: float,
    aligner: AlignerConfig,
    config: InitializerConfig,
    prior: PosePrior | None = None,
) -> Alignment:
    """Align from poses drawn around `start` (1,); returns the best alignment (B = 1).

    covariance: (6, 6) of the start, left-increment tangent in the rig frame (m, rad). width: its
    std over what a single start can take, which says how many are drawn.
    """
    starts = draw(start, covariance, config.starts(width), config.spread)
    coarse = problem.coarse(config.points).align(
        starts, replace(aligner, iterations=aligner.iterations[1:]), widened(prior, len(starts.t))
    )
    best = support(coarse).topk(min(config.survivors, len(starts.t))).indices
    fine = problem.align(coarse.T_rig_map[best], aligner, widened(prior, len(best)))
    return fine[support(fine).argmax()[None]]


def draw(start: Pose, covariance: torch.Tensor, count: int, spread: float) -> Pose:
    """Poses (count,) spread evenly over the covariance, the start itself first.

    A Sobol sequence covers six dimensions with far fewer samples than independent draws, and is
    the same at every call.
    """
    uniform = torch.quasirandom.SobolEngine(6).draw(count + 1)[1:]
    normal = torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-6, 1 - 1e-6)) * 2**0.5
    normal = normal.clamp(-spread, spread).to(covariance)
    normal[0] = 0
    increments = normal @ torch.linalg.cholesky(covariance).mT
    return start.expand(count).retract(increments)


def widened(prior: PosePrior | None, count: int) -> PosePrior | None:
    """The same prior for `count` poses of a batch."""
    return None if prior is None else prior._replace(T_rig_map=prior.T_rig_map.expand(count))


def support(alignment: Alignment) -> torch.Tensor:
    """(B,) how much of the map agrees with the image at each pose: the sum of the robust weights.

    A point out of view supports nothing, so looking away is never cheap; failed poses come last.
    """
    total = alignment.weights.sum(dim=(1, 2))
    return torch.where(alignment.failed, torch.full_like(total, -1.0), total)

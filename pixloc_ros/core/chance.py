"""How well would the points of a frame fit by chance?

What a good fit is depends on the light, the blur and the scene, so no fixed limit of a residual
tells a right pose from a wrong one. Random poses about the aligned one do: they see the same image
and the same map, and what they reach is what a wrong pose reaches here and now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pixloc_ros.core.alignment import AlignerConfig, Problem
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.config import require_positive
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.places import draw
from pixloc_ros.core.recording import Recorded


@dataclass(frozen=True)
class ChanceConfig:
    """poses: random poses about each aligned one. points: how many of the frame's points are
    compared, the best of the map. std_m, std_deg, spread: how far off the random poses are, one
    standard deviation along each axis, cut off at so many.
    """

    poses: int = 16
    points: int = 256
    std_m: float = 1.0
    std_deg: float = 5.0
    spread: float = 2.5

    def __post_init__(self) -> None:
        require_positive(self, "poses", "points", "std_m", "std_deg")


def against_chance(
    problem: Problem,
    T_rig_map: Pose,
    limit: float,
    aligner: AlignerConfig,
    config: ChanceConfig,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For poses T_rig_map (S): share of inliers and median residual of the points on the finest
    level, each at the pose and at its random poses (the highest share, the mean residual); (S)
    each, as (share, chance_share, residual, chance_residual). NaN where nothing is in view.
    limit: a point whose residual is below it is an inlier.
    """
    finest = problem.part(slice(0, 1), config.points)
    increments = _increments(config).to(T_rig_map.t)
    count = len(T_rig_map.t)
    poses = T_rig_map[:, None].expand(count, len(increments)).retract(increments)
    residuals = LevelResiduals.prepare(
        finest.points,
        finest.mask,
        finest.reference[0],
        finest.query[0],
        finest.cameras,
        finest.T_cam_rig,
        aligner,
    )
    share, residual = _fit(Pose(poses.R.flatten(0, 1), poses.t.flatten(0, 1)), residuals, limit)
    share, residual = share.view(count, -1), residual.view(count, -1)
    chance_share = share[:, 1:].nan_to_num(0).amax(1)
    return share[:, 0], chance_share, residual[:, 0], residual[:, 1:].nanmean(1)


@Recorded
def _fit(poses: Pose, residuals: LevelResiduals, limit: float) -> tuple[Tensor, Tensor]:
    """Share of inliers and median residual at each pose (B); NaN where nothing is valid."""
    evaluation = residuals.evaluate(poses)
    valid = evaluation.valid.flatten(1)
    norm = evaluation.squared.clamp_min(0).sqrt().flatten(1)
    share = (valid & (norm < limit)).sum(1) / valid.sum(1)
    return share, norm.masked_fill(~valid, torch.nan).nanmedian(1).values


@lru_cache(maxsize=8)
def _increments(config: ChanceConfig) -> Tensor:
    std = torch.tensor([config.std_m] * 3 + [math.radians(config.std_deg)] * 3)
    with torch.inference_mode(False):
        return draw(config.poses + 1, torch.diag(std**2), config.spread)

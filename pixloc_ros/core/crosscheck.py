"""Is the pose found again from elsewhere, with half of the points?

At the right pose all points agree, so either half of them, started on either side of it, comes
back. A wrong pose is a coincidence of some points and one start: the halves end elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pixloc_ros.core.alignment import AlignerConfig, Problem, align
from pixloc_ros.core.config import require_positive
from pixloc_ros.core.geometry.pose import Pose


@dataclass(frozen=True)
class CrossCheckConfig:
    """points: how many of the frame's points take part, both halves together, the best of the map.
    distance, angle_deg: how far from the pose the halves start, along and about the camera's axes:
    a share of the median distance of the points, so that a room is displaced in the image as a
    street is, and degrees. steps: most steps on each level; tolerance: a half has arrived at
    so many times the steps at which the aligner stops, since pixels are to be told, not fractions.
    """

    points: int = 256
    distance: float = 0.01
    angle_deg: float = 0.8
    steps: int = 4
    tolerance: float = 8.0

    def __post_init__(self) -> None:
        require_positive(self, "points")


def crosscheck(
    problem: Problem, T_rig_map: Pose, aligner: AlignerConfig, config: CrossCheckConfig
) -> Tensor:
    """How far (px of the network's input) the points move, in the median, from the pose T_rig_map
    (1) to where each half of them comes to rest, () the larger of both. NaN where nothing is seen.
    """
    halves = problem.part(slice(None), config.points).halves()
    p_rig = T_rig_map[:, None].transform(halves.points)
    distance = p_rig.norm(dim=-1).masked_fill(~halves.mask, torch.nan).nanmedian()
    metres, radians = config.distance * distance, math.radians(config.angle_deg)
    zero, turn = torch.zeros_like(metres), torch.full_like(metres, radians)
    # to the right and ahead, turned to the right and to the side: all of it moves points sideways
    offset = torch.stack([metres, zero, metres, zero, turn, zero])
    starts = T_rig_map.expand(2).retract(torch.stack([offset, -offset]))
    hasty = replace(
        aligner,
        iterations=(config.steps,) * len(halves.query),
        translation_tolerance=config.tolerance * aligner.translation_tolerance,
        rotation_tolerance=config.tolerance * aligner.rotation_tolerance,
    )
    found = align(starts, halves, hasty).T_rig_map

    cameras = problem.cameras
    before, seen = cameras.project(problem.T_cam_rig.transform(p_rig))
    after, _ = cameras.project(problem.T_cam_rig.transform(found[:, None].transform(halves.points)))
    moved = (after - before).norm(dim=-1).masked_fill(~(seen & halves.mask), torch.nan)
    return moved.flatten(1).nanmedian(1).values.amax()

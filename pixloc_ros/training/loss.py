"""The training loss: reprojection error after every level, coarse levels gating finer ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixloc_ros.core.geometry import Camera, Pose


@dataclass(frozen=True)
class LossConfig:
    """clamp: error (px of the robust cost) above which a level gives no gradient.
    success_threshold: a finer level counts only if the coarser one before it ended within this
    many of its own pixels. min_points: samples with fewer visible points count for nothing.
    log_scale: above 0, a level's error counts as log(1 + error / (log_scale * stride)), so that
    precision weighs as much as convergence; 0: the error itself, as in the paper."""

    clamp: float = 50.0
    log_scale: float = 0.0
    success_threshold: float = 3.0
    min_points: int = 10


def reprojection_error(
    T: Pose, T_true: Pose, points: Tensor, mask: Tensor, camera: Camera
) -> Tensor:
    """(B,) robust distance in full-resolution pixels between projections under both poses.

    points (B, N, 3) in the reference frame, mask (B, N) bool, T and T_true reference -> query.
    Mean over the points of 2 (sqrt(1 + d^2 / 4) - 1): Barron's loss with alpha = 1, c = 2.
    """
    pixels, _ = camera.project(T.transform(points))
    target, _ = camera.project(T_true.transform(points))
    squared = ((pixels - target) ** 2).sum(-1)
    error = 2 * ((1 + squared / 4).sqrt() - 1)
    return torch.where(mask, error, 0).sum(-1) / mask.sum(-1).clamp(min=1)


def alignment_loss(
    levels: list[Pose],
    T_init: Pose,
    T_true: Pose,
    points: Tensor,
    mask: Tensor,
    camera: Camera,
    strides: tuple[int, ...],
    config: LossConfig = LossConfig(),
) -> dict[str, Tensor]:
    """Loss of a batch (paper, 3.3): "total" (B,), "levels" (L, B) fine -> coarse, "init" (B,).

    levels: the pose each level ended with, fine -> coarse. Points count where they are seen by
    the query camera under both the true and the initial pose.
    """
    seen = mask & camera.project(T_true.transform(points))[1]
    seen = seen & camera.project(T_init.transform(points))[1]
    enough = seen.sum(-1) >= config.min_points
    total = torch.zeros_like(T_init.t[..., 0])
    success = torch.ones_like(enough)
    errors = []
    for pose, stride in zip(reversed(levels), reversed(strides)):
        error = reprojection_error(pose, T_true, points, seen, camera).clamp(max=config.clamp)
        cost = torch.log1p(error / (config.log_scale * stride)) if config.log_scale else error
        total = total + torch.where(success & enough, cost, 0) / len(levels)
        success = error.detach() < config.success_threshold * stride
        errors.append(error)
    initial = reprojection_error(T_init, T_true, points, seen, camera)
    return {"total": total, "levels": torch.stack(errors[::-1]), "init": initial}

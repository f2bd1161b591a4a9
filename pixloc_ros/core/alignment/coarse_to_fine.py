"""Direct alignment of multiscale features (PixLoc: Sarlin et al., CVPR 2021, section 3).

From the coarsest level to the finest, every level starts from the pose the coarser one found and
takes damped Gauss-Newton steps on the robust feature residuals of all points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pixloc_ros.core.alignment.prior import prior_terms
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.alignment.solver import damped_step
from pixloc_ros.core.alignment.types import (
    AlignerConfig,
    Alignment,
    PosePrior,
    QueryLevel,
    ReferenceLevel,
)
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.recording import Recorded


def align(
    T_rig_map: Pose,
    points: Tensor,
    mask: Tensor,
    reference: Sequence[ReferenceLevel],
    query: Sequence[QueryLevel],
    cameras: Camera,
    T_cam_rig: Pose,
    damping: Tensor,
    config: AlignerConfig,
    prior: PosePrior | None = None,
) -> Alignment:
    """Refine the poses T_rig_map (B) of a rig of K cameras against points of the map.

    points (B', K, N, 3): metres in the map frame, mask (B', K, N): which of them count.
    reference, query: one entry per level, fine to coarse. cameras (B', K): of the image that the
    network was given. T_cam_rig (B', K). damping (L, 6): lambda of each level (section 3.2).
    With B' = 1 all poses share the maps and the points, nothing is copied.

    Computes in the dtype of `points`, whatever that of the features. Differentiable: gradients
    flow through the steps of a level, not from one level into the next. A pose that cannot be
    aligned is marked as failed; numbers never raise. The loop never waits for a GPU.
    """
    if not len(reference) == len(query) == len(damping) == len(config.iterations):
        raise ValueError(
            f"expected one entry per level: {len(reference)} reference levels, {len(query)} query "
            f"levels, {len(damping)} dampings, {len(config.iterations)} iteration counts"
        )
    points = points.masked_fill(~mask[..., None], 0)  # padding may hold anything
    if prior is not None:  # to the units of the cost, see AlignerConfig.feature_sigma
        prior = prior._replace(information=prior.information * config.feature_sigma**2)

    T = T_rig_map
    failed_anywhere = torch.zeros(T.shape, dtype=torch.bool, device=T.device)
    levels = []
    for level in reversed(range(len(query))):
        residuals = LevelResiduals.prepare(
            points, mask, reference[level], query[level], cameras, T_cam_rig, config
        )
        T, failed, converged = align_level(
            T.detach(),
            residuals,
            damping[level],
            config.iterations[level],
            query[level].stride,
            prior,
        )
        failed_anywhere = failed_anywhere | failed
        levels.insert(0, T)
    return _summarize(levels, residuals, failed_anywhere, converged, prior)


def align_level(
    T: Pose,
    residuals: LevelResiduals,
    damping: Tensor,
    iterations: int,
    stride: int,
    prior: PosePrior | None,
) -> tuple[Pose, Tensor, Tensor]:
    """Take the steps of one level; returns the poses (B) with masks `failed` and `converged` (B).

    A pose that has converged or failed stays where it is. The prior is linear over a level: its
    pull changes by its information times the way that the pose has gone.
    """
    none = torch.zeros(T.shape, dtype=torch.bool, device=T.device)
    if prior is None:
        information, pull = T.t.new_zeros((1, 6, 6)), T.t.new_zeros((*T.shape, 6))
    else:
        information, pull = _prior_terms(T, *prior)
    state = _State(T, pull, none, none)
    may_look = residuals.config.early_exit and T.device.type == "cpu"
    for _ in range(iterations):
        state = _take_step(state, residuals, damping, information, stride)
        if may_look and bool((state.failed | state.converged).all()):
            break
    return state.T, state.failed, state.converged


_prior_terms = Recorded(prior_terms)


class _State(NamedTuple):
    """Of one level: the poses (B), the prior's gradient (B, 6) there, and what became of them."""

    T: Pose
    pull: Tensor
    failed: Tensor
    converged: Tensor


@Recorded
def _take_step(
    state: _State, residuals: LevelResiduals, damping: Tensor, information: Tensor, stride: int
) -> _State:
    """information (B, 6, 6): the prior's, in units of the cost; zero without one."""
    config = residuals.config
    evaluation = residuals.evaluate(state.T)
    hessian, gradient = evaluation.normal_equations()
    step, solved = damped_step(hessian + information, gradient + state.pull, damping)
    broken = ~solved | (evaluation.num_valid() < config.min_points)
    failed = state.failed | broken & ~state.converged
    resting = failed | state.converged
    step = step.masked_fill(resting[:, None], 0)
    pull = state.pull + (information @ step[..., None])[..., 0]
    translation, rotation = torch.linalg.vector_norm(
        step.detach().unflatten(-1, (2, 3)), dim=-1
    ).unbind(-1)
    converged = state.converged | ~resting & (
        translation < config.translation_tolerance * stride
    ) & (rotation < config.rotation_tolerance * stride)
    return _State(state.T.retract(step), pull, failed, converged)


@Recorded
@torch.no_grad()
def _summarize(
    levels: list[Pose],
    residuals: LevelResiduals,
    failed: Tensor,
    converged: Tensor,
    prior: PosePrior | None,
) -> Alignment:
    """Look at the finest level once more, from the final pose."""
    T, config = levels[0], residuals.config
    evaluation = residuals.evaluate(T)
    hessian, _ = evaluation.normal_equations()
    num_valid = evaluation.num_valid()
    return Alignment(
        T_rig_map=T,
        levels=levels,
        failed=failed | (num_valid < config.min_points),
        converged=converged,
        cost=residuals.cost(evaluation),
        num_valid=num_valid,
        hessian=hessian,
        curvature=hessian + residuals.bend(evaluation),
        score=evaluation.score(),
        prior_information=None if prior is None else prior_terms(T, *prior)[0],
        residuals=evaluation.squared.clamp_min(0).sqrt(),
        weights=evaluation.weight,
        valid=evaluation.valid,
        feature_sigma=config.feature_sigma,
    )

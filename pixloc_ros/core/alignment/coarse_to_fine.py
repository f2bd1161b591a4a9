"""Direct alignment of multiscale features (PixLoc: Sarlin et al., CVPR 2021, section 3).

From the coarsest level to the finest, every level starts from the pose the coarser one found and
takes damped Gauss-Newton steps on the robust feature residuals of all points.
"""

from __future__ import annotations

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
    Problem,
)
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.recording import Recorded


def align(
    T_rig_map: Pose, problem: Problem, config: AlignerConfig, prior: PosePrior | None = None
) -> Alignment:
    """Refine the poses T_rig_map (B) of a rig against points of the map.

    Computes in the dtype of the points, whatever that of the features. Differentiable: gradients
    flow through the steps of a level, not from one level into the next. A pose that cannot be
    aligned is marked as failed; numbers never raise. The loop never waits for a GPU.
    """
    reference, query, damping = problem.reference, problem.query, problem.damping
    if not len(reference) == len(query) == len(damping) == len(config.iterations):
        raise ValueError(
            f"expected one entry per level: {len(reference)} reference levels, {len(query)} query "
            f"levels, {len(damping)} dampings, {len(config.iterations)} iteration counts"
        )
    points = problem.points.masked_fill(~problem.mask[..., None], 0)  # padding may hold anything
    if prior is not None:  # to the units of the cost, see AlignerConfig.feature_sigma
        prior = prior._replace(information=prior.information * config.feature_sigma**2)

    T = T_rig_map
    failed_anywhere = torch.zeros(T.shape, dtype=torch.bool, device=T.device)
    levels: list[Pose] = []
    for level in reversed(range(len(query))):
        residuals = LevelResiduals.prepare(
            points,
            problem.mask,
            reference[level],
            query[level],
            problem.cameras,
            problem.T_cam_rig,
            config,
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
    gradient changes by its information times the way that the pose has gone.
    """
    none = torch.zeros(T.shape, dtype=torch.bool, device=T.device)
    if prior is None:
        information, prior_gradient = T.t.new_zeros((1, 6, 6)), T.t.new_zeros((*T.shape, 6))
    else:
        information, prior_gradient = _prior_terms(T, *prior)
    state = _State(T, prior_gradient, none, none)
    may_look = residuals.config.early_exit and T.device.type == "cpu"
    for _ in range(iterations):
        state = _take_step(state, residuals, damping, information, stride)
        if may_look and bool((state.failed | state.converged).all()):
            break
    return state.T, state.failed, state.converged


_prior_terms = Recorded(prior_terms)


class _State(NamedTuple):
    """Of one level: the poses (B), the prior's gradient (B, 6) there, and which have ended."""

    T: Pose
    prior_gradient: Tensor
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
    step, solved = damped_step(hessian + information, gradient + state.prior_gradient, damping)
    broken = ~solved | (evaluation.num_valid() < config.min_points)
    failed = state.failed | broken & ~state.converged
    resting = failed | state.converged
    step = step.masked_fill(resting[:, None], 0)
    prior_gradient = state.prior_gradient + (information @ step[..., None])[..., 0]
    translation, rotation = torch.linalg.vector_norm(
        step.detach().unflatten(-1, (2, 3)), dim=-1
    ).unbind(-1)
    converged = state.converged | ~resting & (
        translation < config.translation_tolerance * stride
    ) & (rotation < config.rotation_tolerance * stride)
    return _State(state.T.retract(step), prior_gradient, failed, converged)


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
    hessian, gradient = evaluation.normal_equations()
    num_valid = evaluation.num_valid()
    undamped = hessian.new_zeros(6)
    image_step, _ = damped_step(hessian, gradient, undamped)
    information, step_left = None, image_step
    if prior is not None:
        information, prior_gradient = prior_terms(T, *prior)
        step_left, _ = damped_step(hessian + information, gradient + prior_gradient, undamped)
    return Alignment(
        T_rig_map=T,
        levels=levels,
        failed=failed | (num_valid < config.min_points),
        converged=converged,
        cost=residuals.cost(evaluation),
        num_valid=num_valid,
        hessian=hessian,
        curvature=hessian + residuals.weight_curvature(evaluation),
        gradient_products=evaluation.gradient_products(),
        step_left=step_left,
        image_step=image_step,
        prior_information=information,
        residuals=evaluation.squared.clamp_min(0).sqrt(),
        weights=evaluation.weight,
        valid=evaluation.valid,
        feature_sigma=config.feature_sigma,
    )

"""The Gaussian prior in the normal equations."""

import dataclasses

import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig, PosePrior
from pixloc_ros.core.alignment.prior import inverse_left_jacobian, prior_terms
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.geometry.so3 import exp_so3, log_so3

CONFIG = AlignerConfig(iterations=(40, 40), translation_tolerance=0, rotation_tolerance=0)


def random_information(generator):
    A = torch.randn(1, 6, 6, generator=generator, dtype=torch.float64)
    return A @ A.mT + torch.eye(6, dtype=torch.float64)


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.05, 0.5, 2.5])
def test_inverse_left_jacobian(size):
    w = torch.tensor([0.6, -0.64, 0.48], dtype=torch.float64) * size
    derivative = torch.autograd.functional.jacobian(
        lambda d: log_so3(exp_so3(d) @ exp_so3(w)), torch.zeros(3, dtype=torch.float64)
    )
    torch.testing.assert_close(inverse_left_jacobian(w), derivative, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("size", [0.01, 1.0])
def test_terms_are_the_derivative_of_the_cost(size):
    generator = torch.Generator().manual_seed(0)
    prior = Pose.identity((1,), dtype=torch.float64).retract(
        torch.randn(1, 6, generator=generator, dtype=torch.float64)
    )
    increment = size * torch.randn(1, 6, generator=generator, dtype=torch.float64)
    T = prior.retract(increment)
    information = random_information(generator)

    def error(delta):
        moved = T.retract(delta)
        relative = moved.R @ prior.R.mT
        return torch.cat((moved.t - (relative @ prior.t[..., None])[..., 0], log_so3(relative)), -1)

    zero = torch.zeros(1, 6, dtype=torch.float64)
    torch.testing.assert_close(error(zero), increment)  # T = prior.retract(e)
    J = torch.autograd.functional.jacobian(error, zero)[:, :, 0]
    H, g = prior_terms(T, prior, information)
    torch.testing.assert_close(H, J.mT @ information @ J)
    torch.testing.assert_close(g[..., None], J.mT @ information @ increment[..., None])


def test_an_overwhelming_prior_is_kept(make_scene, offsets):
    scene = make_scene()
    prior = scene.T_rig_map.retract(offsets[:1])
    result = scene.align(scene.T_rig_map, CONFIG, PosePrior(prior, 1e10 * torch.eye(6)[None]))
    torch.testing.assert_close(result.T_rig_map.matrix(), prior.matrix(), atol=1e-4, rtol=0)


def test_a_vague_prior_is_ignored(make_scene, offsets):
    scene = make_scene()
    start = scene.T_rig_map.retract(offsets[:1])
    alone = scene.align(start, CONFIG)
    result = scene.align(start, CONFIG, PosePrior(start, 1e-6 * torch.eye(6)[None]))
    torch.testing.assert_close(
        result.T_rig_map.matrix(), alone.T_rig_map.matrix(), atol=1e-5, rtol=0
    )
    assert alone.prior_information is None


def test_prior_and_features_meet_where_their_gradients_cancel(make_scene, offsets):
    """Near the optimum the cost is (H d^2 + s^2 L (d - e)^2) / 2, so d = (H + s^2 L)^-1 s^2 L e."""
    scene = make_scene(dtype=torch.float64)
    config = dataclasses.replace(CONFIG, feature_sigma=0.2)
    alone = scene.align(scene.T_rig_map, config)
    e = offsets[:1].double() / 100
    prior = alone.T_rig_map.retract(e)
    result = scene.align(scene.T_rig_map, config, PosePrior(prior, alone.hessian / 0.2**2))
    torch.testing.assert_close(result.prior_information, alone.hessian, rtol=1e-2, atol=1)
    halfway = alone.T_rig_map.retract(e / 2)
    torch.testing.assert_close(
        result.T_rig_map.matrix(), halfway.matrix(), atol=0.1 * e.abs().max().item(), rtol=0
    )


def test_prior_constrains_what_the_image_does_not_see(make_scene):
    scene = make_scene()
    dull = [q._replace(features=torch.ones_like(q.features)) for q in scene.query]
    start = scene.T_rig_map.retract(torch.full((1, 6), 0.01))
    result = scene.align(
        start, CONFIG, PosePrior(scene.T_rig_map, 1e4 * torch.eye(6)[None]), query=dull
    )
    torch.testing.assert_close(
        result.T_rig_map.matrix(), scene.T_rig_map.matrix(), atol=1e-4, rtol=0
    )

"""Robust losses and the damped step against the reference values."""

import re

import numpy as np
import torch

from pixloc_ros.core.alignment import robust
from pixloc_ros.core.alignment.solver import damped_step


def test_barron_matches_the_reference(oracle):
    arrays = oracle("robust_losses")
    x = torch.from_numpy(arrays["x"])
    names = [name for name in arrays if re.fullmatch(r"scaled_barron/.*/loss", name)]
    assert len(names) == 18
    for name in names:
        alpha, scale = map(float, re.match(r"scaled_barron/a(.*)_c(.*)/", name).groups())
        loss, weight = robust.loss(x, alpha, scale), robust.weight(x, alpha, scale)
        np.testing.assert_allclose(loss, arrays[name], rtol=1e-6, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(
            weight, arrays[name.replace("loss", "d1")], rtol=1e-6, atol=1e-9, err_msg=name
        )
    np.testing.assert_allclose(robust.loss(x, 2, 1), arrays["squared/loss"])
    np.testing.assert_allclose(robust.weight(x, 2, 1), arrays["squared/d1"])


def test_weight_and_second_derivative_are_derivatives_of_the_loss():
    for alpha in (-2.0, 0.0, 0.5, 1.0, 2.0):
        x = torch.linspace(0, 3, 20, dtype=torch.float64, requires_grad=True)
        (first,) = torch.autograd.grad(robust.loss(x, alpha, 0.3).sum(), x)
        torch.testing.assert_close(first, robust.weight(x, alpha, 0.3))
        curvature = robust.second_derivative(x, alpha, 0.3)
        if alpha < 2:
            (second,) = torch.autograd.grad(robust.weight(x, alpha, 0.3).sum(), x)
            torch.testing.assert_close(curvature, second)
        assert (curvature <= 0).all()


def test_damped_step_matches_the_reference(oracle):
    arrays = oracle("interpolation_solver")
    H, g = (torch.from_numpy(arrays[f"solver/{name}"]) for name in ("H", "g"))
    damping = torch.from_numpy(arrays["solver/lambda6"])
    step, solved = damped_step(H[:2], g[:2], damping)
    np.testing.assert_allclose(step, arrays["solver/delta_lambda6"], rtol=1e-9, atol=1e-9)
    assert solved.all()
    step, _ = damped_step(H[:2], g[:2], torch.zeros_like(damping))
    np.testing.assert_allclose(step, arrays["solver/delta_lambda0"], rtol=1e-9, atol=1e-9)


def test_broken_systems_take_no_step_and_leave_the_others_alone():
    H = torch.diag(torch.tensor([1.0, 2, 3, 4, 5, 6])).repeat(5, 1, 1)
    g = torch.ones(5, 6)
    H[1, 0, 1] = float("nan")
    g[2, 3] = float("inf")
    H[3, 0, 0] = -5  # indefinite
    H.requires_grad_()
    step, solved = damped_step(H, g, torch.zeros(6))
    assert solved.tolist() == [True, False, False, False, True]
    assert (step[1:4] == 0).all()
    torch.testing.assert_close(step[0], -1 / torch.tensor([1.0, 2, 3, 4, 5, 6]), atol=1e-5, rtol=0)
    step.sum().backward()
    assert torch.isfinite(H.grad).all() and (H.grad[1:4] == 0).all()


def test_damped_step_is_differentiable():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    H = (A @ A.mT + torch.eye(6)).requires_grad_()
    g = torch.randn(2, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    damping = torch.rand(6, dtype=torch.float64).requires_grad_()

    def run(H, g, damping):
        return damped_step((H + H.mT) / 2, g, damping)[0]

    assert torch.autograd.gradcheck(run, (H, g, damping))

"""Pose and SO(3) in torch: reference values, derivatives, round trips, batching."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixloc_ros.core.geometry import Pose, so3
from pixloc_ros.core.geometry import transforms as tf

F64 = torch.float64
numbers = st.floats(-1.8, 1.8, allow_subnormal=False)
turns = st.tuples(numbers, numbers, numbers).filter(lambda w: math.dist(w, (0, 0, 0)) < 3.1)


def random_pose(*batch, seed=0, dtype=F64) -> Pose:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(*batch, 3, generator=generator, dtype=F64)
    t = torch.randn(*batch, 3, generator=generator, dtype=F64)
    return Pose(so3.exp_so3(w), t).to(dtype)


def close(a, b, atol=1e-9):
    torch.testing.assert_close(a, torch.as_tensor(b), rtol=0, atol=atol)


def test_reference_values(oracle):
    g = oracle("geometry")
    T = from_vector(g["pose/T"])
    p = T.transform(torch.as_tensor(g["p3D"]))
    close(p, g["pose/T_p3D"])
    close(Pose.J_transform(p), g["pose/J_transform"])
    close(to_vector(T.inv()), g["pose/inv"])
    close(to_vector(T @ T), g["pose/T_T"])
    angle, length = T.magnitude()
    close(torch.stack([angle.rad2deg(), length]), g["pose/magnitude_deg_m"])
    close(so3.exp_so3(torch.as_tensor(g["so3/w"])), g["so3/R"])


def from_vector(v) -> Pose:
    v = torch.as_tensor(v)
    return Pose(v[:9].reshape(3, 3), v[9:])


def to_vector(T: Pose) -> torch.Tensor:
    return torch.cat([T.R.flatten(), T.t])


def test_agrees_with_the_host_side():
    xi = np.random.default_rng(0).normal(size=(6, 6))
    T = tf.exp(xi)
    close(Pose.from_matrix(T).matrix(), T)
    close(Pose.from_matrix(T).inv().matrix(), tf.inverse(T))
    close((Pose.from_matrix(T[:3]) @ Pose.from_matrix(T[3:])).matrix(), T[:3] @ T[3:])
    close(Pose.from_matrix(T[:, :3], dtype=torch.float32).t, xi[:, :3].astype(np.float32), 0)


def test_retract_is_the_left_increment():
    T = random_pose(5)
    delta = torch.randn(5, 6, dtype=F64)
    E = so3.exp_so3(delta[:, 3:])
    moved = T.retract(delta)
    close(moved.R, E @ T.R)
    close(moved.t, (E @ T.t[..., None])[..., 0] + delta[:, :3])


def test_J_transform_is_the_derivative_of_retract():
    T, p = random_pose(), torch.randn(7, 3, dtype=F64)
    J = torch.autograd.functional.jacobian(
        lambda d: T.retract(d).transform(p), torch.zeros(6, dtype=F64)
    )
    close(Pose.J_transform(T.transform(p)), J)


def test_chain_with_an_image_jacobian_is_a_cross_product():
    p, J = torch.randn(7, 3, dtype=F64), torch.randn(7, 2, 3, dtype=F64)
    short = torch.cat([J, torch.linalg.cross(p[:, None].expand_as(J), J)], dim=-1)
    close(J @ Pose.J_transform(p), short)


ANGLES = [0.0, 1e-12, 1e-8, 1e-5, 1e-3, 0.0999, 0.1001, 1.0, 3.0]


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("dtype, atol", [(F64, 1e-14), (torch.float32, 5e-7)])
def test_exp_equals_the_matrix_exponential(angle, dtype, atol):
    w = torch.tensor([0.6, 0.0, -0.8], dtype=dtype) * angle
    close(so3.exp_so3(w), torch.linalg.matrix_exp(so3.hat(w)), atol)


@pytest.mark.parametrize("angle", ANGLES)
def test_exp_and_log_have_exact_gradients(angle):
    w = (torch.tensor([0.6, 0.0, -0.8], dtype=F64) * angle).requires_grad_()
    J = torch.autograd.functional.jacobian(so3.exp_so3, w)
    reference = torch.autograd.functional.jacobian(lambda v: torch.linalg.matrix_exp(so3.hat(v)), w)
    close(J, reference, 1e-10)
    identity = torch.autograd.functional.jacobian(lambda v: so3.log_so3(so3.exp_so3(v)), w)
    close(identity, torch.eye(3, dtype=F64), 1e-8)


def test_second_derivatives_at_zero_are_finite():
    w = torch.zeros(2, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(so3.exp_so3, w)
    assert torch.autograd.gradgradcheck(so3.exp_so3, w)


@given(turns)
def test_log_undoes_exp(w):
    w = torch.tensor(w, dtype=F64)
    close(so3.log_so3(so3.exp_so3(w)), w)


@given(turns)
def test_quaternions_round_trip(w):
    R = so3.exp_so3(torch.tensor(w, dtype=F64))
    q = so3.to_quaternion(R)
    assert q[3] >= 0
    close(so3.from_quaternion(q), R)
    close(q, tf.to_quaternion(tf.from_Rt(R.numpy(), np.zeros(3)))[0])


def test_half_turns_have_a_logarithm():
    w = math.pi * torch.eye(3, dtype=F64)
    close(so3.log_so3(so3.exp_so3(w)).abs(), w)


def test_batches_broadcast():
    a, b, p = random_pose(4, 1), random_pose(3, seed=1), torch.randn(4, 3, 9, 3, dtype=F64)
    c = a @ b
    assert c.shape == (4, 3)
    close(c.transform(p), a.transform(b.transform(p)))
    close(c[1, 2].transform(p[1, 2]), c.transform(p)[1, 2])
    close((c @ c.inv()).matrix(), torch.eye(4, dtype=F64).expand(4, 3, 4, 4))
    close(a.expand(4, 3).t, a.t.expand(4, 3, 3), 0)
    angle, length = c.magnitude()
    assert angle.shape == length.shape == (4, 3)


def test_identity_stack_where_and_conversions():
    a, one = random_pose(4), Pose.identity((4,), dtype=F64)
    close(one.matrix(), torch.eye(4, dtype=F64).expand(4, 4, 4), 0)
    mask = torch.tensor([True, False, True, False])
    mixed = Pose.where(mask, a, one)
    close(mixed[mask].t, a.t[mask], 0)
    close(mixed[~mask].R, one.R[~mask], 0)
    close(Pose.stack([a, one], dim=1)[2].matrix(), torch.stack([a[2].matrix(), one[2].matrix()]), 0)
    assert a.to(torch.float32).dtype == torch.float32 and a.device.type == "cpu"
    grad = Pose(a.R.requires_grad_(), a.t)
    assert not grad.detach().R.requires_grad


def test_small_angles_keep_their_magnitude_in_float32():
    T = Pose(so3.exp_so3(torch.tensor([0.0, 1e-5, 0.0])), torch.zeros(3))
    assert T.magnitude()[0].item() == pytest.approx(1e-5, rel=1e-3)


def test_nothing_waits_for_the_device():
    """Meta tensors have no values: code that read one on the host would fail."""
    meta = {"device": "meta", "dtype": F64}
    T = Pose(torch.empty(4, 3, 3, **meta), torch.empty(4, 3, **meta))
    moved = T.retract(torch.empty(4, 6, **meta)) @ T.inv()
    moved = Pose.where(torch.empty(4, device="meta") > 0, moved, T)
    p = moved.transform(torch.empty(4, 10, 3, **meta))
    assert Pose.J_transform(p).shape == (4, 10, 3, 6)
    assert moved.matrix().shape == (4, 4, 4) and moved.magnitude()[0].shape == (4,)
    assert so3.log_so3(moved.R).shape == (4, 3)

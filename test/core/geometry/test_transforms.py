from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixloc_ros.core.geometry import transforms as tf

vectors = arrays(np.float64, 3, elements=st.floats(-100, 100, allow_subnormal=False))
turns = arrays(np.float64, 3, elements=st.floats(-1.8, 1.8, allow_subnormal=False)).filter(
    lambda w: np.linalg.norm(w) < 3.1
)
poses = st.builds(lambda t, w: tf.exp(np.concatenate([t, w])), vectors, turns)


def close(a, b, atol=1e-9):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@given(poses)
def test_inverse_undoes(T):
    close(T @ tf.inverse(T), np.eye(4))


@given(vectors, turns)
def test_log_undoes_exp(t, w):
    xi = np.concatenate([t, w])
    close(tf.log(tf.exp(xi)), xi)


@given(poses)
def test_quaternions_round_trip(T):
    q, t = tf.to_quaternion(T)
    assert q[3] >= 0 and np.linalg.norm(q) == pytest.approx(1)
    close(tf.from_quaternion(q, t), T)
    close(tf.from_quaternion(-3 * q, t), T)


@given(poses, poses, st.floats(0, 1))
def test_interpolation_runs_from_one_pose_to_the_other(T0, T1, alpha):
    close(tf.interpolate(T0, T1, 0.0), T0)
    close(tf.interpolate(T0, T1, 1.0), T1)
    T = tf.interpolate(T0, T1, alpha)
    m01, a01 = tf.pose_error(T0, T1)
    m, a = tf.pose_error(T0, T)
    close(m, alpha * m01)
    close(a, alpha * a01, 1e-6)  # the arc sine loses digits near half a turn
    close(T[:3, :3] @ T[:3, :3].T, np.eye(3))


def test_exp_is_the_rotation_about_the_axis():
    T = tf.exp(np.array([1.0, 2, 3, 0, 0, np.pi / 2]))
    close(T @ [1, 0, 0, 1], [1, 3, 3, 1])
    close(tf.exp(np.zeros(6)), tf.identity())


def test_half_turns_have_a_logarithm():
    for axis in np.eye(3):
        close(np.abs(tf.log(tf.exp(np.r_[0, 0, 0, np.pi * axis]))[3:]), np.pi * axis)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 1.0, 3.0])
def test_pose_error_keeps_small_angles(angle):
    T = tf.exp(np.array([5.0, 6, 7, 0.3, -0.2, 0.1]))
    metres, radians = tf.pose_error(T @ tf.exp(np.r_[3.0, 0, 4, 0, angle, 0]), T)
    assert metres == pytest.approx(5)
    assert radians == pytest.approx(angle, rel=1e-3 if angle < 1e-9 else 1e-6, abs=1e-15)


def test_batches():
    rng = np.random.default_rng(0)
    xi = rng.normal(size=(4, 5, 6))
    T = tf.exp(xi)
    assert T.shape == (4, 5, 4, 4)
    close(tf.log(T)[2, 3], tf.log(T[2, 3]))
    close(tf.inverse(T) @ T, np.broadcast_to(np.eye(4), T.shape))
    close(tf.from_quaternion(*tf.to_quaternion(T)), T)
    close(tf.interpolate(T[0], T[1], np.linspace(0, 1, 5))[-1], T[1, -1])
    assert tf.pose_error(T, T[0])[0].shape == (4, 5)


def test_the_error_in_ros_order_is_in_map_axes():
    T = tf.exp(np.array([5.0, 6, 7, 0.3, -0.2, 0.1]))
    turn = tf.exp(np.array([0.0, 0, 0, 0.01, -0.02, 0.03]))
    moved = tf.from_Rt(turn[:3, :3] @ T[:3, :3], T[:3, 3] + [0.1, 0.2, -0.3])
    close(tf.error6(moved, T), [0.1, 0.2, -0.3, 0.01, -0.02, 0.03])


def test_orthonormal_finds_the_rotation_under_single_precision():
    T = tf.exp(np.array([5.0, 6, 7, 0.3, -0.2, 0.1]))
    rough = tf.orthonormal(T.astype(np.float32).astype(np.float64))
    close(rough[:3, :3].T @ rough[:3, :3], np.eye(3), 1e-12)
    close(rough, T, 1e-6)


def test_hat_is_the_cross_product():
    a, b = np.random.default_rng(0).normal(size=(2, 7, 3))
    close((tf.hat(a) @ b[..., None])[..., 0], np.cross(a, b))


@pytest.mark.parametrize("q", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1]])
def test_impossible_quaternions_are_refused(q):
    with pytest.raises(ValueError, match="quaternion"):
        tf.from_quaternion(q, [0, 0, 0])

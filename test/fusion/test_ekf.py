"""The model of the filter does what robot_localization's sources say, and the textbook too."""

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.fusion.ekf import STATE, Ekf, Measurement, motion, wrap
from pixloc_ros.messages.poses import to_xyz_rpy


def measurement(stamp_ns, index, value, variance, threshold=np.inf):
    values, covariance, update = np.zeros(STATE), np.zeros((STATE, STATE)), np.zeros(STATE, bool)
    values[index], covariance[index, index], update[index] = value, variance, True
    return Measurement(stamp_ns, "test", values, covariance, update, threshold)


def pose_matrix(state):
    roll, pitch, yaw = state[3:6]
    turns = [
        transforms.exp(np.array(v))
        for v in ([0, 0, 0, 0, 0, yaw], [0, 0, 0, 0, pitch, 0], [0, 0, 0, roll, 0, 0])
    ]
    T = turns[0] @ turns[1] @ turns[2]
    T[:3, 3] = state[:3]
    return T


@pytest.mark.parametrize("seed", range(4))
def test_the_jacobian_is_that_of_the_motion(seed):
    state, seconds, h = np.random.default_rng(seed).normal(size=STATE) * 0.5, 0.3, 1e-6
    jacobian, _ = motion(state, seconds)
    numeric = np.stack(
        [
            (motion(state + h * e, seconds)[1] - motion(state - h * e, seconds)[1]) / (2 * h)
            for e in np.eye(STATE)
        ],
        axis=1,
    )
    np.testing.assert_allclose(jacobian, numeric, atol=1e-8)


def test_the_motion_is_that_of_a_body():
    """Small steps of the model follow the exact screw of a constant twist."""
    state = np.zeros(STATE)
    state[:12] = [1, 2, 3, 0.1, -0.2, 2.9, 2.0, 0.3, -0.1, 0.05, -0.1, 0.4]
    start, twist = pose_matrix(state), state[6:12].copy()
    for _ in range(2000):
        _, state = motion(state, 1e-3)
    W = np.zeros((4, 4))
    W[:3, :3], W[:3, 3] = transforms.hat(twist[3:]), twist[:3]
    step = np.eye(4)
    for k in range(30, 0, -1):  # the exponential of W * 2 s, by Horner
        step = np.eye(4) + W @ step * (2.0 / k)
    expected = start @ step
    np.testing.assert_allclose(state[:3], expected[:3, 3], atol=2e-3)
    np.testing.assert_allclose(wrap(state[3:6] - to_xyz_rpy(expected)[3:]), 0, atol=2e-3)


def test_one_dimension_is_the_textbook_filter():
    noise = np.zeros(STATE)
    noise[0] = 0.04
    ekf = Ekf(np.diag(noise), np.eye(STATE) * 1e-12)
    ekf.process(measurement(0, 0, 1.0, 0.25))
    x, p = 1.0, 0.25
    for k, z in enumerate([1.4, 0.8, 1.1], start=1):
        ekf.process(measurement(k * 500_000_000, 0, z, 0.09))
        p += 0.5 * 0.04
        gain = p / (p + 0.09)
        x, p = x + gain * (z - x), (1 - gain) * p
    assert ekf.state[0] == pytest.approx(x, abs=1e-6)
    assert ekf.covariance[0, 0] == pytest.approx(p, abs=1e-6)


def test_noise_by_speed_stands_still_with_the_robot():
    for speed, expected in ((0.0, 0.0), (3.0, 9 * 0.01 * 2.0)):
        ekf = Ekf(np.diag([0.01] * 6 + [0.0] * 9), np.zeros((STATE, STATE)), by_speed=True)
        ekf.process(measurement(0, 6, speed, 1e-9))
        ekf.covariance[:] = 0
        ekf.predict(2_000_000_000)
        assert ekf.covariance[1, 1] == pytest.approx(expected)


def test_what_lies_beyond_the_threshold_changes_nothing():
    ekf = Ekf(np.zeros((STATE, STATE)), np.eye(STATE))
    ekf.process(measurement(0, 0, 0.0, 1.0))
    near = ekf.process(measurement(0, 0, 4.0, 1.0, threshold=3.0))  # 4 / sqrt(2) = 2.83 sigma
    assert near.accepted and near.distance == pytest.approx(4 / 2**0.5)
    before = ekf.state.copy()
    far = ekf.process(measurement(0, 0, ekf.state[0] + 9.0, 1.0, threshold=3.0))
    assert not far.accepted and np.array_equal(ekf.state, before)


def test_headings_meet_across_the_seam():
    ekf = Ekf(np.zeros((STATE, STATE)), np.eye(STATE))
    ekf.process(measurement(0, 5, np.pi - 0.05, 0.01))
    verdict = ekf.process(measurement(0, 5, -np.pi + 0.05, 0.01, threshold=1.0))
    assert verdict.accepted and abs(wrap(ekf.state[5] - np.pi)) < 1e-9

"""Simulated odometry drifts as stated, whatever the path and the sampling."""

from __future__ import annotations

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.synthetic.odometry import simulate_odometry


def _straight(length: float, count: int, start: np.ndarray | None = None):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = np.linspace(0, length, count)
    stamps = (np.arange(count) * 2e7).astype(np.int64)
    return stamps, poses if start is None else start @ poses


def test_without_errors_it_is_the_true_motion_from_the_first_pose():
    start = transforms.exp(np.array([5.0, -3.0, 1.0, 0.1, -0.2, 2.0]))
    stamps, poses = _straight(20.0, 50, start)
    got = simulate_odometry(stamps, poses, 0, 0, 0, 0, 0, 0)
    np.testing.assert_allclose(got, transforms.inverse(poses[0]) @ poses, atol=1e-9)


@pytest.mark.parametrize("count", [60, 240])
def test_drift_statistics_do_not_depend_on_the_rate(count):
    length = 100.0
    stamps, poses = _straight(length, count)
    ends = np.stack(
        [
            simulate_odometry(stamps, poses, s, yaw_drift=0, yaw_noise=0, tilt_noise=0)[-1]
            for s in range(200)
        ]
    )
    spread = (ends[:, 0, 3] - length).std()
    white = 0.01 * np.sqrt(0.5 * length)
    assert spread == pytest.approx(np.hypot(0.01 * length, white), rel=0.2)
    ends = np.stack([simulate_odometry(stamps, poses, s, 0, 0)[-1] for s in range(200)])
    yaw = np.rad2deg(np.arctan2(ends[:, 1, 0], ends[:, 0, 0]))
    assert yaw.std() == pytest.approx(np.hypot(0.05 * length, 0.2 * np.sqrt(length)), rel=0.2)
    assert abs(yaw.mean()) < 1.0


def test_it_is_deterministic_rigid_and_still_while_standing():
    stamps, poses = _straight(10.0, 60)
    poses[30:] = poses[30]
    got = simulate_odometry(stamps, poses, 7)
    assert np.array_equal(got, simulate_odometry(stamps, poses, 7))
    assert not np.array_equal(got, simulate_odometry(stamps, poses, 8))
    assert np.array_equal(got[0], np.eye(4))
    np.testing.assert_allclose(got[30:], np.broadcast_to(got[30], (30, 4, 4)), atol=1e-12)
    np.testing.assert_allclose(
        got[:, :3, :3] @ got[:, :3, :3].transpose(0, 2, 1),
        np.broadcast_to(np.eye(3), (60, 3, 3)),
        atol=1e-9,
    )


def test_bad_input_is_named():
    stamps, poses = _straight(10.0, 10)
    with pytest.raises(ValueError, match="increasing"):
        simulate_odometry(stamps[::-1], poses, 0)
    with pytest.raises(ValueError, match="N,4,4"):
        simulate_odometry(stamps, poses[:5], 0)

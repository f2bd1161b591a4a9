"""Odometry of another frame than the base says the same of the base, as both libraries give it."""

from __future__ import annotations

import made
import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.odometry import base_pose_of, base_twist_of
from pixloc_ros.messages.poses import from_xyz_rpy

# A camera 2 m ahead of the base and 1 m above it, that looks ahead (z forward, x to the right).
T_BASE_CAM = np.array([[0, 0, 1, 2], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1.0]])


def mounting(child: str) -> np.ndarray:
    if child != "camera":
        raise DataError(f"no way to {child}")
    return transforms.inverse(T_BASE_CAM)


def message(read, T, child="camera", twist=np.zeros(6), twist_covariance=np.zeros((6, 6))):
    q, t = transforms.to_quaternion(T)
    stated = made.odometry([*t, *q], np.zeros(36), twist, np.ravel(twist_covariance))
    stated.child_frame_id = child
    return read(stated)


def test_the_pose_of_a_camera_becomes_that_of_the_base(read):
    T_odom_base = from_xyz_rpy((5.0, -1.0, 0.3, 0.0, 0.1, 2.0))
    stated = message(read, T_odom_base @ T_BASE_CAM, "/camera")
    found = base_pose_of(stated, "base_link", mounting)
    np.testing.assert_allclose(found, T_odom_base, atol=1e-12)


@pytest.mark.parametrize("child", ["", "base_link", "/base_link"])
def test_odometry_of_the_base_is_taken_as_it_is(read, child):
    T = from_xyz_rpy((5.0, -1.0, 0.3, 0.0, 0.1, 2.0))
    found = base_pose_of(message(read, T, child), "base_link", mounting)
    np.testing.assert_allclose(found, T, atol=1e-15)


def test_a_child_frame_that_nobody_knows_is_refused_with_the_remedy(read):
    with pytest.raises(DataError, match="pose of 'imu', not of 'base_link': no way to imu.*set"):
        base_pose_of(message(read, np.eye(4), "imu"), "base_link", mounting)


def test_the_twist_of_a_camera_becomes_that_of_the_base(read):
    """A base that turns to the left on the spot carries its camera sideways."""
    # In the camera: 0.5 rad/s about its -y; 2 m ahead that is 1 m/s to the left, along its -x.
    stated = message(
        read,
        np.eye(4),
        twist=np.array([-1.0, 0, 0, 0, -0.5, 0]),
        twist_covariance=np.diag([0.1, 0.2, 0.3, 0.01, 0.02, 0.03]),
    )
    twist, covariance = base_twist_of(stated, "base_link", mounting)
    np.testing.assert_allclose(twist, [0, 0, 0, 0, 0, 0.5], atol=1e-12)
    # Turning rates: x, y, z of the base are z, x, y of the camera. Sideways speed of the base: that
    # of the camera, less what a yaw rate makes of 2 m, and a roll rate of 1 m.
    np.testing.assert_allclose(np.diag(covariance)[3:], [0.03, 0.01, 0.02], atol=1e-12)
    assert covariance[1, 1] == pytest.approx(0.1 + 2.0**2 * 0.02 + 1.0**2 * 0.03)
    assert np.linalg.eigvalsh(covariance).min() > 0

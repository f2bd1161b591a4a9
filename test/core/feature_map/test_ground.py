"""Height and slope from keyframes, for a pose of which x, y and yaw are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pixloc_ros.core.feature_map.ground import HEIGHT_STD, TILT_STD, ground_at
from pixloc_ros.core.geometry import transforms

# A camera 1.5 m above the base, looking ahead and 20 degrees down.
DOWN = math.radians(20)
T_BASE_CAM = np.array(
    [
        [0, -math.sin(DOWN), math.cos(DOWN), 0.3],
        [-1, 0, 0, 0],
        [0, -math.cos(DOWN), -math.sin(DOWN), 1.5],
        [0, 0, 0, 1],
    ]
)


def on_slope(x: float, y: float, yaw: float, slope=(0.1, 0.0)) -> np.ndarray:
    """T_map_base on a plane that climbs by `slope` along x and y, 50 m high at the origin."""
    up = np.array([-slope[0], -slope[1], 1.0]) / math.hypot(*slope, 1.0)
    ahead = np.array([math.cos(yaw), math.sin(yaw), 0.0])
    ahead[2] = ahead[:2] @ slope
    ahead /= np.linalg.norm(ahead)
    T = np.eye(4)
    T[:3, :3] = np.stack([ahead, np.cross(up, ahead), up], axis=1)
    T[:3, 3] = x, y, 50 + slope[0] * x + slope[1] * y
    return T


def keyframes(poses) -> np.ndarray:
    return np.stack(poses) @ T_BASE_CAM


def test_a_pose_clicked_at_height_zero_stands_on_the_slope_of_the_map():
    ground = ground_at(
        np.array([11.0, 1.0]), keyframes([on_slope(x, 0, 0) for x in range(30)]), T_BASE_CAM
    )
    clicked = np.eye(4)
    clicked[:3, :3] = transforms.exp(np.array([0, 0, 0, 0, 0, 2.5]))[:3, :3]
    clicked[:2, 3] = 11.0, 1.0
    stated = np.diag([0.25, 0.25, 0.04, 0.0012, 0.0012, 0.0685])
    T, covariance = ground.set_down(clicked, stated, height=True, tilt=True)
    np.testing.assert_allclose(T, on_slope(11.0, 1.0, 2.5), atol=1e-9)
    assert math.atan2(T[1, 0], T[0, 0]) == pytest.approx(2.5)
    # 10 % of slope make 5 cm of half a metre that x is uncertain by.
    assert covariance[2, 2] == pytest.approx(HEIGHT_STD**2 + 0.05**2, rel=0.1)
    assert covariance[0, 2] == pytest.approx(0.1 * 0.25, rel=0.05) and covariance[
        1, 2
    ] == pytest.approx(0)
    assert math.sqrt(covariance[3, 3]) == pytest.approx(TILT_STD, rel=0.01)
    assert covariance[5, 5] == 0.0685 and np.linalg.eigvalsh(covariance).min() > 0


def test_what_is_known_stays():
    ground = ground_at(np.zeros(2), keyframes([on_slope(0, 0, 0)]), T_BASE_CAM)
    known, covariance = transforms.exp(np.array([0, 0, 7.0, 0.1, 0.2, 0.3])), np.diag([0.1] * 6)
    T, kept = ground.set_down(known, covariance, height=False, tilt=False)
    np.testing.assert_array_equal(T, known)
    np.testing.assert_array_equal(kept, covariance)
    T, kept = ground.set_down(known, covariance, height=True, tilt=False)
    assert T[2, 3] == pytest.approx(50.0)
    np.testing.assert_array_equal(T[:3, :3], known[:3, :3])


def test_keyframes_of_other_drives_disagree_within_the_variance():
    """Back down the same slope, and one that a camera looking sideways made."""
    poses = [on_slope(x, 0, 0) for x in range(4)] + [on_slope(x, 0, math.pi) for x in range(3)]
    frames = keyframes(poses)
    assert ground_at(np.zeros(2), frames, T_BASE_CAM).height == pytest.approx(50.0, abs=0.03)
    odd = transforms.exp(np.array([0, 0, 0, 0, math.pi / 2, 0]))
    ground = ground_at(np.zeros(2), np.concatenate([frames[:6], frames[6:] @ odd]), T_BASE_CAM)
    np.testing.assert_allclose(ground.up, on_slope(0, 0, 0)[:3, 2], atol=1e-9)


def test_far_from_the_map_and_between_floors_it_knows_less():
    street = keyframes([on_slope(x, 0, 0) for x in range(10)])
    near = ground_at(np.array([5.0, 0.0]), street, T_BASE_CAM)
    far = ground_at(np.array([5.0, 60.0]), street, T_BASE_CAM)
    assert near.height_std < 0.21 and far.height_std > 3.0 and far.tilt_std > math.radians(6)
    upstairs = street.copy()
    upstairs[:, 2, 3] += 3.0
    both = ground_at(np.array([5.0, 0.0]), np.concatenate([street, upstairs]), T_BASE_CAM)
    assert both.height_std > 1.4
    assert max(abs(both.height - 50.5), abs(both.height - 53.5)) < 2 * both.height_std


def test_the_slope_is_that_of_the_way_even_if_the_camera_looked_further_down():
    frames = keyframes([on_slope(x, 0, 0) for x in range(10)])
    other = T_BASE_CAM @ transforms.exp(np.array([0, 0, 0, math.radians(10), 0, 0]))
    ground = ground_at(np.array([10.0, 0.0]), frames, other)
    expected = (on_slope(10, 0, 0) @ T_BASE_CAM @ transforms.inverse(other))[2, 3]
    assert ground.height == pytest.approx(expected, abs=0.05)


def test_a_map_that_no_robot_stood_upright_in_says_nothing():
    lying = keyframes([on_slope(0, 0, 0)]) @ transforms.exp(np.array([0, 0, 0, math.pi / 2, 0, 0]))
    assert ground_at(np.zeros(2), lying, T_BASE_CAM) is None

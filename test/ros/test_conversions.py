"""What the node publishes, read back, and read as others read it."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

import cv2
from cv_bridge import CvBridge

from pixloc_ros.messages.headers import stamp_of, to_ns
from pixloc_ros.messages.images import image_of
from pixloc_ros.messages.poses import from_xyz_rpy, pose_of, transform_of
from pixloc_ros.ros import conversions as c

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("array", [RGB, GRAY, RGB[:, ::2]])
def test_images_survive_the_round_trip(array):
    message = c.array_to_image(array, c.header(7, "camera"))
    np.testing.assert_array_equal(image_of(message), array)
    assert stamp_of(message) == 7 and message.header.frame_id == "camera"
    target = "bgr8" if array.ndim == 3 else "mono8"
    shown = CvBridge().imgmsg_to_cv2(message, target)
    np.testing.assert_array_equal(shown[..., ::-1] if array.ndim == 3 else shown, array)


def test_poses_survive_the_round_trip():
    T = from_xyz_rpy((1.0, -2.0, 3.0, 0.1, -0.2, 2.5))
    np.testing.assert_allclose(pose_of(c.matrix_to_pose(T)), T, atol=1e-12)
    np.testing.assert_allclose(transform_of(c.matrix_to_transform(T)), T, atol=1e-12)


def test_stamps():
    assert to_ns(c.to_stamp(1_234_567_890_123_456_789)) == 1_234_567_890_123_456_789
    assert to_ns(c.to_stamp(-5)) == 0


def test_clouds_hold_their_points():
    points = np.arange(12.0).reshape(4, 3)
    cloud = c.points_to_cloud(points, c.header(7, "map"))
    assert (cloud.width, cloud.point_step, cloud.row_step) == (4, 12, 48)
    np.testing.assert_array_equal(np.frombuffer(cloud.data, "<f4").reshape(4, 3), points)

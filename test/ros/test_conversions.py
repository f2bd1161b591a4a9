"""Messages to arrays and back; every refusal says why."""

import math

import numpy as np
import pytest

pytest.importorskip("rclpy")

import cv2
from geometry_msgs.msg import Pose
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.ros import conversions as c

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)


def image(encoding: str, array: np.ndarray, padding: int = 0) -> Image:
    rows = array.reshape(array.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return Image(
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=rows.tobytes(),
    )


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize(
    "encoding, code",
    [
        ("rgb8", None),
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
        ("8UC3", cv2.COLOR_RGB2BGR),
    ],
)
def test_color_encodings_become_rgb(encoding, code, padding):
    array = RGB if code is None else cv2.cvtColor(RGB, code)
    result = c.image_to_array(image(encoding, np.ascontiguousarray(array), padding))
    np.testing.assert_array_equal(result, RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_gray_stays_gray(encoding):
    np.testing.assert_array_equal(c.image_to_array(image(encoding, GRAY, 3)), GRAY)


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_sixteen_bits_become_eight(encoding):
    result = c.image_to_array(image(encoding, GRAY.astype(np.uint16) * 257))
    assert result.dtype == np.uint8 and np.abs(result.astype(int) - GRAY).max() <= 1


def test_bayer_becomes_color():
    plain = np.full((8, 8), 90, np.uint8)
    result = c.image_to_array(image("bayer_rggb8", plain))
    assert result.shape == (8, 8, 3) and np.ptp(result) == 0


def test_rgb_is_not_copied():
    message = image("rgb8", RGB)
    assert not c.image_to_array(message).flags.owndata


@pytest.mark.parametrize(
    "message",
    [
        image("32FC1", GRAY.astype(np.float32)),
        image("no_such_thing", GRAY),
        Image(height=6, width=8, encoding="rgb8", step=24, data=bytes(20)),
        Image(height=6, width=8, encoding="rgb8", step=8, data=bytes(6 * 24)),
        Image(encoding="rgb8"),
        CompressedImage(format="jpeg", data=bytes(40)),
        CompressedImage(format="jpeg"),
    ],
)
def test_what_is_no_picture_is_refused(message):
    with pytest.raises(DataError):
        c.image_to_array(message)


@pytest.mark.parametrize("array", [RGB, GRAY])
def test_compressed_images(array):
    bgr = array if array.ndim == 2 else cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".png", bgr)[1].tobytes()
    np.testing.assert_array_equal(c.image_to_array(CompressedImage(format="png", data=data)), array)


def info(**changes) -> CameraInfo:
    message = CameraInfo(
        width=640,
        height=480,
        distortion_model="plumb_bob",
        d=[-0.1, 0.01, 0.0, 0.0, 0.0],
        k=[400.0, 0, 319.5, 0, 410.0, 239.5, 0, 0, 1.0],
        p=[300.0, 0, 310.0, 0, 0, 300.0, 230.0, 0, 0, 0, 1.0, 0],
    )
    for key, value in changes.items():
        setattr(message, key, value)
    return message


def test_camera_info_of_the_same_size():
    camera = c.camera_from_info(info(), 640, 480)
    assert camera.f.tolist() == [400, 410] and camera.c.tolist() == [319.5, 239.5]


def test_a_resized_image_scales_the_camera():
    camera = c.camera_from_info(info(), 320, 240)
    assert camera.f.tolist() == [200, 205] and camera.c.tolist() == [159.5, 119.5]


def test_rectified_images_take_the_projection():
    camera = c.camera_from_info(info(), 640, 480, rectified=True)
    assert camera.f.tolist() == [300, 300] and not camera.distortion.any()


def test_region_of_interest_and_binning():
    message = info(binning_x=2, binning_y=2)
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = (
        40,
        80,
        400,
        300,
    )
    camera = c.camera_from_info(message, 200, 150)
    assert camera.f.tolist() == [200, 205]
    assert camera.c.tolist() == [(319.5 - 40 + 0.5) / 2 - 0.5, (239.5 - 80 + 0.5) / 2 - 0.5]


@pytest.mark.parametrize(
    "message, size, words",
    [
        (info(k=[0.0] * 9), (640, 480), "not calibrated"),
        (info(distortion_model="crystal_ball"), (640, 480), "crystal_ball"),
        (info(d=[0.1]), (640, 480), "camera_info"),
        (info(), (640, 400), "640x480"),
    ],
)
def test_wrong_camera_info_is_refused(message, size, words):
    with pytest.raises(DataError, match=words):
        c.camera_from_info(message, *size)


def test_poses_survive_the_round_trip():
    T = c.rpy_to_matrix(1.0, -2.0, 3.0, 0.1, -0.2, 2.5)
    np.testing.assert_allclose(c.pose_to_matrix(c.matrix_to_pose(T)), T, atol=1e-12)
    np.testing.assert_allclose(c.transform_to_matrix(c.matrix_to_transform(T)), T, atol=1e-12)
    quaternion, translation = transforms.to_quaternion(T)
    np.testing.assert_allclose(c.list_to_matrix([*translation, *quaternion]), T, atol=1e-12)


def test_rpy_turns_about_fixed_axes():
    T = c.rpy_to_matrix(0, 0, 0, 0.0, 0.0, math.pi / 2)
    np.testing.assert_allclose(T[:3, 0], [0, 1, 0], atol=1e-12)
    T = c.rpy_to_matrix(0, 0, 0, math.pi / 2, 0.0, math.pi / 2)
    np.testing.assert_allclose(T[:3, 1], [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("change", [{"x": math.nan}, {"w": 0.0}])
def test_poses_of_nan_or_without_rotation_are_refused(change):
    pose = Pose()
    for key, value in change.items():
        setattr(pose.position if key == "x" else pose.orientation, key, value)
    with pytest.raises(DataError):
        c.pose_to_matrix(pose)


def test_covariances():
    planar = np.zeros((6, 6))
    planar[0, 0], planar[1, 1], planar[5, 5] = 0.25, 0.25, 0.0685
    matrix = c.covariance_to_matrix(planar.flatten())
    assert np.linalg.eigvalsh(matrix).min() > 0 and matrix[0, 0] == 0.25
    assert c.covariance_to_matrix([0.0] * 36) is None
    for bad in (np.diag([math.nan] * 6), np.diag([-1.0] * 6), np.ones((6, 6)) * 2 - np.eye(6)):
        with pytest.raises(DataError):
            c.covariance_to_matrix(bad.flatten())


def test_stamps():
    assert c.to_ns(c.to_stamp(1_234_567_890_123_456_789)) == 1_234_567_890_123_456_789
    assert c.to_ns(c.to_stamp(-5)) == 0


def test_clouds_hold_their_points():
    points = np.arange(12.0).reshape(4, 3)
    cloud = c.points_to_cloud(points, c.header(7, "map"))
    assert (cloud.width, cloud.point_step, cloud.row_step) == (4, 12, 48)
    np.testing.assert_array_equal(np.frombuffer(cloud.data, "<f4").reshape(4, 3), points)

"""Poses, twists, covariances, stamps and frame ids, as both libraries give them."""

from __future__ import annotations

import math

import made
import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages import headers, poses

NUMBERS = [1.0, -2.0, 3.0, 0.1, -0.2, 0.3, 0.9]


def test_poses_and_transforms(read):
    expected = transforms.from_quaternion(NUMBERS[3:], NUMBERS[:3])
    for result in (
        poses.pose_of(read(made.pose(NUMBERS))),
        poses.transform_of(read(made.transform(NUMBERS))),
        poses.from_numbers(NUMBERS),
    ):
        np.testing.assert_allclose(result, expected, atol=1e-15)
        np.testing.assert_allclose(result[:3, :3] @ result[:3, :3].T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    "place, value, words", [(0, math.nan, "NaN"), (5, math.inf, "NaN or infinity")]
)
def test_what_is_not_finite_is_refused(read, place, value, words):
    numbers = [value if i == place else v for i, v in enumerate(NUMBERS)]
    for make, take in ((made.pose, poses.pose_of), (made.transform, poses.transform_of)):
        with pytest.raises(DataError, match=words):
            take(read(make(numbers)))


def test_a_quaternion_without_length_is_refused(read):
    with pytest.raises(DataError, match="quaternion has no length"):
        poses.pose_of(read(made.pose([1, 2, 3, 0, 0, 0, 0])))


def test_odometry(read):
    stated = np.arange(36.0)
    twist = [1.0, 2.0, 3.0, 0.1, 0.2, 0.3]
    message = read(made.odometry(NUMBERS, stated, twist, 2 * stated))
    np.testing.assert_array_equal(poses.twist_of(message.twist.twist), twist)
    covariance = poses.covariance_of(message.pose.covariance)
    np.testing.assert_array_equal(covariance, stated.reshape(6, 6))
    assert headers.frame_name(message.header.frame_id) == "odom"
    assert headers.stamp_of(message) == 1_500_000_007


def test_a_twist_that_is_not_finite_is_refused(read):
    message = read(made.odometry(NUMBERS, np.zeros(36), [0, 0, math.nan, 0, 0, 0], np.zeros(36)))
    with pytest.raises(DataError, match="twist"):
        poses.twist_of(message.twist.twist)


def covariance(read, matrix):
    message = made.odometry(NUMBERS, np.ravel(matrix), np.zeros(6), np.zeros(36))
    return read(message).pose.covariance


def test_covariances_of_start_poses(read):
    planar = np.zeros((6, 6))
    planar[0, 0], planar[1, 1], planar[5, 5] = 0.25, 0.25, 0.0685
    left_open = poses.left_open(covariance(read, planar))
    assert left_open.tolist() == [False, False, True, True, True, False]
    assert not poses.left_open(covariance(read, np.zeros((6, 6)))).any()
    matrix = poses.start_covariance_of(covariance(read, planar))
    assert np.linalg.eigvalsh(matrix).min() > 0 and matrix[0, 0] == 0.25
    assert matrix[2, 2] == 0.2**2 and matrix[3, 3] == pytest.approx(math.radians(2) ** 2)
    assert poses.start_covariance_of(covariance(read, np.zeros((6, 6)))) is None
    for bad in (np.diag([math.nan] * 6), np.diag([-1.0] * 6), np.ones((6, 6)) * 2 - np.eye(6)):
        with pytest.raises(DataError):
            poses.start_covariance_of(covariance(read, bad))


@pytest.mark.parametrize("bad", [np.diag([math.nan] * 6), np.diag([-1.0] * 6)])
def test_covariances_that_are_none(read, bad):
    with pytest.raises(DataError, match="covariance holds"):
        poses.covariance_of(covariance(read, bad))


def test_rpy_turns_about_fixed_axes():
    T = poses.from_xyz_rpy((0, 0, 0, 0.0, 0.0, math.pi / 2))
    np.testing.assert_allclose(T[:3, 0], [0, 1, 0], atol=1e-12)
    T = poses.from_xyz_rpy((0, 0, 0, math.pi / 2, 0.0, math.pi / 2))
    np.testing.assert_allclose(T[:3, 1], [0, 0, 1], atol=1e-12)


def test_rpy_and_back():
    values = np.array([[1.0, -2.0, 3.0, 0.1, -0.2, 2.5], [0.0, 0.0, 0.0, -3.0, 1.5, -0.1]])
    np.testing.assert_allclose(poses.to_xyz_rpy(poses.from_xyz_rpy(values)), values, atol=1e-12)


@pytest.mark.parametrize("stamp_ns", [0, 7, 1_234_567_890_123_456_789])
def test_stamps(read, stamp_ns):
    message = made.image("mono8", np.zeros((2, 2), np.uint8), header=made.header(stamp_ns))
    assert headers.stamp_of(read(message)) == stamp_ns
    assert headers.stamp_of_raw(made.cdr(message)) == stamp_ns
    swapped = bytes(made.TYPES.serialize_cdr(message, message.__msgtype__, little_endian=False))
    assert headers.stamp_of_raw(swapped) == stamp_ns


@pytest.mark.parametrize(
    "of_image, of_info, expected",
    [("camera", "other", "camera"), ("/camera", "", "camera"), ("", "/front", "front"), ("",) * 3],
)
def test_the_frame_of_a_camera(read, of_image, of_info, expected):
    picture = np.zeros((2, 2), np.uint8)
    image = read(made.image("mono8", picture, header=made.header(frame_id=of_image)))
    info = read(made.info(header=made.header(frame_id=of_info)))
    assert headers.camera_frame(image, info) == expected
    assert headers.camera_frame(image, None) == of_image.lstrip("/")


@pytest.mark.parametrize("where", [1e30, -1e8, math.inf])
def test_a_position_off_the_earth_is_refused(where):
    with pytest.raises(DataError, match="further away|NaN or infinity"):
        poses.from_numbers([where, 0, 0, 0, 0, 0, 1])


def test_a_start_covariance_of_any_size_can_be_worked_with():
    def said(std: float, correlation: float = 0.0) -> np.ndarray:
        covariance = np.diag(np.full(6, std**2))
        covariance[0, 1] = covariance[1, 0] = correlation * std**2
        return poses.start_covariance_of(covariance.ravel())

    for stated in (said(1e-9), said(0.3), said(0.3, 1.0), said(3e4), said(1e154, -1.0)):
        assert np.linalg.cond(stated) < 1e14
        assert np.isfinite(np.linalg.inv(stated)).all()
        assert (np.sqrt(np.diag(stated)) <= 1.001 * poses.WIDEST_SIGMAS).all()
    np.testing.assert_allclose(said(0.3)[0, 0], 0.09, rtol=1e-4)
    with pytest.raises(DataError, match="negative direction"):
        said(0.3, 1.5)

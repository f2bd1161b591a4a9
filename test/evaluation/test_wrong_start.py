"""A first pose that is off, and a camera that is not what is said: nothing wrong is believed."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.evaluation.runner import run_drive

#: What rviz's "2D Pose Estimate" sends (m^2, rad^2).
RVIZ = np.diag([0.25, 0.25, 0.0, 0.0, 0.0, 0.0685])


def told(metres: float, degrees: float) -> np.ndarray:
    return np.diag(np.repeat(np.square([metres, np.radians(degrees)]), 3))


@pytest.mark.parametrize("ahead, covariance", [(1.5, RVIZ), (3.0, RVIZ), (-2.5, told(2.5, 20))])
def test_a_first_pose_that_is_off_is_put_right(room_localizer, room_drive, ahead, covariance):
    drive = room_drive.subset(range(12))
    start = drive.T_map_base[0] @ transforms.exp(np.array([ahead, 0, 0, 0, 0, 0]))
    results = run_drive(room_localizer, Tracker(), drive, start, covariance).results
    believed = [
        transforms.pose_error(r.T_map_base, T)[0]
        for r, T in zip(results, drive.T_map_base)
        if r.accepted
    ]
    assert max(believed) < 0.2
    assert all(r.accepted for r in results[-5:])


@pytest.mark.parametrize(
    "focal, right, said", [(1.05, 0.0, "focal length is off by -4"), (1.0, 40.0, "to the right")]
)
def test_a_wrong_calibration_is_named_and_its_poses_are_not_believed(
    room_localizer, room_drive, focal, right, said
):
    camera = room_drive.camera
    wrong = replace(camera, f=focal * camera.f, c=camera.c + camera.c.new_tensor([right, 0.0]))
    drive = replace(room_drive.subset(range(8)), camera=wrong)
    results = run_drive(room_localizer, Tracker(), drive).results
    assert not any(r.accepted for r in results)
    assert all(said in r.camera_suspicion and said in r.reasons[0] for r in results)


@pytest.mark.parametrize("value", [0, 128, None])
def test_an_image_of_nothing_is_not_believed_however_certain_the_prior(
    room_localizer, room_drive, value
):
    size = room_drive.image(0).shape
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    image = noise if value is None else np.full(size, value, np.uint8)
    drive = replace(room_drive.subset(range(6)), load=lambda i: image)
    tracker, start = Tracker(), room_drive.T_map_base[0]
    results = run_drive(room_localizer, tracker, drive, start, told(0.02, 0.2)).results
    assert not any(r.accepted for r in results)


def test_a_right_calibration_is_not_suspected(room_localizer, room_drive):
    results = run_drive(room_localizer, Tracker(), room_drive.subset(range(12))).results
    assert [r.camera_suspicion for r in results] == [""] * 12


def test_an_image_too_small_for_the_network_is_a_frame_without_a_fix(room_localizer, room_drive):
    small = np.zeros((5, 8, 3), np.uint8)
    drive = replace(room_drive.subset(range(3)), load=lambda i: small)
    results = run_drive(room_localizer, Tracker(), drive).results
    assert all(r.reasons == ("an image of 8 x 5 px; each side needs 64 px",) for r in results)

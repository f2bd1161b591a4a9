"""Poses that somebody gives the node: when they hold, and what is refused."""

import math

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from robot import error_of, start_at, track

from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.poses import from_xyz_rpy, pose_of


def test_a_start_is_confirmed_before_anything_is_published(running, until, room_drive):
    robot, node = running(**start_at(room_drive), tracker__gates__start_fixes=2)
    robot.send_frame(0)
    assert until(lambda: robot.says("pose", "starting: confirming 1 of 2", DiagnosticStatus.WARN))
    assert robot.values("pose")["reasons"] == "confirming 1 of 2"
    assert robot.values("tf")["sending"] == "false" and not robot.poses
    track(robot, until, [1, 2])
    assert error_of(robot, 1)[0] < 0.06
    assert until(lambda: robot.says("pose", "tracking", DiagnosticStatus.OK))
    assert until(lambda: robot.values("pose")["accepted"] == "2")
    assert robot.values("pose")["starting"] == "1" and len(robot.poses) == 2
    # A pose given anew, three metres off, cuts pose and tf until fixes confirm one.
    wrong = room_drive.T_map_base[2] @ from_xyz_rpy((3.0, 0, 0, 0, 0, 0))
    robot.send_pose(wrong, int(room_drive.stamps_ns[2]), std=0.01)
    assert until(lambda: robot.values("tf")["sending"] == "false")
    assert node._tracker.T_map_odom is None
    assert until(lambda: robot.says("pose", "starting: a pose was given", DiagnosticStatus.WARN))


def test_a_pose_can_be_set_in_any_frame_and_nonsense_is_ignored(running, until, room_drive):
    robot, node = running()
    robot.send_frame(0)
    assert until(lambda: robot.says("pose", "no initial pose"))
    assert node._tracker.wants_pose
    T, stamp = room_drive.T_map_base[0], int(room_drive.stamps_ns[0])
    nan = T.copy()
    nan[0, 3] = math.nan
    robot.send_pose(nan, stamp)
    robot.send_pose(T, stamp, frame="nowhere")
    robot.initial_pose.publish(robot.pose_message(T, stamp, std=math.nan))
    assert until(lambda: robot.values("inputs").get("initialpose.refused") == "3")
    assert not robot.poses

    T_map_site = from_xyz_rpy((4.0, 3.0, 0.0, 0.0, 0.0, 1.0))
    robot.send_static("map", "site", T_map_site)
    # The pose of half a second ago: odometry has to carry it on.
    robot.send_odometry(int(room_drive.stamps_ns[5]))

    def localized():
        robot.send_pose(transforms.inverse(T_map_site) @ T, stamp, frame="site")
        robot.send_frame(5)
        return until(lambda: robot.pose_at(5), 3)

    assert until(localized)
    assert error_of(robot, 5)[0] < 0.06
    assert not node._tracker.wants_pose


@pytest.mark.parametrize("frame", ["/map", "/site"])
def test_frame_ids_may_begin_with_a_slash(running, until, room_drive, frame):
    robot, node = running()
    robot.send_static("map", "site", np.eye(4))
    robot.send_odometry(int(room_drive.stamps_ns[0]))

    def accepted():
        robot.send_pose(room_drive.T_map_base[0], 0, frame=frame)
        return until(lambda: not node._tracker.wants_pose, 2)

    assert until(accepted, 30)
    message = robot.image(2)
    message.header.frame_id = "/camera"
    robot.send_frame(2, message)
    assert until(lambda: robot.pose_at(2))


def test_a_start_pose_belongs_to_its_stamp(running, until, room_drive):
    stamp = room_drive.odometry.stamps_ns[10] * 1e-9
    T = room_drive.T_map_base[2]  # where the robot is 0.2 s after the start
    start = {
        **start_at(room_drive),
        "initial_pose__stamp": stamp,
        "initial_pose__x": float(T[0, 3]),
    }
    robot, _ = running(**start)
    track(robot, until, [5])
    assert error_of(robot, 5)[0] < 0.06


def test_a_pose_older_than_all_odometry_is_refused_with_the_reason(running, until, room_drive):
    early = float(room_drive.odometry.stamps_ns[0] * 1e-9 - 0.9)
    robot, node = running(**start_at(room_drive), initial_pose__stamp=early)
    robot.send_frame(0)
    assert until(lambda: robot.says("pose", "no initial pose"))
    assert node._tracker.wants_pose, "applied to the wrong place"
    robot.send_pose(room_drive.T_map_base[0], int(early * 1e9))
    assert until(lambda: robot.says("inputs", "before the oldest odometry"))
    robot.send_pose(room_drive.T_map_base[0], int(room_drive.stamps_ns[0]))
    assert until(lambda: not node._tracker.wants_pose)
    track(robot, until, [1])


def test_a_pose_from_rviz_stands_on_the_ground_of_the_map(running, until, room_drive):
    """A base 30 m below the one that the map was taken with, and nose down."""
    T_old_base = from_xyz_rpy((0, 0, -30.0, 0, 0.3, 0))
    T_base_cam = transforms.inverse(T_old_base) @ room_drive.T_base_cam
    quaternion, translation = transforms.to_quaternion(T_base_cam)
    robot, node = running(base_to_camera=[float(v) for v in (*translation, *quaternion)])
    robot.T_base_child = T_old_base
    stamp = int(room_drive.stamps_ns[0])
    robot.send_odometry(stamp)
    truth = room_drive.T_map_base @ T_old_base

    def clicked():
        robot.click(truth[0], stamp)
        return until(lambda: not node._tracker.wants_pose, 2)

    assert until(clicked)
    given = node._tracker._given
    np.testing.assert_allclose(given.T_map_base[:3, 3], truth[0, :3, 3], atol=0.05)
    assert transforms.pose_error(given.T_map_base, truth[0])[1] < 0.05
    assert given.covariance[0, 0] == pytest.approx(0.25, rel=1e-3)
    assert 0.2 <= math.sqrt(given.covariance[2, 2]) < 0.3
    robot.send_frame(0)
    track(robot, until, [1, 2])
    assert transforms.pose_error(pose_of(robot.pose_at(2).pose.pose), truth[2])[0] < 0.06


def test_a_pose_before_odometry_and_images_is_kept(running, until, room_drive):
    robot, _ = running()
    early = int(room_drive.stamps_ns[0]) - 900_000_000
    robot.click(room_drive.T_map_base[0], early)
    assert until(lambda: robot.says("pose", "waits for odometry", DiagnosticStatus.WARN))
    robot.send_odometry(int(room_drive.stamps_ns[0]))
    assert until(lambda: robot.says("pose", "waits for an image", DiagnosticStatus.WARN))
    track(robot, until, [0, 1])
    assert error_of(robot, 1)[0] < 0.06
    assert robot.values("inputs")["initialpose.refused"] == "0"


def test_a_pose_before_activation_is_kept(running, call, until, room_drive):
    robot, node = running()

    def go(step):
        request = ChangeState.Request(transition=Transition(id=step))
        return call(robot, ChangeState, "/localizer/change_state", request).success

    assert go(Transition.TRANSITION_DEACTIVATE)
    robot.click(room_drive.T_map_base[0], int(room_drive.stamps_ns[0]))
    assert until(lambda: node._early_pose)
    assert go(Transition.TRANSITION_ACTIVATE) and until(robot.ready)
    track(robot, until, [0, 1])
    assert error_of(robot, 1)[0] < 0.06

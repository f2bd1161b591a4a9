"""Odometry as robots send it: late, of other frames, jumping, silent."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from robot import QUICK, error_of, start_at, track

from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.poses import from_xyz_rpy, transform_of
from pixloc_ros.ros import conversions as c


def test_odometry_that_stops_is_said_and_one_late_message_is_not(running, until, room_drive):
    robot, node = running(**start_at(room_drive), **QUICK, odom_timeout=0.05)
    track(robot, until, [0, 1])
    at_ns = int(room_drive.stamps_ns[1])
    late = robot.image(1)
    late.header.stamp = c.to_stamp(at_ns + 250_000_000)
    robot.send_frame(1, late)
    assert until(lambda: "no odometry at the stamp" in robot.values("pose").get("reasons", ""))
    assert robot.says("pose", "tracking", DiagnosticStatus.OK)
    assert robot.values("tf")["sending"] == "true"
    robot.send_clock(at_ns + 800_000_000)
    assert until(lambda: robot.says("pose", "no odometry for", DiagnosticStatus.WARN))
    assert robot.values("tf")["sending"] == "true"
    robot.send_clock(at_ns + 2_000_000_000)
    assert until(lambda: robot.says("pose", "lost", DiagnosticStatus.ERROR))
    assert node._tracker.T_map_odom is None


def test_odometry_that_is_half_a_second_late_serves_every_image(running, until, room_drive):
    robot, node = running(**start_at(room_drive))
    node._session._pending.timeout_s = 60.0  # a slow machine takes its time for five images
    robot.send_odometry(int(room_drive.stamps_ns[0]))
    send, robot.send_odometry = robot.send_odometry, lambda until_ns: robot.send_clock(until_ns)
    for i in range(20):
        robot.send_frame(i)
        if i >= 5:
            send(int(room_drive.stamps_ns[i - 5]))
            assert until(lambda i=i: robot.pose_at(i - 5)), f"no pose for frame {i - 5}"
            metres, radians = error_of(robot, i - 5)
            assert metres < 0.06 and radians < 0.02
    assert robot.pose_at(15) is None
    assert robot.values("timing")["dropped"] == "0"


def test_a_jump_of_the_odometry_is_said_and_not_followed(running, until, room_drive):
    robot, _node = running(**start_at(room_drive))
    track(robot, until, [0, 1])
    odometry = room_drive.odometry
    T = odometry.T_odom_base.copy()
    T[odometry.stamps_ns > room_drive.stamps_ns[2], :3, 3] -= T[0, :3, 3]  # begins at zero again
    robot.drive = replace(room_drive, odometry=replace(odometry, T_odom_base=T))
    track(robot, until, [2, 3, 4])
    assert max(error_of(robot, i)[0] for i in (2, 3, 4)) < 0.06
    assert until(lambda: robot.says("pose", "check the odometry: jumped by", DiagnosticStatus.WARN))
    assert robot.values("pose")["state"] == "tracking"


def test_odometry_of_another_frame_is_that_of_the_base(running, until, room_drive):
    """A visual odometry: the pose of its camera, away from the base, in a frame of its own."""
    robot, _ = running({"odom": "vio", "child": "vio_camera"})
    robot.T_base_child = from_xyz_rpy((-1.5, 0.4, 0.8, -math.pi / 2, 0.0, 2.0))
    robot.send_odometry(int(room_drive.stamps_ns[0]))
    assert until(lambda: robot.says("inputs", "'vio_camera', not of 'base_link'"))
    assert int(robot.values("inputs")["odom.refused"]) > 0
    robot.send_static("base_link", "vio_camera", robot.T_base_child)
    robot.rewind()

    def heard():
        robot.send_pose(room_drive.T_map_base[0], int(room_drive.stamps_ns[0]))
        robot.send_frame(0)
        return until(lambda: robot.pose_at(0), 2)

    assert until(heard)
    odometry = []
    robot.create_subscription(Odometry, "/localizer/odometry", odometry.append, 10)
    track(robot, until, range(4, 33, 4))
    for i in range(4, 33, 4):
        metres, radians = error_of(robot, i)
        assert metres < 0.06 and radians < 0.02
    assert until(lambda: "odometry is in the frame 'vio'" in robot.status["localizer: tf"].message)
    corrections = [t for t in robot.transforms if t.header.frame_id == "map"]
    assert {t.child_frame_id for t in corrections} == {"vio"}
    T_map_odom = transform_of(
        next(t for t in corrections[::-1] if t.child_frame_id == "vio").transform
    )
    truth = room_drive.T_map_base[32] @ transforms.inverse(room_drive.odometry.T_odom_base[160])
    assert transforms.pose_error(T_map_odom, truth)[0] < 0.1
    # 1 m/s along the camera's x, in the base's axes
    assert until(lambda: odometry)
    twist = odometry[-1].twist.twist.linear
    np.testing.assert_allclose((twist.x, twist.y, twist.z), robot.T_base_child[:3, 0], atol=1e-9)


def test_old_and_broken_odometry_is_refused(running, until, room_drive):
    robot, _node = running(**start_at(room_drive))
    track(robot, until, [0, 1])
    bad = Odometry(header=c.header(int(room_drive.stamps_ns[2]), "odom"))
    bad.pose.pose.position.x = math.nan
    bad.pose.pose.orientation.w = 1.0
    late = Odometry(header=c.header(int(room_drive.stamps_ns[0]), "odom"))
    for message in (bad, late):
        robot._odom.publish(message)
    assert until(lambda: robot.values("inputs").get("odom.refused") == "2")
    track(robot, until, [2])
    assert error_of(robot, 2)[0] < 0.06

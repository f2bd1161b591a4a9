"""A robot that nobody tells where it is, and one that is carried away, on real DDS."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from robot import Robot, error_of, localizer, track
from std_srvs.srv import Trigger

from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.poses import pose_of
from pixloc_ros.ros import conversions as c


@pytest.fixture
def lost_and_found(graph, room_places, room_drive, until):
    """A robot that nobody tells where it is, with the confirmation that users have."""
    robot = Robot(room_drive)
    node = localizer(room_places, tracker__gates__start_fixes=2, tracker__gates__find_after=2)
    graph.add_node(robot)
    graph.add_node(node)
    assert until(robot.ready), "the localizer did not become active"
    return robot, node


def elsewhere(robot, i, ahead):
    """The image of frame i + ahead with the time of frame i."""
    header = robot.image(i).header
    return c.array_to_image(robot.drive.image(i + ahead), header)


def test_it_finds_itself_and_says_so(lost_and_found, until, call):
    robot, _node = lost_and_found
    assert until(lambda: robot.says("pose", "looking for itself", DiagnosticStatus.WARN))
    robot.send_frame(0)
    assert until(lambda: robot.says("pose", "starting: confirming 1 of 2"))
    assert robot.poses == []
    track(robot, until, [1, 2])
    assert error_of(robot, 1)[0] < 0.06 and error_of(robot, 2)[0] < 0.06
    answer = call(robot, Trigger, "/localizer/relocalize", Trigger.Request())
    assert answer.success
    robot.send_frame(3)
    assert until(lambda: robot.says("pose", "starting: confirming 1 of 2"))
    track(robot, until, [4])
    assert robot.pose_at(3) is None and error_of(robot, 4)[0] < 0.06


def test_carried_away_it_finds_itself_again_and_publishes_nothing_wrong(lost_and_found, until):
    robot, node = lost_and_found
    robot.send_frame(0)
    assert until(lambda: robot.says("pose", "starting: confirming 1 of 2"))
    track(robot, until, [1, 2])
    ahead = 24  # somebody carries the robot 2.4 m on; odometry does not notice
    for i in range(3, 9):
        before = len(robot.poses)
        robot.send_frame(i, elsewhere(robot, i, ahead))
        assert until(lambda before=before: len(robot.poses) > before)
    T = pose_of(robot.pose_at(8).pose.pose)
    assert transforms.pose_error(T, robot.drive.T_map_base[8 + ahead])[0] < 0.06
    assert node._tracker.state.value == "tracking"
    for i in range(3, 9):
        message = robot.pose_at(i)
        metres, _ = transforms.pose_error(
            pose_of(message.pose.pose), robot.drive.T_map_base[i + ahead]
        )
        covariance = np.array(message.pose.covariance).reshape(6, 6)
        assert metres < 0.06 or metres < 5 * np.sqrt(np.linalg.eigvalsh(covariance[:3, :3]).max())


def test_without_places_nobody_is_found_and_the_service_says_why(running, call):
    robot, _ = running()
    answer = call(robot, Trigger, "/localizer/relocalize", Trigger.Request())
    assert not answer.success and "build_map --add places" in answer.message

"""Parameters that change while the node runs: what takes effect, and what is refused and why."""

import math
import re
import time

import pytest

pytest.importorskip("rclpy")

from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from robot import start_at

from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.ros.parameters import read_parameters


@pytest.fixture
def driving(running, room_drive, until):
    """A robot whose first frame was localized, and the node that did it."""
    robot, node = running(**start_at(room_drive))
    send(robot, until, 0)
    return robot, node


@pytest.fixture
def put(driving, until):
    """put(name=value, ...): all at once, double underscores stand for dots; the answer."""
    robot, _ = driving
    client = robot.create_client(SetParametersAtomically, "/localizer/set_parameters_atomically")
    assert until(client.service_is_ready)

    def ask(**values):
        parameters = [
            Parameter(k.replace("__", "."), value=v).to_parameter_msg() for k, v in values.items()
        ]
        future = client.call_async(SetParametersAtomically.Request(parameters=parameters))
        assert until(future.done)
        return future.result().result

    return ask


def send(robot, until, i):
    """Frame i; its pose, accepted or carried by odometry."""
    robot.send_frame(i)
    pose = until(lambda: robot.pose_at(i))
    assert pose, f"no pose for frame {i}"
    return pose


def tf_stamps(robot) -> list[int]:
    """Of every map -> odom that was heard."""
    return [stamp_of(t) for t in robot.transforms if t.child_frame_id == "odom"]


def test_a_gate_rejects_from_the_next_frame_on_and_lets_in_again(driving, put, until):
    robot, _ = driving
    assert until(lambda: robot.says("pose", "tracking"))
    assert put(tracker__gates__min_points=100_000).successful
    send(robot, until, 1)
    assert until(lambda: robot.says("pose", "coasting: points in view"))
    assert put(tracker__gates__min_points=40).successful
    send(robot, until, 2)
    assert until(lambda: robot.says("pose", "tracking"))


def test_the_localizer_takes_fewer_points_and_another_covariance(driving, put, until):
    robot, _ = driving
    before = send(robot, until, 1)
    changed = dict(localizer__selection__point_budget=100, localizer__covariance__map_std_m=0.4)
    assert put(**changed).successful
    after = send(robot, until, 2)
    assert before.pose.covariance[0] < 0.4**2 < after.pose.covariance[0]
    assert until(lambda: 0 < int(robot.values("pose")["points"]) <= 100)


def test_tf_is_sent_as_often_and_as_far_ahead_as_said(driving, put, until):
    """Nothing is sent for a stamp twice, so time goes on faster than it is sent."""
    robot, _ = driving
    now_ns = int(robot.drive.stamps_ns[0])

    def rate(seconds: float = 1.0) -> float:
        nonlocal now_ns
        heard, end = len(robot.transforms), time.monotonic() + seconds
        while time.monotonic() < end:
            now_ns += 1_000_000
            robot.send_clock(now_ns)
            time.sleep(0.002)
        return (len(robot.transforms) - heard) / seconds

    assert put(tf_rate=5.0).successful
    rate(0.3)  # the interval that had begun
    assert 2 <= rate() <= 8
    assert put(tf_rate=50.0, transform_tolerance=3.0).successful
    rate(0.3)
    assert rate() > 15
    assert until(lambda: tf_stamps(robot)[-1] >= now_ns + 2_500_000_000)


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("tf_rate", 1e6, "tf_rate"),
        ("tracker.gates.min_points", "many", "min_points|type"),
        ("tracker.gates.max_cost", math.nan, "max_cost"),
        ("tracker.gates.start_fixes", 9, "start_fixes 9 > start_frames 3"),
        ("tracker.gates.min_pionts", 9, "did you mean .*min_points"),
        ("max_vel_x", 1.0, "no parameter 'max_vel_x'"),
        ("localizer.search.survivors", 0, "survivors is 0"),
        ("localizer.aligner.iterations", [3, 3], "2 counts for 3 levels"),
        ("localizer.covariance.map_std_m", "much", "covariance.map_std_m"),
        ("localizer.covariance.map_std_m", -0.1, "covariance"),
        ("localizer.covariance.map_std_m", None, "covariance.map_std_m"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_changes(driving, put, until, name, value, reason):
    robot, node = driving
    before = read_parameters(node), node._settings, node._localizer, node._tracker.config
    answer = put(**{name: value}, tracker__gates__find_after=9)
    assert not answer.successful and re.search(reason, answer.reason), answer
    assert before == (read_parameters(node), node._settings, node._localizer, node._tracker.config)
    send(robot, until, 1)


def test_what_is_fixed_is_refused_with_its_name(driving, put):
    answer = put(odom_frame_id="elsewhere", tf_rate=5.0)
    assert not answer.successful
    assert answer.reason.startswith("odom_frame_id is read when the node is configured")


def test_what_only_goes_together_is_set_together(driving, put):
    assert not put(tracker__gates__start_fixes=4).successful
    assert put(tracker__gates__start_fixes=4, tracker__gates__start_frames=5).successful


def test_settings_may_change_at_any_moment_of_a_frame(driving, put, until):
    robot, _ = driving
    for i in range(1, 8):
        robot.send_frame(i)
        for budget in (100, 512):
            assert put(localizer__selection__point_budget=budget).successful
        assert until(lambda i=i: robot.pose_at(i)), f"no pose for frame {i}"
    assert robot.values("inputs")["image.refused"] == "0", "a frame raised"


def test_what_changed_holds_after_a_new_activation(driving, put, until):
    _, node = driving
    node.trigger_deactivate()
    assert put(tracker__gates__min_points=100_000, tf_rate=5.0).successful
    node.trigger_activate()
    assert node._session._tf_timer.timer_period_ns == 200_000_000
    assert node._tracker.config.gates.min_points == 100_000

"""The node on real DDS, with the real tracker on a small map: its contract and its faults."""

import math
import threading
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry, Path
from nav_msgs.srv import SetMap
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from robot import LATCHED, QUICK, Robot, error_of, localizer, start_at, track
from sensor_msgs.msg import Image, PointCloud2
from std_srvs.srv import Empty, Trigger
from tf2_msgs.msg import TFMessage

from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.messages.images import image_of
from pixloc_ros.messages.poses import from_xyz_rpy, transform_of
from pixloc_ros.ros import conversions as c


def test_images_in_poses_out(running, until, room_drive):
    robot, _node = running(**start_at(room_drive))
    odometry, paths, clouds = [], [], []
    robot.create_subscription(Odometry, "/localizer/odometry", odometry.append, 10)
    robot.create_subscription(Path, "/localizer/path", paths.append, LATCHED)
    robot.create_subscription(PointCloud2, "/localizer/map_points", clouds.append, LATCHED)
    track(robot, until, range(8))
    for i in range(8):
        metres, radians = error_of(robot, i)
        assert metres < 0.06 and radians < 0.02
        covariance = np.array(robot.pose_at(i).pose.covariance).reshape(6, 6)
        assert np.linalg.eigvalsh(covariance).min() > 0
    assert robot.pose_at(3).header.frame_id == "map"
    assert until(lambda: len(odometry) >= 5)
    assert odometry[0].child_frame_id == "base_link" and odometry[0].twist.twist.linear.x == 1.0
    assert until(lambda: clouds) and clouds[0].width > 100 and clouds[0].header.frame_id == "map"
    assert until(lambda: paths and len(paths[-1].poses) >= 3)

    def corrections():
        return [t for t in robot.transforms if t.child_frame_id == "odom"]

    before = len(corrections())
    robot.send_odometry(int(room_drive.stamps_ns[8]))
    assert until(lambda: len(corrections()) > before)
    T_map_odom = transform_of(corrections()[-1].transform)
    truth = room_drive.T_map_base[0] @ transforms.inverse(room_drive.odometry.T_odom_base[0])
    metres, radians = transforms.pose_error(T_map_odom, truth)
    assert metres < 0.3 and radians < 0.03

    assert until(lambda: robot.says("pose", "tracking", DiagnosticStatus.OK))
    assert robot.says("inputs", "all inputs arrive", DiagnosticStatus.OK)
    assert until(lambda: int(robot.values("pose")["accepted"]) == 8)
    assert float(robot.values("timing")["network_ms"]) > 0
    assert robot.values("tf")["other_sender"] == "none"


def test_tf_is_sent_again_while_no_image_comes(running, until, room_drive):
    robot, _ = running(**start_at(room_drive), transform_tolerance=0.2)
    track(robot, until, [0])
    stamps = set()
    for step in range(1, 6):
        now_ns = int(room_drive.stamps_ns[0]) + step * 100_000_000
        robot.send_odometry(now_ns)
        assert until(
            lambda: any(
                stamp_of(t) == now_ns + 200_000_000
                for t in robot.transforms
                if t.child_frame_id == "odom"
            )
        )
        stamps.add(now_ns)
    sent = [stamp_of(t) for t in robot.transforms if t.child_frame_id == "odom"]
    assert len(sent) == len(set(sent)), "a transform was sent twice for one stamp"


def test_images_that_stop_are_said_and_end_the_correction(running, until, room_drive):
    robot, node = running(**start_at(room_drive), **QUICK)
    track(robot, until, [0, 1])
    begin = int(room_drive.stamps_ns[1])

    assert any(
        robot.send_odometry(now_ns) or until(lambda: robot.says("pose", "lost: send"), 0.1)
        for now_ns in range(begin, begin + 3_000_000_000, 100_000_000)
    )
    coasting = next(i for i, (_, m) in enumerate(robot.states) if m.startswith("coasting: no fix"))
    assert robot.states[coasting][0] == DiagnosticStatus.WARN
    assert robot.says("pose", "(carried by odometry for", DiagnosticStatus.ERROR)
    assert node._tracker.T_map_odom is None
    assert until(lambda: robot.values("tf")["sending"] == "false")
    assert len(robot.poses) == 2


def test_a_calibration_that_comes_after_its_image_goes_with_it(running, until, room_drive):
    """A camera that zooms: every second image is twice as large, and so is its focal length."""
    robot, _ = running(**start_at(room_drive))

    def send(i):
        zoom = 2.0 if i % 2 else 1.0
        image = room_drive.image(i)
        if zoom == 2.0:  # the middle, enlarged
            height, width = image.shape[:2]
            middle = image[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
            image = cv2.resize(middle, (width, height))
        header = c.header(int(room_drive.stamps_ns[i]), "camera")
        robot.send_odometry(int(room_drive.stamps_ns[i]))
        robot.send_image(i, c.array_to_image(image, header))
        time.sleep(0.05)
        robot.send_info(i, zoom)

    robot.send_info(0)
    for i in range(8):
        send(i)
        assert until(lambda i=i: robot.pose_at(i)), f"no pose for frame {i}"
    assert max(error_of(robot, i)[0] for i in range(2, 8)) < 0.06


def test_the_debug_image_is_drawn_while_somebody_looks(running, graph, until, room_drive):
    robot, node = running(**start_at(room_drive))
    track(robot, until, [0, 1])
    pictures = []
    subscription = robot.create_subscription(Image, "/localizer/debug/image", pictures.append, 1)
    assert until(lambda: node.count_subscribers("/localizer/debug/image"))
    track(robot, until, [2])
    assert until(lambda: pictures)
    drawn = image_of(pictures[0])
    assert drawn.shape == (240, 320, 3) and (drawn != room_drive.image(2)).any()
    graph.create_task(robot.destroy_subscription, subscription)
    assert until(lambda: not node.count_subscribers("/localizer/debug/image"))
    track(robot, until, [3])
    assert len(pictures) == 1


def test_images_that_are_none_are_counted_and_the_next_one_works(running, until, room_drive):
    robot, _node = running(**start_at(room_drive))
    header = c.header(int(room_drive.stamps_ns[0]), "camera")
    for n, bad in enumerate(
        (
            Image(
                header=header,
                height=240,
                width=320,
                encoding="32FC1",
                step=1280,
                data=bytes(240 * 1280),
            ),
            Image(header=header, height=240, width=320, encoding="rgb8", step=960, data=bytes(7)),
            Image(
                header=header,
                height=120,
                width=320,
                encoding="mono8",
                step=320,
                data=bytes(120 * 320),
            ),
        ),
        start=1,
    ):
        robot.send_frame(0, bad)
        assert until(
            lambda: (
                int(robot.values("inputs").get("image.refused", 0))
                + int(robot.values("inputs").get("camera_info.refused", 0))
                == n
            )
        )
    assert robot.status["localizer: inputs"].level == DiagnosticStatus.WARN
    assert robot.says("inputs", "320x120")
    track(robot, until, [1, 2])
    assert error_of(robot, 2)[0] < 0.06


def test_a_filter_of_the_same_odometry_gets_what_the_image_alone_says(running, until, room_drive):
    robot, _ = running(fused_with_odometry=True, **start_at(room_drive))
    track(robot, until, range(2))
    assert until(lambda: robot.values("pose").get("frames") == "2")
    with_prior = float(robot.values("pose")["std_x_m"])
    image_alone = math.sqrt(robot.pose_at(1).pose.covariance[0])
    assert image_alone != pytest.approx(with_prior, rel=0.01)
    covered = c.array_to_image(np.zeros((240, 320, 3), np.uint8), robot.image(2).header)
    robot.send_frame(2, covered)
    assert until(lambda: robot.values("pose").get("frames") == "3")
    track(robot, until, [3])
    assert robot.pose_at(2) is None, "odometry's own pose is not for that filter"


def test_services_reset_and_set_pose(running, call, until, room_drive):
    robot, _ = running(**start_at(room_drive))
    track(robot, until, [0])
    far = from_xyz_rpy((300.0, 0, 0, 0, 0, 0))
    answer = call(
        robot,
        SetMap,
        "/localizer/set_pose",
        SetMap.Request(initial_pose=robot.pose_message(far, 0)),
    )
    assert answer.success
    robot.send_frame(1)
    assert until(lambda: robot.says("pose", "starting: no map points", DiagnosticStatus.WARN))
    assert not robot.pose_at(1), "far away nothing confirms it"
    assert call(robot, Trigger, "/localizer/reset", Trigger.Request()).success
    track(robot, until, [2])
    assert error_of(robot, 2)[0] < 1.0
    request = SetMap.Request(initial_pose=robot.pose_message(far, 0))
    request.initial_pose.pose.pose.orientation.w = 0.0
    assert not call(robot, SetMap, "/localizer/set_pose", request).success


def test_without_a_map_it_says_so_and_can_be_mended(graph, room_map, room_drive, call, until):
    robot, node = Robot(room_drive), localizer("/no/such/map")
    graph.add_node(robot)
    graph.add_node(node)
    assert until(lambda: robot.says("node", "/no/such/map", DiagnosticStatus.ERROR))
    assert robot.values("node")["state"] == "unconfigured"
    parameter = Parameter("map", value=str(room_map)).to_parameter_msg()
    answer = call(
        robot,
        SetParameters,
        "/localizer/set_parameters",
        SetParameters.Request(parameters=[parameter]),
    )
    assert answer.results[0].successful
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert call(robot, ChangeState, "/localizer/change_state", request).success
    assert until(robot.ready)
    answer = call(
        robot,
        SetParameters,
        "/localizer/set_parameters",
        SetParameters.Request(parameters=[parameter]),
    )
    assert not answer.results[0].successful and "unconfigured" in answer.results[0].reason


def test_through_the_lifecycle_and_back(running, call, until, room_drive):
    robot, node = running(**start_at(room_drive))
    track(robot, until, [0])
    network = node._network.net
    for step in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        request = ChangeState.Request(transition=Transition(id=step))
        assert call(robot, ChangeState, "/localizer/change_state", request).success
    assert node._network.net is network, "what TorchScript made of another would stay in memory"
    assert until(robot.ready)
    robot.rewind()
    robot.poses.clear()
    track(robot, until, [1])


def test_an_activation_that_fails_leaves_nothing_running_and_can_be_tried_again(
    running, call, until, room_drive, monkeypatch
):
    robot, node = running(**start_at(room_drive))

    def go(step):
        request = ChangeState.Request(transition=Transition(id=step))
        return call(robot, ChangeState, "/localizer/change_state", request).success

    def refuse(self, points, stamp_ns):
        raise OSError("the map's folder is gone")

    assert go(Transition.TRANSITION_DEACTIVATE)
    with monkeypatch.context() as broken:
        broken.setattr("pixloc_ros.ros.outputs.Outputs.publish_points", refuse)
        assert not go(Transition.TRANSITION_ACTIVATE)
    assert "the map's folder is gone" in node.error
    threads = {thread.name for thread in threading.enumerate()}
    assert "localizer_worker" not in threads
    robot.poses.clear()
    robot.send_frame(0)
    assert not until(lambda: robot.poses or robot.transforms, 1.0)
    assert go(Transition.TRANSITION_ACTIVATE) and until(robot.ready)
    track(robot, until, [1])


def test_time_that_runs_backwards_resets(running, until, room_drive):
    robot, _ = running(**start_at(room_drive))
    track(robot, until, [0, 10, 20])
    robot.rewind()
    robot.poses.clear()
    track(robot, until, [0, 1])
    assert error_of(robot, 1)[0] < 0.06
    assert until(lambda: robot.values("pose").get("resets") == "1")


def test_time_that_begins_anew_without_a_clock_loses_no_message(running, until, room_drive):
    robot, node = running(**start_at(room_drive), use_sim_time=False)
    track(robot, until, [0, 10, 20])
    robot.rewind()
    robot.poses.clear()
    track(robot, until, [0])  # two messages of odometry and the image agree
    assert error_of(robot, 0)[0] < 0.06
    assert until(lambda: robot.values("pose").get("resets") == "1")
    assert robot.values("inputs")["odom.refused"] == "2"
    assert node._tracker.odometry.first().stamp_ns == room_drive.odometry.stamps_ns[0]


def test_a_best_effort_camera_for_a_reliable_subscription_is_named(running, until, room_drive):
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    robot, _ = start_deaf(
        running, {"image_qos": qos}, until, reliability="reliable", input_timeout=0.5
    )
    assert until(
        lambda: robot.says(
            "inputs", "set the parameter reliability to best_effort", DiagnosticStatus.ERROR
        )
    )


def start_deaf(running, robot_options, until, **parameters):
    """As `running`, where the image connection is the one that fails."""
    original, Robot.ready = Robot.ready, lambda self: self.count_publishers("/localizer/pose") > 0
    try:
        return running(robot_options, **parameters)
    finally:
        Robot.ready = original


def test_silence_is_said_with_its_cause(running, until, room_drive):
    robot, _ = start_deaf(running, {"compressed": True}, until, input_timeout=0.5)
    assert until(lambda: robot.says("inputs", "no image for", DiagnosticStatus.ERROR))
    assert robot.says("inputs", "nobody publishes it")


def test_compressed_images(running, until, room_drive):
    robot, _ = running({"compressed": True}, **start_at(room_drive), image_transport="compressed")
    track(robot, until, [0, 1, 2])
    assert error_of(robot, 2)[0] < 0.08


def test_another_sender_of_the_correction_is_noticed(running, until, room_drive):
    robot, _ = running(**start_at(room_drive))
    track(robot, until, [0])
    assert until(lambda: robot.values("tf").get("sending") == "true")
    assert robot.values("tf")["other_sender"] == "none"
    robot.tf.publish(
        TFMessage(transforms=[TransformStamped(header=c.header(5, "map"), child_frame_id="odom")])
    )
    assert until(lambda: robot.says("tf", "/robot", DiagnosticStatus.ERROR))


def test_what_it_sent_before_a_new_beginning_is_no_other_sender(running, until, room_drive):
    robot, node = running(**start_at(room_drive))
    track(robot, until, [0])
    assert until(lambda: [t for t in robot.transforms if t.child_frame_id == "odom"])
    sent = [t for t in robot.transforms if t.child_frame_id == "odom"][-1]
    node._tree.clear()  # a bag that loops
    node._tree._on_tf(TFMessage(transforms=[sent]))
    assert node._tree.other_sender() is None


def test_a_filter_that_sends_it_too_is_named_aloud(running, until, room_drive, capfd):
    """tf_broadcast left true beside an EKF: in the log, not only for who reads diagnostics."""
    robot, node = running(**start_at(room_drive))
    track(robot, until, [0])
    assert until(lambda: robot.values("tf").get("sending") == "true")
    printed = []

    def filter_sends():
        stamp_ns = node.get_clock().now().nanoseconds + 30_000_000
        robot.tf.publish(
            TFMessage(
                transforms=[
                    TransformStamped(header=c.header(stamp_ns, "map"), child_frame_id="odom")
                ]
            )
        )
        printed.append(capfd.readouterr().err)
        return "map -> odom is sent by /robot too" in "".join(printed)

    assert until(filter_sends)
    assert "[ERROR]" in "".join(printed)


def test_without_tf_broadcast_nothing_is_sent(running, until, room_drive):
    robot, _ = running(**start_at(room_drive), tf_broadcast=False)
    track(robot, until, [0, 1])
    assert not [t for t in robot.transforms if t.child_frame_id == "odom"]


def test_extrinsics_by_parameter(running, until, room_drive):
    quaternion, translation = transforms.to_quaternion(room_drive.T_base_cam)
    robot, _ = running(
        **start_at(room_drive), base_to_camera=[float(v) for v in (*translation, *quaternion)]
    )
    message = robot.image(0)
    message.header.frame_id = "a_frame_that_tf_does_not_know"
    robot.send_frame(0, message)
    assert until(lambda: robot.pose_at(0))
    assert error_of(robot, 0)[0] < 0.06


def test_a_frame_that_is_none_of_an_image_is_named(running, until, room_drive):
    robot, _ = running(base_to_camera=[0.2, 0.0, 1.2, 0.0, 0.0, 0.0, 1.0])
    robot.send_frame(0)
    assert until(lambda: robot.says("pose", "looks 90 deg up", DiagnosticStatus.WARN))
    assert "name the optical frame" in robot.values("pose")["mounting"]


def test_a_camera_that_tf_does_not_know_is_named(running, until, room_drive):
    robot, _ = running(**start_at(room_drive), odom_timeout=0.05)
    message = robot.image(0)
    message.header.frame_id = "loose_camera"
    robot.send_frame(0, message)
    assert until(lambda: robot.says("inputs", "loose_camera", DiagnosticStatus.WARN))


def test_a_frame_that_raises_leaves_the_node_alive(running, until, room_drive):
    robot, node = running(**start_at(room_drive))
    look = node._localizer.look

    def broken(image):
        raise RuntimeError("out of memory")

    node._localizer.look = broken
    robot.send_frame(0)
    assert until(lambda: robot.says("inputs", "out of memory", DiagnosticStatus.WARN))
    node._localizer.look = look
    track(robot, until, [1])


def test_clocks_that_disagree_are_named(running, until, room_drive):
    robot, _ = running(use_sim_time=False)
    robot.send_frame(0)
    assert until(lambda: robot.says("inputs", "set use_sim_time", DiagnosticStatus.WARN))


def test_a_single_bad_stamp_is_dropped_and_counted(running, until, room_drive):
    robot, _node = running(**start_at(room_drive))
    track(robot, until, [0, 1])
    now = int(room_drive.stamps_ns[1])
    for k, stamp in enumerate((0, now - 900_000_000, now + 3600_000_000_000), start=2):
        image = robot.image(k)
        image.header = c.header(stamp, "camera")
        robot.send_frame(k, image)
        odometry = Odometry(header=c.header(stamp, "odom"))
        odometry.pose.pose.orientation.w = 1.0
        robot._odom.publish(odometry)
        for name in ("image", "odom"):
            assert until(
                lambda name=name, k=k: robot.values("inputs")[f"{name}.refused"] == str(k - 1)
            )
        assert robot.says("inputs", "does not follow those before it", DiagnosticStatus.WARN)
        track(robot, until, [k])
        assert error_of(robot, k)[0] < 0.06
    assert until(lambda: robot.values("pose")["accepted"] == "5")
    assert robot.values("pose")["resets"] == "0"


def test_what_does_not_notice_a_new_beginning_is_reset_with_it(running, until, call):
    robot, _ = running(reset_services=["/ekf_map/reset", "/not_there/reset"])
    resets = []

    def reset(request, response):
        resets.append(request)
        return response

    robot.create_service(Empty, "/ekf_map/reset", reset)
    assert until(lambda: robot.count_clients("/ekf_map/reset") > 0)

    def was_reset():
        answer = call(robot, Trigger, "/localizer/reset", Trigger.Request())
        return answer.success and until(lambda: resets, 2)

    assert until(was_reset), "a service that is not there is no reason to stop"

"""The lifecycle node `localizer`: images and odometry in, poses and map -> odom out.

One executor thread runs every callback and publishes everything; one worker thread owns the device
and sees an image at a time. Their only meeting points are the worker's one-slot mailbox, the deque
of outcomes with its guard condition, and the tracker's own locks.
"""
from __future__ import annotations

import functools
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from nav_msgs.srv import SetMap
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from pixloc_ros.core.errors import ConfigError, DataError, PixlocError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import Tracker, TrackState
from pixloc_ros.ros import diagnostics
from pixloc_ros.ros.conversions import (covariance_to_matrix, list_to_matrix, pose_to_matrix,
                                        rpy_to_matrix, to_ns)
from pixloc_ros.ros.inputs import Input, sensor_qos
from pixloc_ros.ros.outputs import Outputs
from pixloc_ros.ros.parameters import NodeParameters, declare_parameters, read_parameters
from pixloc_ros.ros.pipeline import FramePipeline, Job, Outcome
from pixloc_ros.ros.runtime import run_node
from pixloc_ros.ros.transforms import TransformTree
from pixloc_ros.ros.worker import Worker

# Stamps further back than this are a new beginning (a bag that loops); less is mere disorder.
BACKWARDS_NS = 500_000_000
# How often a missing initial pose is asked for, seconds (as nav2_amcl does).
ASK_PERIOD = 2.0


@dataclass
class _Session:
    """What lives from activation to deactivation."""

    worker: Worker
    inputs: dict[str, Input] = field(default_factory=dict)
    timers: list = field(default_factory=list)
    statistics: diagnostics.Statistics = field(default_factory=diagnostics.Statistics)
    info: CameraInfo | None = None
    odometry: Odometry | None = None
    image_stamp_ns: int | None = None
    image_offset_s: float = float("nan")
    T_map_odom: np.ndarray | None = None
    start_pose_due: bool = False
    asked_at: float = -np.inf


def _logged(transition: Callable) -> Callable:
    """rclpy swallows what a transition raises; say it, and let the node live on."""
    @functools.wraps(transition)
    def wrapper(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            known = isinstance(error, (PixlocError, OSError))
            self.error = f"{error}" if known else f"{type(error).__name__}: {error}"
            self.get_logger().error(f"{transition.__name__[3:]} failed: {self.error}")
            return TransitionCallbackReturn.FAILURE
    return wrapper


class LocalizerNode(LifecycleNode):
    """See the README for topics and parameters, docs/diagnostics.md for what it says of itself."""

    def __init__(self, **options):
        super().__init__("localizer", **options)
        declare_parameters(self)
        self.error = ""
        self._settings: NodeParameters | None = None
        self._tracker: Tracker | None = None
        self._map: FeatureMap | None = None
        self._tree: TransformTree | None = None
        self._outputs: Outputs | None = None
        self._session: _Session | None = None
        self._outcomes: deque[Outcome | Exception] = deque()
        self._outcome_guard = self.create_guard_condition(self._take_outcomes)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Watchdogs and tf must go on when simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=self._steady)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-BACKWARDS_NS)),
            post_callback=lambda jump: self._start_over("the clock jumped back"))
        self.add_on_set_parameters_callback(self._on_set_parameters)
        if self.get_parameter("autostart").value:
            self._autostart = self.create_timer(0.0, self._start, clock=self._steady)

    # --------------------------------------------------------------------------- lifecycle

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.error = ""
        p = read_parameters(self)
        if not p.map:
            raise ConfigError("no map: set the parameter map to a folder written by build_map")
        device = _pick_device(p.device)
        checkpoint = load_checkpoint(p.checkpoint, device)
        self._map = FeatureMap.open(p.map, checkpoint.identity, device)
        self._tracker = Tracker(checkpoint, self._map, p.tracker, device)
        self._settings = p
        self._tree = TransformTree(self, p.global_frame_id, p.odom_frame_id)
        self._outputs = Outputs(self, p)
        self._own_services = [self.create_service(Trigger, "~/reset", self._on_reset),
                          self.create_service(SetMap, "~/set_pose", self._on_set_pose)]
        info = self._map.info
        self.get_logger().info(f"map {p.map}: {info.num_keyframes} keyframes, {info.num_points} "
                               f"points; network {checkpoint.name} on {device}")
        return super().on_configure(state)

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        p = self._settings
        self._tracker.warm_up(640, 480)
        returned = super().on_activate(state)
        pipeline = FramePipeline(self._tracker, self._extrinsics, p.image_is_rectified,
                                 p.odom_timeout)
        session = _Session(Worker(pipeline, self._deliver))
        self._session = session
        compressed = p.image_transport == "compressed"
        image_topic = self.resolve_topic_name("image") + ("/compressed" if compressed else "")
        newest, some = sensor_qos(p.reliability, 1), sensor_qos(p.reliability, 50)
        for item in (
                Input(self, "image", CompressedImage if compressed else Image, image_topic,
                      self._on_image, newest),
                Input(self, "camera_info", CameraInfo, "camera_info", self._on_info, newest),
                Input(self, "odom", Odometry, "odom", self._on_odometry, some),
                Input(self, "initialpose", PoseWithCovarianceStamped, "initialpose",
                      self._on_initial_pose, QoSProfile(depth=5), watched=False)):
            session.inputs[item.name] = item
        self._begin(session)
        self._outputs.publish_points(self._map.point_cloud(p.map_points_limit), self._now_ns())
        if p.tf_broadcast:
            self._tree.announce_map()
            session.timers.append(self.create_timer(1.0 / p.tf_rate, self._send_tf,
                                                    clock=self._steady))
        self.get_logger().info(f"active; images from {session.inputs['image'].topic}, odometry "
                               f"from {session.inputs['odom'].topic}")
        return returned

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return super().on_deactivate(state)

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    @_logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self._release()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop the worker and everything that feeds it."""
        session, self._session = self._session, None
        if session is None:
            return
        for timer in session.timers:
            self.destroy_timer(timer)
        for item in session.inputs.values():
            item.destroy()
        if not session.worker.stop():
            self.get_logger().error("the worker did not end; its device seems to hang")
        self._tracker.reset()
        self._outcomes.clear()

    def _release(self) -> None:
        if self._tree is None:
            return
        self._tree.destroy()
        self._outputs.destroy()
        for service in self._own_services:
            self.destroy_service(service)
        self._tree = self._outputs = self._tracker = self._map = None

    def _start(self) -> None:
        """Autostart, once the executor runs."""
        self.destroy_timer(self._autostart)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        else:
            self.get_logger().error("not started; mend that, then: ros2 lifecycle set "
                                    f"{self.get_fully_qualified_name()} configure")

    # --------------------------------------------------------------------------- inputs

    def _on_info(self, message: CameraInfo) -> None:
        self._session.info = message

    def _on_image(self, message: Image | CompressedImage) -> None:
        session = self._session
        stamp_ns = to_ns(message.header.stamp)
        session.image_offset_s = (self._now_ns() - stamp_ns) * 1e-9
        if session.image_stamp_ns is not None and stamp_ns < session.image_stamp_ns - BACKWARDS_NS:
            self._start_over("image stamps went backwards")
        session.image_stamp_ns = stamp_ns
        job = Job(message, session.info, draw=self._outputs.debug_wanted)
        session.statistics.dropped += session.worker.submit(job)

    def _on_odometry(self, message: Odometry) -> None:
        session = self._session
        stamp_ns = to_ns(message.header.stamp)
        newest_ns = self._tracker.odometry.newest_stamp()
        if newest_ns is not None and stamp_ns < newest_ns - BACKWARDS_NS:
            self._start_over("odometry stamps went backwards")
        elif newest_ns is not None and stamp_ns < newest_ns:
            session.inputs["odom"].refuse("messages out of order")
            return
        try:
            self._tracker.odometry.add(stamp_ns, pose_to_matrix(message.pose.pose))
        except DataError as error:
            session.inputs["odom"].refuse(str(error))
            return
        session.odometry = message
        if session.start_pose_due:
            session.start_pose_due = False
            start = self._settings.initial_pose
            self._tracker.set_pose(stamp_ns, rpy_to_matrix(
                start.x, start.y, start.z, start.roll, start.pitch, start.yaw))

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        try:
            self._set_pose(message)
        except DataError as error:
            self._session.inputs["initialpose"].refuse(str(error))
            self.get_logger().warning(f"initialpose ignored: {error}")

    def _set_pose(self, message: PoseWithCovarianceStamped) -> None:
        """Take a pose in any frame that tf connects with the map; DataError if it cannot be used.

        It holds at its stamp, odometry carries it on. Stamp 0, or one that odometry is still far
        from (another clock), means now: the newest odometry.
        """
        T = pose_to_matrix(message.pose.pose)
        covariance = covariance_to_matrix(message.pose.covariance)
        stamp_ns = to_ns(message.header.stamp)
        frame = message.header.frame_id or self._settings.global_frame_id
        if frame != self._settings.global_frame_id:
            T_map_frame = self._lookup_or_newest(self._settings.global_frame_id, frame, stamp_ns)
            T = T_map_frame @ T
            if covariance is not None:
                turn = np.kron(np.eye(2), T_map_frame[:3, :3])
                covariance = turn @ covariance @ turn.T
        newest_ns = self._tracker.odometry.newest_stamp()
        if newest_ns is None:
            raise DataError("there is no odometry yet that could carry the pose on")
        if stamp_ns == 0 or stamp_ns > newest_ns + 1_000_000_000:
            stamp_ns = newest_ns
        self._tracker.set_pose(stamp_ns, T, covariance)
        self._session.start_pose_due = False
        x, y, z = T[:3, 3]
        self.get_logger().info(f"initial pose set to ({x:.2f}, {y:.2f}, {z:.2f})")

    def _lookup_or_newest(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        try:
            return self._tree.lookup(target, source, stamp_ns)
        except DataError:
            return self._tree.lookup(target, source, 0)

    def _extrinsics(self, camera_frame: str, stamp_ns: int) -> np.ndarray:
        """T_base_cam; on the worker's thread."""
        p = self._settings
        if p.base_to_camera:
            return list_to_matrix(p.base_to_camera)
        if not camera_frame:
            raise DataError("the image names no frame; set the parameter base_to_camera")
        return self._tree.lookup(p.base_frame_id, camera_frame, stamp_ns, p.odom_timeout)

    # --------------------------------------------------------------------------- outputs

    def _deliver(self, outcome: Outcome | Exception) -> None:
        """On the worker's thread."""
        self._outcomes.append(outcome)
        self._outcome_guard.trigger()

    def _take_outcomes(self) -> None:
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if self._session is not None:
                self._take(outcome, self._session)

    def _take(self, outcome: Outcome | Exception, session: _Session) -> None:
        if isinstance(outcome, Exception):
            text = f"{type(outcome).__name__}: {outcome}"
            session.inputs["image"].refuse(text)
            self.get_logger().error(f"a frame failed: {text}", throttle_duration_sec=5.0)
            return
        if outcome.result is None:
            name = outcome.bad_input if outcome.bad_input in session.inputs else "image"
            session.inputs[name].refuse(outcome.problem)
            self.get_logger().warning(outcome.problem, throttle_duration_sec=5.0)
            return
        result, before = outcome.result, session.statistics.result
        self._outputs.publish_result(result, session.odometry)
        session.T_map_odom = result.T_map_odom
        latency_s = (self._now_ns() - outcome.stamp_ns) * 1e-9
        session.statistics.add(result, latency_s, time.monotonic())
        if outcome.picture is not None:
            self._outputs.publish_debug(outcome.picture, outcome.stamp_ns, outcome.camera_frame)
        if result.state is TrackState.UNINITIALIZED:
            self._ask_for_pose(session)
        if before is None or before.state is not result.state:
            self._say_state(result)
            self._publish_diagnostics()

    def _ask_for_pose(self, session: _Session) -> None:
        now = time.monotonic()
        if not session.start_pose_due and now - session.asked_at > ASK_PERIOD:
            session.asked_at = now
            self.get_logger().warning("please set the initial pose (topic "
                                      f"{session.inputs['initialpose'].topic})")

    def _say_state(self, result) -> None:
        text = result.state.value + (f": {'; '.join(result.reasons)}" if result.reasons else "")
        log = self.get_logger()
        if result.state is TrackState.LOST:
            log.error(text)
        elif result.state is TrackState.COASTING:
            log.warning(text)
        else:
            log.info(text)

    def _send_tf(self) -> None:
        session, now_ns = self._session, self._now_ns()
        if session.T_map_odom is not None and now_ns > 0:
            self._tree.send_correction(
                session.T_map_odom, now_ns + int(self._settings.transform_tolerance * 1e9))

    def _publish_diagnostics(self) -> None:
        session, p = self._session, self._settings
        name, now = self.get_fully_qualified_name()[1:], time.monotonic()
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        map_text = "none" if self._map is None else str(self._map.path)
        state = ("active" if session is not None else
                 "inactive" if self._tracker is not None else "unconfigured")
        message.status = [diagnostics.lifecycle_status(f"{name}: node", state, self.error,
                                                       map_text)]
        if session is not None:
            self._outputs.publish_path()
            message.status += [
                diagnostics.pose_status(f"{name}: pose", session.statistics, self._tracker.state),
                diagnostics.inputs_status(
                    f"{name}: inputs", list(session.inputs.values()), p.input_timeout,
                    session.image_offset_s, self._clock_problem(session)),
                diagnostics.timing_status(f"{name}: timing", session.statistics,
                                          session.worker.busy_for(), now),
                diagnostics.tf_status(f"{name}: tf", p.tf_broadcast,
                                      p.tf_broadcast and session.T_map_odom is not None,
                                      self._tree.other_sender())]
        self._diagnostics.publish(message)

    def _clock_problem(self, session: _Session) -> str:
        use_sim_time = self.get_parameter("use_sim_time").value
        if use_sim_time and self._now_ns() == 0:
            return "use_sim_time is set, but nobody publishes /clock"
        if abs(session.image_offset_s) > self._settings.input_timeout:
            mend = ("the images do not come from the source of /clock" if use_sim_time else
                    "set use_sim_time for a bag or simulation, else synchronise the clocks")
            return f"image stamps are {session.image_offset_s:.1f} s behind this node's clock: {mend}"
        return ""

    # --------------------------------------------------------------------------- starting over

    def _start_over(self, why: str) -> None:
        """Time began anew: nothing that was said about the old time holds any longer."""
        session = self._session
        if session is None:
            return
        self.get_logger().warning(f"{why}: starting over")
        session.statistics.resets += 1
        self._begin(session)

    def _begin(self, session: _Session) -> None:
        session.worker.discard()
        self._tracker.reset()
        self._tree.clear()
        self._outputs.clear_path()
        session.T_map_odom = session.odometry = session.image_stamp_ns = None
        session.start_pose_due = self._settings.set_initial_pose

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._session is not None
        response.message = "forgot the pose" if response.success else "the node is not active"
        if response.success:
            self._start_over("reset was called")
        return response

    def _on_set_pose(self, request: SetMap.Request, response: SetMap.Response) -> SetMap.Response:
        """nav_msgs/srv/SetMap as AMCL's set_map had it, for its initial_pose: ROS' common
        interfaces have no other service that carries a pose. A grid map is refused."""
        response.success = False
        if self._session is None:
            self.get_logger().warning("set_pose refused: the node is not active")
        elif request.map.data:
            self.get_logger().warning("set_pose takes initial_pose only; leave map empty")
        else:
            try:
                self._set_pose(request.initial_pose)
                response.success = True
            except DataError as error:
                self.get_logger().warning(f"set_pose refused: {error}")
        return response

    def _on_set_parameters(self, parameters):
        from rcl_interfaces.msg import SetParametersResult
        fixed = [q.name for q in parameters if q.name != "use_sim_time"]
        if fixed and self._tracker is not None:
            return SetParametersResult(successful=False, reason=(
                f"{', '.join(fixed)} is read when the node is configured; bring it to "
                "unconfigured first (ros2 lifecycle set ... deactivate, cleanup)"))
        return SetParametersResult(successful=True)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def _pick_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}' is unknown; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device '{name}' is asked for, but torch sees no CUDA device; set "
                          "device to auto, or install a torch for your driver (run doctor)")
    return device


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `ros2 run pixloc_ros localizer`."""
    return run_node(LocalizerNode, lambda node: node.close(), arguments)


if __name__ == "__main__":
    sys.exit(main())

"""What the localizer does between activation and deactivation.

One executor thread runs every callback and publishes everything; one worker thread owns the device
and sees an image at a time. Their only meeting points are the worker's one-slot mailbox, the deque
of outcomes with its guard condition, and the tracker's own locks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Empty

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.process import PlaceFinder
from pixloc_ros.core.tracker import FrameResult, Tracker, TrackState
from pixloc_ros.messages.headers import camera_frame, stamp_of
from pixloc_ros.messages.poses import from_numbers
from pixloc_ros.ros import diagnostics
from pixloc_ros.ros.calibrations import Calibrations
from pixloc_ros.ros.conversions import matrix_to_transform
from pixloc_ros.ros.inputs import Input, sensor_qos
from pixloc_ros.ros.odometry import BaseOdometry
from pixloc_ros.ros.outputs import Outputs
from pixloc_ros.ros.parameters import NodeParameters
from pixloc_ros.ros.pending_images import PendingImages
from pixloc_ros.ros.pipeline import FramePipeline, Job, Outcome
from pixloc_ros.ros.start_pose import StartPose
from pixloc_ros.ros.timeline import AGREED, Moment, Timeline
from pixloc_ros.ros.transforms import TransformTree
from pixloc_ros.ros.worker import Worker

# Why an image or odometry is dropped whose time is not that of the others.
BAD_STAMP = "a stamp that does not follow those before it"
# How often a missing initial pose is asked for, seconds (as nav2_amcl does).
ASK_PERIOD = 2.0
# How often images are looked for that have waited long enough for odometry, seconds.
LOOK_PERIOD = 0.05


class Session:
    """Subscribes, feeds the worker, publishes what it finds. All methods: executor thread only,
    but for the two that say otherwise."""

    def __init__(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        localizer: Localizer,
        tracker: Tracker,
        tree: TransformTree,
        outputs: Outputs,
        steady: Clock,
        initial_pose: Input,
        finder: PlaceFinder | None = None,
    ):
        self._node, self._parameters, self._tracker = node, parameters, tracker
        self._tree, self._outputs, self._finder = tree, outputs, finder
        self._statistics = diagnostics.Statistics()
        self._calibrations = Calibrations()
        self._image_offset_s = float("nan")
        self._asked_at = -np.inf
        self._timeline = Timeline()
        self._odd: deque = deque(maxlen=AGREED)  # messages with a bad stamp, and who takes them
        self._camera_frame = ""
        self._initial_pose = initial_pose
        self._start_pose = StartPose(
            parameters, tracker, tree, localizer.map, self._mounting, node.get_logger().info
        )
        self._odometry = BaseOdometry(tree, parameters.base_frame_id)
        self._pending = PendingImages(self._is_ready, parameters.odom_timeout)
        self._start_over()
        self._outcomes: deque[Outcome | Exception] = deque()
        self._guard = node.create_guard_condition(self._take_outcomes)
        self._pipeline = FramePipeline(
            localizer,
            tracker,
            self._extrinsics,
            parameters.image_is_rectified,
            finder,
        )
        self._worker = Worker(self._pipeline, self._deliver)
        compressed = parameters.image_transport == "compressed"
        image_topic = node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        newest = sensor_qos(parameters.reliability, 1)
        self._inputs = {
            item.name: item
            for item in (
                Input(
                    node,
                    "image",
                    CompressedImage if compressed else Image,
                    image_topic,
                    self._on_image,
                    newest,
                ),
                Input(
                    node,
                    "camera_info",
                    CameraInfo,
                    "camera_info",
                    self._on_info,
                    sensor_qos(parameters.reliability, 10),
                ),
                Input(
                    node,
                    "odom",
                    Odometry,
                    "odom",
                    self._on_odometry,
                    sensor_qos(parameters.reliability, 50),
                ),
                initial_pose,
            )
        }
        self._resets = [node.create_client(Empty, name) for name in parameters.reset_services]
        if parameters.tf_broadcast:
            tree.announce_map()
        # Steady, because they must go on while simulated time jumps.
        self._tf_timer = node.create_timer(1.0 / parameters.tf_rate, self._on_timer, clock=steady)
        self._look_timer = node.create_timer(LOOK_PERIOD, self._pass_on, clock=steady)

    @property
    def topics(self) -> dict[str, str]:
        """Resolved names of the subscribed topics."""
        return {name: item.topic for name, item in self._inputs.items()}

    def close(self) -> None:
        """Unsubscribe and end the worker."""
        for item in self._inputs.values():
            if item is not self._initial_pose:
                item.destroy()
        for timer in (self._tf_timer, self._look_timer):
            self._node.destroy_timer(timer)
        for client in self._resets:
            self._node.destroy_client(client)
        if not self._worker.stop():
            self._node.get_logger().error("the worker did not end; its device seems to hang")
        self._node.destroy_guard_condition(self._guard)
        self._tracker.reset()

    def reconfigure(self, parameters: NodeParameters, localizer: Localizer) -> None:
        """Other live parameters (see `NodeParameters`), and a localizer made with them, from the
        next image on. Those of the tracker are its owner's."""
        self._parameters, self._pipeline.localizer = parameters, localizer
        self._pending.timeout_s = parameters.odom_timeout
        self._tf_timer.timer_period_ns = round(1e9 / parameters.tf_rate)

    def set_pose(self, message: PoseWithCovarianceStamped) -> None:
        """See `StartPose.give`."""
        self._start_pose.give(message)

    def take_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        """As `set_pose`, from the topic: one that cannot be used is counted."""
        self._try_start(lambda: self.set_pose(message))

    def start_over(self, why: str) -> None:
        """Forget what was said about an old time: the pose, odometry, tf and the path."""
        self._node.get_logger().warning(f"{why}: starting over")
        self._statistics.resets += 1
        self._statistics.result = None
        for client in self._resets:
            if client.service_is_ready():
                client.call_async(Empty.Request())
            else:
                self._node.get_logger().warning(f"{client.srv_name} is not there: not reset")
        self._pending.clear()
        self._worker.discard()
        self._outcomes.clear()
        self._start_over()
        # What announced the new time before it was believed.
        odd = list(self._odd)
        self._odd.clear()
        for callback, message in odd:
            if self._timeline.is_new(stamp_of(message)):
                callback(message)

    def reset(self) -> None:
        """Start over because somebody asks for it."""
        self._timeline.restart()
        self.start_over("reset was called")

    def relocalize(self) -> None:
        """Forget the pose and find the robot in the whole map. DataError if that cannot be done."""
        if self._finder is None:
            raise DataError(
                "the robot cannot find itself: set initialization to auto and give the map places "
                "(build_map --add places)"
            )
        self._tracker.forget_pose()

    def clock_jumped_back(self) -> None:
        """Start over, unless odometry or images of the new time came first and did so already."""
        if self._timeline.clock(self._now_ns()) is Moment.BEGINNING:
            self.start_over("the clock jumped back")

    def statuses(self, name: str) -> list:
        """Diagnostics of pose, inputs, timing and tf; also the moment to publish the path."""
        self._outputs.publish_path()
        p, statistics = self._parameters, self._statistics
        other_sender = self._tree.other_sender()
        if p.tf_broadcast and other_sender:
            self._node.get_logger().error(
                f"{p.global_frame_id} -> {self._tree.odom_frame} is sent by {other_sender} too: "
                "the robot will jump between both; stop it or set tf_broadcast to false",
                throttle_duration_sec=10.0,
            )
        return [
            diagnostics.pose_status(
                f"{name}: pose",
                statistics,
                self._tracker.state,
                self._tracker.reason,
                self._start_pose.waits_for,
                self._finder is not None,
            ),
            diagnostics.inputs_status(
                f"{name}: inputs",
                list(self._inputs.values()),
                p.input_timeout,
                self._image_offset_s,
                self._clock_problem(),
            ),
            diagnostics.timing_status(
                f"{name}: timing", statistics, self._worker.busy_for(), time.monotonic()
            ),
            diagnostics.tf_status(
                f"{name}: tf",
                p.tf_broadcast,
                p.tf_broadcast and self._tracker.T_map_odom is not None,
                other_sender,
                self._tree.odom_frame,
                p.odom_frame_id,
            ),
        ]

    # --------------------------------------------------------------------------- inputs

    def _start_over(self) -> None:
        self._tracker.reset()
        self._tree.clear()
        self._outputs.clear_path()
        self._said_state = TrackState.UNINITIALIZED
        self._odometry.newest = None
        self._heard_at = 0, 0.0  # when it came: the node's clock (ns) and the steady one (s)
        self._start_pose.start_over()

    def _on_info(self, message: CameraInfo) -> None:
        self._calibrations.add(message)
        self._pass_on()

    def _on_image(self, message: Image | CompressedImage) -> None:
        stamp_ns = stamp_of(message)
        moment = self._timeline.stamp("image", stamp_ns)
        if moment is Moment.BAD:
            self._inputs["image"].refuse(BAD_STAMP)
            self._odd.append((self._on_image, message))
        if moment in (Moment.STALE, Moment.BAD):
            return
        if moment is Moment.BEGINNING:
            self.start_over("image stamps went backwards")
        self._image_offset_s = (self._now_ns() - stamp_ns) * 1e-9
        self._calibrations.image_came(stamp_ns)
        self._camera_frame = camera_frame(message, self._calibrations.of(stamp_ns))
        self._try_start(self._start_pose.go_on)
        self._statistics.dropped += self._pending.add(message)
        self._pass_on()

    def _is_ready(self, stamp_ns: int) -> bool:
        """Whether odometry has reached an image, and its camera_info is here if it has one."""
        reached_ns = self._tracker.odometry.newest_stamp()
        return (
            reached_ns is not None
            and stamp_ns <= reached_ns
            and not self._calibrations.is_coming(stamp_ns)
        )

    def _pass_on(self) -> None:
        """Give the worker the newest image that is ready."""
        image, dropped = self._pending.take()
        if image is not None:
            info = self._calibrations.of(stamp_of(image))
            job = Job(image, info, draw=self._outputs.debug_wanted)
            self._statistics.dropped += dropped + self._worker.submit(job)

    def _on_odometry(self, message: Odometry) -> None:
        stamp_ns, before_ns = stamp_of(message), self._tracker.odometry.newest_stamp()
        moment = self._timeline.stamp("odometry", stamp_ns)
        if moment is Moment.BAD:
            self._inputs["odom"].refuse(BAD_STAMP)
            self._odd.append((self._on_odometry, message))
        if moment in (Moment.STALE, Moment.BAD):
            return
        if moment is Moment.BEGINNING:
            self.start_over("odometry stamps went backwards")
        elif before_ns is not None and stamp_ns < before_ns:
            self._inputs["odom"].refuse("messages out of order")
            return
        try:
            self._tracker.odometry.add(stamp_ns, self._odometry.pose_of(message))
        except DataError as error:
            if str(error) != self._inputs["odom"].last_refusal:
                self._node.get_logger().warning(f"odometry refused: {error}")
            self._inputs["odom"].refuse(str(error))
            return
        self._heard_at = self._now_ns(), time.monotonic()
        self._try_start(self._start_pose.go_on)
        self._pass_on()

    def _try_start(self, action: Callable[[], None]) -> None:
        try:
            action()
        except DataError as error:
            self._inputs["initialpose"].refuse(str(error))
            self._node.get_logger().warning(f"initialpose ignored: {error}")

    def _extrinsics(self, frame: str, stamp_ns: int, wait: bool = True) -> np.ndarray:
        """T_base_cam. wait: for tf to reach the stamp, which only the worker's thread may."""
        p = self._parameters
        if p.base_to_camera:
            return from_numbers(p.base_to_camera)
        if not frame:
            raise DataError("the image names no frame; set the parameter base_to_camera")
        timeout_s = p.odom_timeout if wait else 0.0
        return self._tree.lookup(p.base_frame_id, frame, stamp_ns, timeout_s)

    def _mounting(self) -> np.ndarray | None:
        """T_base_cam of the newest image, or None as long as nobody knows it."""
        try:
            return self._extrinsics(self._camera_frame, 0, wait=False)
        except DataError:
            return None

    # --------------------------------------------------------------------------- outputs

    def _deliver(self, outcome: Outcome | Exception) -> None:
        """On the worker's thread."""
        self._outcomes.append(outcome)
        self._guard.trigger()

    def _take_outcomes(self) -> None:
        while self._outcomes:
            self._take(self._outcomes.popleft())

    def _take(self, outcome: Outcome | Exception) -> None:
        log = self._node.get_logger()
        if isinstance(outcome, Exception):
            text = f"{type(outcome).__name__}: {outcome}"
            self._inputs["image"].refuse(text)
            log.error(f"a frame failed: {text}", throttle_duration_sec=5.0)
        elif outcome.result is None:
            self._inputs[outcome.bad_input].refuse(outcome.problem)
            log.warning(outcome.problem, throttle_duration_sec=5.0)
        else:
            self._publish(outcome, outcome.result)

    def _publish(self, outcome: Outcome, result: FrameResult) -> None:
        self._outputs.publish_result(result, self._odometry.twist())
        latency_s = (self._now_ns() - outcome.stamp_ns) * 1e-9
        self._statistics.add(result, latency_s, time.monotonic())
        if outcome.mounting and outcome.mounting != self._statistics.mounting:
            self._node.get_logger().warning(f"'{outcome.camera_frame}': {outcome.mounting}")
        self._statistics.mounting = outcome.mounting
        if outcome.picture is not None:
            self._outputs.publish_debug(outcome.picture, outcome.stamp_ns, outcome.camera_frame)
        if self._finder is None and self._tracker.wants_pose:
            self._ask_for_pose()
        self._say_state()

    def _ask_for_pose(self) -> None:
        now = time.monotonic()
        if not self._start_pose.expected and now - self._asked_at > ASK_PERIOD:
            self._asked_at = now
            self._node.get_logger().warning(
                f"please set the initial pose (topic {self._inputs['initialpose'].topic})"
            )

    def _say_state(self) -> None:
        """Once for each state, in the log and in diagnostics."""
        state, reason = self._tracker.state, self._tracker.reason
        if state is self._said_state:
            return
        self._said_state = state
        text = f"{state.value}: {reason}" if reason else state.value
        log = self._node.get_logger()
        if state is TrackState.LOST:
            log.error(text)
        elif state is TrackState.COASTING:
            log.warning(text)
        else:
            log.info(text)
        self._node.publish_diagnostics()

    def _on_timer(self) -> None:
        """Time goes on, whoever is silent; map -> odom is sent while it is known."""
        if self._odometry.newest is not None:
            self._tracker.advance(stamp_of(self._odometry.newest) + self._since_odometry_ns())
            self._say_state()
        T_map_odom, now_ns = self._tracker.T_map_odom, self._now_ns()
        if self._parameters.tf_broadcast and T_map_odom is not None and now_ns > 0:
            self._tree.send_correction(
                matrix_to_transform(T_map_odom),
                now_ns + int(self._parameters.transform_tolerance * 1e9),
            )

    def _since_odometry_ns(self) -> int:
        """How long odometry has been silent: by the node's clock, which stands still in a paused
        simulation, but no longer than by the steady one, which nobody sets."""
        clock_ns, steady_s = self._heard_at
        steady_ns = int((time.monotonic() - steady_s) * 1e9)
        return max(0, min(self._now_ns() - clock_ns, steady_ns))

    def _clock_problem(self) -> str:
        simulated = self._node.get_parameter("use_sim_time").value
        if simulated and self._now_ns() == 0:
            return "use_sim_time is set, but nobody publishes /clock"
        if abs(self._image_offset_s) > self._parameters.input_timeout:
            mend = (
                "the images do not come from the source of /clock"
                if simulated
                else "set use_sim_time for a bag or simulation, else synchronise the clocks"
            )
            return f"image stamps are {self._image_offset_s:.1f} s behind this node's clock: {mend}"
        return ""

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

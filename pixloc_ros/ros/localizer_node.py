"""The lifecycle node `localizer`: images and odometry in, poses and map -> odom out."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from dataclasses import replace

import torch
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.srv import SetMap
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args
from std_srvs.srv import Trigger

from pixloc_ros.core.errors import ConfigError, DataError, PixlocError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import Checkpoint, load_checkpoint
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.finding import Finder, Places
from pixloc_ros.ros.diagnostics import lifecycle_status
from pixloc_ros.ros.inputs import Input
from pixloc_ros.ros.outputs import Outputs
from pixloc_ros.ros.parameters import (
    NodeParameters,
    changed,
    declare_parameters,
    is_live,
    misspelled,
    read_parameters,
)
from pixloc_ros.ros.runtime import NO_EVENTS, run_node
from pixloc_ros.ros.session import Session
from pixloc_ros.ros.timeline import BACKWARDS_NS
from pixloc_ros.ros.transforms import TransformTree


def _logged(transition: Callable) -> Callable:
    """rclpy swallows what a transition raises; say it, and let the node live on."""

    @functools.wraps(transition)
    def wrapper(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            known = isinstance(error, (PixlocError, OSError))
            self.error = str(error) if known else f"{type(error).__name__}: {error}"
            self.get_logger().error(f"{transition.__name__[3:]} failed: {self.error}")
            return TransitionCallbackReturn.FAILURE

    return wrapper


class LocalizerNode(LifecycleNode):
    """See docs/node.md for topics and parameters, docs/diagnostics.md for what it says of itself.

    Configuring opens the network and the map; what happens while it is active is in `Session`.
    """

    def __init__(self, **options):
        super().__init__("localizer", **options)
        declare_parameters(self)
        self.error = ""
        self._settings: NodeParameters | None = None
        self._localizer: Localizer | None = None
        self._network: Checkpoint | None = None  # of the last configuration, on its device
        self._device: torch.device | None = None
        self._tracker: Tracker | None = None
        self._finder: Finder | None = None
        self._map: FeatureMap | None = None
        self._tree: TransformTree | None = None
        self._outputs: Outputs | None = None
        self._session: Session | None = None
        # Heard in every state, so that a pose given while the map is opened is not lost.
        self._initial_pose = Input(
            self,
            "initialpose",
            PoseWithCovarianceStamped,
            "initialpose",
            self._on_initial_pose,
            QoSProfile(depth=5),
            watched=False,
        )
        self._early_pose: PoseWithCovarianceStamped | None = None
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", 10, event_callbacks=NO_EVENTS
        )
        # Diagnostics must go on when simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self.publish_diagnostics, clock=self._steady)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/relocalize", self._on_relocalize)
        self.create_service(SetMap, "~/set_pose", self._on_set_pose)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-BACKWARDS_NS)),
            post_callback=self._on_clock_jump,
        )
        self.add_on_set_parameters_callback(self._on_set_parameters)
        if self.get_parameter("autostart").value:
            self._autostart = self.create_timer(0.0, self._start, clock=self._steady)

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.error = ""
        p = read_parameters(self)
        if not p.map:
            raise ConfigError("no map: set the parameter map to a folder written by build_map")
        device = pick_device(p.device)
        checkpoint = load_checkpoint(p.checkpoint, device)
        used = self._network
        # What TorchScript makes of a network that sees images is never freed: use it again.
        if used is not None and used.identity == checkpoint.identity and self._device == device:
            checkpoint = replace(checkpoint, net=used.net)
        self._network, self._device = checkpoint, device
        feature_map = FeatureMap.open(p.map, checkpoint.identity, device)
        self._localizer = Localizer(checkpoint, feature_map, p.localizer, device)
        self._finder = self._finder_in(feature_map) if p.initialization == "auto" else None
        self._tracker = Tracker(p.tracker, finds_itself=self._finder is not None)
        self._settings, self._map = p, feature_map
        self._tree = TransformTree(self, p.global_frame_id, p.odom_frame_id)
        self._outputs = Outputs(self, p)
        info = feature_map.info
        self.get_logger().info(
            f"map {p.map}: {info.num_keyframes} keyframes, {info.num_points} "
            f"points; network {checkpoint.name} on {device}"
        )
        return super().on_configure(state)

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._localizer.warm_up(640, 480)
        returned = super().on_activate(state)
        try:
            self._session = Session(
                self,
                self._settings,
                self._localizer,
                self._tracker,
                self._tree,
                self._outputs,
                self._steady,
                self._initial_pose,
                self._finder,
            )
            self._outputs.publish_points(
                self._map.point_cloud(self._settings.map_points_limit),
                self.get_clock().now().nanoseconds,
            )
        except Exception:
            self.close()
            super().on_deactivate(state)
            raise
        early, self._early_pose = self._early_pose, None
        if early is not None:
            self._session.take_initial_pose(early)
        topics = self._session.topics
        self.get_logger().info(
            f"active; images from {topics['image']}, odometry from {topics['odom']}"
        )
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
        """Stop localizing; harmless when it does not."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def publish_diagnostics(self) -> None:
        """Once a second, and at every change of the tracker's state."""
        name = self.get_fully_qualified_name()[1:]
        state = (
            "active"
            if self._session is not None
            else "inactive"
            if self._tracker is not None
            else "unconfigured"
        )
        map_text = "none" if self._map is None else str(self._map.path)
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [lifecycle_status(f"{name}: node", state, self.error, map_text)]
        if self._session is not None:
            message.status += self._session.statuses(name)
        self._diagnostics.publish(message)

    def _release(self) -> None:
        if self._tree is not None:
            self._tree.destroy()
            self._outputs.destroy()
        self._tree = self._outputs = self._localizer = self._tracker = self._map = None
        self._finder = None

    def _finder_in(self, feature_map: FeatureMap) -> Finder | None:
        """What finds images in the whole map; None, with the reason in the log, if it cannot."""
        try:
            return Finder(Places(feature_map), device=self._device)
        except PixlocError as error:
            self.get_logger().warning(f"the initial pose must be given: {error}")
            return None

    def _start(self) -> None:
        """Autostart, once the executor runs."""
        self.destroy_timer(self._autostart)
        if (
            self.trigger_configure() != TransitionCallbackReturn.SUCCESS
            or self.trigger_activate() != TransitionCallbackReturn.SUCCESS
        ):
            self.get_logger().error(
                "not started; mend that, then: ros2 lifecycle set "
                f"{self.get_fully_qualified_name()} configure (or activate)"
            )

    def _on_clock_jump(self, jump) -> None:
        if self._session is not None:
            self._session.clock_jumped_back()

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        if self._session is None:
            self._early_pose = message
            self.get_logger().info("the initial pose waits until the node is active")
        else:
            self._session.take_initial_pose(message)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._session is not None
        response.message = "the pose is forgotten" if response.success else "the node is not active"
        if response.success:
            self._session.reset()
        return response

    def _on_relocalize(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            if self._session is None:
                raise DataError("the node is not active")
            self._session.relocalize()
            response.success, response.message = True, "looking in the whole map"
        except DataError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_set_pose(self, request: SetMap.Request, response: SetMap.Response) -> SetMap.Response:
        """nav_msgs/srv/SetMap as AMCL's set_map had it, for its initial_pose: ROS' common
        interfaces have no other service that carries a pose. A grid map is refused."""
        try:
            if self._session is None:
                raise DataError("the node is not active")
            if request.map.data:
                raise DataError("only initial_pose is taken; leave map empty")
            self._session.set_pose(request.initial_pose)
            response.success = True
        except DataError as error:
            self.get_logger().warning(f"set_pose refused: {error}")
            response.success = False
        return response

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's, which both services call, but an unknown name is refused by name: rclpy's
        answer leaves it out."""
        known = self.get_parameters_by_prefix("")
        for name in (p.name for p in parameter_list if p.name not in known):
            reason = misspelled(name, known) or f"there is no parameter '{name}'"
            return SetParametersResult(successful=False, reason=reason)
        return super().set_parameters_atomically(parameter_list)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Humble's rclpy has no callback for what was accepted, so it is applied here."""
        ours = [p for p in parameters if p.name != "use_sim_time"]
        if self._tracker is None or not ours:
            return SetParametersResult(successful=True)
        if fixed := [p.name for p in ours if not is_live(p.name)]:
            return SetParametersResult(
                successful=False,
                reason=(
                    f"{', '.join(fixed)} is read when the node is configured; bring it to "
                    "unconfigured first (ros2 lifecycle set ... deactivate, cleanup)"
                ),
            )
        try:
            self._reconfigure(changed(self._settings, ours))
        except PixlocError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.get_logger().info(", ".join(f"{p.name} is now {p.value}" for p in ours))
        return SetParametersResult(successful=True)

    def _reconfigure(self, p: NodeParameters) -> None:
        """Other live parameters from the next frame on. ConfigError, and nothing changes: they do
        not fit the checkpoint."""
        self._localizer = Localizer(self._network, self._map, p.localizer, self._device)
        self._settings = p
        self._tracker.reconfigure(p.tracker)
        if self._session is not None:
            self._session.reconfigure(p, self._localizer)


def pick_device(name: str) -> torch.device:
    """The torch device of the parameter; "auto" takes CUDA if there is some. ConfigError if not."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}' is unknown; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device '{name}' is asked for, but torch sees no CUDA device; set "
            "device to auto, or install a torch for your driver (run doctor)"
        )
    return device


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `ros2 run pixloc_ros localizer`."""
    given = sys.argv[1:] if arguments is None else arguments
    argparse.ArgumentParser(
        prog="localizer",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        epilog="All settings are ROS parameters; config/localize.yaml lists and explains them:\n"
        "  localizer --ros-args --params-file my.yaml -p map:=/path/to/map",
    ).parse_args(remove_ros_args(["localizer", *given])[1:])
    return run_node(LocalizerNode, lambda node: node.close(), given)


if __name__ == "__main__":
    sys.exit(main())

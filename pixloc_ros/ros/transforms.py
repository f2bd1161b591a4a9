"""The tf tree as the localizer sees it: look-ups at stamps, and the one transform it sends."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
import tf2_ros
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from pixloc_ros.core.errors import DataError
from pixloc_ros.messages.headers import frame_name, stamp_of
from pixloc_ros.messages.poses import transform_of
from pixloc_ros.ros.conversions import header


class TransformTree:
    """Fills a tf2 buffer, answers from it, and sends map -> odom.

    The subscriptions are its own for two reasons: tf2_ros' Python listener of Jazzy before 0.36.5
    dies when time jumps back, and only who sees the messages notices a second sender of map -> odom
    (two corrections that take turns make a robot jump).
    """

    def __init__(self, node: Node, global_frame: str, odom_frame: str):
        self._node = node
        self._global_frame = global_frame
        self.odom_frame = odom_frame  # of the odometry heard; until then as the parameter says
        self._buffer = tf2_ros.Buffer()
        self._broadcaster = tf2_ros.TransformBroadcaster(node)
        self._static_broadcaster = tf2_ros.StaticTransformBroadcaster(node)
        self._sent: deque[int] = deque(maxlen=1000)
        self._other_sender_at = -np.inf
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", self._on_tf, QoSProfile(depth=100)),
            node.create_subscription(TFMessage, "/tf_static", self._on_tf_static, latched),
        ]

    def lookup(self, target: str, source: str, stamp_ns: int, timeout_s: float = 0.0) -> np.ndarray:
        """T_target_source (4, 4) at a stamp (0: the newest known). DataError says what is missing.

        Waits for tf to reach the stamp; so not on the executor's thread with a timeout.
        """
        try:
            found = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp_ns), Duration(seconds=timeout_s)
            )
        except tf2_ros.TransformException as error:
            raise DataError(
                f"tf knows no way from '{source}' to '{target}': {' '.join(str(error).split())}"
            ) from error
        return transform_of(found.transform)

    def follow(self, odom_frame: str) -> None:
        """The correction is that of an odometry in this frame ("": it does not say)."""
        if odom_frame in ("", self.odom_frame):
            return
        self._node.get_logger().warning(
            f"odometry is in the frame '{odom_frame}', not in '{self.odom_frame}': the correction "
            f"is {self._global_frame} -> {odom_frame} (parameter odom_frame_id)"
        )
        self.odom_frame = odom_frame

    def send_correction(self, map_to_odom: Transform, stamp_ns: int) -> None:
        """Send map -> odom. Nothing is sent twice for a stamp (a paused simulation)."""
        if self._sent and self._sent[-1] == stamp_ns:
            return
        self._sent.append(stamp_ns)
        self._broadcaster.sendTransform(self._stamped(map_to_odom, stamp_ns, self.odom_frame))

    def announce_map(self) -> None:
        """Make the map frame known before there is a pose, so that rviz can show the map and offer
        "2D Pose Estimate": tf has no frames without transforms."""
        self._static_broadcaster.sendTransform(
            self._stamped(Transform(), 0, f"{self._global_frame}_origin")
        )

    def clear(self) -> None:
        """Forget everything that moves; static transforms stay."""
        self._buffer.clear()

    def other_sender(self, within_s: float = 5.0) -> str | None:
        """Who else sends map -> odom, if anybody did lately."""
        if time.monotonic() - self._other_sender_at > within_s:
            return None
        infos = self._node.get_publishers_info_by_topic("/tf")
        names = {f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos}
        names.discard(self._node.get_fully_qualified_name())
        return ", ".join(sorted(names)) or "another node of this name"

    def destroy(self) -> None:
        """Give back the subscriptions and publishers."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._broadcaster.pub_tf)
        self._node.destroy_publisher(self._static_broadcaster.pub_tf)

    def _stamped(self, transform: Transform, stamp_ns: int, child: str) -> TransformStamped:
        return TransformStamped(
            header=header(stamp_ns, self._global_frame), child_frame_id=child, transform=transform
        )

    def _on_tf(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self._buffer.set_transform(transform, "tf")
            if frame_name(transform.child_frame_id) == self.odom_frame:
                foreign_parent = frame_name(transform.header.frame_id) != self._global_frame
                if foreign_parent or stamp_of(transform) not in self._sent:
                    self._other_sender_at = time.monotonic()

    def _on_tf_static(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self._buffer.set_transform_static(transform, "tf_static")
            if frame_name(transform.child_frame_id) == self.odom_frame:
                self._other_sender_at = np.inf  # latched, so it holds for good

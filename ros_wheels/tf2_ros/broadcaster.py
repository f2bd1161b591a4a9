"""Publishes transforms on /tf and /tf_static."""

from __future__ import annotations

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


def _as_list(transform) -> list:
    return [transform] if isinstance(transform, TransformStamped) else list(transform)


class TransformBroadcaster:
    """Sends transforms that hold at their stamps."""

    def __init__(self, node, qos=None):
        if qos is None:
            qos = QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST)
        self.pub_tf = node.create_publisher(TFMessage, "/tf", qos)

    def sendTransform(self, transform) -> None:
        """Send one `TransformStamped` or several."""
        self.pub_tf.publish(TFMessage(transforms=_as_list(transform)))


class StaticTransformBroadcaster:
    """Sends transforms that hold for ever, also to those who come later.

    Only the last message is kept for them, so each message repeats all frames sent before.
    """

    def __init__(self, node, qos=None):
        if qos is None:
            qos = QoSProfile(
                depth=1,
                history=HistoryPolicy.KEEP_LAST,
                durability=DurabilityPolicy.TRANSIENT_LOCAL,
            )
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", qos)
        self._transforms: dict[str, TransformStamped] = {}

    def sendTransform(self, transform) -> None:
        """Send one `TransformStamped` or several."""
        self._transforms.update({t.child_frame_id: t for t in _as_list(transform)})
        self.pub_tf.publish(TFMessage(transforms=list(self._transforms.values())))

"""Subscriptions that say when they are silent, refused or wrongly connected."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from pixloc_ros.ros.compat import SubscriptionEventCallbacks


def sensor_qos(reliability: str, depth: int) -> QoSProfile:
    """Volatile, keep the last `depth`; "best_effort" hears every publisher, "reliable" only
    reliable ones."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=(
            ReliabilityPolicy.RELIABLE
            if reliability == "reliable"
            else ReliabilityPolicy.BEST_EFFORT
        ),
    )


class Input:
    """One subscribed topic with what diagnostics wants to know about it.

    watched: silence counts as a fault. Times are seconds of the monotonic clock.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        watched: bool = True,
    ):
        self.name = name
        self.topic = node.resolve_topic_name(topic)
        self.watched = watched
        self.count = 0
        self.refused = 0
        self.last_refusal = ""
        self._refused_at = -math.inf
        self.qos_conflict = ""
        self._node = node
        self._type = message_type
        self._callback = callback
        self._arrivals: deque[float] = deque(maxlen=50)
        self._since = time.monotonic()
        self._said_silent = False
        self._subscription = node.create_subscription(
            message_type,
            topic,
            self._on_message,
            qos,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible_qos, use_default_callbacks=False
            ),
        )

    def refuse(self, reason: str) -> None:
        """Count a message that could not be used."""
        self.refused += 1
        self.last_refusal = reason
        self._refused_at = time.monotonic()

    def recent_refusal(self, within_s: float = 5.0) -> str:
        """Why a message was refused lately, or ""."""
        return self.last_refusal if time.monotonic() - self._refused_at < within_s else ""

    def silence(self) -> float:
        """Seconds since the last message, or since the subscription began."""
        return time.monotonic() - (self._arrivals[-1] if self._arrivals else self._since)

    def rate(self) -> float:
        """Messages a second over the newest ones (Hz)."""
        now = time.monotonic()
        recent = [t for t in self._arrivals if now - t < 5.0]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 else 0.0

    def complaint(self, timeout_s: float) -> str:
        """Why nothing comes, or "" while all is well; spoken into the log once per silence."""
        if not self.watched or self.silence() <= timeout_s:
            self._said_silent = False
            return ""
        text = f"no {self.name} for {self.silence():.0f} s on {self.topic}: {self._cause()}"
        if not self._said_silent:
            self._said_silent = True
            self._node.get_logger().warning(text)
        return text

    def destroy(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _cause(self) -> str:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return "nobody publishes it (remap the topic, or start the driver or the bag)"
        if self.qos_conflict:
            return self.qos_conflict
        expected = "/".join((self._type.__module__.split(".")[0], "msg", self._type.__name__))
        others = {info.topic_type for info in publishers} - {expected}
        if others:
            return f"it is published as {', '.join(sorted(others))}, but {expected} is wanted"
        return (
            f"{len(publishers)} publisher(s) known, but nothing arrives (paused, or large "
            "images lost on the way: see docs/node.md on the Fast DDS profile)"
        )

    def _on_message(self, message: Any) -> None:
        self.count += 1
        self._arrivals.append(time.monotonic())
        self._callback(message)

    def _on_incompatible_qos(self, event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self.qos_conflict = (
            f"{event.total_count} publisher(s) offer another {policy.lower()} than this node asks "
            "for, so DDS does not connect them; set the parameter reliability to best_effort"
        )
        self._node.get_logger().warning(f"{self.topic}: {self.qos_conflict}")

"""Prints what lives in the ROS graph as JSON: nodes, topics, types, QoS and rates."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args

from pixloc_ros.core.errors import DataError
from pixloc_ros.ros.bag_player import message_class


class GraphProbe(Node):
    """Subscribes to every topic as it appears and counts; messages stay serialized."""

    def __init__(self):
        super().__init__("graph_probe", enable_rosout=False, start_parameter_services=False)
        self._counts: Counter = Counter()
        self._known: set[str] = set()
        self._began = time.monotonic()
        self.create_timer(0.2, self._listen)

    def report(self) -> dict:
        """The graph as it is now; rates in messages a second since the start."""
        seconds = time.monotonic() - self._began
        own = self.get_fully_qualified_name()
        nodes = [
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self.get_node_names_and_namespaces()
        ]
        topics = {}
        for topic, types in sorted(self.get_topic_names_and_types()):
            topics[topic] = {
                "types": types,
                "rate_hz": round(self._counts[topic] / seconds, 2),
                "publishers": _endpoints(self.get_publishers_info_by_topic(topic), own),
                "subscriptions": _endpoints(self.get_subscriptions_info_by_topic(topic), own),
            }
        return {"seconds": round(seconds, 2), "nodes": sorted(set(nodes) - {own}), "topics": topics}

    def _listen(self) -> None:
        for topic, types in self.get_topic_names_and_types():
            if topic in self._known or len(types) != 1:
                continue
            self._known.add(topic)
            try:
                kind = message_class(types[0])
            except DataError:
                continue  # a type that is not installed is still listed, only not counted
            qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
            self.create_subscription(
                kind, topic, lambda _, t=topic: self._counts.update([t]), qos, raw=True
            )


def _endpoints(infos, own: str) -> list[dict]:
    return [
        {
            "node": name,
            "reliability": info.qos_profile.reliability.name.lower(),
            "durability": info.qos_profile.durability.name.lower(),
        }
        for info in infos
        if (name := f"{info.node_namespace.rstrip('/')}/{info.node_name}") != own
    ]


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `ros2 run pixloc_ros graph_probe`."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="graph_probe", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to listen")
    options = parser.parse_args(remove_ros_args(["graph_probe", *given])[1:])
    rclpy.init(args=given)
    node = GraphProbe()
    deadline = time.monotonic() + options.seconds
    try:
        while time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.1)
        print(json.dumps(node.report(), indent=2))
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

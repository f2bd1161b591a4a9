"""Plays a bag (mcap, sqlite3, ROS 1) into a running ROS graph, without rosbag2 itself.

Messages pass through as the bytes they were recorded as (those of ROS 1 become CDR). On
a robot `ros2 bag play` does this job.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag_storage import BagStorage
from pixloc_ros.messages.headers import stamp_of_raw
from pixloc_ros.ros.conversions import to_stamp

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# Without a topic of each of these a localizer has nothing to do: play waits for their readers.
AWAITED_TYPES = (IMAGE_TYPES, ("nav_msgs/msg/Odometry",))
STATIC = "/tf_static"


class Recorded(NamedTuple):
    """A message as it lies in the bag: recording time (ns), topic, CDR bytes."""

    time_ns: int
    topic: str
    data: bytes


class Bag:
    """An open bag. topics: name -> message class of all that can be played here."""

    def __init__(self, path: Path):
        self._storage = BagStorage(path)
        self.start_ns, self.end_ns = self._storage.start_ns, self._storage.end_ns
        self.topics: dict[str, type] = {}
        self.skipped: list[str] = []
        self.qos: dict[str, QoSProfile] = {}
        self.types: dict[str, str] = {}
        for connection in {c.topic: c for c in self._storage.connections}.values():
            try:
                self.topics[connection.topic] = message_class(connection.msgtype)
            except DataError as error:
                self.skipped.append(f"{connection.topic}: {error}")
                continue
            self.types[connection.topic] = connection.msgtype
            self.qos[connection.topic] = publisher_qos(connection)

    def static_transforms(self) -> TFMessage:
        """All static transforms of the bag in one message, the newest of each child frame."""
        newest = {}
        for message in self._messages([STATIC], None):
            with contextlib.suppress(Exception):  # rclpy has one type for all it cannot decode
                for transform in deserialize_message(message.data, TFMessage).transforms:
                    newest[transform.child_frame_id] = transform
        return TFMessage(transforms=list(newest.values()))

    def messages(self, start_ns: int) -> Iterator[Recorded]:
        """Everything else, from a recording time on, in the order of recording."""
        return self._messages([t for t in self.topics if t not in (STATIC, "/clock")], start_ns)

    def close(self) -> None:
        """Close the files."""
        self._storage.close()

    def _messages(self, topics: list[str], start_ns: int | None) -> Iterator[Recorded]:
        for time_ns, connection, data in self._storage.messages(topics, start=start_ns):
            if data:
                yield Recorded(time_ns, connection.topic, bytes(data))


def message_class(type_name: str) -> type:
    """The Python class of a type such as sensor_msgs/msg/Image; DataError if not installed."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise DataError(f"message type {type_name} is not installed") from error


def publisher_qos(connection) -> QoSProfile:
    """As recorded, where the bag says so; else reliable, which every subscription accepts."""
    offered = getattr(connection.ext, "offered_qos_profiles", [])
    best_effort = bool(offered) and all(q.reliability.name == "BEST_EFFORT" for q in offered)
    latched = connection.topic == STATIC or any(
        q.durability.name == "TRANSIENT_LOCAL" for q in offered
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=10,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class Player:
    """Sends a bag in its own time, scaled by `rate`, with /clock if clock_hz > 0.

    log: a CSV file that gets stamp_ns and wall_ns of every image as it is sent; the pose recorder
    turns it into latencies.
    """

    def __init__(self, node: Node, bag: Bag, rate: float, clock_hz: float, log: Path | None):
        self._bag, self._rate = bag, rate
        self._clock_step_ns = int(1e9 / clock_hz) if clock_hz > 0 else None
        self._publishers = {
            topic: node.create_publisher(kind, topic, bag.qos[topic])
            for topic, kind in bag.topics.items()
            if topic != "/clock"
        }
        self._clock = node.create_publisher(Clock, "/clock", 10) if clock_hz > 0 else None
        self._log = contextlib.nullcontext() if log is None else log.open("w", newline="")
        self._stop = threading.Event()
        self.sent = 0

    def stop(self) -> None:
        """End playing at the next message; may be called from a signal handler."""
        self._stop.set()

    def wait_for_readers(self, timeout_s: float) -> list[str]:
        """Wait until one image topic and one of odometry, as far as the bag has such, have
        subscribers (a robot may record more cameras than are used); the topics of what has none."""
        awaited = [
            [t for t, kind in self._bag.types.items() if kind in kinds and "ground_truth" not in t]
            for kinds in AWAITED_TYPES
        ]
        deadline = time.monotonic() + timeout_s
        while not self._stop.is_set():
            missing = [
                topic
                for topics in awaited
                if not any(self._publishers[t].get_subscription_count() for t in topics)
                for topic in topics
            ]
            if not missing or time.monotonic() > deadline:
                return missing
            self._stop.wait(0.05)
        return []

    def play(self, start_s: float, loop: bool) -> None:
        """Play from `start_s` seconds on, again and again with `loop`, until stopped."""
        with self._log as log:
            write = csv.writer(log).writerow if log else (lambda row: None)
            write(("stamp_ns", "wall_ns"))
            if STATIC in self._publishers:
                self._publishers[STATIC].publish(self._bag.static_transforms())
            while True:
                self._play_once(self._bag.start_ns + int(start_s * 1e9), write)
                if log:
                    log.flush()
                if not loop or self._stop.is_set():
                    return

    def _play_once(self, start_ns: int, write) -> None:
        began, clock_ns, told = time.monotonic_ns(), start_ns, 0.0

        def until(time_ns: int) -> float:
            """Seconds from now to a time of the bag."""
            return ((time_ns - start_ns) / self._rate - (time.monotonic_ns() - began)) * 1e-9

        for message in self._bag.messages(start_ns):
            while self._clock is not None and clock_ns <= message.time_ns:
                if self._stop.wait(max(until(clock_ns), 0.0)):
                    return
                self._clock.publish(Clock(clock=to_stamp(clock_ns)))
                clock_ns += self._clock_step_ns
            if self._stop.wait(max(until(message.time_ns), 0.0)):
                return
            if self._bag.types[message.topic] in IMAGE_TYPES:
                with contextlib.suppress(DataError):  # a damaged image; whoever hears it counts it
                    write((stamp_of_raw(message.data), time.time_ns()))
            self._publishers[message.topic].publish(message.data)
            self.sent += 1
            if time.monotonic() - told > 0.5:
                told = time.monotonic()
                self._tell(message.time_ns)
        self._tell(self._bag.end_ns)

    def _tell(self, time_ns: int) -> None:
        if sys.stderr.isatty():
            done, whole = time_ns - self._bag.start_ns, self._bag.end_ns - self._bag.start_ns
            print(
                f"\r{done * 1e-9:7.1f} / {whole * 1e-9:.1f} s, {self.sent} messages ",
                end="",
                file=sys.stderr,
                flush=True,
            )


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `ros2 run pixloc_ros bag_player`."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(remove_ros_args(["bag_player", *given])[1:])
    rclpy.init(args=given, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("bag_player")
    bag = None
    try:
        bag = Bag(options.bag)
        for text in bag.skipped:
            print(f"not played: {text}", file=sys.stderr)
        player = Player(node, bag, options.rate, options.clock, options.log)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: player.stop())
        if options.wait_for_subscribers:
            missing = player.wait_for_readers(options.wait_for_subscribers)
            if missing:
                print(
                    f"error: nobody subscribes to {', '.join(missing)} after "
                    f"{options.wait_for_subscribers:g} s",
                    file=sys.stderr,
                )
                return 3
        player.play(options.start, options.loop)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        # Reliable readers get what is still under way before the publishers go.
        time.sleep(0.3)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if bag is not None:
            bag.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bag_player", description=__doc__.split("\n")[0])
    parser.add_argument("bag", type=Path, help="rosbag2 folder, or .mcap, .db3 or ROS 1 .bag file")
    parser.add_argument("--rate", type=_positive, default=1.0, help="speed, 1 = as recorded")
    parser.add_argument(
        "--clock",
        type=float,
        nargs="?",
        const=40.0,
        default=0.0,
        metavar="HZ",
        help="publish /clock, at 40 Hz unless said otherwise (a bag's own /clock is never played)",
    )
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="leave out the first seconds"
    )
    parser.add_argument(
        "--wait-for-subscribers",
        type=float,
        nargs="?",
        const=60.0,
        default=0.0,
        metavar="S",
        help="start when images and odometry have readers; give up "
        "with status 3 after S seconds (60)",
    )
    parser.add_argument(
        "--log", type=Path, metavar="CSV", help="write stamp and wall time of every image sent"
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


if __name__ == "__main__":
    sys.exit(main())

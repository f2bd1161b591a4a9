"""Messages of a rosbag2 folder (mcap or sqlite3), read without a ROS installation."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.drive import Odometry
from pixloc_ros.messages.headers import frame_name, stamp_of, stamp_of_raw
from pixloc_ros.messages.images import image_of
from pixloc_ros.messages.odometry import base_pose_of
from pixloc_ros.messages.poses import covariance_of, pose_of, transform_of, twist_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StatedOdometry:
    """nav_msgs/Odometry over time, in the order of the stamps.

    stamps_ns (N,); T (N, 4, 4) of the child frame in the header's frame; twist (N, 6), linear and
    angular (m/s, rad/s), in the child frame's axes; covariances (N, 6, 6) of each in ROS order.
    """

    stamps_ns: np.ndarray
    T: np.ndarray
    covariance: np.ndarray
    twist: np.ndarray
    twist_covariance: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps_ns)


class BagReader:
    """One rosbag2 folder, kept open; messages by topic, images by their place in the bag."""

    def __init__(self, path: str | Path):
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore

        self.path = Path(path)
        if not (self.path / "metadata.yaml").is_file():
            raise DataError(f"{self.path} is no rosbag2 folder: it has no metadata.yaml")
        try:
            self._reader = AnyReader(
                [self.path], default_typestore=get_typestore(Stores.ROS2_JAZZY)
            )
            self._reader.open()
        except (AnyReaderError, OSError, ValueError) as error:
            raise DataError(f"{self.path} cannot be read as a rosbag2 bag: {error}") from error
        self._edges: dict[str, dict[str, dict[str, np.ndarray]]] = {}  # of tf topics
        self._connections: dict[str, list] = {}
        for connection in self._reader.connections:
            self._connections.setdefault(connection.topic, []).append(connection)

    def has(self, topic: str) -> bool:
        return topic in self._connections

    def require(self, topic: str) -> str:
        return self.first_present(topic)

    def first_present(self, *topics: str) -> str:
        """The first of the topics that the bag has; ``DataError`` with the bag's list if none."""
        for topic in topics:
            if self.has(topic):
                return topic
        there = ", ".join(
            f"{topic} ({connections[0].msgtype})"
            for topic, connections in sorted(self._connections.items())
        )
        raise DataError(f"{self.path} has no topic {' or '.join(topics)}; it has: {there}")

    def raw_messages(self, topic: str, start: int | None = None, stop: int | None = None):
        """(log time in ns, message type, serialized bytes) in the order of the log."""
        connections = self._connections[self.require(topic)]
        for connection, log_ns, raw in self._reader.messages(connections, start=start, stop=stop):
            yield log_ns, connection.msgtype, raw

    def messages(self, topic: str) -> Iterator:
        for _, msgtype, raw in self.raw_messages(topic):
            yield self._reader.deserialize(raw, msgtype)

    def first_message(self, topic: str):
        for message in self.messages(topic):
            return message
        raise DataError(f"topic {topic} of {self.path} has no messages")

    def index(self, topic: str) -> np.ndarray:
        """(N, 2) int64: header stamp and log time of every message, in header order."""
        rows = {stamp_of_raw(raw): log_ns for log_ns, _, raw in self.raw_messages(topic)}
        if not rows:
            raise DataError(f"topic {topic} of {self.path} has no messages")
        return np.array(sorted(rows.items()), np.int64)

    def image(self, topic: str, place: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or RGB (H, W, 3) of the image at ``place``, a row of ``index``."""
        stamp_ns, log_ns = int(place[0]), int(place[1])
        for _, msgtype, raw in self.raw_messages(topic, log_ns, log_ns + 1):
            if stamp_of_raw(raw) == stamp_ns:
                try:
                    return image_of(self._reader.deserialize(raw, msgtype))
                except DataError as error:
                    raise DataError(f"{self.path}, {topic} at {stamp_ns} ns: {error}") from error
        raise DataError(f"image {stamp_ns} of {topic} vanished from {self.path}")

    def odometry(self, topic: str, base: str, tf_static: str) -> Odometry:
        """The poses of the base that an odometry topic states, as the node understands it."""
        mounting = functools.cache(lambda child: self.static_chain(tf_static, child, base))
        rows = self._by_stamp(topic, lambda m: base_pose_of(m, base, mounting))
        return Odometry(np.array(list(rows), np.int64), np.stack(list(rows.values())))

    def stated_odometry(self, topic: str) -> StatedOdometry:
        """An odometry topic with its twists and what it says of its errors."""
        rows = self._by_stamp(
            topic,
            lambda m: (
                pose_of(m.pose.pose),
                covariance_of(m.pose.covariance),
                twist_of(m.twist.twist),
                covariance_of(m.twist.covariance),
            ),
        )
        columns = (np.stack(column) for column in zip(*rows.values()))
        return StatedOdometry(np.array(list(rows), np.int64), *columns)

    def _by_stamp(self, topic: str, read: Callable[[Any], Any]) -> dict[int, Any]:
        """``read`` of every message by its stamp, in the order of the stamps.

        As in the node, a message that cannot be used is left out and counted: in a warning.
        ``DataError`` if none is left.
        """
        found: dict[int, Any] = {}
        refused: list[DataError] = []
        for message in self.messages(topic):
            try:
                found[stamp_of(message)] = read(message)
            except DataError as error:
                refused.append(error)
        if not found:
            why = f" that can be used: {refused[0]}" if refused else ""
            raise DataError(f"topic {topic} of {self.path} has no messages{why}")
        if refused:
            count = len(refused)
            log.warning("%s: %d messages of %s left out: %s", self.path, count, topic, refused[0])
        return dict(sorted(found.items()))

    def static_chain(self, topic: str, base: str, camera: str) -> np.ndarray:
        """T_base_cam (4, 4) along the static transforms of the bag."""
        edges = self._static_edges(topic)
        base, camera = frame_name(base), frame_name(camera)
        chains, queue = {base: np.eye(4)}, [base]
        while queue:
            frame = queue.pop()
            for neighbour, T in edges.get(frame, {}).items():
                if neighbour not in chains:
                    chains[neighbour] = chains[frame] @ T
                    queue.append(neighbour)
        if camera not in chains:
            raise DataError(
                f"{self.path}: {topic} does not join '{base}' to '{camera}'; "
                f"frames reached from '{base}': {', '.join(sorted(chains))}"
            )
        return chains[camera]

    def _static_edges(self, topic: str) -> dict[str, dict[str, np.ndarray]]:
        """T_a_b (4, 4) by the names of a and b, both ways, read once."""
        if topic in self._edges:
            return self._edges[topic]
        edges: dict[str, dict[str, np.ndarray]] = {}
        for message in self.messages(topic):
            for entry in message.transforms:
                parent, child = map(frame_name, (entry.header.frame_id, entry.child_frame_id))
                try:
                    T = transform_of(entry.transform)
                except DataError as error:
                    raise DataError(
                        f"{self.path}, {topic}, from '{parent}' to '{child}': {error}"
                    ) from error
                edges.setdefault(parent, {})[child] = T
                edges.setdefault(child, {})[parent] = transforms.inverse(T)
        self._edges[topic] = edges
        return edges

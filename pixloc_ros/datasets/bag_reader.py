"""Messages of a bag of ROS 2 or ROS 1, decoded without a ROS installation."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag_frames import Edge, Edges, moved_base, reached
from pixloc_ros.datasets.bag_stamps import usable_times
from pixloc_ros.datasets.bag_storage import BagStorage
from pixloc_ros.datasets.bag_topics import TF, TF_STATIC
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
    """One bag, kept open; messages by topic, images by their place in the bag.

    Types are those of ROS 2: what a bag says of its own types is not needed and not read. A message
    that cannot be decoded or used is left out, as in the node, and counted in a warning.
    """

    def __init__(self, path: str | Path):
        from rosbags.typesys import Stores, get_typestore

        self.path = Path(path)
        self._storage = BagStorage(self.path)
        self._types = get_typestore(Stores.ROS2_JAZZY)
        #: Message types by topic, of topics that have messages.
        self.topics = {c.topic: c.msgtype for c in self._storage.connections if c.msgcount}
        self._fixed: dict[tuple[str, tuple[str, ...]], dict[str, np.ndarray]] = {}

    def has(self, topic: str) -> bool:
        return topic in self.topics

    def require(self, *topics: str) -> str:
        """The first of the topics that the bag has; ``DataError`` with the bag's list if none."""
        for topic in topics:
            if self.has(topic):
                return topic
        raise DataError(f"{self.path} has no topic {' or '.join(topics)}; it has: {self.listing()}")

    def listing(self) -> str:
        """All topics with their types, for an error."""
        listed = (f"{topic} ({kind})" for topic, kind in sorted(self.topics.items()))
        return ", ".join(listed) or "nothing"

    def raw_messages(self, topic: str, start: int | None = None, stop: int | None = None):
        """(log time in ns, message type, serialized bytes) in the order of the log."""
        for log_ns, connection, raw in self._storage.messages(
            [self.require(topic)], start=start, stop=stop
        ):
            yield log_ns, connection.msgtype, raw

    def messages(self, topic: str) -> Iterator:
        for _, message, _ in self.usable(topic):
            yield message

    def first_message(self, topic: str):
        return next(self.messages(topic))

    def usable(
        self, topic: str, read: Callable[[Any], Any] = lambda message: None
    ) -> Iterator[tuple[int, Any, Any]]:
        """(log time in ns, message, ``read`` of it) of all messages that can be used.

        ``DataError`` if there is none.
        """
        refusals, used = _Refusals(self.path, topic), False
        for log_ns, msgtype, raw in self.raw_messages(topic):
            try:
                message = self._decoded(raw, msgtype)
                value = read(message)
            except DataError as error:
                refusals.add(error)
                continue
            used = True
            yield log_ns, message, value
        refusals.say(used)

    def index(self, topic: str) -> np.ndarray:
        """(N, 2) int64: time and log time of every message, in the order of the times.

        The time is the header's stamp, or the log time where those are of no use.
        """
        rows, refusals = [], _Refusals(self.path, topic)
        for log_ns, _, raw in self.raw_messages(topic):
            try:
                rows.append((stamp_of_raw(raw), log_ns))
            except DataError as error:
                refusals.add(error)
        refusals.say(bool(rows))
        stamps_ns, logs_ns = np.array(rows, np.int64).T
        chosen, times_ns = usable_times(f"{self.path}, {topic}", stamps_ns, logs_ns)
        return np.stack([times_ns, logs_ns[chosen]], axis=1)

    def image(self, topic: str, place: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or RGB (H, W, 3) of the image at ``place``, a row of ``index``."""
        time_ns, log_ns = int(place[0]), int(place[1])
        for _, msgtype, raw in self.raw_messages(topic, log_ns, log_ns + 1):
            if time_ns in (log_ns, stamp_of_raw(raw)):
                try:
                    return image_of(self._decoded(raw, msgtype))
                except DataError as error:
                    raise DataError(f"{self.path}, {topic} at {time_ns} ns: {error}") from error
        raise DataError(f"image {time_ns} of {topic} vanished from {self.path}")

    def odometry(self, topic: str, base: str) -> Odometry:
        """The poses of the base that a topic of Odometry, PoseWithCovarianceStamped or PoseStamped
        states, as the node understands it."""
        mounting = functools.cache(lambda child: self.static_chain(child, base))
        stamps_ns, rows = self._by_time(topic, lambda m: base_pose_of(m, base, mounting))
        return Odometry(stamps_ns, np.stack(rows))

    def tf_odometry(self, base: str) -> Odometry:
        """How a frame moves by /tf, in the frame above the one that moves it. See `moved_base`."""
        edges = {**self.transforms(TF), **self.transforms(TF_STATIC)}
        try:
            stamps_ns, T = moved_base(edges, base)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from error
        rows, times_ns = usable_times(f"{self.path}, {TF}", stamps_ns, stamps_ns)
        return Odometry(times_ns, T[rows])

    def stated_odometry(self, topic: str) -> StatedOdometry:
        """An odometry topic with its twists and what it says of its errors."""
        stamps_ns, rows = self._by_time(
            topic,
            lambda m: (
                pose_of(m.pose.pose),
                covariance_of(m.pose.covariance),
                twist_of(m.twist.twist),
                covariance_of(m.twist.covariance),
            ),
        )
        return StatedOdometry(stamps_ns, *(np.stack(column) for column in zip(*rows)))

    def transforms(self, topic: str) -> Edges:
        """All that a topic of transforms says; nothing where the bag has none of that name."""
        found: dict[tuple[str, str], list] = {}
        if not self.has(topic):
            return {}
        try:
            for _, _, transforms in self.usable(topic, _transforms):
                for pair, stamp_ns, T in transforms:
                    found.setdefault(pair, []).append((stamp_ns, T))
        except DataError as error:  # where a frame is missed, it is said then
            log.warning("%s", error)
        edges = {}
        for pair, rows in found.items():
            stamps_ns, T = zip(*rows)
            edges[pair] = Edge.of(np.array(stamps_ns, np.int64), np.stack(T), topic == TF_STATIC)
        return edges

    def static_chain(self, base: str, camera: str) -> np.ndarray:
        """T_base_cam (4, 4) along /tf_static, and where that does not suffice, along what stays as
        it is on /tf (robots of ROS 1 repeat their mountings there)."""
        base, camera = frame_name(base), frame_name(camera)
        found = self._fixed_to(base, TF_STATIC)
        if camera not in found:
            found = self._fixed_to(base, TF, TF_STATIC)
        if camera not in found:
            raise DataError(
                f"{self.path}: neither {TF_STATIC} nor {TF} joins '{base}' to '{camera}' for good; "
                f"frames reached from '{base}': {', '.join(sorted(found))}"
            )
        return found[camera]

    def _fixed_to(self, base: str, *topics: str) -> dict[str, np.ndarray]:
        """T_base_frame (4, 4) of the frames that topics of transforms join to a base for good, read
        once; the later topic counts."""
        if (base, topics) not in self._fixed:
            edges: Edges = {}
            for topic in topics:
                edges.update(self.transforms(topic))
            self._fixed[base, topics] = reached(edges, base)
        return self._fixed[base, topics]

    def _by_time(self, topic: str, read: Callable[[Any], Any]) -> tuple[np.ndarray, list]:
        """(times (N,) in ns, ``read`` of each message), in the order of the times.

        ``DataError`` if no message can be used.
        """
        found = [(log, stamp_of(m), value) for log, m, value in self.usable(topic, read)]
        logs_ns, stamps_ns, values = zip(*found)
        rows, times_ns = usable_times(
            f"{self.path}, {topic}", np.array(stamps_ns, np.int64), np.array(logs_ns, np.int64)
        )
        return times_ns, [values[row] for row in rows]

    def _decoded(self, raw: bytes, msgtype: str):
        """A message of CDR bytes. DataError: damaged, or of a type that nobody knows."""
        if msgtype not in self._types.fielddefs:
            raise DataError(f"messages of type {msgtype} cannot be read")
        try:
            return self._types.deserialize_cdr(raw, msgtype)
        except Exception as error:  # whatever rosbags makes of damaged bytes
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"a message of {len(raw)} bytes cannot be decoded: {reason}") from error


class _Refusals:
    """Messages of a topic that were left out: how many, and why the first of them."""

    def __init__(self, path: Path, topic: str):
        self._path, self._topic = path, topic
        self._first: DataError | None = None
        self._count = 0

    def add(self, error: DataError) -> None:
        self._first, self._count = self._first or error, self._count + 1

    def say(self, others: bool) -> None:
        """``DataError`` if there are no others that can be used."""
        if not others:
            why = f" that can be used: {self._first}" if self._count else ""
            raise DataError(f"topic {self._topic} of {self._path} has no messages{why}")
        if self._count:
            log.warning(
                "%s: %d messages of %s left out: %s",
                self._path,
                self._count,
                self._topic,
                self._first,
            )


def _transforms(message) -> list[tuple[tuple[str, str], int, np.ndarray]]:
    """(parent and child, stamp in ns, T_parent_child) of a TFMessage; one that is bad spoils it."""
    found = []
    for entry in message.transforms:
        pair = frame_name(entry.header.frame_id), frame_name(entry.child_frame_id)
        try:
            found.append((pair, stamp_of(entry), transform_of(entry.transform)))
        except DataError as error:
            raise DataError(f"from '{pair[0]}' to '{pair[1]}': {error}") from error
    return found

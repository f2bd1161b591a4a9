"""Drives as rosbag2 recordings (mcap or sqlite3), written and read without a ROS installation.

A bag holds what a robot would record: images, their calibration, wheel odometry, the static
transform of the camera and, where it is known, the ground truth. Message and header stamps are the
same integer nanoseconds, so that ``ros2 bag play`` delivers an image at the time it was taken.
"""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets import bag_messages as messages
from pixloc_ros.datasets.dead_reckoning import covered, interpolate_poses
from pixloc_ros.datasets.drive import Drive, Odometry

# ROS reads time 0 as "no clock yet": drives with relative stamps are moved to begin here.
FIRST_STAMP_NS = 1_000_000_000
# Ground truth further apart than this says nothing about the images in between.
MAX_TRUTH_GAP_NS = 500_000_000


@dataclass(frozen=True)
class BagTopics:
    """Topic names of a drive; the localizer's own names are the default."""

    image: str = "/image"
    camera_info: str = "/camera_info"
    odom: str = "/odom"
    ground_truth: str = "/ground_truth/odometry"
    tf_static: str = "/tf_static"


@dataclass(frozen=True)
class BagFrames:
    """Frame ids in the headers of a written bag (REP-105)."""

    map: str = "map"
    odom: str = "odom"
    base: str = "base_link"
    camera: str = "camera"


def write_bag(
    drive: Drive,
    path: str | Path,
    storage: str = "mcap",
    topics: BagTopics = BagTopics(),
    frames: BagFrames = BagFrames(),
    image_format: str = "raw",
    progress: Progress | None = None,
) -> Path:
    """Write a drive as a rosbag2 folder, one message at a time (memory does not grow).

    Args:
        storage: "mcap" or "sqlite3".
        image_format: "raw" (sensor_msgs/Image, mono8 or rgb8), "jpeg" or "png"
            (sensor_msgs/CompressedImage on ``<image>/compressed``).

    Returns the folder. Raises ``DataError`` if it exists already or the drive has no odometry.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    path = Path(path)
    plugins = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
    if storage not in plugins:
        raise DataError(f"bag storage '{storage}' is unknown; known are {', '.join(plugins)}")
    if image_format not in messages.IMAGE_FORMATS:
        raise DataError(
            f"image format '{image_format}' is unknown; known are "
            f"{', '.join(messages.IMAGE_FORMATS)}"
        )
    if path.exists():
        raise DataError(f"{path} exists already; remove it or choose another name")
    if drive.odometry is None:
        raise DataError(f"drive '{drive.name}' has no odometry; simulate it first")

    make = messages.MessageMaker(frames.map, frames.odom, frames.base, frames.camera)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Writer(path, version=9, storage_plugin=plugins[storage]) as writer:
            channels = _open_channels(writer, make, topics, image_format, drive)
            done = 0
            for stamp_ns, _, channel, message in _in_stamp_order(drive, make, image_format):
                writer.write(channels[channel], stamp_ns, make.serialize(message))
                if channel == "image":
                    done += 1
                    if progress:
                        progress(done, len(drive), "images")
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return path


def _open_channels(writer, make, topics: BagTopics, image_format: str, drive: Drive) -> dict:
    compressed = image_format != "raw"
    image_type = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
    wanted = {
        "tf_static": (topics.tf_static, "tf2_msgs/msg/TFMessage"),
        "odom": (topics.odom, "nav_msgs/msg/Odometry"),
        "camera_info": (topics.camera_info, "sensor_msgs/msg/CameraInfo"),
        "image": (topics.image + ("/compressed" if compressed else ""), image_type),
    }
    if drive.T_map_base is not None:
        wanted["ground_truth"] = (topics.ground_truth, "nav_msgs/msg/Odometry")
    return {
        key: writer.add_connection(
            topic,
            msgtype,
            typestore=make.typestore,
            offered_qos_profiles=[messages.qos_profile(latched=key == "tf_static")],
        )
        for key, (topic, msgtype) in wanted.items()
    }


def _in_stamp_order(drive: Drive, make, image_format: str) -> Iterator[tuple]:
    """(stamp_ns, order, channel, message): odometry comes before an image of the same stamp."""
    first_ns = int(min(drive.stamps_ns[0], drive.odometry.stamps_ns[0]))
    shift_ns = max(0, FIRST_STAMP_NS - first_ns)

    def static():
        yield (
            first_ns + shift_ns,
            0,
            "tf_static",
            make.static_transform(first_ns + shift_ns, drive.T_base_cam),
        )

    def odometry():
        stamps = drive.odometry.stamps_ns + shift_ns
        for message in make.odometry(zip(stamps, drive.odometry.T_odom_base)):
            yield messages.header_stamp(message), 1, "odom", message

    def ground_truth():
        for i, stamp_ns in enumerate(drive.stamps_ns + shift_ns):
            yield (
                int(stamp_ns),
                2,
                "ground_truth",
                make.ground_truth(int(stamp_ns), drive.T_map_base[i]),
            )

    def images():
        for i, stamp_ns in enumerate(drive.stamps_ns + shift_ns):
            stamp_ns = int(stamp_ns)
            yield stamp_ns, 3, "camera_info", make.camera_info(stamp_ns, drive.camera)
            yield stamp_ns, 4, "image", make.image(stamp_ns, drive.image(i), image_format)

    streams = [static(), odometry(), images()]
    if drive.T_map_base is not None:
        streams.append(ground_truth())
    return heapq.merge(*streams, key=lambda event: event[:2])


def read_bag(
    path: str | Path,
    topics: BagTopics = BagTopics(),
    T_base_cam: np.ndarray | None = None,
) -> Drive:
    """A recorded bag as a drive; images stay in the bag until they are asked for.

    The camera's mounting is the chain of /tf_static from the odometry's ``child_frame_id`` to the
    image's ``frame_id`` unless ``T_base_cam`` (4, 4) is given. ``T_map_base`` is the ground-truth
    topic, where the bag has it, interpolated at the images; those that it does not cover are left
    out.

    Raises ``DataError`` for a folder that is no bag, or for a missing topic, listing those there.
    """
    bag = BagReader(path)
    image_topic = bag.first_present(topics.image, topics.image + "/compressed")
    bag.require(topics.camera_info)
    index = bag.index(image_topic)
    stamps_ns = index[:, 0]
    info = bag.first_message(topics.camera_info)
    odom = bag.odometry(topics.odom)
    if T_base_cam is None:
        base = bag.first_message(topics.odom).child_frame_id
        camera = bag.first_message(image_topic).header.frame_id or info.header.frame_id
        T_base_cam = bag.static_chain(topics.tf_static, base, camera)
    T_map_base = None
    if bag.has(topics.ground_truth):
        truth = bag.odometry(topics.ground_truth)
        index = index[covered(truth.stamps_ns, stamps_ns, MAX_TRUTH_GAP_NS)]
        stamps_ns = index[:, 0]
        if len(index) == 0:
            raise DataError(f"{bag.path}: {topics.ground_truth} covers no image of {image_topic}")
        T_map_base = interpolate_poses(truth.stamps_ns, truth.T_odom_base, stamps_ns)
    return Drive(
        name=bag.path.resolve().name,
        names=tuple(str(stamp) for stamp in stamps_ns),
        stamps_ns=stamps_ns,
        camera=messages.camera_from_info(info),
        T_base_cam=np.asarray(T_base_cam, np.float64),
        T_map_base=T_map_base,
        load=lambda i: bag.image(image_topic, index[i]),
        odometry=odom,
    )


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
        rows = {messages.stamp_of_raw(raw): log_ns for log_ns, _, raw in self.raw_messages(topic)}
        if not rows:
            raise DataError(f"topic {topic} of {self.path} has no messages")
        return np.array(sorted(rows.items()), np.int64)

    def image(self, topic: str, place: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or RGB (H, W, 3) of the image at ``place``, a row of ``index``."""
        stamp_ns, log_ns = int(place[0]), int(place[1])
        for _, msgtype, raw in self.raw_messages(topic, log_ns, log_ns + 1):
            if messages.stamp_of_raw(raw) == stamp_ns:
                return messages.decode_image(self._reader.deserialize(raw, msgtype))
        raise DataError(f"image {stamp_ns} of {topic} vanished from {self.path}")

    def odometry(self, topic: str) -> Odometry:
        rows = {
            messages.header_stamp(m): messages.pose_of(m.pose.pose) for m in self.messages(topic)
        }
        if not rows:
            raise DataError(f"topic {topic} of {self.path} has no messages")
        stamps = sorted(rows)
        return Odometry(np.array(stamps, np.int64), np.stack([rows[s] for s in stamps]))

    def static_chain(self, topic: str, base: str, camera: str) -> np.ndarray:
        """T_base_cam (4, 4) along the static transforms of the bag."""
        edges: dict[str, dict[str, np.ndarray]] = {}
        for message in self.messages(topic):
            for entry in message.transforms:
                parent, child = entry.header.frame_id.lstrip("/"), entry.child_frame_id.lstrip("/")
                T = messages.transform_of(entry.transform)
                edges.setdefault(parent, {})[child] = T
                edges.setdefault(child, {})[parent] = transforms.inverse(T)
        base, camera = base.lstrip("/"), camera.lstrip("/")
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

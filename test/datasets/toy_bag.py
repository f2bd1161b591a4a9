"""A small drive, its bag, and that bag written again with changes, as other people record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.bag_storage import BagStorage
from pixloc_ros.datasets.dead_reckoning import interpolate_poses
from pixloc_ros.datasets.drive import T_BODY_OPTICAL, Drive, Odometry

TYPES = get_typestore(Stores.ROS2_JAZZY)


def make_drive(frames=6, colour=True, camera=None, start_ns=0, size=(64, 48)):
    width, height = size
    shape = (frames, height, width, 3) if colour else (frames, height, width)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stamps = start_ns + np.arange(frames, dtype=np.int64) * 100_000_000 + 7
    poses = np.stack(
        [transforms.exp(np.array([0.5 * i, 0.1 * i, 0, 0, 0, 0.02 * i])) for i in range(frames)]
    )
    odometry_stamps = np.arange(stamps[0], stamps[-1] + 1, 20_000_000)
    T_base_cam = T_BODY_OPTICAL.copy()
    T_base_cam[:3, 3] = [1.0, 0.2, 1.5]
    return Drive(
        name="toy",
        names=tuple(map(str, range(frames))),
        stamps_ns=stamps,
        camera=camera or Camera.pinhole(width, height, 50.0, 51.0, 31.0, 23.5),
        T_base_cam=T_base_cam,
        load=lambda i: images[i],
        T_map_base=poses,
        odometry=Odometry(odometry_stamps, interpolate_poses(stamps, poses, odometry_stamps)),
    )


def messages(bag: Path) -> list[tuple[str, str, int, object]]:
    """(topic, message type, log time, decoded message) of a bag, in the order of the log."""
    storage = BagStorage(bag)
    topics = {connection.topic for connection in storage.connections}
    return [
        (c.topic, c.msgtype, log_ns, TYPES.deserialize_cdr(raw, c.msgtype))
        for log_ns, c, raw in storage.messages(topics)
    ]


def written(
    path: Path, content: Iterable[tuple[str, str, int, object]], storage: str = "mcap"
) -> Path:
    """A rosbag2 folder of (topic, message type, log time, message or its bytes)."""
    connections: dict = {}
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        for topic, msgtype, log_ns, message in content:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=TYPES)
            raw = message if isinstance(message, bytes) else TYPES.serialize_cdr(message, msgtype)
            writer.write(connections[topic], log_ns, raw)
    return path


def changed(bag: Path, path: Path, change: Callable) -> Path:
    """The bag again, with what `change(topic, msgtype, log_ns, message)` returns of each message
    (a list of such tuples)."""
    return written(path, [new for old in messages(bag) for new in change(*old)])

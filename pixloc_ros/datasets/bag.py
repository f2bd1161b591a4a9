"""Drives as rosbag2 recordings (mcap or sqlite3), written and read without a ROS installation.

A bag holds what a robot would record: images, their calibration, wheel odometry (as a topic and as
odom -> base_link on /tf), the static transform of the camera and, where it is known, the ground
truth. Message and header stamps are the
same integer nanoseconds, so that ``ros2 bag play`` delivers an image at the time it was taken.
"""

from __future__ import annotations

import heapq
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.mounting import strange_mounting
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.bag_input import (
    choose_camera_info,
    choose_image,
    choose_odometry,
    choose_truth,
    mounting,
)
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_topics import (
    BagFrames,
    BagInput,
    BagTopics,
    Channel,
    add_channels,
    check_storage,
    image_channel,
    motion_channels,
    open_writer,
)
from pixloc_ros.datasets.dead_reckoning import covered, interpolate_poses
from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.messages.camera_info import camera_of
from pixloc_ros.messages.headers import camera_frame, stamp_of
from pixloc_ros.messages.maker import IMAGE_FORMATS, MessageMaker

log = logging.getLogger(__name__)

# ROS reads time 0 as "no clock yet": drives with relative stamps are moved to begin here.
FIRST_STAMP_NS = 1_000_000_000
# Ground truth further apart than this says nothing about the images in between.
MAX_TRUTH_GAP_NS = 500_000_000


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
    path = Path(path)
    check_storage(storage)
    if image_format not in IMAGE_FORMATS:
        raise DataError(
            f"image format '{image_format}' is unknown; known are {', '.join(IMAGE_FORMATS)}"
        )
    if path.exists():
        raise DataError(f"{path} exists already; remove it or choose another name")
    if drive.odometry is None:
        raise DataError(f"drive '{drive.name}' has no odometry; simulate it first")

    make = MessageMaker(frames.map, frames.odom, frames.base, frames.camera)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_writer(path, storage) as writer:
            channels = add_channels(writer, _channels(drive, topics, image_format), make.typestore)
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


def _channels(drive: Drive, topics: BagTopics, image_format: str) -> dict[str, Channel]:
    return {
        **motion_channels(topics, drive.T_map_base is not None),
        "camera_info": Channel(topics.camera_info, "sensor_msgs/msg/CameraInfo"),
        "image": image_channel(topics.image, image_format),
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
            yield stamp_of(message), 1, "odom", message
            yield stamp_of(message), 1, "tf", make.moved(message)

    def ground_truth():
        for i, stamp_ns in enumerate(drive.stamps_ns + shift_ns):
            yield (
                int(stamp_ns),
                2,
                "truth",
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


def read_bag(path: str | Path, given: BagInput = BagInput()) -> Drive:
    """A recorded bag as a drive; images stay in the bag until they are asked for.

    Images, camera and stamps are those that the live node takes from the same messages. What
    ``given`` does not name is found in the bag, see ``BagInput``. ``T_map_base`` is the ground
    truth, where the bag has it, interpolated at the images; those that it does not cover are left
    out.

    Odometry and ground truth that state the pose of another ``child_frame_id`` than the base are
    carried over along tf, as in the node. Raises ``DataError`` for what is no bag, for a topic that
    is missing or may be one of several, listing those there, and for a calibration that cannot be
    used.
    """
    bag = BagReader(path)
    image_topic = choose_image(bag, given)
    info_topic = choose_camera_info(bag, given, image_topic)
    odom_topic, base, odom = choose_odometry(bag, given)
    index = bag.index(image_topic)
    picture = _first_picture(bag, image_topic, index)
    camera, info = _camera(bag, info_topic, picture, given.image_is_rectified)
    frame = camera_frame(bag.first_message(image_topic), info)
    T_base_cam = mounting(bag, given, base, frame)
    if strange := strange_mounting(T_base_cam):
        log.warning("%s, %s: %s", bag.path, image_topic, strange)
    T_map_base = None
    truth_topic = choose_truth(bag, given)
    if truth_topic:
        truth = bag.odometry(truth_topic, base)
        index = index[covered(truth.stamps_ns, index[:, 0], MAX_TRUTH_GAP_NS)]
        if len(index) == 0:
            raise DataError(f"{bag.path}: {truth_topic} covers no image of {image_topic}")
        T_map_base = interpolate_poses(truth.stamps_ns, truth.T_odom_base, index[:, 0])
    stamps_ns = index[:, 0]
    _check_overlap(f"{bag.path}: {image_topic}", stamps_ns, odom_topic, odom)
    return Drive(
        name=bag.path.resolve().name,
        names=tuple(str(stamp) for stamp in stamps_ns),
        stamps_ns=stamps_ns,
        camera=camera,
        T_base_cam=T_base_cam,
        T_map_base=T_map_base,
        load=lambda i: bag.image(image_topic, index[i]),
        odometry=odom,
    )


def _first_picture(bag: BagReader, topic: str, index: np.ndarray) -> np.ndarray:
    """The first image that can be decoded; as in the node, others cost their own frames only."""
    for number, place in enumerate(index):
        try:
            return bag.image(topic, place)
        except DataError as error:
            if number == len(index) - 1:
                raise
            log.warning("%s", error)
    raise DataError(f"topic {topic} of {bag.path} has no images")


def _camera(
    bag: BagReader, topic: str, picture: np.ndarray, rectified: bool
) -> tuple[Camera, object]:
    """The camera of a picture, and the first message that describes one that can be used."""
    height, width = picture.shape[:2]
    read = bag.usable(topic, lambda info: camera_of(info, width, height, rectified))
    _, info, camera = next(read)
    return camera, info


def _check_overlap(images: str, stamps_ns: np.ndarray, topic: str, odometry: Odometry) -> None:
    first, last = odometry.stamps_ns[[0, -1]]
    if not np.any((stamps_ns >= first) & (stamps_ns <= last)):
        raise DataError(
            f"{images} is stamped {stamps_ns[0] * 1e-9:.3f} to {stamps_ns[-1] * 1e-9:.3f} s, but "
            f"{topic} {first * 1e-9:.3f} to {last * 1e-9:.3f} s: they have no time in common; let "
            "both drivers use the same clock"
        )

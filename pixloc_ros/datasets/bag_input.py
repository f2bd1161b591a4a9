"""Which of a bag's topics and frames are meant: those named, or the only ones of their type."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_topics import TF, BagFrames, BagInput, BagTopics
from pixloc_ros.datasets.drive import Odometry
from pixloc_ros.messages.headers import frame_name
from pixloc_ros.messages.poses import from_xyz_rpy

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFOS = ("sensor_msgs/msg/CameraInfo",)
ODOMETRY = ("nav_msgs/msg/Odometry",)
POSES = ("geometry_msgs/msg/PoseWithCovarianceStamped", "geometry_msgs/msg/PoseStamped")
TRANSFORMS = ("tf2_msgs/msg/TFMessage",)
#: Poses that somebody sets or wants, not those that a robot measures.
WISHES = ("/initialpose", "/goal_pose", "/move_base_simple/goal")


def choose_image(bag: BagReader, given: BagInput) -> str:
    """The image topic; where a camera is recorded raw and compressed, the raw one."""
    if given.image:
        return _of_type(bag, bag.require(given.image, given.image + "/compressed"), IMAGES)
    there = _topics(bag, IMAGES)
    there = [t for t in there if not (t.endswith("/compressed") and raw_name(t) in there)]
    known = (BagTopics.image, BagTopics.image + "/compressed")
    return only(bag, there, IMAGES, "--image", known)


def choose_camera_info(bag: BagReader, given: BagInput, image: str) -> str:
    """The camera info of an image topic: that beside it, else the only one."""
    if given.camera_info:
        return _of_type(bag, bag.require(given.camera_info), CAMERA_INFOS)
    beside = raw_name(image).rpartition("/")[0] + "/camera_info"
    return only(bag, _topics(bag, CAMERA_INFOS), CAMERA_INFOS, "--camera-info", (beside,))


def choose_truth(bag: BagReader, given: BagInput) -> str | None:
    """The topic of the ground truth, which is never guessed, or None."""
    if given.ground_truth:
        return _of_type(bag, bag.require(given.ground_truth), ODOMETRY + POSES)
    return BagTopics.ground_truth if bag.has(BagTopics.ground_truth) else None


def choose_odometry(bag: BagReader, given: BagInput) -> tuple[str, str, Odometry]:
    """(topic, robot's frame, its poses). Odometry before /tf before other poses."""
    truth = choose_truth(bag, given)
    base = frame_name(given.base_frame_id)
    topic = given.odom and _of_type(bag, bag.require(given.odom), ODOMETRY + POSES + TRANSFORMS)
    if not topic and [t for t in _topics(bag, ODOMETRY) if t != truth]:
        topic = odometry_topic(bag, "", truth)
    if not topic and bag.has(TF):
        try:
            return TF, base or BagFrames.base, bag.tf_odometry(base or BagFrames.base)
        except DataError:
            topic = ""  # nothing moves the base there; if it was meant, --odom /tf says why not
    if not topic:
        poses = [t for t in _topics(bag, POSES) if t not in (truth, *WISHES)]
        topic = only(bag, poses, (*ODOMETRY, *POSES), "--odom")
    if bag.topics[topic] in TRANSFORMS:
        return topic, base or BagFrames.base, bag.tf_odometry(base or BagFrames.base)
    if not base:
        base = _base_of(bag, topic)
    return topic, base, bag.odometry(topic, base)


def mounting(bag: BagReader, given: BagInput, base: str, camera: str) -> np.ndarray:
    """T_base_cam (4, 4). DataError says what to do where tf does not join the two."""
    if given.extrinsics:
        return from_xyz_rpy(given.extrinsics)
    try:
        return bag.static_chain(base, camera)
    except DataError as error:
        raise DataError(
            f"{error}; name the robot's frame (--base-frame-id) or say where the camera "
            "sits (--extrinsics)"
        ) from error


def only(
    bag: BagReader,
    there: list[str],
    types: Iterable[str],
    option: str,
    known: Iterable[str] = (),
) -> str:
    """The first known topic of those that are there, else the only one.

    DataError lists the candidates, or the whole bag where there is none.
    """
    for topic in known:
        if topic in there:
            return topic
    if len(there) == 1:
        return there[0]
    if there:
        raise DataError(
            f"{bag.path}: which topic? It has {', '.join(there)}; name one with {option}"
        )
    raise DataError(
        f"{bag.path} has no topic of type {' or '.join(types)}; it has: {bag.listing()}"
    )


def odometry_topic(bag: BagReader, named: str, truth: str | None = BagTopics.ground_truth) -> str:
    """The nav_msgs/Odometry topic that was named, or the only one beside the ground truth."""
    if named:
        return _of_type(bag, bag.require(named), ODOMETRY)
    there = [topic for topic in _topics(bag, ODOMETRY) if topic != truth]
    return only(bag, there, ODOMETRY, "--odom", (BagTopics.odom,))


def raw_name(topic: str) -> str:
    """The name of an image topic without that of its transport."""
    return topic.removesuffix("/compressed")


def _base_of(bag: BagReader, topic: str) -> str:
    """The robot's frame where nobody names it: base_link, or the child frame that odometry states
    the pose of, if that is another and tf does not join the two."""
    child = frame_name(getattr(bag.first_message(topic), "child_frame_id", ""))
    try:
        bag.static_chain(child or BagFrames.base, BagFrames.base)
    except DataError:
        return child
    return BagFrames.base


def _topics(bag: BagReader, types: Iterable[str]) -> list[str]:
    return sorted(topic for topic, kind in bag.topics.items() if kind in types)


def _of_type(bag: BagReader, topic: str, types: tuple[str, ...]) -> str:
    if bag.topics[topic] not in types:
        raise DataError(
            f"{bag.path}: {topic} is a {bag.topics[topic]}, but {' or '.join(types)} is wanted"
        )
    return topic

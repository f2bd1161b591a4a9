"""Names and topics of a recorded drive, and how they are declared in a rosbag2 folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixloc_ros.core.errors import DataError

STORAGES = ("mcap", "sqlite3")
#: Topics that have these names everywhere.
TF_STATIC, TF = "/tf_static", "/tf"


@dataclass(frozen=True)
class BagTopics:
    """Topic names of a drive; the localizer's own names are the default."""

    image: str = "/image"
    camera_info: str = "/camera_info"
    odom: str = "/odom"
    ground_truth: str = "/ground_truth/odometry"


@dataclass(frozen=True)
class BagFrames:
    """Frame ids in the headers of a written bag (REP-105)."""

    map: str = "map"
    odom: str = "odom"
    base: str = "base_link"
    camera: str = "camera"


@dataclass(frozen=True)
class BagInput:
    """What to read of a bag, and what the bag does not say; what is empty is found in the bag.

    image: Image or CompressedImage. camera_info. odom: Odometry, PoseWithCovarianceStamped,
    PoseStamped, or /tf for what moves the base there. ground_truth: of the same types but /tf.
    base_frame_id: the robot's frame, else base_link where tf fixes it to the child_frame_id of
    odometry, else that child. extrinsics: x, y, z, roll,
    pitch, yaw (m, rad) of the camera's optical frame in the base, else from tf.
    image_is_rectified: the images are undistorted, so that the camera is camera_info's P.
    """

    image: str = ""
    camera_info: str = ""
    odom: str = ""
    ground_truth: str = ""
    base_frame_id: str = ""
    extrinsics: tuple[float, ...] = ()
    image_is_rectified: bool = False

    def __post_init__(self) -> None:
        if len(self.extrinsics) not in (0, 6):
            raise ValueError("extrinsics are six numbers: x y z roll pitch yaw")


@dataclass(frozen=True)
class Channel:
    """A topic of the bag: its name, its message type, and whether late subscribers get it too."""

    topic: str
    msgtype: str
    latched: bool = False


def image_channel(topic: str, image_format: str) -> Channel:
    """The channel of raw images, or of compressed ones below the name of the raw."""
    if image_format == "raw":
        return Channel(topic, "sensor_msgs/msg/Image")
    return Channel(f"{topic}/compressed", "sensor_msgs/msg/CompressedImage")


def motion_channels(topics: BagTopics, with_truth: bool) -> dict[str, Channel]:
    """Channels "tf_static", "tf" and "odom", and "truth" if there is one."""
    odometry = "nav_msgs/msg/Odometry"
    channels = {
        "tf_static": Channel(TF_STATIC, "tf2_msgs/msg/TFMessage", latched=True),
        "tf": Channel(TF, "tf2_msgs/msg/TFMessage"),
        "odom": Channel(topics.odom, odometry),
    }
    return {**channels, "truth": Channel(topics.ground_truth, odometry)} if with_truth else channels


def open_writer(path, storage: str):
    """rosbags' writer of a new rosbag2 folder (a context). DataError for an unknown storage."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    check_storage(storage)
    return Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])


def check_storage(storage: str) -> None:
    """DataError for a storage that is not one of `STORAGES`."""
    if storage not in STORAGES:
        raise DataError(f"bag storage '{storage}' is unknown; known are {', '.join(STORAGES)}")


def add_channels(writer, channels: Mapping[str, Channel], typestore) -> dict[str, object]:
    """Declare channels to an open writer; its connections by the channels' names."""
    return {
        name: writer.add_connection(
            channel.topic,
            channel.msgtype,
            typestore=typestore,
            offered_qos_profiles=[_qos_profile(channel.latched)],
        )
        for name, channel in channels.items()
    }


def _qos_profile(latched: bool):
    """The publisher's QoS in the bag's metadata: reliable; transient local if ``latched``."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )

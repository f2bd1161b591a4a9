"""Messages to be read, made with rosbags' types."""

from __future__ import annotations

import numpy as np
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_JAZZY)


def new(name: str, *values, **fields):
    package, kind = name.split("/")
    return TYPES.types[f"{package}/msg/{kind}"](*values, **fields)


def cdr(message) -> bytes:
    return bytes(TYPES.serialize_cdr(message, message.__msgtype__))


def header(stamp_ns: int = 1_500_000_007, frame_id: str = "camera"):
    stamp = new("builtin_interfaces/Time", *divmod(stamp_ns, 1_000_000_000))
    return new("std_msgs/Header", stamp, frame_id)


def image(encoding: str, array: np.ndarray, padding: int = 0, big: bool = False, **changes):
    """An Image of pixels (H, W) or (H, W, C) whose rows end in some bytes of padding."""
    if big:
        array = array.astype(array.dtype.newbyteorder(">"))
    rows = np.ascontiguousarray(array).reshape(array.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    fields = dict(
        header=header(),
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=rows.ravel(),
    )
    return new("sensor_msgs/Image", **{**fields, **changes})


def compressed(image_format: str, data: np.ndarray | bytes):
    return new(
        "sensor_msgs/CompressedImage",
        header=header(),
        format=image_format,
        data=np.frombuffer(bytes(data), np.uint8),
    )


def info(roi: tuple[int, int, int, int] = (0, 0, 0, 0), **changes):
    """A CameraInfo of a 640x480 camera. roi: x_offset, y_offset, width, height."""
    x, y, width, height = roi
    fields = dict(
        header=header(),
        height=480,
        width=640,
        distortion_model="plumb_bob",
        d=[-0.1, 0.01, 0.0, 0.0, 0.0],
        k=[400.0, 0, 319.5, 0, 410.0, 239.5, 0, 0, 1.0],
        r=np.eye(3).ravel(),
        p=[300.0, 0, 310.0, 0, 0, 300.0, 230.0, 0, 0, 0, 1.0, 0],
        binning_x=0,
        binning_y=0,
        roi=new("sensor_msgs/RegionOfInterest", x, y, height, width, False),
    )
    fields.update(changes)
    for name in "dkrp":
        fields[name] = np.array(fields[name], np.float64)
    return new("sensor_msgs/CameraInfo", **fields)


def pose(numbers):
    """geometry_msgs/Pose of x, y, z, qx, qy, qz, qw."""
    values = [float(v) for v in numbers]
    return new(
        "geometry_msgs/Pose",
        new("geometry_msgs/Point", *values[:3]),
        new("geometry_msgs/Quaternion", *values[3:]),
    )


def transform(numbers):
    """geometry_msgs/Transform of x, y, z, qx, qy, qz, qw."""
    values = [float(v) for v in numbers]
    return new(
        "geometry_msgs/Transform",
        new("geometry_msgs/Vector3", *values[:3]),
        new("geometry_msgs/Quaternion", *values[3:]),
    )


def odometry(numbers, pose_covariance, twist, twist_covariance):
    """nav_msgs/Odometry; covariances (36,), twist (6,)."""
    linear, angular = (
        new("geometry_msgs/Vector3", *map(float, part)) for part in (twist[:3], twist[3:])
    )
    return new(
        "nav_msgs/Odometry",
        header(frame_id="/odom"),
        "base_link",
        new("geometry_msgs/PoseWithCovariance", pose(numbers), np.array(pose_covariance, float)),
        new(
            "geometry_msgs/TwistWithCovariance",
            new("geometry_msgs/Twist", linear, angular),
            np.array(twist_covariance, float),
        ),
    )

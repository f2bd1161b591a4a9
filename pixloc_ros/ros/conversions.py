"""Messages that the node publishes, from plain types; `pixloc_ros.messages` reads messages."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge
from geometry_msgs.msg import Pose, Transform, TwistWithCovariance
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.headers import NS

_BRIDGE = CvBridge()


def to_stamp(stamp_ns: int) -> Time:
    """Message stamp of integer nanoseconds; times before zero, which ROS cannot say, become 0."""
    sec, nanosec = divmod(max(stamp_ns, 0), NS)
    return Time(sec=sec, nanosec=nanosec)


def header(stamp_ns: int, frame_id: str) -> Header:
    """A header from integer nanoseconds."""
    return Header(stamp=to_stamp(stamp_ns), frame_id=frame_id)


def array_to_image(array: np.ndarray, image_header: Header) -> Image:
    """An rgb8 or mono8 message of a uint8 (H, W, 3) or (H, W) array."""
    message = _BRIDGE.cv2_to_imgmsg(array, "mono8" if array.ndim == 2 else "rgb8")
    message.header = image_header
    return message


def matrix_to_pose(T: np.ndarray) -> Pose:
    """Pose message of a (4, 4) matrix."""
    quaternion, translation = transforms.to_quaternion(T)
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = map(float, translation)
    q = pose.orientation
    q.x, q.y, q.z, q.w = map(float, quaternion)
    return pose


def matrix_to_transform(T: np.ndarray) -> Transform:
    """Transform message of a (4, 4) matrix."""
    quaternion, translation = transforms.to_quaternion(T)
    transform = Transform()
    t, r = transform.translation, transform.rotation
    t.x, t.y, t.z = map(float, translation)
    r.x, r.y, r.z, r.w = map(float, quaternion)
    return transform


def numbers_to_twist(twist: np.ndarray, covariance: np.ndarray) -> TwistWithCovariance:
    """Twist message of (6,) linear and angular, and a covariance (6, 6)."""
    message = TwistWithCovariance(covariance=covariance.flatten())
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = map(float, twist)
    return message


def points_to_cloud(points: np.ndarray, cloud_header: Header) -> PointCloud2:
    """An unorganised cloud of float32 x, y, z from (N, 3)."""
    data = np.ascontiguousarray(points, dtype="<f4")
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate("xyz")
    ]
    cloud = PointCloud2(
        header=cloud_header,
        height=1,
        width=len(data),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(data),
        is_dense=True,
    )
    cloud.data = data.tobytes()
    return cloud

"""ROS messages to and from the plain types of the core. Every refusal is a DataError."""

from __future__ import annotations

import math

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge, CvBridgeError
from geometry_msgs.msg import Pose, Transform
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera

_BRIDGE = CvBridge()
_GRAY_ENCODINGS = ("mono8", "mono16", "8UC1", "16UC1")


def to_ns(stamp: Time) -> int:
    """Integer nanoseconds of a message stamp."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_stamp(stamp_ns: int) -> Time:
    """Message stamp of integer nanoseconds; times before zero, which ROS cannot say, become 0."""
    sec, nanosec = divmod(max(stamp_ns, 0), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def header(stamp_ns: int, frame_id: str) -> Header:
    """A header from integer nanoseconds."""
    return Header(stamp=to_stamp(stamp_ns), frame_id=frame_id)


# ------------------------------------------------------------------------------------- images


def image_to_array(message: Image | CompressedImage) -> np.ndarray:
    """uint8 (H, W, 3) RGB, or (H, W) for gray images. rgb8 and mono8 are not copied.

    DataError: an encoding that is no picture, or data that does not fit the stated size.
    """
    if isinstance(message, CompressedImage):
        return _decode(message)
    if message.width == 0 or message.height == 0:
        raise DataError(f"the image is empty ({message.width}x{message.height})")
    if len(message.data) < message.step * message.height:
        raise DataError(
            f"the image holds {len(message.data)} bytes, but {message.height} rows of "
            f"{message.step} bytes were announced"
        )
    if message.encoding in ("rgb8", "mono8"):
        return _view(message, 3 if message.encoding == "rgb8" else 1)
    target = "mono8" if message.encoding in _GRAY_ENCODINGS else "rgb8"
    try:
        return _BRIDGE.imgmsg_to_cv2(_named_by_color(message), desired_encoding=target)
    except (CvBridgeError, cv2.error, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"images of encoding '{message.encoding}' cannot be read as a picture "
            f"({reason}); known are rgb8, bgr8, rgba8, bgra8, mono8, mono16 and the "
            "bayer patterns"
        ) from error


def array_to_image(array: np.ndarray, image_header: Header) -> Image:
    """An rgb8 or mono8 message of a uint8 (H, W, 3) or (H, W) array."""
    channels = 1 if array.ndim == 2 else 3
    message = Image(
        header=image_header,
        height=array.shape[0],
        width=array.shape[1],
        encoding="mono8" if channels == 1 else "rgb8",
        step=array.shape[1] * channels,
    )
    message.data = np.ascontiguousarray(array).tobytes()
    return message


def _view(message: Image, channels: int) -> np.ndarray:
    if message.step < message.width * channels:
        raise DataError(
            f"the image's rows hold {message.step} bytes, too few for {message.width} "
            f"{message.encoding} pixels"
        )
    rows = np.frombuffer(message.data, np.uint8, message.step * message.height)
    rows = rows.reshape(message.height, message.step)[:, : message.width * channels]
    return rows if channels == 1 else rows.reshape(message.height, message.width, 3)


def _named_by_color(message: Image) -> Image:
    """Drivers that only name the layout (8UC1, 16UC1, 8UC3) mean gray and BGR, as OpenCV does."""
    named = {"8UC1": "mono8", "16UC1": "mono16", "8UC3": "bgr8"}.get(message.encoding)
    if named is None:
        return message
    return Image(
        header=message.header,
        height=message.height,
        width=message.width,
        encoding=named,
        is_bigendian=message.is_bigendian,
        step=message.step,
        data=message.data,
    )


def _decode(message: CompressedImage) -> np.ndarray:
    data = np.frombuffer(message.data, np.uint8)
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(data, flags) if data.size else None
    if picture is None:
        raise DataError(
            f"the compressed image (format '{message.format}', {data.size} bytes) cannot be decoded"
        )
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


# ------------------------------------------------------------------------------------- cameras


def camera_from_info(info: CameraInfo, width: int, height: int, rectified: bool = False) -> Camera:
    """The camera of an image of that size.

    Takes K and the distortion, or P alone for rectified images; region of interest, then binning,
    as CameraInfo defines them. An image of another size but the same shape (resized on its way) is
    scaled to. DataError: not calibrated, a distortion model nobody knows, or another aspect ratio.
    """
    if rectified:
        k, model, distortion = [*info.p[0:3], *info.p[4:7], *info.p[8:11]], "", []
    else:
        k, model, distortion = list(info.k), info.distortion_model, list(info.d)
    if not (k[0] > 0 and k[4] > 0 and all(map(math.isfinite, [*k, *distortion]))):
        raise DataError(
            f"camera_info is not calibrated ({'P' if rectified else 'K'} holds no "
            "focal length); calibrate the camera or publish its calibration"
        )
    full_width, full_height = info.width or width, info.height or height
    try:
        camera = Camera.from_ros(model, full_width, full_height, k, distortion)
    except DataError as error:
        raise DataError(f"camera_info: {error}") from error
    roi = info.roi
    if roi.width and roi.height:
        camera = camera.crop((roi.x_offset, roi.y_offset), (roi.width, roi.height))
        full_width, full_height = roi.width, roi.height
    scale_x, scale_y = width / full_width, height / full_height
    if abs(scale_x / scale_y - 1.0) > 0.01:
        raise DataError(
            f"the image is {width}x{height}, but camera_info speaks of {full_width}x{full_height}: "
            "they do not belong together (wrong topic, or cropped without a region of interest?)"
        )
    return camera if scale_x == scale_y == 1.0 else camera.scale(scale_x, scale_y)


# ------------------------------------------------------------------------------------- poses


def pose_to_matrix(pose: Pose) -> np.ndarray:
    """(4, 4) of a pose message. DataError: NaN, infinity, or a quaternion of no length."""
    p, q = pose.position, pose.orientation
    return _matrix([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


def transform_to_matrix(transform: Transform) -> np.ndarray:
    """(4, 4) of a transform message; refuses what `pose_to_matrix` refuses."""
    t, q = transform.translation, transform.rotation
    return _matrix([t.x, t.y, t.z], [q.x, q.y, q.z, q.w])


def list_to_matrix(numbers: list[float] | tuple[float, ...]) -> np.ndarray:
    """(4, 4) of x, y, z, qx, qy, qz, qw."""
    return _matrix(numbers[:3], numbers[3:])


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


def rpy_to_matrix(
    x: float, y: float, z: float, roll: float, pitch: float, yaw: float
) -> np.ndarray:
    """(4, 4) of a position and fixed-axis angles: Rz(yaw) Ry(pitch) Rx(roll) (REP-103)."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a), math.cos(a)) for a in (roll, pitch, yaw))
    R = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    return transforms.from_Rt(R, np.array([x, y, z], dtype=float))


def covariance_to_matrix(values) -> np.ndarray | None:
    """(6, 6) in ROS order, or None where the message leaves it open (all zeros).

    A planar tool such as rviz states x, y and yaw only; the open directions get 0.2 m and 2 deg.
    DataError: NaN, infinity or a negative variance.
    """
    covariance = np.asarray(values, dtype=float).reshape(6, 6)
    variances = np.diag(covariance)
    if not np.isfinite(covariance).all() or (variances < 0).any():
        raise DataError("the covariance holds NaN, infinity or a negative variance")
    if not variances.any():
        return None
    open_variance = np.array([0.2] * 3 + [math.radians(2.0)] * 3) ** 2
    covariance = (covariance + covariance.T) / 2
    covariance += np.diag(np.where(variances > 0, 0.0, open_variance))
    if np.linalg.eigvalsh(covariance).min() <= 0:
        raise DataError("the covariance is no covariance: it has a negative direction")
    return covariance


def _matrix(translation, quaternion) -> np.ndarray:
    numbers = np.array([*translation, *quaternion], dtype=float)
    if not np.isfinite(numbers).all():
        raise DataError("the pose holds NaN or infinity")
    length = np.linalg.norm(numbers[3:])
    if length < 0.5:
        raise DataError("the quaternion has no length; no rotation is (0, 0, 0, 1)")
    return transforms.from_quaternion(numbers[3:] / length, numbers[:3])


# ------------------------------------------------------------------------------------- points


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

"""Messages of a recorded drive, made and serialized (CDR) with ``rosbags``' own types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.messages.headers import NS

IMAGE_FORMATS = ("raw", "jpeg", "png")


@dataclass(frozen=True)
class OdometryNoise:
    """One standard deviation of what odometry tells about its own motion. The default is that of
    wheels.

    speed (m/s), turn (rad/s): of every twist. step (m), heading_step (rad), both per square root of
    a metre: white noise of each step, which weighs more in a twist the shorter the step took.
    per_metre (m), heading_per_metre (rad): of the pose, by the distance driven.
    """

    speed: float = 0.05
    turn: float = 0.01
    step: float = 0.007
    heading_step: float = 0.0035
    per_metre: float = 0.02
    heading_per_metre: float = 0.002


class MessageMaker:
    """Builds and serializes the messages of a drive; holds the frame ids."""

    def __init__(self, map_frame: str, odom_frame: str, base_frame: str, camera_frame: str):
        from rosbags.typesys import Stores, get_typestore

        self.typestore = get_typestore(Stores.ROS2_JAZZY)
        self._types = self.typestore.types
        self._map, self._odom = map_frame, odom_frame
        self._base, self._camera = base_frame, camera_frame

    def serialize(self, message) -> memoryview:
        return self.typestore.serialize_cdr(message, message.__msgtype__)

    def _new(self, name: str, *values):
        package, kind = name.split("/")
        return self._types[f"{package}/msg/{kind}"](*values)

    def _header(self, stamp_ns: int, frame: str):
        stamp = self._new("builtin_interfaces/Time", *divmod(int(stamp_ns), NS))
        return self._new("std_msgs/Header", stamp, frame)

    def _vector(self, values):
        return self._new("geometry_msgs/Vector3", *map(float, values))

    def _pose(self, T: np.ndarray):
        q, t = transforms.to_quaternion(T)
        return self._new(
            "geometry_msgs/Pose",
            self._new("geometry_msgs/Point", *map(float, t)),
            self._new("geometry_msgs/Quaternion", *map(float, q)),
        )

    def static_transform(self, stamp_ns: int, T_base_cam: np.ndarray):
        return self.static_transforms(stamp_ns, {self._camera: T_base_cam})

    def moved(self, odometry):
        """tf2_msgs/TFMessage that says what a nav_msgs/Odometry says of its child frame."""
        position, orientation = odometry.pose.pose.position, odometry.pose.pose.orientation
        translation = self._vector((position.x, position.y, position.z))
        transform = self._new("geometry_msgs/Transform", translation, orientation)
        entry = self._new(
            "geometry_msgs/TransformStamped", odometry.header, odometry.child_frame_id, transform
        )
        return self._new("tf2_msgs/TFMessage", [entry])

    def static_transforms(self, stamp_ns: int, children: dict[str, np.ndarray]):
        """tf2_msgs/TFMessage that hangs frames on the base: name -> T_base_child (4, 4)."""
        entries = []
        for name, T in children.items():
            q, t = transforms.to_quaternion(T)
            rotation = self._new("geometry_msgs/Quaternion", *map(float, q))
            transform = self._new("geometry_msgs/Transform", self._vector(t), rotation)
            header = self._header(stamp_ns, self._base)
            entries.append(self._new("geometry_msgs/TransformStamped", header, name, transform))
        return self._new("tf2_msgs/TFMessage", entries)

    def fix(
        self,
        stamp_ns: int,
        frame: str,
        place: tuple[float, float, float],
        sigmas: tuple[float, float, float] | None,
        valid: bool,
    ):
        """sensor_msgs/NavSatFix. place: latitude, longitude (deg), altitude (m).

        sigmas: east, north, up in metres; None leaves the covariance unknown.
        """
        kind = self._types["sensor_msgs/msg/NavSatFix"]
        status = self._types["sensor_msgs/msg/NavSatStatus"]
        return kind(
            self._header(stamp_ns, frame),
            status(status.STATUS_FIX if valid else status.STATUS_NO_FIX, status.SERVICE_GPS),
            *place,
            np.diag(np.square(sigmas or (0.0, 0.0, 0.0))).ravel(),
            kind.COVARIANCE_TYPE_UNKNOWN if sigmas is None else kind.COVARIANCE_TYPE_DIAGONAL_KNOWN,
        )

    def odometry(
        self, poses: Iterable[tuple[int, np.ndarray]], noise: OdometryNoise = OdometryNoise()
    ) -> Iterator:
        """nav_msgs/Odometry per (stamp in ns, T_odom_base), one at a time.

        The twist is that of the step before (the first message's that of the step after), and so is
        its covariance; the pose's grows with the distance driven.
        """
        poses = iter(poses)
        last = next(poses, None)
        driven, waiting = 0.0, True
        for stamp_ns, T in poses:
            step = transforms.inverse(last[1]) @ T
            seconds, length = float(stamp_ns - last[0]) * 1e-9, float(np.linalg.norm(step[:3, 3]))
            spread = length**0.5 / seconds
            motion = (
                transforms.log(step) / seconds,
                np.repeat(
                    [
                        noise.speed**2 + (noise.step * spread) ** 2,
                        noise.turn**2 + (noise.heading_step * spread) ** 2,
                    ],
                    3,
                ),
            )
            if waiting:
                yield self._driven(*last, driven, noise, *motion)
                waiting = False
            driven += length
            last = stamp_ns, T
            yield self._driven(*last, driven, noise, *motion)
        if waiting and last is not None:
            still = np.repeat([noise.speed**2, noise.turn**2], 3)
            yield self._driven(*last, driven, noise, np.zeros(6), still)

    def _driven(self, stamp_ns, T, driven, noise, twist, twist_variances):
        position, heading = noise.per_metre * driven, noise.heading_per_metre * driven
        variances = np.maximum(np.repeat([position**2, heading**2], 3), 1e-9)
        return self._odometry(int(stamp_ns), self._odom, T, variances, twist, twist_variances)

    def ground_truth(self, stamp_ns: int, T_map_base: np.ndarray):
        zeros = np.zeros(6)
        return self._odometry(stamp_ns, self._map, T_map_base, zeros, zeros, zeros)

    def _odometry(self, stamp_ns, frame, T, pose_variances, twist, twist_variances):
        pose = self._new(
            "geometry_msgs/PoseWithCovariance",
            self._pose(T),
            np.diag(pose_variances).ravel(),
        )
        motion = self._new(
            "geometry_msgs/TwistWithCovariance",
            self._new("geometry_msgs/Twist", self._vector(twist[:3]), self._vector(twist[3:])),
            np.diag(twist_variances).ravel(),
        )
        return self._new(
            "nav_msgs/Odometry", self._header(stamp_ns, frame), self._base, pose, motion
        )

    def camera_info(self, stamp_ns: int, camera: Camera):
        """sensor_msgs/CameraInfo; the coefficient order of our models is that of ROS."""
        width, height = (round(float(v)) for v in camera.size)
        (fx, fy), (cx, cy) = camera.f.tolist(), camera.c.tolist()
        d = [float(v) for v in camera.distortion]
        model = {
            "pinhole": "plumb_bob",
            "radtan": "plumb_bob",
            "rational": "rational_polynomial",
            "prism": "rational_polynomial",
            "equidistant": "equidistant",
        }[camera.model]
        if model == "plumb_bob":
            d = (d + [0.0] * 5)[:5]
        k = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], np.float64)
        p = np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], np.float64)
        roi = self._new("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False)
        return self._new(
            "sensor_msgs/CameraInfo",
            self._header(stamp_ns, self._camera),
            height,
            width,
            model,
            np.array(d, np.float64),
            k,
            np.eye(3).ravel(),
            p,
            0,
            0,
            roi,
        )

    def image(self, stamp_ns: int, pixels: np.ndarray, image_format: str):
        """Image (mono8 or rgb8) or CompressedImage of uint8 (H, W) or RGB (H, W, 3)."""
        header = self._header(stamp_ns, self._camera)
        colour = pixels.ndim == 3
        if image_format != "raw":
            bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if colour else pixels
            suffix = ".jpg" if image_format == "jpeg" else ".png"
            data = cv2.imencode(suffix, bgr)[1].ravel()
            return self._new("sensor_msgs/CompressedImage", header, image_format, data)
        height, width = pixels.shape[:2]
        return self._new(
            "sensor_msgs/Image",
            header,
            height,
            width,
            "rgb8" if colour else "mono8",
            0,
            width * (3 if colour else 1),
            np.ascontiguousarray(pixels).ravel(),
        )

"""A robot for the tests: publishes a drive step by step and listens to the localizer."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.messages.poses import from_xyz_rpy, pose_of
from pixloc_ros.ros import conversions as c
from pixloc_ros.ros.localizer_node import LocalizerNode

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def localizer(map_path, **parameters) -> LocalizerNode:
    """A node with small searches and simulated time, that tracks from the first fix; double
    underscores stand for dots."""
    values = {
        "map": str(map_path),
        "device": "cpu",
        "use_sim_time": True,
        "localizer.search.hypotheses": 2,
        "localizer.search.survivors": 1,
        "tracker.gates.start_fixes": 1,
        "odom_timeout": 0.5,
        **{k.replace("__", "."): v for k, v in parameters.items()},
    }
    return LocalizerNode(parameter_overrides=[Parameter(k, value=v) for k, v in values.items()])


class Robot(Node):
    """Sends what the localizer wants; keeps what it says."""

    def __init__(
        self, drive, compressed: bool = False, image_qos=10, odom="odom", child="base_link"
    ):
        super().__init__("robot")
        self.drive = drive
        self.compressed = compressed
        self.odom_frame, self.child_frame = odom, child
        self.T_base_child = np.eye(4)  # what odometry states the pose of
        self.poses: list[PoseWithCovarianceStamped] = []
        self.transforms: list[TransformStamped] = []
        self.status: dict = {}
        self.states: list[tuple[bytes, str]] = []  # level and message of each pose status
        self._sent_odometry = -1
        if compressed:
            self._image = self.create_publisher(CompressedImage, "/image/compressed", image_qos)
        else:
            self._image = self.create_publisher(Image, "/image", image_qos)
        self._info = self.create_publisher(CameraInfo, "/camera_info", 10)
        self._odom = self.create_publisher(Odometry, "/odom", 100)
        self._clock = self.create_publisher(Clock, "/clock", 10)
        self.initial_pose = self.create_publisher(PoseWithCovarianceStamped, "/initialpose", 10)
        self.tf = self.create_publisher(TFMessage, "/tf", 10)
        self._tf_static = self.create_publisher(TFMessage, "/tf_static", LATCHED)
        self.create_subscription(
            PoseWithCovarianceStamped, "/localizer/pose", self.poses.append, 10
        )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.create_subscription(
            TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), 100
        )
        self.send_static("base_link", "camera", drive.T_base_cam)

    def ready(self) -> bool:
        """True once the localizer listens."""
        topics = (self._image, self._info, self._odom, self.initial_pose)
        return (
            all(p.get_subscription_count() for p in topics)
            and self.count_publishers("/localizer/pose") > 0
        )

    def send_static(self, parent: str, child: str, T: np.ndarray) -> None:
        """A latched transform."""
        self._tf_static.publish(
            TFMessage(
                transforms=[
                    TransformStamped(
                        header=c.header(0, parent),
                        child_frame_id=child,
                        transform=c.matrix_to_transform(T),
                    )
                ]
            )
        )

    def send_odometry(self, until_ns: int) -> None:
        """Odometry and time up to a stamp and a little beyond."""
        track = self.drive.odometry
        for i in range(self._sent_odometry + 1, len(track)):
            if track.stamps_ns[i] > until_ns + 25_000_000:
                break
            stamp_ns = int(track.stamps_ns[i])
            message = Odometry(
                header=c.header(stamp_ns, self.odom_frame), child_frame_id=self.child_frame
            )
            message.pose.pose = c.matrix_to_pose(track.T_odom_base[i] @ self.T_base_child)
            message.twist.twist.linear.x = 1.0
            self._odom.publish(message)
            self._sent_odometry = i
        self.send_clock(until_ns)

    def send_clock(self, now_ns: int) -> None:
        """Time alone."""
        self._clock.publish(Clock(clock=c.to_stamp(now_ns)))

    def rewind(self) -> None:
        """Begin the drive again."""
        self._sent_odometry = -1

    def image(self, i: int) -> Image | CompressedImage:
        """The message of frame i."""
        header = c.header(int(self.drive.stamps_ns[i]), "camera")
        if not self.compressed:
            return c.array_to_image(self.drive.image(i), header)
        bgr = cv2.cvtColor(self.drive.image(i), cv2.COLOR_RGB2BGR)
        return CompressedImage(
            header=header, format="jpeg", data=cv2.imencode(".jpg", bgr)[1].tobytes()
        )

    def send_frame(self, i: int, message=None) -> None:
        """Odometry up to frame i, the calibration, and the frame itself."""
        self.send_odometry(int(self.drive.stamps_ns[i]))
        self.send_info(i)
        time.sleep(0.05)
        self.send_image(i, message)

    def send_image(self, i: int, message=None) -> None:
        """Frame i alone."""
        self._image.publish(message or self.image(i))

    def send_info(self, i: int, zoom: float = 1.0) -> None:
        """The calibration of frame i, the focal lengths so many times as long."""
        width, height = (int(v) for v in self.drive.camera.size)
        (fx, fy), (cx, cy) = self.drive.camera.f.tolist(), self.drive.camera.c.tolist()
        self._info.publish(
            CameraInfo(
                header=c.header(int(self.drive.stamps_ns[i]), "camera"),
                width=width,
                height=height,
                distortion_model="plumb_bob",
                d=[0.0] * 5,
                k=[fx * zoom, 0.0, cx, 0.0, fy * zoom, cy, 0.0, 0.0, 1.0],
            )
        )

    def send_pose(self, T: np.ndarray, stamp_ns: int, frame: str = "map", std: float = 0.1) -> None:
        """An initial pose."""
        self.initial_pose.publish(self.pose_message(T, stamp_ns, frame, std))

    def click(self, T: np.ndarray, stamp_ns: int, frame: str = "map") -> None:
        """An initial pose as rviz gives it: x, y and yaw."""
        flat = from_xyz_rpy((*T[:2, 3], 0, 0, 0, np.arctan2(T[1, 0], T[0, 0])))
        message = self.pose_message(flat, stamp_ns, frame)
        message.pose.covariance = np.diag([0.25, 0.25, 0, 0, 0, 0.0685]).flatten()
        self.initial_pose.publish(message)

    @staticmethod
    def pose_message(T, stamp_ns: int, frame: str = "map", std: float = 0.1):
        """A pose with the same standard deviation (m; a tenth of it in rad) in all directions."""
        message = PoseWithCovarianceStamped(header=c.header(stamp_ns, frame))
        message.pose.pose = c.matrix_to_pose(T)
        message.pose.covariance = np.diag([std**2] * 3 + [(std / 10) ** 2] * 3).flatten()
        return message

    def pose_at(self, i: int) -> PoseWithCovarianceStamped | None:
        """What was published for frame i."""
        stamp_ns = int(self.drive.stamps_ns[i])
        return next((p for p in self.poses if stamp_of(p) == stamp_ns), None)

    def values(self, part: str) -> dict[str, str]:
        """The newest diagnostic values of a part."""
        status = self.status.get(f"localizer: {part}")
        return {} if status is None else {v.key: v.value for v in status.values}

    def says(self, part: str, words: str, level: bytes | None = None) -> bool:
        """True if the newest message of a part contains words."""
        status = self.status.get(f"localizer: {part}")
        return status is not None and words in status.message and level in (None, status.level)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.status.update({s.name: s for s in message.status})
        self.states += [(s.level, s.message) for s in message.status if s.name.endswith(": pose")]


QUICK = dict(
    tracker__gates__max_fix_age=0.4,
    tracker__gates__max_coast_time=1.2,
)


def start_at(drive) -> dict:
    """Parameters that start the localizer where the drive starts."""
    T = drive.T_map_base[0]
    return dict(
        set_initial_pose=True,
        initial_pose__x=float(T[0, 3]),
        initial_pose__y=float(T[1, 3]),
        initial_pose__yaw=math.atan2(T[1, 0], T[0, 0]),
    )


def track(robot, until, frames):
    """Send frames one by one, each after the answer to the one before."""
    for i in frames:
        robot.send_frame(i)
        assert until(lambda i=i: robot.pose_at(i)), f"no pose for frame {i}"


def error_of(robot, i) -> tuple[float, float]:
    T = pose_of(robot.pose_at(i).pose.pose)
    return transforms.pose_error(T, robot.drive.T_map_base[i])

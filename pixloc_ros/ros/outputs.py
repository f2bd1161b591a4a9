"""Publishers of the localizer: FrameResults become messages here."""

from __future__ import annotations

import functools
from collections import deque

import numpy as np
from geometry_msgs.msg import (
    PoseStamped,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    TwistWithCovariance,
)
from nav_msgs.msg import Odometry, Path
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2

from pixloc_ros.core.tracker import FrameResult
from pixloc_ros.ros.conversions import array_to_image, header, matrix_to_pose, points_to_cloud
from pixloc_ros.ros.parameters import NodeParameters
from pixloc_ros.ros.runtime import NO_EVENTS


class Outputs:
    """Everything the localizer publishes below its own name. Poses carry the image's stamp.

    Nothing is published for a frame without a pose (uninitialized, starting, lost): silence cannot
    be fused by mistake, an old pose can.
    """

    def __init__(self, node: LifecycleNode, parameters: NodeParameters):
        self._node = node
        self._global_frame = parameters.global_frame_id
        self._base_frame = parameters.base_frame_id
        self._image_alone = parameters.fused_with_odometry
        self._path_spacing = parameters.path_spacing
        self._path: deque[PoseStamped] = deque(maxlen=parameters.path_length)
        self._path_grew = False
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        create = functools.partial(node.create_lifecycle_publisher, event_callbacks=NO_EVENTS)
        self._pose = create(PoseWithCovarianceStamped, "~/pose", 10)
        self._odometry = create(Odometry, "~/odometry", 10)
        self._path_publisher = create(Path, "~/path", latched)
        self._points = create(PointCloud2, "~/map_points", latched)
        self._debug = create(Image, "~/debug/image", QoSProfile(depth=1))

    @property
    def debug_wanted(self) -> bool:
        """True while somebody subscribes to the debug image."""
        return self._debug.get_subscription_count() > 0

    def publish_result(self, result: FrameResult, twist: TwistWithCovariance | None) -> None:
        """Pose, odometry and path of one frame. twist: of the base, where odometry states it."""
        if result.T_map_base is None or (self._image_alone and not result.accepted):
            return
        stamped = header(result.stamp_ns, self._global_frame)
        covariance = result.fix.image_covariance if self._image_alone else result.covariance
        pose = PoseWithCovariance(
            pose=matrix_to_pose(result.T_map_base), covariance=covariance.flatten()
        )
        self._pose.publish(PoseWithCovarianceStamped(header=stamped, pose=pose))
        odometry = Odometry(header=stamped, child_frame_id=self._base_frame, pose=pose)
        if twist is not None:
            odometry.twist = twist
        self._odometry.publish(odometry)
        if result.accepted:
            self._extend_path(PoseStamped(header=stamped, pose=pose.pose))

    def publish_path(self) -> None:
        """The path, if it grew; called now and then rather than for each frame."""
        if self._path_grew:
            self._path_grew = False
            newest = self._path[-1].header
            self._path_publisher.publish(Path(header=newest, poses=list(self._path)))

    def publish_points(self, points: np.ndarray, stamp_ns: int) -> None:
        """The map's points (N, 3), latched."""
        self._points.publish(points_to_cloud(points, header(stamp_ns, self._global_frame)))

    def publish_debug(self, picture: np.ndarray, stamp_ns: int, camera_frame: str) -> None:
        """The debug picture, RGB uint8."""
        self._debug.publish(array_to_image(picture, header(stamp_ns, camera_frame)))

    def clear_path(self) -> None:
        """Begin a new path."""
        self._path.clear()
        self._path_grew = False

    def destroy(self) -> None:
        """Take back the publishers."""
        for publisher in (
            self._pose,
            self._odometry,
            self._path_publisher,
            self._points,
            self._debug,
        ):
            self._node.destroy_lifecycle_publisher(publisher)

    def _extend_path(self, pose: PoseStamped) -> None:
        if self._path and _distance(self._path[-1], pose) < self._path_spacing:
            return
        self._path.append(pose)
        self._path_grew = True


def _distance(a: PoseStamped, b: PoseStamped) -> float:
    p, q = a.pose.position, b.pose.position
    return float(np.linalg.norm([p.x - q.x, p.y - q.y, p.z - q.z]))

"""Odometry as a statement about the robot's base, whichever frame it speaks of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.headers import frame_name
from pixloc_ros.messages.poses import covariance_of, pose_of, twist_of

#: T_child_base (4, 4) for the name of a child frame; DataError if nobody knows it.
Mounting = Callable[[str], np.ndarray]


def base_pose_of(message, base: str, mounting: Mounting) -> np.ndarray:
    """T_odom_base (4, 4), in the frame that the header names.

    nav_msgs/Odometry states the pose of its `child_frame_id`: the base, or another frame that is
    fixed to it (base_footprint, the camera of a visual odometry). Without a name it is taken for
    the base, and so are PoseWithCovarianceStamped and PoseStamped, which name none.
    DataError: what `pose_of` refuses, or a child frame whose place on the base is unknown.
    """
    pose = getattr(message.pose, "pose", message.pose)
    return pose_of(pose) @ _T_child_base(message, base, mounting)


def base_twist_of(message, base: str, mounting: Mounting) -> tuple[np.ndarray, np.ndarray]:
    """Twist (6,) of the base in its own axes, linear and angular (m/s, rad/s), and covariance
    (6, 6).

    The child frame turns as the base does; where it sits away from the base, that turn adds to its
    linear velocity. DataError: what `twist_of` and `covariance_of` refuse, or an unknown mounting.
    """
    T_base_child = transforms.inverse(_T_child_base(message, base, mounting))
    R, t = T_base_child[:3, :3], T_base_child[:3, 3]
    adjoint = np.block([[R, transforms.hat(t) @ R], [np.zeros((3, 3)), R]])
    covariance = covariance_of(message.twist.covariance)
    return adjoint @ twist_of(message.twist.twist), adjoint @ covariance @ adjoint.T


def _T_child_base(message, base: str, mounting: Mounting) -> np.ndarray:
    child = frame_name(getattr(message, "child_frame_id", ""))
    if child in ("", base):
        return np.eye(4)
    try:
        return mounting(child)
    except DataError as error:
        raise DataError(
            f"odometry states the pose of '{child}', not of '{base}': {error}; publish the static "
            f"transform between them, or set base_frame_id to '{child}'"
        ) from error

"""Odometry as the node understands it: of the base, with what tf knows of the robot."""

from __future__ import annotations

import functools

import numpy as np
from geometry_msgs.msg import TwistWithCovariance
from nav_msgs.msg import Odometry

from pixloc_ros.core.errors import DataError
from pixloc_ros.messages.headers import frame_name, stamp_of
from pixloc_ros.messages.odometry import Mounting, base_pose_of, base_twist_of
from pixloc_ros.ros.conversions import numbers_to_twist
from pixloc_ros.ros.transforms import TransformTree


class BaseOdometry:
    """The newest odometry message, and what each says of the base frame."""

    def __init__(self, tree: TransformTree, base_frame: str):
        self._tree, self._base = tree, base_frame
        self.newest: Odometry | None = None

    def pose_of(self, message: Odometry) -> np.ndarray:
        """T_odom_base (4, 4) of a message, which is the newest one then. DataError: it says none.

        The correction map -> odom is that of the odometry heard, so it is sent to the frame that
        this odometry names.
        """
        T_odom_base = base_pose_of(message, self._base, self._mounting(message))
        self._tree.follow(frame_name(message.header.frame_id))
        self.newest = message
        return T_odom_base

    def twist(self) -> TwistWithCovariance | None:
        """The newest twist, of the base; None where there is none that can be converted."""
        message = self.newest
        if message is None or frame_name(message.child_frame_id) in ("", self._base):
            return message and message.twist
        try:
            return numbers_to_twist(*base_twist_of(message, self._base, self._mounting(message)))
        except DataError:
            return None

    def _mounting(self, message: Odometry) -> Mounting:
        return functools.partial(self._T_child_base, stamp_of(message))

    def _T_child_base(self, stamp_ns: int, child: str) -> np.ndarray:
        return self._tree.lookup(child, self._base, stamp_ns)

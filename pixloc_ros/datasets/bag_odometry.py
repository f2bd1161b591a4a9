"""The whole of a bag's odometry: poses, twists and what it says of their errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.datasets.bag import BagReader, BagTopics
from pixloc_ros.datasets.bag_messages import header_stamp, pose_of


@dataclass(frozen=True)
class StatedOdometry:
    """nav_msgs/Odometry over time, in the order of the stamps.

    stamps_ns (N,); T (N, 4, 4) of the child frame in the header's frame; twist (N, 6), linear and
    angular (m/s, rad/s), in the child frame's axes; covariances (N, 6, 6) of each in ROS order.
    """

    stamps_ns: np.ndarray
    T: np.ndarray
    covariance: np.ndarray
    twist: np.ndarray
    twist_covariance: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps_ns)


def read_odometry(path: str | Path, topic: str = BagTopics.odom) -> StatedOdometry:
    """Every message of an odometry topic. ``DataError`` if the bag lacks the topic."""
    messages = {header_stamp(m): m for m in BagReader(path).messages(topic)}
    stamps = sorted(messages)
    return StatedOdometry(
        np.array(stamps, np.int64),
        np.array([pose_of(messages[s].pose.pose) for s in stamps]).reshape(-1, 4, 4),
        np.array([messages[s].pose.covariance for s in stamps]).reshape(-1, 6, 6),
        np.array([_twist(messages[s].twist.twist) for s in stamps]).reshape(-1, 6),
        np.array([messages[s].twist.covariance for s in stamps]).reshape(-1, 6, 6),
    )


def _twist(twist) -> list[float]:
    return [getattr(part, axis) for part in (twist.linear, twist.angular) for axis in "xyz"]

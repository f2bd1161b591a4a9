"""Messages become measurements, as robot_localization prepares them.

The messages must be in the filter's own frames: poses in its world frame, twists in its base frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.fusion.ekf import STATE, Measurement
from pixloc_ros.evaluation.fusion.settings import InputSettings
from pixloc_ros.messages.poses import to_xyz_rpy

_PLANAR = np.array([2, 3, 4, 8, 9, 10, 14])  # what two_d_mode holds at zero
_PLANAR_VARIANCE = 1e-6


@dataclass(frozen=True)
class PoseMessage:
    """geometry_msgs/PoseWithCovarianceStamped: T (4, 4) of the base, covariance (6, 6)."""

    stamp_ns: int
    T: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class OdometryMessage(PoseMessage):
    """nav_msgs/Odometry: also twist (6,) of the base in its own axes (m/s, rad/s), and its
    covariance (6, 6)."""

    twist: np.ndarray
    twist_covariance: np.ndarray


class Input:
    """One subscription of the filter: its settings, and the pose that differences start from."""

    def __init__(self, settings: InputSettings, two_d_mode: bool):
        self.settings = settings
        self._planar = two_d_mode
        self._newest_ns: int | None = None
        self._before: PoseMessage | None = None
        self._first: np.ndarray | None = None

    def take(self, message: PoseMessage) -> list[Measurement]:
        """Measurements of a message; none from one older than its predecessor."""
        if self._newest_ns is not None and message.stamp_ns < self._newest_ns:
            return []
        self._newest_ns = message.stamp_ns
        settings = self.settings
        found = []
        if settings.update[:6].any():
            found.append(
                self._difference(message) if settings.differential else self._pose(message)
            )
        if isinstance(message, OdometryMessage) and settings.update[6:12].any():
            found.append(
                self._twist(
                    message.stamp_ns,
                    message.twist,
                    message.twist_covariance,
                    settings.update,
                    settings.twist_threshold,
                )
            )
        return [measurement for measurement in found if measurement is not None]

    def _pose(self, message: PoseMessage) -> Measurement:
        T = message.T
        if self.settings.relative:
            if self._first is None:
                self._first = T
            T = transforms.inverse(self._first) @ T
        values, covariance = np.zeros(STATE), np.zeros((STATE, STATE))
        values[:6] = to_xyz_rpy(T)
        covariance[:6, :6] = message.covariance
        update = self.settings.update.copy()
        update[6:] = False
        return self._measurement(
            message.stamp_ns, "pose", values, covariance, update, self.settings.pose_threshold
        )

    def _difference(self, message: PoseMessage) -> Measurement | None:
        """The mean velocity since the last message, with the covariance that the original gives
        it: both poses' covariances added and multiplied by the time between them."""
        before, self._before = self._before, message
        if before is None or message.stamp_ns == before.stamp_ns:
            return None
        seconds = (message.stamp_ns - before.stamp_ns) * 1e-9
        step = transforms.inverse(before.T) @ message.T
        twist = to_xyz_rpy(step) / seconds
        covariance = (message.covariance + before.covariance) * seconds
        update = np.zeros(STATE, bool)
        update[6:12] = self.settings.update[:6]
        return self._twist(
            message.stamp_ns, twist, covariance, update, self.settings.pose_threshold
        )

    def _twist(
        self,
        stamp_ns: int,
        twist: np.ndarray,
        twist_covariance: np.ndarray,
        update: np.ndarray,
        threshold: float,
    ) -> Measurement:
        values, covariance = np.zeros(STATE), np.zeros((STATE, STATE))
        values[6:12] = twist
        covariance[6:12, 6:12] = twist_covariance
        update = update.copy()
        update[:6] = update[12:] = False
        return self._measurement(stamp_ns, "twist", values, covariance, update, threshold)

    def _measurement(
        self,
        stamp_ns: int,
        part: str,
        values: np.ndarray,
        covariance: np.ndarray,
        update: np.ndarray,
        threshold: float,
    ) -> Measurement:
        if self._planar:
            values[_PLANAR] = 0.0
            covariance[_PLANAR, _PLANAR] = _PLANAR_VARIANCE
            update[_PLANAR] = True
        return Measurement(
            stamp_ns, f"{self.settings.name}_{part}", values, covariance, update, threshold
        )

"""How tracking begins: with a pose that somebody gives, and fixes that agree with each other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.gates import GateConfig, mahalanobis
from pixloc_ros.core.tracker.motion import Anchor, OdometryNoise
from pixloc_ros.core.tracker.odometry import OdometryBuffer

#: Given with a pose of unknown quality (m, rad): roughly what a person clicks in rviz.
DEFAULT_INITIAL_STD = np.array([0.5, 0.5, 0.2, 0.03, 0.03, 0.07])


@dataclass(frozen=True)
class GivenPose:
    """T_map_base (4, 4) and covariance (6, 6) in ROS order, as somebody said they were then."""

    stamp_ns: int
    T_map_base: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(
        cls, stamp_ns: int, T_map_base: np.ndarray, covariance: np.ndarray | None = None
    ) -> GivenPose:
        """Without a covariance: half a metre and four degrees."""
        if covariance is None:
            covariance = np.diag(DEFAULT_INITIAL_STD**2)
        return cls(stamp_ns, np.asarray(T_map_base, float), np.asarray(covariance, float))

    def anchor(self, odometry: OdometryBuffer) -> Anchor | None:
        """The pose with odometry at its stamp; None as long as odometry is on its way.

        Where odometry has a gap, nobody knows how far of the way across it the robot was: the pose
        holds at its end, with a covariance that covers the way. Older than all odometry, the robot
        is taken to have stood still.
        """
        covariance, sample = self.covariance, odometry.at(self.stamp_ns)
        if sample is None:
            before, sample = odometry.around(self.stamp_ns)
            if sample is None:
                return None
            if before is not None:
                metres, radians = transforms.pose_error(sample.T_start_base, before.T_start_base)
                covariance = covariance + np.diag(np.repeat([metres**2, radians**2], 3))
        return Anchor(self.stamp_ns, self.T_map_base, sample, covariance)


class Start:
    """The newest frames since the pose was given or lost, until enough of their fixes agree."""

    def __init__(self, gates: GateConfig, noise: OdometryNoise) -> None:
        self._frames: deque[Anchor | None] = deque()
        self.reconfigure(gates, noise)

    def reconfigure(self, gates: GateConfig, noise: OdometryNoise) -> None:
        """Other settings, for the frames so far too."""
        self._gates, self._noise = gates, noise
        self._frames = deque(self._frames, maxlen=gates.start_frames)

    def add(self, fix: Anchor | None) -> str:
        """A frame's fix, None if it was rejected. What is still missing, or "" once `start_fixes`
        of the newest `start_frames` agree with this one; the next start then begins anew."""
        self._frames.append(fix)
        if fix is None:
            return "the frame was rejected"
        earlier = [f for f in self._frames if f is not None and f.stamp_ns < fix.stamp_ns]
        agreeing = 1 + sum(self._agree(f, fix) for f in earlier)
        if agreeing < self._gates.start_fixes:
            return f"confirming {agreeing} of {self._gates.start_fixes}"
        self._frames.clear()
        return ""

    def _agree(self, earlier: Anchor, later: Anchor) -> bool:
        predicted, covariance = earlier.predict(later.odometry, self._noise)
        error = transforms.error6(later.T_map_base, predicted)
        sigma = mahalanobis(error, covariance + later.covariance)
        return sigma <= self._gates.max_correction_sigma

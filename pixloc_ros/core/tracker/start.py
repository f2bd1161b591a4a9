"""How tracking begins: with fixes that agree with each other, given the odometry between them."""

from __future__ import annotations

from collections import deque

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.gates import GateConfig, mahalanobis
from pixloc_ros.core.tracker.motion import Anchor, OdometryNoise


class Start:
    """The newest frames since the pose was given or lost, until enough of their fixes agree."""

    def __init__(self, gates: GateConfig, noise: OdometryNoise) -> None:
        self._gates, self._noise = gates, noise
        self._frames: deque[Anchor | None] = deque(maxlen=gates.start_frames)

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

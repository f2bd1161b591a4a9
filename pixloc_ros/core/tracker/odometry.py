"""Odometry poses by time: the source of every prior."""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms


@dataclass(frozen=True)
class OdometryBufferConfig:
    """history: seconds of odometry kept. max_gap: longest hole (s) that is interpolated across.
    max_extrapolation: how far (s) beyond the newest message a pose is extrapolated."""

    history: float = 20.0
    max_gap: float = 0.5
    max_extrapolation: float = 0.15


class OdometryBuffer:
    """T_odom_base over time, interpolated at any stamp; safe to fill and read from two threads."""

    def __init__(self, config: OdometryBufferConfig = OdometryBufferConfig()):
        self._config = config
        self._stamps: list[int] = []
        self._poses: list[np.ndarray] = []
        self._changed = threading.Condition()

    def add(self, stamp_ns: int, T_odom_base: np.ndarray) -> bool:
        """Append a pose. Returns False, and starts over from this pose, if time ran backwards.

        A repeated stamp is ignored. DataError: the pose is not finite.
        """
        if not np.isfinite(T_odom_base).all():
            raise DataError("odometry holds NaN or infinity; the message is ignored")
        with self._changed:
            if self._stamps and stamp_ns == self._stamps[-1]:
                return True
            forward = not self._stamps or stamp_ns > self._stamps[-1]
            if not forward:
                self._stamps.clear()
                self._poses.clear()
            self._stamps.append(stamp_ns)
            self._poses.append(np.asarray(T_odom_base, dtype=np.float64))
            self._forget(stamp_ns - int(self._config.history * 1e9))
            self._changed.notify_all()
            return forward

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """T_odom_base (4, 4) at a stamp, or None where the buffer cannot tell."""
        with self._changed:
            stamps, poses = self._stamps, self._poses
            index = bisect.bisect_left(stamps, stamp_ns)
            if index < len(stamps) and stamps[index] == stamp_ns:
                return poses[index]
            if index == 0:
                return None
            if index == len(stamps):
                if stamp_ns - stamps[-1] > self._config.max_extrapolation * 1e9:
                    return None
                if len(stamps) == 1:
                    return poses[-1]
                index -= 1
            before, after = stamps[index - 1], stamps[index]
            if after - before > self._config.max_gap * 1e9:
                return None
            alpha = (stamp_ns - before) / (after - before)
            return transforms.interpolate(poses[index - 1], poses[index], alpha)

    def first(self) -> tuple[int, np.ndarray] | None:
        """The oldest pose still held: stamp_ns, T_odom_base."""
        with self._changed:
            return (self._stamps[0], self._poses[0]) if self._stamps else None

    def newest_stamp(self) -> int | None:
        """Stamp of the newest pose, nanoseconds."""
        with self._changed:
            return self._stamps[-1] if self._stamps else None

    def wait_until(self, stamp_ns: int, timeout_s: float) -> bool:
        """Wait until odometry reaches the stamp; False if it did not within the timeout."""
        with self._changed:
            return self._changed.wait_for(
                lambda: bool(self._stamps) and self._stamps[-1] >= stamp_ns, timeout_s
            )

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._stamps.clear()
            self._poses.clear()

    def _forget(self, before_ns: int) -> None:
        keep = bisect.bisect_left(self._stamps, before_ns)
        del self._stamps[:keep], self._poses[:keep]

"""Odometry poses by time: the source of every prior."""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms


@dataclass(frozen=True)
class OdometryBufferConfig:
    """history: seconds of odometry kept. max_gap: longest hole (s) that is interpolated across.
    max_extrapolation: how far (s) beyond the newest message a pose is extrapolated. max_speed
    (m/s), max_turn_rate (rad/s): no robot is faster; where two messages say so, odometry has
    jumped or begun anew between them."""

    history: float = 20.0
    max_gap: float = 0.5
    max_extrapolation: float = 0.15
    max_speed: float = 40.0
    max_turn_rate: float = 10.0


#: The way is counted over pieces of at least this length (m) or turn (rad), so that the noise of a
#: robot at rest does not add up to one.
PIECE_M, PIECE_RAD = 0.05, 0.02
#: No jump is as short (m, rad): what a stamp that is off by milliseconds makes of a fast robot.
JUMP_M, JUMP_RAD = 0.2, 0.1
#: Velocities for extrapolation are those over at least this long (ns).
BASELINE_NS = 50_000_000


class OdometrySample(NamedTuple):
    """T_odom_base (4, 4) at a stamp. metres, radians: how far the base has gone and turned along
    its way since the buffer began. jumps: of the odometry until then. T_start_odom (4, 4): takes
    them out again, so that the pose in the frame `start` is continuous."""

    stamp_ns: int
    T_odom_base: np.ndarray
    metres: float = 0.0
    radians: float = 0.0
    jumps: int = 0
    T_start_odom: np.ndarray = np.eye(4)

    @property
    def T_start_base(self) -> np.ndarray:
        """The pose without the jumps, (4, 4)."""
        return self.T_start_odom @ self.T_odom_base


class OdometryBuffer:
    """T_odom_base over time, interpolated at any stamp; safe to fill and read from two threads."""

    def __init__(self, config: OdometryBufferConfig = OdometryBufferConfig()):
        self._config = config
        self._samples: list[OdometrySample] = []
        self._piece: OdometrySample | None = None  # where the newest piece of the way begins
        self._lock = threading.Lock()
        self._jump = 0, ""  # the newest: stamp, and how far

    def reconfigure(self, config: OdometryBufferConfig) -> None:
        """Other settings from now on; what is kept stays."""
        with self._lock:
            self._config = config

    def add(self, stamp_ns: int, T_odom_base: np.ndarray) -> bool:
        """Append a pose. Returns False, and starts over from this pose, if time ran backwards.

        A repeated stamp is ignored. DataError: the pose is not finite.
        """
        if not np.isfinite(T_odom_base).all():
            raise DataError("odometry holds NaN or infinity; the message is ignored")
        with self._lock:
            newest = self._samples[-1].stamp_ns if self._samples else stamp_ns - 1
            if stamp_ns == newest:
                return True
            forward = stamp_ns > newest
            if not forward:
                self._samples.clear()
            self._samples.append(self._measured(stamp_ns, np.asarray(T_odom_base, np.float64)))
            self._forget(stamp_ns - int(self._config.history * 1e9))
            return forward

    def at(self, stamp_ns: int) -> OdometrySample | None:
        """Odometry at a stamp, or None where the buffer cannot tell."""
        with self._lock:
            samples = self._samples
            index = bisect.bisect_left(samples, stamp_ns, key=lambda sample: sample.stamp_ns)
            if index < len(samples) and samples[index].stamp_ns == stamp_ns:
                return samples[index]
            if index == 0:
                return None
            if index == len(samples):
                if stamp_ns - samples[-1].stamp_ns > self._config.max_extrapolation * 1e9:
                    return None
                before, after = self._baseline(), samples[-1]
            else:
                before, after = samples[index - 1], samples[index]
            if after.stamp_ns - before.stamp_ns > self._config.max_gap * 1e9:
                return None
            if before.stamp_ns == after.stamp_ns or before.jumps != after.jumps:
                return after._replace(stamp_ns=stamp_ns)
            alpha = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
            return OdometrySample(
                stamp_ns,
                transforms.interpolate(before.T_odom_base, after.T_odom_base, alpha),
                before.metres + alpha * (after.metres - before.metres),
                before.radians + alpha * (after.radians - before.radians),
                after.jumps,
                after.T_start_odom,
            )

    def jumped(self, within_s: float = 10.0) -> str:
        """How odometry has jumped lately, or ""."""
        stamp_ns, text = self._jump
        newest_ns = self.newest_stamp()
        recent = text and newest_ns is not None and newest_ns - stamp_ns < within_s * 1e9
        return text if recent else ""

    def around(self, stamp_ns: int) -> tuple[OdometrySample | None, OdometrySample | None]:
        """The last pose before a stamp and the first one at it or after it, where there are any."""
        with self._lock:
            index = bisect.bisect_left(self._samples, stamp_ns, key=lambda sample: sample.stamp_ns)
            before, after = self._samples[:index][-1:], self._samples[index : index + 1]
            return next(iter(before), None), next(iter(after), None)

    def first(self) -> OdometrySample | None:
        """The oldest pose still held."""
        with self._lock:
            return self._samples[0] if self._samples else None

    def newest(self) -> OdometrySample | None:
        """The newest pose."""
        with self._lock:
            return self._samples[-1] if self._samples else None

    def newest_stamp(self) -> int | None:
        """Stamp of the newest pose, nanoseconds."""
        newest = self.newest()
        return newest.stamp_ns if newest else None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._samples.clear()
            self._jump = 0, ""

    def _measured(self, stamp_ns: int, T_odom_base: np.ndarray) -> OdometrySample:
        """The pose with the way to it."""
        if not self._samples or self._piece is None:
            self._piece = OdometrySample(stamp_ns, T_odom_base)
            return self._piece
        newest = self._samples[-1]
        metres, radians = transforms.pose_error(T_odom_base, newest.T_odom_base)
        seconds = (stamp_ns - newest.stamp_ns) * 1e-9
        if (
            metres > JUMP_M + self._config.max_speed * seconds
            or radians > JUMP_RAD + self._config.max_turn_rate * seconds
        ):
            self._jump = (
                stamp_ns,
                f"jumped by {metres:.2f} m, {np.degrees(radians):.1f} deg within {seconds:.3f} s",
            )
            self._piece = newest._replace(
                stamp_ns=stamp_ns,
                T_odom_base=T_odom_base,
                jumps=newest.jumps + 1,
                T_start_odom=newest.T_start_base @ transforms.inverse(T_odom_base),
            )
            return self._piece
        metres, radians = transforms.pose_error(T_odom_base, self._piece.T_odom_base)
        sample = newest._replace(
            stamp_ns=stamp_ns,
            T_odom_base=T_odom_base,
            metres=self._piece.metres + float(metres),
            radians=self._piece.radians + float(radians),
        )
        if metres > PIECE_M or radians > PIECE_RAD:
            self._piece = sample
        return sample

    def _baseline(self) -> OdometrySample:
        """Where the velocity of the newest pose is measured from."""
        newest = self._samples[-1]
        for sample in reversed(self._samples):
            if newest.stamp_ns - sample.stamp_ns >= BASELINE_NS:
                break
        return sample

    def _forget(self, before_ns: int) -> None:
        keep = bisect.bisect_left(self._samples, before_ns, key=lambda sample: sample.stamp_ns)
        del self._samples[:keep]

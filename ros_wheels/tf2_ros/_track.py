"""The recent history of one frame's pose in its parent, with interpolation.

Rotations are (x, y, z, w) tuples, translations (x, y, z) tuples in metres, times nanoseconds.
Plain Python floats: a lookup touches a handful of numbers, where NumPy calls would cost more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from math import acos, sin
from typing import NamedTuple

Vector = tuple  # (x, y, z)
Quaternion = tuple  # (x, y, z, w)


class Sample(NamedTuple):
    """The pose of a frame in `parent` at one time: p_parent = R(rotation) p + translation."""

    stamp_ns: int
    parent: str
    translation: Vector
    rotation: Quaternion


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product: first b, then a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotate(q: Quaternion, v: Vector) -> Vector:
    """R(q) v."""
    x, y, z, w = q
    vx, vy, vz = v
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return (
        vx + w * tx + y * tz - z * ty,
        vy + w * ty + z * tx - x * tz,
        vz + w * tz + x * ty - y * tx,
    )


def compose(outer: tuple, inner: tuple) -> tuple:
    """(translation, rotation) of outer * inner."""
    shifted = rotate(outer[1], inner[0])
    translation = tuple(a + b for a, b in zip(shifted, outer[0]))
    return translation, multiply(outer[1], inner[1])


def invert(pose: tuple) -> tuple:
    """(translation, rotation) of the inverse."""
    x, y, z, w = pose[1]
    back = (-x, -y, -z, w)
    return tuple(-v for v in rotate(back, pose[0])), back


def slerp(a: Quaternion, b: Quaternion, alpha: float) -> Quaternion:
    """Spherical interpolation along the shorter arc."""
    dot = sum(p * q for p, q in zip(a, b))
    if dot < 0:
        b, dot = tuple(-q for q in b), -dot
    if dot > 0.9999999:
        wa, wb = 1 - alpha, alpha
    else:
        angle = acos(dot)
        wa, wb = sin((1 - alpha) * angle) / sin(angle), sin(alpha * angle) / sin(angle)
    mixed = tuple(wa * p + wb * q for p, q in zip(a, b))
    norm = sum(q * q for q in mixed) ** 0.5
    return tuple(q / norm for q in mixed)


class Track:
    """Samples of one frame, sorted by time, none older than `cache_ns` before the newest."""

    def __init__(self, cache_ns: int):
        self._cache_ns = cache_ns
        self._samples: list[Sample] = []

    def add(self, sample: Sample) -> bool:
        """Insert a sample; False if it is older than what the cache may hold."""
        samples = self._samples
        if samples and sample.stamp_ns < samples[-1].stamp_ns - self._cache_ns:
            return False
        if not samples or sample.stamp_ns > samples[-1].stamp_ns:
            samples.append(sample)
        else:
            index = bisect_left(samples, (sample.stamp_ns,))
            if samples[index].stamp_ns == sample.stamp_ns:
                samples[index] = sample
            else:
                insort(samples, sample)
        del samples[: bisect_left(samples, (samples[-1].stamp_ns - self._cache_ns,))]
        return True

    def clear(self) -> None:
        self._samples.clear()

    @property
    def span(self) -> tuple | None:
        """(oldest, newest) time, None if empty."""
        if not self._samples:
            return None
        return self._samples[0].stamp_ns, self._samples[-1].stamp_ns

    def latest(self) -> Sample | None:
        return self._samples[-1] if self._samples else None

    def at(self, stamp_ns: int) -> Sample | None:
        """The interpolated sample at a time, None outside the span."""
        samples = self._samples
        index = bisect_left(samples, (stamp_ns,))
        if index == len(samples):
            return None
        after = samples[index]
        if after.stamp_ns == stamp_ns:
            return after
        if index == 0:
            return None
        before = samples[index - 1]
        if before.parent != after.parent:
            return before._replace(stamp_ns=stamp_ns)
        alpha = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
        translation = tuple(
            (1 - alpha) * p + alpha * q for p, q in zip(before.translation, after.translation)
        )
        rotation = slerp(before.rotation, after.rotation, alpha)
        return Sample(stamp_ns, after.parent, translation, rotation)


class StaticTrack:
    """One sample that holds for all times and outlives `clear`."""

    span = None

    def __init__(self, sample: Sample):
        self._sample = sample

    def add(self, sample: Sample) -> bool:
        self._sample = sample
        return True

    def clear(self) -> None:
        """Static transforms do not age."""

    def latest(self) -> Sample:
        return self._sample

    def at(self, stamp_ns: int) -> Sample:
        return self._sample._replace(stamp_ns=stamp_ns)

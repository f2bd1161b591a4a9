"""The transform buffer: what is known of all frames over the last seconds."""

from __future__ import annotations

import math
import threading
import time as wall

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold
from rclpy.duration import Duration
from rclpy.time import Time

from ._track import Sample, StaticTrack, Track, compose, invert
from .exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)

_POLL_SECONDS = 0.005
_IDENTITY = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


class Buffer:
    """Thread-safe store of transforms with lookup between any two connected frames.

    `cache_time` is how far back it remembers (default 10 s). With a `node` the buffer waits on the
    node's clock, and forgets all but static transforms when that clock jumps back.
    """

    def __init__(self, cache_time: Duration | None = None, node=None):
        self._cache_ns = 10_000_000_000 if cache_time is None else cache_time.nanoseconds
        self._tracks: dict[str, Track | StaticTrack] = {}
        self._frames: set[str] = set()
        self._lock = threading.RLock()
        self._logger = rclpy.logging.get_logger("tf2_buffer")
        self._clock = Clock() if node is None else node.get_clock()
        self._context = None if node is None else node.context
        backward = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jump = self._clock.create_jump_callback(
            backward, post_callback=lambda _: self.clear()
        )

    # ---- filling

    def set_transform(self, transform: TransformStamped, authority: str) -> bool:
        """Store a transform that holds at its stamp. False if it was refused."""
        return self._store(transform, authority, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> bool:
        """Store a transform that holds at all times. False if it was refused."""
        return self._store(transform, authority, static=True)

    def _store(self, transform: TransformStamped, authority: str, static: bool) -> bool:
        child = transform.child_frame_id.lstrip("/")
        t, q = transform.transform.translation, transform.transform.rotation
        sample = Sample(
            Time.from_msg(transform.header.stamp).nanoseconds,
            transform.header.frame_id.lstrip("/"),
            (t.x, t.y, t.z),
            (q.x, q.y, q.z, q.w),
        )
        wrong = _why_invalid(child, sample)
        if wrong:
            self._logger.error(f"ignored transform of '{child}' from {authority}: {wrong}")
            return False
        with self._lock:
            track = self._tracks.get(child)
            if not isinstance(track, StaticTrack if static else Track):
                track = StaticTrack(sample) if static else Track(self._cache_ns)
                self._tracks[child] = track
            self._frames.update((child, sample.parent))
            stored = track.add(sample)
        if not stored:
            self._logger.warning(
                f"ignored transform of '{child}' from {authority}: older than the buffer",
                throttle_duration_sec=5.0,
            )
        return stored

    def clear(self) -> None:
        """Forget everything but static transforms."""
        with self._lock:
            for track in self._tracks.values():
                track.clear()

    # ---- asking

    def lookup_transform(
        self, target_frame: str, source_frame: str, time, timeout: Duration = Duration()
    ) -> TransformStamped:
        """The transform that maps points of `source_frame` into `target_frame`.

        `time` is an rclpy or message time, zero meaning the newest common time; waits up to
        `timeout` for it. Raises a `TransformException`.
        """
        return self.lookup_transform_full(
            target_frame, time, source_frame, time, target_frame, timeout
        )

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time,
        source_frame: str,
        source_time,
        fixed_frame: str,
        timeout: Duration = Duration(),
    ) -> TransformStamped:
        """From `source_frame` at one time to `target_frame` at another, through `fixed_frame`."""
        question = (target_frame, target_time, source_frame, source_time, fixed_frame)
        self._wait(question, timeout)
        stamp_ns, pose = self._resolve(*question)
        return _to_message(target_frame, source_frame, stamp_ns, pose)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time,
        timeout: Duration = Duration(),
        return_debug_tuple: bool = False,
    ):
        """Whether `lookup_transform` would succeed; with the reason if a tuple is asked for."""
        return self.can_transform_full(
            target_frame, time, source_frame, time, target_frame, timeout, return_debug_tuple
        )

    def can_transform_full(
        self,
        target_frame: str,
        target_time,
        source_frame: str,
        source_time,
        fixed_frame: str,
        timeout: Duration = Duration(),
        return_debug_tuple: bool = False,
    ):
        """Whether `lookup_transform_full` would succeed."""
        question = (target_frame, target_time, source_frame, source_time, fixed_frame)
        reason = self._wait(question, timeout)
        return (not reason, reason) if return_debug_tuple else not reason

    def all_frames_as_string(self) -> str:
        """One line per frame: 'Frame child exists with parent parent.'"""
        with self._lock:
            latest = {child: track.latest() for child, track in sorted(self._tracks.items())}
        return "".join(
            f"Frame {child} exists with parent {sample.parent}.\n"
            for child, sample in latest.items()
            if sample is not None
        )

    # ---- inside

    def _wait(self, question: tuple, timeout: Duration) -> str:
        """Wait until the question can be answered; '' or the reason why it cannot.

        Ends early when the context is shut down or the clock jumps back.
        """
        start = self._clock.now()
        while True:
            try:
                self._resolve(*question)
                return ""
            except InvalidArgumentException as error:
                return str(error)
            except TransformException as error:
                reason = str(error)
            now = self._clock.now()
            if now - start >= timeout or now < start or not rclpy.ok(context=self._context):
                return reason
            wall.sleep(_POLL_SECONDS)

    def _resolve(self, target, target_time, source, source_time, fixed) -> tuple:
        """(stamp_ns, (translation, rotation)) mapping points of source into target."""
        target_ns, source_ns = _nanoseconds(target_time), _nanoseconds(source_time)
        with self._lock:
            for frame in (target, source, fixed):
                self._check(frame)
            if target_ns == source_ns:
                return self._at_one_time(target, source, target_ns)
            _, fixed_source = self._at_one_time(fixed, source, source_ns)
            stamp_ns, target_fixed = self._at_one_time(target, fixed, target_ns)
            return stamp_ns, compose(target_fixed, fixed_source)

    def _check(self, frame: str) -> None:
        if not frame or frame.startswith("/"):
            raise InvalidArgumentException(
                f"frame name '{frame}' is invalid: it must not be empty or begin with a slash"
            )
        if frame not in self._frames:
            raise LookupException(f"frame '{frame}' does not exist")

    def _at_one_time(self, target: str, source: str, stamp_ns: int) -> tuple:
        if target == source:
            return stamp_ns, _IDENTITY
        stamp_ns = stamp_ns or self._newest_common_time(target, source)
        up_source = self._climb(source, stamp_ns, stop=target)
        if target in up_source:
            return stamp_ns, up_source[target]
        up_target = self._climb(target, stamp_ns, stop=source)
        for frame, frame_source in up_source.items():
            if frame in up_target:
                return stamp_ns, compose(invert(up_target[frame]), frame_source)
        raise self._disconnected(target, source, stamp_ns)

    def _climb(self, frame: str, stamp_ns: int, stop: str) -> dict:
        """Poses of `frame` in itself and its ancestors, as far as known at that time."""
        poses = {frame: _IDENTITY}
        pose = _IDENTITY
        while frame != stop and frame in self._tracks:
            sample = self._tracks[frame].at(stamp_ns)
            if sample is None or sample.parent in poses:
                break
            pose = compose((sample.translation, sample.rotation), pose)
            frame = sample.parent
            poses[frame] = pose
        return poses

    def _chain(self, frame: str) -> list:
        """The frame and its ancestors by their newest samples."""
        chain = [frame]
        while chain[-1] in self._tracks:
            sample = self._tracks[chain[-1]].latest()
            if sample is None or sample.parent in chain:
                break
            chain.append(sample.parent)
        return chain

    def _links(self, target: str, source: str) -> list:
        """The frames whose tracks lie between the two."""
        up_target, up_source = self._chain(target), self._chain(source)
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            raise ConnectivityException(
                f"'{source}' and '{target}' are not in the same tree: "
                f"their roots are '{up_source[-1]}' and '{up_target[-1]}'"
            )
        return up_source[: up_source.index(common)] + up_target[: up_target.index(common)]

    def _newest_common_time(self, target: str, source: str) -> int:
        spans = (self._tracks[frame].span for frame in self._links(target, source))
        return min((span[1] for span in spans if span is not None), default=0)

    def _disconnected(self, target: str, source: str, stamp_ns: int) -> TransformException:
        """The exception for frames that no chain joins at that time."""
        for frame in self._links(target, source):
            span = self._tracks[frame].span
            if span is not None and not span[0] <= stamp_ns <= span[1]:
                side = "past" if stamp_ns < span[0] else "future"
                return ExtrapolationException(
                    f"'{source}' to '{target}' at {stamp_ns / 1e9:.6f} would extrapolate into the "
                    f"{side}: '{frame}' is known from {span[0] / 1e9:.6f} to {span[1] / 1e9:.6f}"
                )
        return ConnectivityException(f"'{source}' and '{target}' were not connected at that time")


def _nanoseconds(time) -> int:
    return time.nanoseconds if hasattr(time, "nanoseconds") else Time.from_msg(time).nanoseconds


def _why_invalid(child: str, sample: Sample) -> str:
    numbers = (*sample.translation, *sample.rotation)
    if not child or not sample.parent:
        return "an empty frame name"
    if child == sample.parent:
        return "it is its own parent"
    if not all(map(math.isfinite, numbers)):
        return "a number that is not finite"
    if abs(sum(q * q for q in sample.rotation) - 1) > 1e-2:
        return "a quaternion that is not normalised"
    return ""


def _to_message(target: str, source: str, stamp_ns: int, pose: tuple) -> TransformStamped:
    message = TransformStamped()
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    message.header.frame_id, message.child_frame_id = target, source
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = pose[0]
    rotation.x, rotation.y, rotation.z, rotation.w = pose[1]
    return message

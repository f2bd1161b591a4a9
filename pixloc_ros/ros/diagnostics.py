"""What /diagnostics says; keys and levels are listed in docs/diagnostics.md."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from pixloc_ros.core.tracker import FrameResult, TrackState
from pixloc_ros.ros.inputs import Input

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)
STATE_LEVELS = {
    TrackState.TRACKING: OK,
    TrackState.COASTING: WARN,
    TrackState.UNINITIALIZED: WARN,
    TrackState.STARTING: WARN,
    TrackState.LOST: ERROR,
}
# A worker that is this long (s) at one frame hangs in its device.
STALLED_AFTER = 5.0


def gate_of(reason: str) -> str:
    """What a reason is about, without its numbers, so that like ones are counted together."""
    return re.split(r"[ :]*-?\d", reason, maxsplit=1)[0]


@dataclass
class Statistics:
    """Counts since activation, and the newest frames for rates and latencies.

    latency: seconds from the image's stamp to publication, on the node's clock.
    """

    processed: int = 0
    accepted: int = 0
    starting: int = 0
    dropped: int = 0
    resets: int = 0
    rejections: Counter = field(default_factory=Counter)
    latencies: deque = field(default_factory=lambda: deque(maxlen=200))
    finished: deque = field(default_factory=lambda: deque(maxlen=50))
    result: FrameResult | None = None
    mounting: str = ""  # what is strange about that of the camera

    def add(self, result: FrameResult, latency_s: float, now: float) -> None:
        """Count a frame. now: monotonic seconds."""
        self.processed += 1
        self.accepted += result.accepted
        self.starting += result.state is TrackState.STARTING
        if not result.accepted:
            self.rejections.update(gate_of(reason) for reason in result.reasons)
        self.latencies.append(latency_s)
        self.finished.append(now)
        self.result = result

    def rate(self, now: float) -> float:
        """Frames a second over the newest ones (Hz)."""
        recent = [t for t in self.finished if now - t < 5.0]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 else 0.0


def lifecycle_status(name: str, state: str, error: str, map_text: str) -> DiagnosticStatus:
    """The node itself: its lifecycle state, and why it could not be configured."""
    level = ERROR if error else OK
    return _status(name, level, error or state, state=state, map=map_text)


def pose_status(
    name: str,
    statistics: Statistics,
    state: TrackState,
    reason: str,
    waits_for: str = "",
    finds_itself: bool = False,
) -> DiagnosticStatus:
    """How far the pose can be trusted, and why. state, reason: of the tracker. waits_for: what is
    missing for a pose that was given. finds_itself: nobody has to give one."""
    result = statistics.result
    level, message = STATE_LEVELS[state], f"{state.value}: {reason}" if reason else state.value
    if state is TrackState.UNINITIALIZED and waits_for:
        message = f"the initial pose waits for {waits_for}"
    elif state is TrackState.UNINITIALIZED and not finds_itself:
        message = "no initial pose: send initialpose, or set set_initial_pose"
    elif state is TrackState.LOST:
        mend = "looking for itself in the whole map" if finds_itself else "send initialpose"
        message = f"lost: {mend} ({reason})"
    values = dict(
        state=state.value,
        frames=statistics.processed,
        accepted=statistics.accepted,
        starting=statistics.starting,
        resets=statistics.resets,
    )
    if result is not None:
        values.update(
            reasons="; ".join(result.reasons) or "none",
            points=result.fix.num_points,
            inliers=result.fix.num_inliers,
            cost=result.fix.cost,
            probability=result.fix.probability,
            calibration=result.camera_suspicion or "as said",
            mounting=statistics.mounting or "upright",
            correction_m=result.fix.correction[0],
            correction_deg=math.degrees(result.fix.correction[1]),
            odometry=result.odometry_suspicion or "as the map says",
        )
        if result.camera_suspicion:
            level = max(level, WARN)
            message += f"; check the camera's calibration: {result.camera_suspicion}"
        if statistics.mounting:
            level = max(level, WARN)
            message += f"; check where the camera sits: {statistics.mounting}"
        if result.odometry_suspicion:
            level = max(level, WARN)
            message += f"; check the odometry: {result.odometry_suspicion}"
        if result.covariance is not None:
            std = np.sqrt(np.diag(result.covariance))
            values.update(
                std_x_m=std[0], std_y_m=std[1], std_z_m=std[2], std_yaw_deg=math.degrees(std[5])
            )
    values.update({f"rejected: {why}": n for why, n in statistics.rejections.most_common(8)})
    return _status(name, level, message, **values)


def inputs_status(
    name: str, inputs: list[Input], timeout_s: float, clock_offset_s: float, clock_problem: str
) -> DiagnosticStatus:
    """Every subscribed topic: rate, silence, refused messages, QoS conflicts.

    clock_offset_s: node's clock minus the newest image stamp. clock_problem: "" or what is wrong.
    """
    silent = [text for text in (i.complaint(timeout_s) for i in inputs) if text]
    conflicts = [f"{i.topic}: {i.qos_conflict}" for i in inputs if i.qos_conflict]
    refused = [f"{i.name}: {i.recent_refusal()}" for i in inputs if i.recent_refusal()]
    warnings = [clock_problem] * bool(clock_problem) + conflicts + refused
    values: dict = {"clock_offset_s": clock_offset_s}
    for item in inputs:
        values[f"{item.name}.topic"] = item.topic
        values[f"{item.name}.received"] = item.count
        values[f"{item.name}.rate_hz"] = item.rate()
        if item.watched:
            values[f"{item.name}.silent_s"] = item.silence()
        values[f"{item.name}.refused"] = item.refused
        if item.last_refusal:
            values[f"{item.name}.last_refusal"] = item.last_refusal
        if item.qos_conflict:
            values[f"{item.name}.qos_conflict"] = item.qos_conflict
    level = ERROR if silent else WARN if warnings else OK
    return _status(name, level, "; ".join(silent + warnings) or "all inputs arrive", **values)


def timing_status(name: str, statistics: Statistics, busy_s: float, now: float) -> DiagnosticStatus:
    """How fast frames are worked off. busy_s: how long the current frame has been worked on."""
    values = dict(rate_hz=statistics.rate(now), dropped=statistics.dropped, busy_s=busy_s)
    if statistics.latencies:
        p50, p95 = np.percentile(statistics.latencies, [50, 95])
        values.update(latency_p50_ms=1e3 * p50, latency_p95_ms=1e3 * p95)
    if statistics.result is not None:
        values.update({f"{part}_ms": ms for part, ms in statistics.result.fix.timings_ms.items()})
    if busy_s > STALLED_AFTER:
        return _status(
            name, ERROR, f"the worker has been busy with one frame for {busy_s:.0f} s", **values
        )
    return _status(name, OK, f"{values['rate_hz']:.1f} frames/s", **values)


def tf_status(
    name: str,
    broadcasting: bool,
    sent: bool,
    other_sender: str | None,
    odom_frame: str,
    expected_frame: str,
) -> DiagnosticStatus:
    """map -> odom: whether it is sent, and whether somebody else sends it too.

    odom_frame: what the odometry calls its frame. expected_frame: what the parameter calls it.
    """
    values = dict(
        tf_broadcast=broadcasting,
        sending=sent,
        odom_frame=odom_frame,
        other_sender=other_sender or "none",
    )
    if other_sender and broadcasting:
        return _status(
            name,
            ERROR,
            "somebody else sends a parent of the odometry frame too "
            f"({other_sender}); stop it or set tf_broadcast to false",
            **values,
        )
    message = "sending" if sent else "not sending"
    if broadcasting and odom_frame != expected_frame:
        message += (
            f"; odometry is in the frame '{odom_frame}', odom_frame_id says '{expected_frame}'"
        )
        return _status(name, WARN, message, **values)
    return _status(name, OK, message, **values)


def _status(name: str, level: bytes, message: str, **values) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id="pixloc_ros",
        values=[KeyValue(key=k, value=_text(v)) for k, v in values.items()],
    )


def _text(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)

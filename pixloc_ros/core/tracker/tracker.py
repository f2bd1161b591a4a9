"""The state of a robot in a map, from odometry and fixes. No image ever comes here."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np

from pixloc_ros.core.frame import Fix, Place
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.camera import CameraWatch
from pixloc_ros.core.tracker.config import TrackerConfig
from pixloc_ros.core.tracker.gates import judge, mahalanobis
from pixloc_ros.core.tracker.motion import Anchor, Prediction
from pixloc_ros.core.tracker.odometry import OdometryBuffer, OdometrySample
from pixloc_ros.core.tracker.odometry_watch import OdometryWatch
from pixloc_ros.core.tracker.result import FrameResult, TrackState
from pixloc_ros.core.tracker.start import GivenPose, Start

#: States in which a pose is given out.
GIVEN_OUT = (TrackState.TRACKING, TrackState.COASTING)


class Tracker:
    """Keeps the pose of a robot in a map, one fix at a time.

        prediction = tracker.predict(stamp_ns)
        result = tracker.update(prediction, fix)

    Tracking begins with fixes that confirm each other, after a pose was given and from lost; until
    then no pose is given out, and each of them starts from the same wide prior.
    finds_itself: whoever makes the fixes can find an image in the whole map. Then nobody has to
    give a pose, and a prediction says `anywhere` as long as none is known or confirmed, when it is
    lost, or when so many fixes in a row were rejected that the robot may have been carried away.

    Between frames `advance` says how late it is, so that a pose is coasting and then lost also
    where no image comes. Neither a bad fix nor odometry that cannot tell makes it raise: what went
    wrong stands in the result's `reasons`. `advance`, `set_pose`, `reset`, `reconfigure` and
    `odometry` may be used from another thread between `predict` and `update`.
    """

    def __init__(self, config: TrackerConfig = TrackerConfig(), finds_itself: bool = False) -> None:
        self.config, self._finds_itself = config, finds_itself
        self.odometry = OdometryBuffer(config.odometry_buffer)
        self._lock = threading.Lock()
        self.reset()

    def reconfigure(self, config: TrackerConfig) -> None:
        """Other settings from now on: the next fix is judged by them. Pose, odometry and what was
        learned of cameras and odometry stay."""
        with self._lock:
            self.config = config
            self.odometry.reconfigure(config.odometry_buffer)
            self._cameras.reconfigure(config.camera_watch)
            self._odometry_watch.reconfigure(config.odometry_watch)
            self._start.reconfigure(config.gates, config.odometry_noise)

    def _begin(self, state: TrackState, reason: str) -> None:
        """Fixes of predictions made before this moment no longer count."""
        self._state, self._reason = state, reason
        self._doubts = 0  # fixes rejected in a row
        self._awaits_frame = True  # no image has come since
        self._start = Start(self.config.gates, self.config.odometry_noise)
        self._epoch = object()

    @property
    def state(self) -> TrackState:
        """State after the newest frame, or the last `advance`."""
        return self._state

    @property
    def reason(self) -> str:
        """Why the state is not tracking, or ""."""
        return self._reason

    @property
    def T_map_odom(self) -> np.ndarray | None:
        """The correction that odometry needs now, (4, 4); None unless tracking or coasting."""
        newest = self.odometry.newest()
        with self._lock:
            if self._anchor is None or newest is None or self._state not in GIVEN_OUT:
                return None
            return self._anchor.T_map_odom(newest)

    @property
    def wants_pose(self) -> bool:
        """True as long as nobody has said, and no image has shown, where the robot is."""
        with self._lock:
            return self._given is None and self._anchor is None

    def reset(self) -> None:
        """Forget the pose and the odometry."""
        self.forget_pose()
        self.odometry.clear()

    def forget_pose(self) -> None:
        """Begin anew, as if nobody had said yet where the robot is."""
        with self._lock:
            self._anchor: Anchor | None = None
            self._given: GivenPose | None = None
            self._cameras = CameraWatch(self.config.camera_watch)
            self._odometry_watch = OdometryWatch(self.config.odometry_watch)
            missing = "looking for itself" if self._finds_itself else "waiting for an initial pose"
            self._begin(TrackState.UNINITIALIZED, missing)

    def set_pose(
        self, stamp_ns: int, T_map_base: np.ndarray, covariance: np.ndarray | None = None
    ) -> None:
        """Say where the robot was at `stamp_ns`; odometry carries it on from there.

        covariance: (6, 6) in ROS order; without one, half a metre and four degrees are assumed.
        """
        with self._lock:
            self._given, self._anchor = GivenPose.of(stamp_ns, T_map_base, covariance), None
            self._begin(TrackState.STARTING, "a pose was given")

    def advance(self, stamp_ns: int) -> TrackState:
        """It is `stamp_ns` by the odometry's time, whoever is silent: the state now."""
        odometry = self.odometry.newest()
        with self._lock:
            self._take_given()
            if self._anchor is not None and odometry is not None:
                self._state, self._reason = self._carried(self._anchor, stamp_ns, odometry)
            return self._state

    def predict(self, stamp_ns: int) -> Prediction | FrameResult:
        """The prior at a stamp, or the frame's result where there is none."""
        odometry, newest = self.odometry.at(stamp_ns), self.odometry.newest()
        with self._lock:
            if odometry is None:
                return self._without_odometry(stamp_ns, newest)
            self._take_given()
            if self._anchor is None:
                if self._finds_itself and self._given is None:
                    return Prediction(stamp_ns, self._epoch, odometry, anywhere=True)
                return FrameResult(stamp_ns, self._state, reasons=(self._reason,))
            if self._awaits_frame:
                self._anchor = replace(self._anchor, stamp_ns=max(self._anchor.stamp_ns, stamp_ns))
                self._awaits_frame = False
            self._state, self._reason = self._carried(self._anchor, stamp_ns, odometry)
            unsure = self._state not in GIVEN_OUT or self._doubts >= self.config.gates.find_after
            return Prediction(
                stamp_ns,
                self._epoch,
                odometry,
                self._anchor,
                Place(*self._carry(self._anchor, odometry)),
                self._cameras.due,
                self._finds_itself and unsure,
            )

    def update(self, prediction: Prediction, fix: Fix, place: Place | None = None) -> FrameResult:
        """Judge the fix found from a prediction; state, and where the robot is.

        place: that it started from, if it is not the predicted one.
        """
        place = place or prediction.place
        with self._lock:
            gates = self.config.gates
            reasons = judge(gates, fix, place.covariance) if place else (fix.failure,)
            if self._epoch is not prediction.epoch:
                reasons = ("the pose was set anew while this frame was aligned",)
                return FrameResult(prediction.stamp_ns, self._state, reasons=reasons)
            found = None
            if not reasons:
                self._cameras.add(fix.cameras)
                if refused := self._cameras.refused():
                    reasons = (f"camera calibration: {refused}",)
            elif fix.num_points:  # a map that shows nothing here says nothing about the pose
                self._doubts = min(self._doubts + 1, gates.max_doubts)
            if not reasons:
                found = Anchor(
                    prediction.stamp_ns, fix.T_map_base, prediction.odometry, fix.covariance
                )
            beginning = self._state not in GIVEN_OUT or (place is not None and place.found)
            if beginning:
                missing = self._start.add(found)
                reasons = reasons or ((missing,) if missing else ())
            now = prediction.place
            if found is not None and not reasons:
                self._state, self._reason, self._doubts = TrackState.TRACKING, "", 0
                self._anchor, self._awaits_frame = found, False
                now = Place(fix.T_map_base, fix.covariance)
                learn = self._odometry_watch.begin if beginning else self._odometry_watch.add
                learn(found)
            elif prediction.anchor is None:
                self._state, self._reason = TrackState.STARTING, reasons[0]
            else:
                self._state, self._reason = self._carried(
                    prediction.anchor, prediction.stamp_ns, prediction.odometry, reasons[0]
                )
                now = Place(*self._carry(prediction.anchor, prediction.odometry))  # doubted more
                if found is not None and not self._agree(now, fix):
                    # Seen elsewhere: the carried pose may be wrong, until another image decides.
                    self._state = TrackState.STARTING
            result = FrameResult(
                prediction.stamp_ns,
                self._state,
                reasons=reasons,
                fix=fix,
                camera_suspicion=self._cameras.suspected(),
                odometry_suspicion=self.odometry.jumped() or self._odometry_watch.suspected(),
            )
        if result.state not in GIVEN_OUT or now is None:
            return result
        return replace(
            result,
            accepted=not reasons,
            T_map_base=now.T_map_base,
            covariance=now.covariance,
            T_map_odom=now.T_map_base @ transforms.inverse(prediction.odometry.T_odom_base),
        )

    def _take_given(self) -> None:
        """Begin at the pose that was given, once odometry reaches its stamp."""
        if self._given is not None and self._anchor is None:
            self._anchor = self._given.anchor(self.odometry)

    def _carry(self, anchor: Anchor, odometry: OdometrySample) -> tuple[np.ndarray, np.ndarray]:
        """The pose where odometry has come to, and its covariance with all doubts."""
        gates, noise = self.config.gates, self._odometry_watch.noise(self.config.odometry_noise)
        T_map_base, covariance = anchor.predict(odometry, noise)
        jumped = odometry.jumps != anchor.odometry.jumps
        return T_map_base, covariance + gates.doubt(gates.max_doubts if jumped else self._doubts)

    def _agree(self, place: Place, fix: Fix) -> bool:
        """A fix, and where odometry has carried the pose to."""
        error = transforms.error6(fix.T_map_base, place.T_map_base)
        sigma = mahalanobis(error, place.covariance + fix.covariance)
        return sigma <= self.config.gates.max_correction_sigma

    def _carried(
        self, anchor: Anchor, stamp_ns: int, odometry: OdometrySample, rejected: str = ""
    ) -> tuple[TrackState, str]:
        """State and reason at a stamp that has no fix. rejected: why its frame's was not believed;
        "": no frame came."""
        gates = self.config.gates
        # A pose that was given is as good after any time at rest, until images judge it.
        seconds = 0.0 if self._awaits_frame else (stamp_ns - anchor.stamp_ns) * 1e-9
        grown = np.diag(self._carry(anchor, odometry)[1] - anchor.covariance)[:3].max()
        lost = gates.too_far(anchor.travelled(odometry)[0], seconds, math.sqrt(max(grown, 0.0)))
        if lost or self._state is TrackState.LOST:
            return TrackState.LOST, lost or rejected or self._reason
        if self._state is TrackState.STARTING:
            return self._state, rejected or self._reason
        if rejected or seconds > gates.max_fix_age:
            silent = (stamp_ns - odometry.stamp_ns) * 1e-9
            also = f", no odometry for {silent:.1f} s" if silent > gates.max_fix_age / 2 else ""
            return TrackState.COASTING, rejected or f"no fix for {seconds:.1f} s{also}"
        return self._state, self._reason

    def _without_odometry(self, stamp_ns: int, newest: OdometrySample | None) -> FrameResult:
        """Of a frame that odometry does not reach. The tracker's own state stays: the stamp may be
        wrong."""
        state, reason = self._state, "no odometry at the stamp of the image"
        if self._anchor is not None and newest is not None:
            state, _ = self._carried(self._anchor, stamp_ns, newest, reason)
        return FrameResult(stamp_ns, state, reasons=(reason,))

"""The extended Kalman filter of robot_localization (Moore and Stouch 2014), in numpy.

State (15): position x y z and fixed-axis angles roll pitch yaw in the world frame; velocity
vx vy vz, turn rates and acceleration ax ay az in the robot's frame. SI units and radians. The
motion model is omnidirectional with constant acceleration; angles are ZYX, so a pitch of 90
degrees is singular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

STATE = 15
POSITION, ANGLES, VELOCITY, RATES, ACCELERATION = (slice(i, i + 3) for i in range(0, STATE, 3))
_IS_ANGLE = np.isin(np.arange(STATE), (3, 4, 5))
#: Variances below this are raised to it, as in the original: nothing measures without error.
LEAST_VARIANCE = 1e-9


@dataclass(frozen=True)
class Measurement:
    """Some of the state, measured at a stamp.

    values (15,) and covariance (15, 15) hold at `update` (15,) bool. threshold: Mahalanobis
    distance (a number of standard deviations, not squared) from which on it is rejected.
    """

    stamp_ns: int
    source: str
    values: np.ndarray
    covariance: np.ndarray
    update: np.ndarray
    threshold: float = np.inf


@dataclass(frozen=True)
class Verdict:
    """The outcome of a measurement. distance: Mahalanobis distance of the innovation, which has
    `size` components."""

    accepted: bool
    distance: float
    size: int


class Ekf:
    """State, covariance and the time they hold for.

    process_noise (15, 15) per second; `by_speed` scales its pose part with the squared norm of the
    six velocities (dynamic_process_noise_covariance). covariance: of the state before anything was
    measured.
    """

    def __init__(self, process_noise: np.ndarray, covariance: np.ndarray, by_speed: bool = False):
        self.state = np.zeros(STATE)
        self.covariance = covariance.copy()
        self.stamp_ns = 0
        self.initialized = False
        self._noise, self._by_speed = process_noise, by_speed

    def process(self, measurement: Measurement) -> Verdict:
        """Predict up to the measurement, then correct. One from the past corrects without it."""
        if not self.initialized:
            used = measurement.update
            self.state[used] = measurement.values[used]
            block = np.ix_(used, used)
            self.covariance[block] = measurement.covariance[block]
            self.initialized, self.stamp_ns = True, measurement.stamp_ns
            return Verdict(True, 0.0, int(used.sum()))
        if measurement.stamp_ns > self.stamp_ns:
            self.predict(measurement.stamp_ns)
        return self._correct(measurement)

    def predict(self, stamp_ns: int) -> None:
        """Carry the state to a stamp: P = J P J^T + Q dt."""
        seconds = (stamp_ns - self.stamp_ns) * 1e-9
        noise = self._noise
        if self._by_speed:
            noise = noise.copy()
            noise[:6, :6] *= float(np.sum(self.state[6:12] ** 2))
        jacobian, self.state = motion(self.state, seconds)
        self.state[ANGLES] = wrap(self.state[ANGLES])
        self.covariance = jacobian @ self.covariance @ jacobian.T + seconds * noise
        self.stamp_ns = stamp_ns

    def _correct(self, measurement: Measurement) -> Verdict:
        used = np.flatnonzero(measurement.update & np.isfinite(measurement.values))
        R = measurement.covariance[used][:, used]
        diagonal = np.diag_indices(len(used))
        R[diagonal] = np.maximum(np.abs(R[diagonal]), LEAST_VARIANCE)
        PHt = self.covariance[:, used]
        inverse = np.linalg.inv(PHt[used] + R)
        innovation = measurement.values[used] - self.state[used]
        turns = _IS_ANGLE[used]
        innovation[turns] = wrap(innovation[turns])
        squared = float(innovation @ inverse @ innovation)
        verdict = Verdict(squared < measurement.threshold**2, squared**0.5, len(used))
        if verdict.accepted:
            gain = PHt @ inverse
            self.state = self.state + gain @ innovation
            rest = np.eye(STATE)
            rest[:, used] -= gain
            self.covariance = rest @ self.covariance @ rest.T + gain @ R @ gain.T
            self.state[ANGLES] = wrap(self.state[ANGLES])
        return verdict


def motion(state: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """The motion model: its Jacobian (15, 15) at `state`, and the state `seconds` later.

    p' = p + R (v t + a t^2 / 2), rpy' = rpy + E w t, v' = v + a t, with R = Rz(yaw) Ry(pitch)
    Rx(roll) and E from turn rates of the body to rates of the angles.
    """
    roll, pitch, yaw = state[ANGLES].tolist()
    sr, cr, sp, cp = math.sin(roll), math.cos(roll), math.sin(pitch), math.cos(pitch)
    sy, cy, tp = math.sin(yaw), math.cos(yaw), math.tan(pitch)
    R = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    E = np.array([[1, sr * tp, cr * tp], [0, cr, -sr], [0, sr / cp, cr / cp]])
    way = R @ (state[VELOCITY] * seconds + state[ACCELERATION] * (seconds**2 / 2))
    turn = state[RATES] * seconds
    sideways = sr * turn[1] + cr * turn[2]  # the turn that yaw and, by the tilt, roll take part in

    jacobian = np.eye(STATE)
    # An angle turns the way about its own axis: roll about R's first, pitch about the levelled
    # second, yaw about the vertical.
    (ax, ay, az), (x, y, z) = R[:, 0].tolist(), way.tolist()
    jacobian[0:3, 3] = ay * z - az * y, az * x - ax * z, ax * y - ay * x
    jacobian[0:3, 4] = cy * z, sy * z, -sy * y - cy * x
    jacobian[0:3, 5] = -y, x, 0.0
    upwards = cr * turn[1] - sr * turn[2]
    jacobian[3, 3] += tp * upwards
    jacobian[4, 3] = -sideways
    jacobian[5, 3] = upwards / cp
    jacobian[3, 4] = sideways / cp**2
    jacobian[5, 4] = sideways * tp / cp
    jacobian[POSITION, VELOCITY] = R * seconds
    jacobian[POSITION, ACCELERATION] = R * (seconds**2 / 2)
    jacobian[ANGLES, RATES] = E * seconds
    jacobian[6, 12] = jacobian[7, 13] = jacobian[8, 14] = seconds

    after = state.copy()
    after[POSITION] += way
    after[ANGLES] += E @ turn
    after[VELOCITY] += state[ACCELERATION] * seconds
    return jacobian, after


def wrap(angles: np.ndarray) -> np.ndarray:
    """Angles in [-pi, pi)."""
    return (angles + np.pi) % (2 * np.pi) - np.pi

"""Poses, twists and covariances of geometry_msgs. Every refusal is a DataError."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms

#: Standard deviations of directions that a planar tool leaves open: 0.2 m and 2 deg.
OPEN_SIGMAS = np.array([0.2] * 3 + [math.radians(2.0)] * 3)
#: No position on UTM's grid is further from its origin (m).
FURTHEST = 1e7
#: A pose that somebody sets is never less certain than that: all that is not known (m, rad).
WIDEST_SIGMAS = np.array([100.0] * 3 + [math.pi] * 3)
#: Nor more certain (m, rad).
TIGHTEST_SIGMAS = np.array([1e-3] * 3 + [1e-4] * 3)
#: Axes that are stated as one are parted by that much, so that the covariance can be inverted.
LEAST_FREEDOM = 1e-6


def pose_of(pose) -> np.ndarray:
    """(4, 4) of a geometry_msgs/Pose. DataError: NaN, infinity, or a quaternion of no length."""
    p, q = pose.position, pose.orientation
    return from_numbers([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def transform_of(transform) -> np.ndarray:
    """(4, 4) of a geometry_msgs/Transform; refuses what `pose_of` refuses."""
    t, q = transform.translation, transform.rotation
    return from_numbers([t.x, t.y, t.z, q.x, q.y, q.z, q.w])


def from_numbers(numbers: Sequence[float]) -> np.ndarray:
    """(4, 4) of x, y, z, qx, qy, qz, qw; refuses what `pose_of` refuses."""
    values = np.array(numbers, dtype=float)
    if not np.isfinite(values).all():
        raise DataError("the pose holds NaN or infinity")
    if np.abs(values[:3]).max() > FURTHEST:
        raise DataError(f"the position is further away than {FURTHEST:.0e} m")
    length = np.linalg.norm(values[3:])
    if length < 0.5:
        raise DataError("the quaternion has no length; no rotation is (0, 0, 0, 1)")
    return transforms.from_quaternion(values[3:] / length, values[:3])


def twist_of(twist) -> np.ndarray:
    """(6,) linear (m/s) and angular (rad/s) of a geometry_msgs/Twist. DataError: not finite."""
    values = np.array([getattr(v, axis) for v in (twist.linear, twist.angular) for axis in "xyz"])
    if not np.isfinite(values).all():
        raise DataError("the twist holds NaN or infinity")
    return values


def covariance_of(values) -> np.ndarray:
    """(6, 6) as stated, in ROS order. DataError: NaN, infinity or a negative variance."""
    covariance = np.array(values, dtype=float).reshape(6, 6)
    if not np.isfinite(covariance).all() or (np.diag(covariance) < 0).any():
        raise DataError("the covariance holds NaN, infinity or a negative variance")
    return covariance


def start_covariance_of(values) -> np.ndarray | None:
    """(6, 6) of a pose that somebody sets, or None where it is left open (all zeros).

    A planar tool such as rviz states x, y and yaw only; what is `left_open` gets `OPEN_SIGMAS`. The
    rest is held between `TIGHTEST_SIGMAS` and `WIDEST_SIGMAS`.
    DataError: what `covariance_of` refuses, or a negative direction.
    """
    covariance = covariance_of(values)
    sigmas = np.sqrt(np.diag(covariance))
    if not sigmas.any():
        return None
    known = np.where(sigmas > 0, sigmas, math.inf)
    correlation = covariance / known[:, None] / known
    correlation = (correlation + correlation.T) / 2
    np.fill_diagonal(correlation, 1.0)
    if not np.linalg.eigvalsh(correlation).min() > -LEAST_FREEDOM:
        raise DataError("the covariance is no covariance: it has a negative direction")
    correlation += LEAST_FREEDOM * (np.eye(6) - correlation)
    held = np.where(sigmas > 0, np.clip(sigmas, TIGHTEST_SIGMAS, WIDEST_SIGMAS), OPEN_SIGMAS)
    return held[:, None] * correlation * held


def left_open(values) -> np.ndarray:
    """(6,) True for directions without a variance of a covariance that has others: nobody stated
    them, as rviz' z, roll and pitch. DataError: what `covariance_of` refuses."""
    variances = np.diag(covariance_of(values))
    return (variances == 0) & variances.any()


def from_xyz_rpy(values: np.ndarray | Sequence[float]) -> np.ndarray:
    """(..., 6) x, y, z, roll, pitch, yaw -> (..., 4, 4), turned about fixed axes (REP-103).

    R = Rz(yaw) Ry(pitch) Rx(roll); metres, radians.
    """
    x, y, z, roll, pitch, yaw = np.moveaxis(np.asarray(values, np.float64), -1, 0)
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (roll, pitch, yaw))
    rows = [
        cy * cp,
        cy * sp * sr - sy * cr,
        cy * sp * cr + sy * sr,
        sy * cp,
        sy * sp * sr + cy * cr,
        sy * sp * cr - cy * sr,
        -sp,
        cp * sr,
        cp * cr,
    ]
    R = np.stack(rows, axis=-1).reshape(*np.shape(x), 3, 3)
    return transforms.from_Rt(R, np.stack([x, y, z], axis=-1))


def to_xyz_rpy(T: np.ndarray) -> np.ndarray:
    """The inverse of `from_xyz_rpy`; pitch is in [-pi/2, pi/2]."""
    R, t = T[..., :3, :3], T[..., :3, 3]
    roll = np.arctan2(R[..., 2, 1], R[..., 2, 2])
    pitch = np.arctan2(-R[..., 2, 0], np.hypot(R[..., 0, 0], R[..., 1, 0]))
    yaw = np.arctan2(R[..., 1, 0], R[..., 0, 0])
    return np.concatenate([t, np.stack([roll, pitch, yaw], axis=-1)], axis=-1)

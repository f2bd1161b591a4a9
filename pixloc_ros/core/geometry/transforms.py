"""Rigid transforms on the host: numpy float64 matrices T_a_b of shape (..., 4, 4).

The tangent vector is (translation 3 in metres, rotation 3 in radians) in the split convention
T = [Exp(w) | t]: the translation is taken as it is, without the left Jacobian of SE(3).
"""

from __future__ import annotations

import numpy as np


def identity() -> np.ndarray:
    return np.eye(4)


def from_Rt(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) and translations (..., 3) -> (..., 4, 4)."""
    R, t = np.asarray(R, dtype=np.float64), np.asarray(t, dtype=np.float64)
    T = np.zeros((*np.broadcast_shapes(R.shape[:-2], t.shape[:-1]), 4, 4))
    T[..., :3, :3] = R
    T[..., :3, 3] = t
    T[..., 3, 3] = 1.0
    return T


def from_quaternion(q_xyzw: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) in x, y, z, w order, of any non-zero norm, and (..., 3) -> (..., 4, 4).

    Raises ValueError for a quaternion of norm zero or not finite.
    """
    q = np.asarray(q_xyzw, dtype=np.float64)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm) & (norm > 1e-12)):
        raise ValueError("a quaternion is zero or not finite")
    x, y, z, w = np.moveaxis(q / norm, -1, 0)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    ]
    return from_Rt(np.stack(rows, axis=-1).reshape(*x.shape, 3, 3), t)


def to_quaternion(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 4, 4) -> unit quaternions (..., 4) as x, y, z, w with w >= 0, translations (..., 3).

    Each row of 4 q q^T is a multiple of q; that with the largest diagonal is conditioned best.
    """
    T = np.asarray(T, dtype=np.float64)
    R = T[..., :3, :3]
    m00, m11, m22 = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    S, A = R + np.swapaxes(R, -1, -2), R - np.swapaxes(R, -1, -2)
    xy, xz, yz = S[..., 0, 1], S[..., 0, 2], S[..., 1, 2]
    xw, yw, zw = A[..., 2, 1], A[..., 0, 2], A[..., 1, 0]
    rows = [
        1 + m00 - m11 - m22,
        xy,
        xz,
        xw,
        xy,
        1 - m00 + m11 - m22,
        yz,
        yw,
        xz,
        yz,
        1 - m00 - m11 + m22,
        zw,
        xw,
        yw,
        zw,
        1 + m00 + m11 + m22,
    ]
    outer = np.stack(rows, axis=-1).reshape(*m00.shape, 4, 4)
    best = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., 3:] < 0, -q, q), T[..., :3, 3].copy()


def inverse(T: np.ndarray) -> np.ndarray:
    """T_a_b -> T_b_a."""
    Rt = np.swapaxes(T[..., :3, :3], -1, -2)
    return from_Rt(Rt, -(Rt @ T[..., :3, 3:])[..., 0])


def hat(w: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3) skew matrices with hat(w) p = w x p."""
    w = np.asarray(w, dtype=np.float64)
    W = np.zeros((*w.shape, 3))
    W[..., 2, 1], W[..., 0, 2], W[..., 1, 0] = np.moveaxis(w, -1, 0)
    return W - np.swapaxes(W, -1, -2)


def exp(xi: np.ndarray) -> np.ndarray:
    """(..., 6) tangent vectors (translation, rotation) -> (..., 4, 4)."""
    xi = np.asarray(xi, dtype=np.float64)
    w = xi[..., 3:]
    half = np.linalg.norm(w, axis=-1, keepdims=True) / 2
    # np.sinc(x) = sin(pi x) / (pi x), well behaved at zero
    q = np.concatenate([w / 2 * np.sinc(half / np.pi), np.cos(half)], axis=-1)
    return from_quaternion(q, xi[..., :3])


def log(T: np.ndarray) -> np.ndarray:
    """(..., 4, 4) -> (..., 6) tangent vectors; the rotation part is at most pi long."""
    q, t = to_quaternion(T)
    v, w = q[..., :3], q[..., 3:]
    s = np.linalg.norm(v, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(s, w)
    scale = np.where(s > 1e-12, angle / np.maximum(s, 1e-12), 2.0)
    return np.concatenate([t, v * scale], axis=-1)


def interpolate(T0: np.ndarray, T1: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    """From T0 (alpha = 0) to T1 (alpha = 1): slerp of the rotation, straight line between origins.

    `alpha` (...) broadcasts against the batch; values outside [0, 1] extrapolate.
    """
    alpha = np.asarray(alpha, dtype=np.float64)[..., None]
    turn = log(inverse(T0) @ T1) * alpha
    R = T0[..., :3, :3] @ exp(turn)[..., :3, :3]
    return from_Rt(R, (1 - alpha) * T0[..., :3, 3] + alpha * T1[..., :3, 3])


def pose_error(T_est: np.ndarray, T_ref: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance between the origins (metres) and angle between the axes (radians), (...) each.

    Both are poses of a body in a fixed frame (T_map_base), not their inverses. The angle comes from
    ||R_est - R_ref||_F = 2 sqrt(2) sin(angle / 2), which does not quantise small angles.
    """
    T_est, T_ref = np.asarray(T_est, dtype=np.float64), np.asarray(T_ref, dtype=np.float64)
    metres = np.linalg.norm(T_est[..., :3, 3] - T_ref[..., :3, 3], axis=-1)
    chord = np.linalg.norm(T_est[..., :3, :3] - T_ref[..., :3, :3], axis=(-2, -1))
    return metres, 2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1.0))


def error6(T_est: np.ndarray, T_ref: np.ndarray) -> np.ndarray:
    """Error (6,) of T_map_base in ROS order (REP-103): position and rotation vector in map axes
    (m, rad)."""
    turn = from_Rt(T_est[:3, :3] @ T_ref[:3, :3].T, np.zeros(3))
    return np.concatenate([T_est[:3, 3] - T_ref[:3, 3], log(turn)[3:]])


def orthonormal(T: np.ndarray) -> np.ndarray:
    """The nearest rigid transform: single precision leaves rotations slightly off."""
    u, _, vt = np.linalg.svd(T[:3, :3])
    return from_Rt(u @ vt, T[:3, 3])

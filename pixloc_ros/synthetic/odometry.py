"""Wheel-like odometry simulated from true poses: drift and noise a real robot would show."""

from __future__ import annotations

import numpy as np

from pixloc_ros.core.geometry import transforms

_NOISE_STEP = 0.5  # metres over which `translation_noise` is stated


def simulate_odometry(
    stamps_ns: np.ndarray,
    T_map_base: np.ndarray,
    seed: int,
    scale_drift: float = 0.01,
    translation_noise: float = 0.01,
    yaw_drift: float = 0.05,
    yaw_noise: float = 0.2,
    tilt_noise: float = 0.02,
) -> np.ndarray:
    """Dead reckoning T_odom_base (N,4,4) float64 that starts at the identity.

    Every relative motion of T_map_base (N,4,4) is disturbed: its length by a constant factor
    1 + N(0, scale_drift) and by white noise of `translation_noise` of a 0.5 m step (independent of
    how finely the motion is sampled); its heading by a constant N(0, yaw_drift) degrees per metre
    and a random walk of `yaw_noise` degrees per square root of a metre; pitch and roll by a walk of
    `tilt_noise` degrees per square root of a metre. While standing still nothing drifts.
    `stamps_ns` (N,) must increase; ValueError otherwise or when the shapes disagree.
    """
    stamps_ns = np.asarray(stamps_ns)
    poses = np.asarray(T_map_base, np.float64)
    if poses.shape != (len(stamps_ns), 4, 4) or np.any(np.diff(stamps_ns) <= 0):
        raise ValueError(
            f"{len(stamps_ns)} increasing stamps need poses (N,4,4), got {poses.shape}"
        )
    rng = np.random.default_rng(seed)
    scale = 1.0 + rng.normal(0.0, 1.0) * scale_drift
    yaw_rate = np.deg2rad(rng.normal(0.0, 1.0) * yaw_drift)
    steps = transforms.inverse(poses[:-1]) @ poses[1:]
    length = np.linalg.norm(steps[:, :3, 3], axis=1)
    walked = np.sqrt(length)
    draws = rng.normal(0.0, 1.0, (len(steps), 4))
    spread = translation_noise * np.sqrt(_NOISE_STEP) * walked
    factor = scale + draws[:, 0] * spread / np.maximum(length, 1e-9)
    rotation = np.deg2rad([tilt_noise, tilt_noise, yaw_noise]) * walked[:, None] * draws[:, 1:]
    rotation[:, 2] += yaw_rate * length
    steps = steps.copy()
    steps[:, :3, 3] *= factor[:, None]
    noise = transforms.exp(np.concatenate([np.zeros((len(steps), 3)), rotation], 1))
    out = np.empty_like(poses)
    out[0] = np.eye(4)
    for k in range(len(steps)):
        out[k + 1] = out[k] @ steps[k] @ noise[k]
    return out

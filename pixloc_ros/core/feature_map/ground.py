"""Height and slope of the way that a map was taken on, where only x, y and yaw are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms

#: So many keyframes, the nearest in the plane, say how the ground is.
NEAREST = 7
#: A base that leans further (rad) stood on no ground: its camera was mounted otherwise than ours.
STEEPEST = math.radians(40.0)
#: Standard deviations at a keyframe: load, suspension, another mounting of the camera (m, rad).
HEIGHT_STD, TILT_STD = 0.2, math.radians(2.0)
#: And what each metre away from it adds: streets change their slope.
HEIGHT_STD_PER_M, TILT_STD_PER_M = 0.05, math.radians(0.1)
#: Sum of squares (m^2): where keyframes spread by less, as across a street, it is taken as level.
FLATNESS = 1.0


@dataclass(frozen=True)
class Ground:
    """height (m): of the base at a place. slope (2,): what it gains per metre along the map's x and
    y. up (3,): the z axis of the base in the map. Standard deviations: height_std (m), tilt_std
    (rad)."""

    height: float
    slope: np.ndarray
    up: np.ndarray
    height_std: float
    tilt_std: float

    def set_down(
        self, T_map_base: np.ndarray, covariance: np.ndarray, height: bool, tilt: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """A pose (4, 4) and its covariance (6, 6, ROS order) with the height, and with roll and
        pitch, that the ground gives it; x, y and yaw stay.

        Where the pose may be somewhere else in the plane, the slope makes another height of it.
        """
        T, covariance = T_map_base.copy(), covariance.copy()
        if height:
            T[2, 3] = self.height
            covariance[2] = covariance[:, 2] = 0.0
            covariance[2, :2] = covariance[:2, 2] = self.slope @ covariance[:2, :2]
            covariance[2, 2] = self.slope @ covariance[:2, 2] + self.height_std**2
        if tilt:
            ahead = np.append(T[:2, 0], -self.up[:2] @ T[:2, 0] / self.up[2])  # the same heading
            ahead /= np.linalg.norm(ahead)
            T[:3, :3] = np.stack([ahead, np.cross(self.up, ahead), self.up], axis=1)
            covariance[3:5] = covariance[:, 3:5] = 0.0
            covariance[3, 3] = covariance[4, 4] = self.tilt_std**2
        return T, covariance


def ground_at(place: np.ndarray, T_map_cam: np.ndarray, T_base_cam: np.ndarray) -> Ground | None:
    """The ground at a place (2,), by the nearest keyframes (M, 4, 4); None if none stood upright.

    T_base_cam (4, 4): the mounting of the robot's camera; those of the map are taken to have been
    mounted as high and as level. Where floors lie above each other the standard deviation shows it.
    """
    T_map_base = T_map_cam @ transforms.inverse(T_base_cam)
    T_map_base = T_map_base[T_map_base[:, 2, 2] > math.cos(STEEPEST)]
    if not len(T_map_base):
        return None
    away = np.linalg.norm(place - T_map_base[:, :2, 3], axis=1)
    near = np.argsort(away)[:NEAREST]
    positions, ups = T_map_base[near, :3, 3], T_map_base[near, :3, 2]
    up = np.median(ups, axis=0)
    up /= np.linalg.norm(up)
    # Of the way, not of the tilt: a map's camera may have looked further up or down than ours.
    centred = positions - positions.mean(axis=0)
    moments = centred[:, :2].T @ centred + FLATNESS * np.eye(2, 3)
    slope = np.linalg.solve(moments[:, :2], moments[:, 2])
    heights = positions[:, 2] + (place - positions[:, :2]) @ slope
    height = float(np.median(heights))
    tilts = np.arccos(np.clip(ups @ up, -1.0, 1.0))
    return Ground(
        height,
        slope,
        up,
        math.hypot(HEIGHT_STD, _rms(heights - height), HEIGHT_STD_PER_M * away[near[0]]),
        math.hypot(TILT_STD, _rms(tilts), TILT_STD_PER_M * away[near[0]]),
    )


def _rms(values: np.ndarray) -> float:
    return math.sqrt(float(np.mean(values**2)))

"""The pose estimate between frames: carried by odometry, its covariance growing on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.frame import Place
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.odometry import OdometrySample


@dataclass(frozen=True)
class OdometryNoise:
    """Standard deviations of the odometry's error, as nav2_amcl's alphas describe it.

    translation_per_m: m per metre driven. rotation_per_m: rad per metre driven.
    rotation_per_rad: rad per radian turned. translation_floor, rotation_floor: m and rad added
    at every prediction (vibration, time stamps, the plane that wheels cannot leave).
    """

    translation_per_m: float = 0.03
    rotation_per_m: float = 0.003
    rotation_per_rad: float = 0.05
    translation_floor: float = 0.03
    rotation_floor: float = 0.006


@dataclass(frozen=True)
class Anchor:
    """Where the base was when the pose was last known, and how well.

    T_map_base (4, 4) and odometry hold at the same instant. covariance: (6, 6) of T_map_base in
    ROS order (position, rotation about map axes). stamp_ns: when it was known.
    """

    stamp_ns: int
    T_map_base: np.ndarray
    odometry: OdometrySample
    covariance: np.ndarray

    def T_map_odom(self, odometry: OdometrySample) -> np.ndarray:
        """The correction that odometry needs, as it is then: (4, 4)."""
        T_map_start = self.T_map_base @ transforms.inverse(self.odometry.T_start_base)
        return T_map_start @ odometry.T_start_odom

    def travelled(self, odometry: OdometrySample) -> tuple[float, float]:
        """How far the base has gone (m) and turned (rad) since, along its way; never less than
        from end to end."""
        metres, radians = transforms.pose_error(odometry.T_start_base, self.odometry.T_start_base)
        return (
            max(float(metres), abs(odometry.metres - self.odometry.metres)),
            max(float(radians), abs(odometry.radians - self.odometry.radians)),
        )

    def predict(
        self, odometry: OdometrySample, noise: OdometryNoise
    ) -> tuple[np.ndarray, np.ndarray]:
        """T_map_base (4, 4) and its covariance (6, 6) now that odometry says so.

        An error of rotation at the anchor turns the way driven since: with d that way in map
        axes, dp' = dp + dtheta x d. Odometry's own error grows with the way and the turns, also
        where they lead back.
        """
        moved = transforms.inverse(self.odometry.T_start_base) @ odometry.T_start_base
        T_map_base = self.T_map_base @ moved
        way = T_map_base[:3, 3] - self.T_map_base[:3, 3]
        distance, turn = self.travelled(odometry)

        transport = np.eye(6)
        transport[:3, 3:] = -transforms.hat(way)
        rotation_std = (
            noise.rotation_floor + noise.rotation_per_m * distance + noise.rotation_per_rad * turn
        )
        # A heading that wanders along the way also displaces its end, by half of it on average.
        position_std = (
            noise.translation_floor
            + noise.translation_per_m * distance
            + 0.5 * rotation_std * distance
        )
        grown = transport @ self.covariance @ transport.T
        grown[np.diag_indices(6)] += np.repeat([position_std**2, rotation_std**2], 3)
        return T_map_base, grown


@dataclass(frozen=True)
class Prediction:
    """Where odometry carries the pose to at a stamp: the prior of a fix.

    odometry: at the stamp. anchor: what the pose was carried from, and place: where it came to;
    None where no pose is known. epoch: of the tracker when it was made. with_cameras: the fix
    should say what it sees of its cameras. anywhere: the robot may be anywhere in the map.
    """

    stamp_ns: int
    epoch: object
    odometry: OdometrySample
    anchor: Anchor | None = None
    place: Place | None = None
    with_cameras: bool = False
    anywhere: bool = False

"""Frames of the RobotCar and how they become those of ROS.

The dataset knows five kinds of frame, all right-handed:

    world     UTM: x north, y east, z down, metres; INS and RTK poses are in it
    ins       x forward, y right, z down, at the inertial unit
    vehicle   x forward, y right, z down, at the left lens of the stereo camera; VO poses are of it
    camera    x along the lens, y right, z down, one for each sensor housing
    image     x right, y down, z along the lens: the optical frame of ROS

What its files hold, with T_a_b mapping points of b into a:

    six numbers x y z roll pitch yaw (metres, radians)   T = [Rz(yaw) Ry(pitch) Rx(roll) | x y z]
    a row of ins.csv, rtk.csv                            T_world_ins from northing easting down
    a row of vo.csv                                      T_destination_source, both of the vehicle
    extrinsics/ins.txt                                   T_vehicle_ins
    extrinsics/stereo.txt, mono_*.txt                    T_camera_vehicle (the other way round)
    models/*.txt, last four lines                        T_camera_image

(`build_se3_transform`, `euler_to_so3`, `interpolate_ins_poses`, `interpolate_vo_poses`,
`build_pointcloud` and `project_laser_into_camera` of the public SDK fix these meanings.)

ROS wants x forward, y left, z up (REP-103), so base_link is the vehicle frame turned half around
its x axis, and the map frame is the world with x east, y north, z up, counted from an origin:

    T_map_base = T_map_world(origin) T_world_ins inverse(T_vehicle_ins) T_vehicle_base
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.messages.poses import from_xyz_rpy

#: x forward, y right, z down <-> x forward, y left, z up; its own inverse.
T_VEHICLE_BASE = np.diag([1.0, -1.0, -1.0, 1.0])
#: Directions north, east, down <-> east, north, up; its own inverse.
R_ENU_NED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True)
class Origin:
    """UTM position of the map frame's origin (metres).

    The default lies in the dataset's part of Oxford (zone 30U) and is the same for every drive, so
    that all drives share one map frame; coordinates stay within a few kilometres.
    """

    northing: float = 5_735_000.0
    easting: float = 620_000.0
    down: float = -110.0

    def to_map(self) -> np.ndarray:
        """T_map_world (4, 4)."""
        ned = np.array([self.northing, self.easting, self.down])
        return transforms.from_Rt(R_ENU_NED, -R_ENU_NED @ ned)


def read_components(path: Path) -> np.ndarray:
    """The transform (4, 4) of an extrinsics file: six numbers x y z roll pitch yaw."""
    try:
        values = np.array(path.read_text().split(), np.float64)
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; the folder extrinsics of the public robotcar-dataset-sdk has it"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: not numbers: {error}") from error
    if values.shape != (6,) or not np.isfinite(values).all():
        raise DataError(f"{path}: expected six numbers x y z roll pitch yaw, got {len(values)}")
    return from_xyz_rpy(values)


def base_in_map(T_world_ins: np.ndarray, T_vehicle_ins: np.ndarray, origin: Origin) -> np.ndarray:
    """Poses (..., 4, 4) of the inertial unit in UTM -> T_map_base (..., 4, 4)."""
    T_ins_base = transforms.inverse(T_vehicle_ins) @ T_VEHICLE_BASE
    return origin.to_map() @ T_world_ins @ T_ins_base


def ins_in_world(T_map_base: np.ndarray, T_vehicle_ins: np.ndarray, origin: Origin) -> np.ndarray:
    """The inverse of `base_in_map`."""
    T_base_ins = transforms.inverse(T_VEHICLE_BASE) @ T_vehicle_ins
    return transforms.inverse(origin.to_map()) @ T_map_base @ T_base_ins


def base_motion(T_destination_source: np.ndarray) -> np.ndarray:
    """A relative motion of the vehicle frame -> the same of base_link."""
    return transforms.inverse(T_VEHICLE_BASE) @ T_destination_source @ T_VEHICLE_BASE

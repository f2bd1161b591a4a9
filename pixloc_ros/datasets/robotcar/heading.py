"""Which north the yaw angles of a drive are counted from.

Positions are on the UTM grid, whose north is 1.4 degrees east of true north in Oxford. Inertial
units count their azimuth from true north; the SDK takes yaw and grid positions as of one frame. If
yaw is from true north, images look 1.4 degrees past where the vehicle drives, 20 pixels and more,
and nothing triangulates. The drive itself tells: the inertial unit sits near the rear axle, which
moves where the car looks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.robotcar import utm
from pixloc_ros.datasets.robotcar.tables import InsRow
from pixloc_ros.messages.poses import from_xyz_rpy

#: Length of a stretch (m), how straight it must be (rad), how many are needed and how many enough.
STRETCH, STRAIGHT, NEEDED, ENOUGH = 0.5, np.deg2rad(1.0), 5, 4000
#: The median over the stretches must be this much more certain than the convergence is large.
CERTAINTY = 4.0


def grid_correction(rows: Iterator[InsRow], T_vehicle_ins: np.ndarray) -> float:
    """Radians to add to yaw so that it counts from grid north: minus the convergence, or 0.

    The one of the two that brings the median direction of travel closer to the vehicle's heading;
    0, the SDK's way, where the drive is too short to tell.
    """
    T_ins_vehicle = transforms.inverse(T_vehicle_ins)
    slips, start, convergence = [], None, 0.0
    for row in rows:
        R = from_xyz_rpy(row.components)[:3, :3] @ T_ins_vehicle[:3, :3]
        here = (row.components[:2], np.arctan2(R[1, 0], R[0, 0]))
        if start is None:
            convergence = utm.convergence(row.latitude, row.longitude, row.zone)
            start = here
            continue
        north, east = here[0] - start[0]
        if np.hypot(north, east) < STRETCH:
            continue
        turn = _wrapped(here[1] - start[1])
        if abs(turn) < STRAIGHT:
            slips.append(_wrapped(np.arctan2(east, north) - start[1] - turn / 2))
            if len(slips) == ENOUGH:
                break
        start = here
    if len(slips) < NEEDED:
        return 0.0
    slip = np.median(slips)
    # The standard error of a median, from the median absolute deviation of a normal distribution.
    error = 1.25 * 1.48 * np.median(np.abs(slips - slip)) / np.sqrt(len(slips))
    if error * CERTAINTY > abs(convergence):
        return 0.0
    return -convergence if abs(slip + convergence) < abs(slip) else 0.0


def _wrapped(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi

"""The UTM grid on the WGS 84 ellipsoid: positions, and how far its north is from true north.

By pyproj, which only drives of the RobotCar need (requirements/robotcar.txt): it is imported with
the first of them.
"""

from __future__ import annotations

import math
from functools import cache


@cache
def _grid(zone: int):
    from pyproj import Proj

    return Proj(proj="utm", zone=zone, ellps="WGS84")


def to_utm(latitude: float, longitude: float, zone: int) -> tuple[float, float]:
    """Latitude, longitude (rad, northern hemisphere) -> northing, easting (m)."""
    easting, northing = _grid(zone)(longitude, latitude, radians=True)
    return northing, easting


def from_utm(northing: float, easting: float, zone: int) -> tuple[float, float]:
    """Northing, easting (m) -> latitude, longitude (rad, northern hemisphere)."""
    longitude, latitude = _grid(zone)(easting, northing, inverse=True, radians=True)
    return latitude, longitude


def convergence(latitude: float, longitude: float, zone: int) -> float:
    """Angle (rad) from true to grid north, clockwise: azimuths on the grid are smaller by it."""
    factors = _grid(zone).get_factors(longitude, latitude, radians=True)
    return math.radians(factors.meridian_convergence)

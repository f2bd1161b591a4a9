"""The UTM grid on the WGS 84 ellipsoid: positions, and how far its north is from true north.

Series of Krueger in the third flattening (Karney, "Transverse Mercator with an accuracy of a few
nanometers", J. Geodesy 2011, eqs. 11, 35, 36), third order: exact to less than a millimetre.
"""

from __future__ import annotations

import numpy as np

SCALE = 0.9996
FALSE_EASTING = 500_000.0
_F = 1 / 298.257223563
_N = _F / (2 - _F)
_E = np.sqrt(_F * (2 - _F))
_A = 6378137.0 / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_ALPHA = (
    _N / 2 - 2 * _N**2 / 3 + 5 * _N**3 / 16,
    13 * _N**2 / 48 - 3 * _N**3 / 5,
    61 * _N**3 / 240,
)
_BETA = (
    _N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96,
    _N**2 / 48 + _N**3 / 15,
    17 * _N**3 / 480,
)


def central_meridian(zone: int) -> float:
    """Longitude (rad) of the middle of a UTM zone."""
    return np.deg2rad(6 * zone - 183)


def to_utm(latitude: float, longitude: float, zone: int) -> tuple[float, float]:
    """Latitude, longitude (rad, northern hemisphere) -> northing, easting (m)."""
    t = np.sinh(np.arctanh(np.sin(latitude)) - _E * np.arctanh(_E * np.sin(latitude)))
    delta = longitude - central_meridian(zone)
    xi, eta = np.arctan2(t, np.cos(delta)), np.arctanh(np.sin(delta) / np.hypot(1, t))
    north, east = xi, eta
    for k, a in enumerate(_ALPHA, 1):
        north = north + a * np.sin(2 * k * xi) * np.cosh(2 * k * eta)
        east = east + a * np.cos(2 * k * xi) * np.sinh(2 * k * eta)
    return SCALE * _A * north, FALSE_EASTING + SCALE * _A * east


def from_utm(northing: float, easting: float, zone: int) -> tuple[float, float]:
    """Northing, easting (m) -> latitude, longitude (rad, northern hemisphere)."""
    north, east = northing / (SCALE * _A), (easting - FALSE_EASTING) / (SCALE * _A)
    xi, eta = north, east
    for k, b in enumerate(_BETA, 1):
        xi = xi - b * np.sin(2 * k * north) * np.cosh(2 * k * east)
        eta = eta - b * np.cos(2 * k * north) * np.sinh(2 * k * east)
    conformal = np.sin(xi) / np.hypot(np.sinh(eta), np.cos(xi))  # tangent of that latitude
    tangent = conformal
    for _ in range(5):  # Newton's method, Karney eqs. 19 to 21
        sine = tangent / np.hypot(1, tangent)
        sigma = np.sinh(_E * np.arctanh(_E * sine))
        value = tangent * np.hypot(1, sigma) - sigma * np.hypot(1, tangent)
        slope = (1 + (1 - _E**2) * tangent**2) / ((1 - _E**2) * np.hypot(1, tangent))
        tangent = tangent + (conformal - value) / np.hypot(1, value) * slope
    return np.arctan(tangent), central_meridian(zone) + np.arctan2(np.sinh(eta), np.cos(xi))


def convergence(latitude: float, longitude: float, zone: int) -> float:
    """Angle (rad) from true to grid north, clockwise: azimuths on the grid are smaller by it."""
    return np.arctan(np.tan(longitude - central_meridian(zone)) * np.sin(latitude))

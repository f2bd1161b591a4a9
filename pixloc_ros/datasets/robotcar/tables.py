"""The dataset's tables, read row by row: stamps of images, visual odometry, GPS, INS, RTK.

Nothing is kept, so that tables of any length need the same memory. Stamps are microseconds in the
files and int nanoseconds here. Rows whose stamp does not increase (the receiver repeats some) are
left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.messages.poses import from_xyz_rpy

#: What the inertial unit says when its pose can be trusted; rtk.csv has no such column.
GOOD_STATUS = "INS_SOLUTION_GOOD"


@dataclass(frozen=True)
class InsRow:
    """A pose of the inertial unit: `components` northing, easting, down, roll, pitch, yaw (m, rad),
    `latitude` and `longitude` in radians, `zone` of UTM."""

    stamp_ns: int
    components: np.ndarray
    latitude: float
    longitude: float
    zone: int


@dataclass(frozen=True)
class Motion:
    """`T_destination_source` of the vehicle frame between two stamps."""

    source_ns: int
    destination_ns: int
    T_destination_source: np.ndarray


@dataclass(frozen=True)
class Fix:
    """A GPS position: degrees, metres; `sigmas` (3) east, north, up in metres, or None."""

    stamp_ns: int
    latitude: float
    longitude: float
    altitude: float
    satellites: int
    sigmas: tuple[float, float, float] | None


def read_stamps(path: Path) -> Iterator[tuple[int, int]]:
    """(stamp in microseconds, chunk) of every image that a .timestamps file lists.

    Raises DataError where a line is no such pair or the stamps do not increase.
    """
    last = -1
    for number, line in enumerate(_lines(path), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            stamp, chunk = int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
        except ValueError:
            raise DataError(
                f"{path}, line {number}: expected a stamp and a chunk, got {line.strip()[:60]!r}"
            ) from None
        if stamp <= last:
            raise DataError(
                f"{path}, line {number}: the stamp {stamp} is not after {last}; sort "
                "the file and drop what is there twice"
            )
        last = stamp
        yield stamp, chunk


def read_ins(path: Path) -> Iterator[InsRow]:
    """Rows of ins.csv or rtk.csv, those alone in which the unit trusts its pose."""
    names = ("northing", "easting", "down", "roll", "pitch", "yaw", "latitude", "longitude")
    for stamp_ns, row in _rows(path, "timestamp", (*names, "utm_zone")):
        if row.get("ins_status", GOOD_STATUS).strip() != GOOD_STATUS:
            continue
        values = row.numbers(names)
        latitude, longitude = np.deg2rad(values[6:]).tolist()
        yield InsRow(stamp_ns, values[:6], latitude, longitude, row.zone())


def read_vo(path: Path) -> Iterator[Motion]:
    """Relative motions of vo.csv in order of time."""
    names = ("x", "y", "z", "roll", "pitch", "yaw")
    for source_ns, row in _rows(path, "source_timestamp", ("destination_timestamp", *names)):
        destination_ns = row.stamp("destination_timestamp")
        yield Motion(source_ns, destination_ns, from_xyz_rpy(row.numbers(names)))


def read_gps(path: Path) -> Iterator[Fix]:
    """Positions of gps.csv."""
    sigma_names = ("longitude_sigma", "latitude_sigma", "altitude_sigma")
    for stamp_ns, row in _rows(path, "timestamp", ("latitude", "longitude", "altitude")):
        latitude, longitude, altitude = row.numbers(("latitude", "longitude", "altitude")).tolist()
        sigmas = None
        if all(name in row for name in sigma_names):
            sigmas = tuple(row.numbers(sigma_names).tolist())
        satellites = 1
        if "num_satellites" in row:
            satellites = int(row.numbers(("num_satellites",))[0])
        yield Fix(stamp_ns, latitude, longitude, altitude, satellites, sigmas)


class _Row(dict):
    """A row by column names that knows where it came from."""

    def __init__(self, path: Path, line: int, pairs) -> None:
        super().__init__(pairs)
        self._place = f"{path}, line {line}"

    def numbers(self, names: tuple[str, ...]) -> np.ndarray:
        try:
            values = np.array([float(self[name]) for name in names])
        except (TypeError, ValueError) as error:
            raise DataError(f"{self._place}: {error}; is the file cut off?") from None
        if not np.isfinite(values).all():
            raise DataError(f"{self._place}: a number of {', '.join(names)} is not finite")
        return values

    def stamp(self, name: str) -> int:
        """Microseconds in the file, nanoseconds here."""
        try:
            return int(self[name]) * 1000
        except (TypeError, ValueError):
            raise DataError(
                f"{self._place}: {name} is no stamp in microseconds: {self[name]!r}"
            ) from None

    def zone(self) -> int:
        """30 of "30U"."""
        digits = "".join(c for c in str(self["utm_zone"]) if c.isdigit())
        if not digits:
            raise DataError(f"{self._place}: {self['utm_zone']!r} is no UTM zone such as 30U")
        return int(digits)


def _rows(path: Path, stamp: str, columns: tuple[str, ...]) -> Iterator[tuple[int, _Row]]:
    lines = _lines(path)
    header = [name.strip() for name in next(lines, "").split(",")]
    missing = [name for name in (stamp, *columns) if name not in header]
    if missing:
        raise DataError(
            f"{path}: the first line names no column {', '.join(missing)}; it must be "
            "the dataset's own header"
        )
    last = None
    for number, fields in enumerate(csv.reader(lines), 2):
        if not fields:
            continue
        row = _Row(path, number, zip(header, fields + [None] * (len(header) - len(fields))))
        stamp_ns = row.stamp(stamp)
        if last is None or stamp_ns > last:
            last = stamp_ns
            yield stamp_ns, row


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="ascii") as stream:
            yield from stream
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; extract the archive of this drive that holds it into {path.parent}"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file ({error.reason}); extract it again") from None

"""Trajectories as TUM text: ``stamp tx ty tz qx qy qz qw``, seconds with all nine decimals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms


@dataclass(frozen=True)
class Track:
    """A trajectory as somebody reported it, for comparing and drawing.

    ``stamps_ns`` (N,), ``poses`` (N, 4, 4) T_map_base (NaN where there is none), ``tracking`` (N,)
    bool, ``covariances`` (N, 6, 6) in ROS order or None, ``latencies_ms`` (N,) or None.
    """

    name: str
    stamps_ns: np.ndarray
    poses: np.ndarray
    tracking: np.ndarray
    covariances: np.ndarray | None = None
    latencies_ms: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.stamps_ns)


def tum_line(stamp_ns: int, T: np.ndarray) -> str:
    """One line of a TUM file for a pose (4, 4), without the newline."""
    q, t = transforms.to_quaternion(T)
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    return f"{seconds}.{nanoseconds:09d} " + " ".join(f"{v:.9f}" for v in (*t, *q))


def write_tum(path: str | Path, stamps_ns: np.ndarray, poses: np.ndarray) -> None:
    """Write poses (N, 4, 4) at stamps (N,) in nanoseconds."""
    lines = [tum_line(stamp, T) for stamp, T in zip(stamps_ns, poses)]
    Path(path).write_text("\n".join(lines) + "\n" if lines else "")


def read_tum(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Stamps (N,) int64 in nanoseconds and poses (N, 4, 4); exact to the nanosecond."""
    stamps, rows = [], []
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            seconds, _, decimals = fields[0].partition(".")
            stamps.append(int(seconds) * 1_000_000_000 + int(decimals.ljust(9, "0")[:9] or 0))
            rows.append([float(v) for v in fields[1:8]])
            if len(rows[-1]) != 7:
                raise ValueError("expected 8 columns")
        except ValueError as error:
            raise DataError(f"{path}:{number}: not a TUM pose ({error})") from error
    values = np.array(rows, np.float64).reshape(-1, 7)
    poses = [transforms.from_quaternion(row[3:], row[:3]) for row in values]
    return np.array(stamps, np.int64), np.array(poses).reshape(-1, 4, 4)

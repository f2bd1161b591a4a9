"""Trajectories as TUM text (``stamp tx ty tz qx qy qz qw``, seconds with all nine decimals), and as
CSV where the covariances belong to them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms

_UPPER = np.triu_indices(6)
#: stamp in ns, T_map_base, and the upper triangle of its covariance (m, rad; ROS order).
POSE_COLUMNS = (
    "stamp_ns",
    "x",
    "y",
    "z",
    "qx",
    "qy",
    "qz",
    "qw",
    *(f"c{i}{j}" for i, j in zip(*_UPPER)),
)


@dataclass(frozen=True)
class Track:
    """A trajectory as somebody reported it, for comparing and drawing.

    ``stamps_ns`` (N,), ``poses`` (N, 4, 4) T_map_base (NaN where there is none), ``tracking`` (N,)
    bool, ``covariances`` (N, 6, 6) in ROS order or None, ``latencies_ms`` (N,) or None,
    ``starting`` (N,) bool, frames that were to confirm a given pose, or None.
    """

    name: str
    stamps_ns: np.ndarray
    poses: np.ndarray
    tracking: np.ndarray
    covariances: np.ndarray | None = None
    latencies_ms: np.ndarray | None = None
    starting: np.ndarray | None = None

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


def write_poses(
    path: str | Path, stamps_ns: np.ndarray, poses: np.ndarray, covariances: np.ndarray
) -> None:
    """Write poses (N, 4, 4) with covariances (N, 6, 6) as CSV, see ``POSE_COLUMNS``."""
    with Path(path).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(POSE_COLUMNS)
        rows = zip(stamps_ns, poses, covariances)
        writer.writerows(pose_row(stamp, T, covariance) for stamp, T, covariance in rows)


def pose_row(stamp_ns: int, T: np.ndarray, covariance: np.ndarray) -> tuple[str, ...]:
    """A pose (4, 4) and its covariance (6, 6) as the texts of ``POSE_COLUMNS``."""
    q, t = transforms.to_quaternion(T)
    numbers = (*(f"{v:.9f}" for v in (*t, *q)), *(f"{v:.6e}" for v in covariance[_UPPER]))
    return (str(int(stamp_ns)), *numbers)


def read_poses(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stamps (N,) int64 in ns, poses (N, 4, 4), covariances (N, 6, 6) as `write_poses` left them.

    ``DataError`` names the file and the line that is none.
    """
    stamps, rows = [], []
    with Path(path).open(newline="") as stream:
        lines = csv.reader(stream)
        if tuple(next(lines, ())) != POSE_COLUMNS:
            raise DataError(
                f"{path}: not a file of poses with covariances; its first line should "
                f"be {','.join(POSE_COLUMNS)}"
            )
        for number, fields in enumerate(lines, start=2):
            try:
                if len(fields) != len(POSE_COLUMNS):
                    raise ValueError(f"{len(fields)} columns instead of {len(POSE_COLUMNS)}")
                stamps.append(int(fields[0]))
                rows.append([float(v) for v in fields[1:]])
            except ValueError as error:
                raise DataError(f"{path}:{number}: {error}") from error
    values = np.array(rows, np.float64).reshape(-1, len(POSE_COLUMNS) - 1)
    upper = np.zeros((len(values), 6, 6))
    upper[:, _UPPER[0], _UPPER[1]] = values[:, 7:]
    covariances = upper + np.triu(upper, 1).swapaxes(1, 2)
    poses = transforms.from_quaternion(values[:, 3:7], values[:, :3])
    return np.array(stamps, np.int64), poses.reshape(-1, 4, 4), covariances


def read_live(folder: str | Path) -> Track:
    """What `pose_recorder` left in a folder: poses, covariances and latencies (NaN if unknown)."""
    folder = Path(folder)
    for name in ("poses.csv", "latency.csv"):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder}: no recording of a live run ({name} is missing); make one "
                "with pose_recorder or demo"
            )
    stamps_ns, poses, covariances = read_poses(folder / "poses.csv")
    with (folder / "latency.csv").open(newline="") as stream:
        latency = {int(row["stamp_ns"]): float(row["latency_ms"]) for row in csv.DictReader(stream)}
    return Track(
        "live",
        stamps_ns,
        poses,
        np.ones(len(stamps_ns), bool),
        covariances,
        np.array([latency.get(int(s), np.nan) for s in stamps_ns]),
    )

"""What was measured, query by query, in a CSV file that a later run goes on with."""

from __future__ import annotations

import csv
import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.evaluation.metrics import RECALL_THRESHOLDS


@dataclass(frozen=True)
class Measurement:
    """One query under one condition. position_m, rotation_deg: infinite where there was no pose.

    settings: a digest of the method's weights and options and of the seed. milliseconds: processor
    time of all threads from image to pose.
    """

    scene: str
    method: str
    settings: str
    condition: str
    query: str
    position_m: float
    rotation_deg: float
    milliseconds: float

    @property
    def key(self) -> tuple[str, ...]:
        return (self.scene, self.method, self.settings, self.condition, self.query)


class Results:
    """The measurements in a CSV file; each is written as soon as it is there."""

    _COLUMNS = tuple(field.name for field in fields(Measurement))

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = {row.key: row for row in self._read()} if path.is_file() else {}

    def __contains__(self, key: tuple[str, ...]) -> bool:
        return key in self._rows

    def __getitem__(self, key: tuple[str, ...]) -> Measurement:
        return self._rows[key]

    def add(self, row: Measurement) -> None:
        fresh = not self._path.is_file()
        with self._path.open("a", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if fresh:
                writer.writerow(self._COLUMNS)
            writer.writerow(astuple(row))
        self._rows[row.key] = row

    def _read(self) -> list[Measurement]:
        text = self._path.read_text()
        lines = list(csv.reader(text.splitlines()))
        if not lines or tuple(lines[0]) != self._COLUMNS:
            raise DataError(
                f"{self._path}: not the measurements of this benchmark; delete it or take another "
                "--out"
            )
        if not text.endswith("\n"):  # a run was stopped while it wrote this line
            self._path.write_text(text[: text.rfind("\n") + 1])
            lines.pop()
        return [Measurement(*line[:5], *map(float, line[5:])) for line in lines[1:]]


@dataclass(frozen=True)
class Cell:
    """The figures of one method under one condition: shares of `count` queries, medians.

    Medians are over all queries, a missing pose counting as infinitely wrong.
    """

    count: int
    recall: tuple[float, ...]
    position_median_m: float
    rotation_median_deg: float
    median_ms: float


def summarize(rows: list[Measurement]) -> Cell:
    metres = np.array([row.position_m for row in rows])
    degrees = np.array([row.rotation_deg for row in rows])
    return Cell(
        count=len(rows),
        recall=tuple(
            float(np.mean((metres <= m) & (degrees <= deg))) for m, deg in RECALL_THRESHOLDS
        ),
        position_median_m=float(np.median(metres)),
        rotation_median_deg=float(np.median(degrees)),
        median_ms=float(np.median([row.milliseconds for row in rows])),
    )


def wilson(share: float, count: int, z: float = 1.0) -> tuple[float, float]:
    """Interval of a share of `count` trials (Wilson 1927); z = 1 covers two thirds."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = (
        z
        / (1 + z * z / count)
        * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    )
    return max(0.0, centre - half), min(1.0, centre + half)

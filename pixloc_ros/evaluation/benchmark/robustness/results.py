"""Measures every method under every condition from the same starts, query by query, into a CSV file
that a later run goes on with."""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.progress import Progress
from pixloc_ros.evaluation.benchmark.robustness.conditions import Condition, changed, start_pose
from pixloc_ros.evaluation.benchmark.robustness.methods import Method
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene
from pixloc_ros.evaluation.metrics import recall


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


def measure(
    scene: Scene,
    method: str,
    localizer: Method,
    conditions: Sequence[Condition],
    results: Results,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, list[Measurement]]:
    """Measurements by condition, one per query of the scene; those known already are kept.

    Conditions without a prior are left out where the method needs one. An image goes through the
    network once for all conditions that show it. The time of a query is
    the processor's, for the network and for its own localization: it does not depend on what else
    the machine does.
    """
    conditions = [c for c in conditions if c.prior is not None or localizer.from_nothing]
    digest = hashlib.sha256(f"{localizer.settings} seed {seed}".encode()).hexdigest()[:12]
    found: dict[str, list[Measurement]] = {condition.name: [] for condition in conditions}
    changes = list(dict.fromkeys(condition.change for condition in conditions))
    total = len(scene.queries) * len(changes)
    for step, (change, i) in enumerate(
        (change, i) for change in changes for i in range(len(scene.queries))
    ):
        query, seen = scene.queries.names[i], None
        for condition in (c for c in conditions if c.change == change):
            key = (scene.name, method, digest, condition.name, query)
            if key not in results:
                if seen is None:
                    image = changed(scene.queries.image(i), change, query, seed)
                    begin = time.process_time()
                    seen = localizer.look(image)
                    look_s = time.process_time() - begin
                start = _start(condition, localizer, scene.queries.T_map_cam[i], query, seed)
                begin = time.process_time()
                T_map_cam = localizer.localize(
                    seen, scene.queries.camera, start, condition.prior, condition.keep_every
                )
                took_s = look_s + time.process_time() - begin
                errors = _errors(T_map_cam, scene.queries.T_map_cam[i])
                results.add(Measurement(*key, *errors, took_s * 1e3))
            found[condition.name].append(results[key])
        if progress:
            progress(step + 1, total, f"{scene.name} {method}")
    return found


def _start(
    condition: Condition, localizer: Method, T_map_cam: np.ndarray, query: str, seed: int
) -> np.ndarray | None:
    if not condition.from_nearest:
        return start_pose(condition, T_map_cam, query, seed)
    poses = localizer.reference_poses(condition.keep_every)
    distance = np.linalg.norm(poses[:, :3, 3] - T_map_cam[:3, 3], axis=1)
    return poses[distance.argmin()]


def _errors(T_map_cam: np.ndarray | None, truth: np.ndarray) -> tuple[float, float]:
    """Position error in metres and rotation error in degrees; infinite without a pose."""
    if T_map_cam is None or not np.isfinite(T_map_cam).all():
        return float("inf"), float("inf")
    metres, radians = transforms.pose_error(T_map_cam, truth)
    return float(metres), float(np.degrees(radians))


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
        recall=recall(metres, degrees, len(rows)),
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

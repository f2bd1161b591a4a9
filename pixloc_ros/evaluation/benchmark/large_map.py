"""The cost of a long map: copies of a real map laid end to end, and a drive through all of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.feature_map import format as fmt
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.process import process_frame
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import Tracker, TrackState
from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.evaluation.benchmark.memory import resident_mb
from pixloc_ros.evaluation.trajectory import Track

#: Nanoseconds between the frames of the drive.
STEP_NS = 500_000_000
#: The share of each copy, in its middle, that is driven: where two copies meet, no scene is real.
DRIVEN = 0.6
#: Cameras at either end for which the selection of points is timed.
SELECTIONS = 50


@dataclass(frozen=True)
class Stretched:
    """A map of `copies` copies of another one, each moved by `shift` (3,) metres from the last."""

    path: Path
    copies: int
    shift: np.ndarray

    @property
    def kilometres(self) -> float:
        return self.copies * float(np.linalg.norm(self.shift)) / 1000


@dataclass(frozen=True)
class LargeMapRun:
    """open_s: seconds of processor time to open the map. Of each frame: kilometres driven, resident
    memory (MB). selection_ms: processor time to choose the points of a camera near the beginning
    and near the end of the map (2, n), taken in turn, from tiles that are not in memory yet."""

    open_s: float
    track: Track
    kilometres: np.ndarray
    resident_mb: np.ndarray
    selection_ms: np.ndarray


def stretch_map(
    source: Path, target: Path, kilometres: float, progress: Progress | None = None
) -> Stretched:
    """Lay copies of the map `source`, whose keyframes follow a road, end to end into `target`.

    Every tile is a file of its own, as in a real map of that length. Raises DataError where
    the map's keyframes are less than a metre apart from end to end.
    """
    info, table = fmt.read_info(source), fmt.read_keyframes(source, fmt.read_info(source))
    shift = _end_to_end(table["T_map_cam"][:, :, 3])
    copies = max(1, round(kilometres * 1000 / float(np.linalg.norm(shift))))
    (target / fmt.TILE_FOLDER).mkdir(parents=True)
    tables, tiles = [], []
    for k in range(copies):
        moved = table.copy()
        moved["T_map_cam"][:, :, 3] += k * shift
        moved["tile"] += k * len(info.tiles)
        moved["covisible"][moved["covisible"] >= 0] += k * len(table)
        tables.append(moved)
        for tile in info.tiles:
            name = f"{k}_{tile.name}"
            shutil.copyfile(source / fmt.TILE_FOLDER / tile.name, target / fmt.TILE_FOLDER / name)
            origin = tuple((np.array(tile.origin) + k * shift).tolist())
            cell = tuple(np.floor(np.array(origin[:2]) / info.tile_size).astype(int).tolist())
            tiles.append(replace(tile, name=name, cell=cell, origin=origin))
        if progress:
            progress(k + 1, copies, "copies of the map")
    path = target / fmt.KEYFRAME_FILE
    np.save(path, np.concatenate(tables), allow_pickle=False)
    fmt.write_info(
        target,
        replace(
            info,
            tiles=tuple(tiles),
            num_keyframes=copies * len(table),
            num_points=copies * info.num_points,
            num_observations=copies * info.num_observations,
            keyframes_sha256=fmt.file_sha256(path),
        ),
    )
    return Stretched(target, copies, shift)


def stretch_drive(drive: Drive, stretched: Stretched, per_copy: int) -> Drive:
    """The drive through all copies: `per_copy` of its frames in the middle of each.

    Odometry is exact: what a large map costs is asked here, not what drift does.
    """
    margin = (1 - DRIVEN) / 2 * (len(drive) - 1)
    chosen = np.round(np.linspace(margin, len(drive) - 1 - margin, per_copy)).astype(int)
    poses = np.concatenate([drive.T_map_base[chosen]] * stretched.copies)
    number = np.repeat(np.arange(stretched.copies), per_copy)
    poses[:, :3, 3] += number[:, None] * stretched.shift
    stamps_ns = 10**9 + STEP_NS * np.arange(len(poses))
    return replace(
        drive,
        name=f"{drive.name}, {stretched.kilometres:.1f} km",
        names=tuple(f"{k} {drive.names[i]}" for k in range(stretched.copies) for i in chosen),
        stamps_ns=stamps_ns,
        load=lambda i: drive.load(int(chosen[i % per_copy])),
        T_map_base=poses,
        odometry=Odometry(stamps_ns, np.linalg.inv(poses[0]) @ poses),
        image_dir=None,
    )


def drive_through(
    localizer_of: Callable[[FeatureMap], Localizer],
    tracker: Tracker,
    stretched: Stretched,
    drive: Drive,
    cache_mb: float,
    progress: Progress | None = None,
) -> LargeMapRun:
    """Open the map and track the (stretched) drive through it, keeping nothing but figures."""
    begin = time.process_time()
    feature_map = FeatureMap.open(stretched.path, cache_mb=cache_mb)
    open_s = time.process_time() - begin
    selection_ms = _selection(stretched, drive)
    localizer = localizer_of(feature_map)
    frames = len(drive)
    poses, states = np.full((frames, 4, 4), np.nan), []
    latencies, megabytes = np.full(frames, np.nan), np.zeros(frames)
    tracker.set_pose(int(drive.stamps_ns[0]), drive.T_map_base[0])
    for i, stamp_ns in enumerate(drive.stamps_ns.tolist()):
        tracker.odometry.add(stamp_ns, drive.odometry.T_odom_base[i])
        frame = Frame(stamp_ns, drive.image(i), drive.camera, drive.T_base_cam)
        result = process_frame(localizer, tracker, frame)
        if result.T_map_base is not None:
            poses[i] = result.T_map_base
        states.append(result.state)
        latencies[i] = result.fix.timings_ms.get("total", np.nan)
        megabytes[i] = resident_mb()
        if progress:
            progress(i + 1, frames, "frames")
    steps = np.linalg.norm(np.diff(drive.T_map_base[:, :3, 3], axis=0), axis=1)
    kilometres = np.concatenate([[0], np.cumsum(steps)]) / 1000
    tracking, starting = (
        np.array([state is wanted for state in states])
        for wanted in (TrackState.TRACKING, TrackState.STARTING)
    )
    track = Track(
        "offline", drive.stamps_ns, poses, tracking, latencies_ms=latencies, starting=starting
    )
    return LargeMapRun(open_s, track, kilometres, megabytes, selection_ms)


def _selection(stretched: Stretched, drive: Drive) -> np.ndarray:
    """(2, n) milliseconds, at the first and the last few copies in turn."""
    feature_map = FeatureMap.open(stretched.path, cache_mb=0)
    count = min(len(drive) // 2, SELECTIONS)
    milliseconds = np.zeros((2, count))
    for k in range(count):
        for row, i in enumerate((k, len(drive) - 1 - k)):
            begin = time.process_time()
            feature_map.visible_points(drive.T_map_cam[i], drive.camera)
            milliseconds[row, k] = (time.process_time() - begin) * 1e3
    return milliseconds


def _end_to_end(positions: np.ndarray) -> np.ndarray:
    """From where the map begins to where its next copy shall: its length and a mean spacing."""
    direction = np.linalg.svd(positions - positions.mean(0), full_matrices=False)[2][0]
    along = positions @ direction
    length = float(np.ptp(along)) * len(along) / max(len(along) - 1, 1)
    if length < 1.0:
        raise DataError(f"the map's keyframes span {length:.2f} m only; take one along a road")
    first, last = positions[np.argmin(along)], positions[np.argmax(along)]
    return (last - first) / np.linalg.norm(last - first) * length

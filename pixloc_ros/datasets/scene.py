"""Images with poses that observe 3-D points, and which of them overlap: what pairs are drawn from.

Prepared once from a data set (`megadepth.py`, `cmu.py`, `colmap_scene.py`) and kept as a folder of
arrays that are read from the disk only where they are needed:

    scene.json      version, source, image paths, cameras
    *.npy           the arrays of `PosedScene`
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera

VERSION = 1
MIN_COMMON = 50  # points that two images of a pair must both observe


@dataclass(frozen=True)
class PosedScene:
    """N images, P points, O observations grouped by image, M ordered pairs of images.

    images: files. cameras: of the images as they are used, which is after `turns` (N,) quarter
    turns counterclockwise; camera_of (N,) rows of `cameras`. T_cam_world (N, 4, 4), points (P, 3).
    observed (O,): rows of points; those of image i are observed[start[i]:start[i + 1]], start
    (N + 1,). pairs (M, 2): rows of a reference and a query; overlap (M,) share of the points of
    one that the other observes as well, baseline (M,) distance between their centres.
    """

    images: tuple[Path, ...]
    cameras: tuple[Camera, ...]
    camera_of: np.ndarray
    turns: np.ndarray
    T_cam_world: np.ndarray
    points: np.ndarray
    observed: np.ndarray
    start: np.ndarray
    pairs: np.ndarray
    overlap: np.ndarray
    baseline: np.ndarray

    def observed_by(self, image: int) -> np.ndarray:
        """Rows of the points that an image observes."""
        return np.asarray(self.observed[self.start[image] : self.start[image + 1]])


_ARRAYS = [field.name for field in fields(PosedScene) if field.name not in ("images", "cameras")]


def shared_points(observed: Sequence[np.ndarray], num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs (M, 2) of different images that observe common points, and how many (M,).

    observed: for each image the rows of its points, each once. Needs memory for one image at a
    time beside the observations and the result.
    """
    image = np.repeat(np.arange(len(observed)), [len(rows) for rows in observed])
    point = np.concatenate([np.asarray(rows, np.int64) for rows in observed])
    seen_by = image[np.argsort(point, kind="stable")]
    first = np.concatenate([[0], np.cumsum(np.bincount(point, minlength=num_points))])
    pairs, counts = [], []
    for i, rows in enumerate(observed):
        lengths = first[rows + 1] - first[rows]
        before = np.cumsum(lengths) - lengths
        spots = np.arange(lengths.sum()) + np.repeat(first[rows] - before, lengths)
        shared = np.bincount(seen_by[spots], minlength=len(observed))
        shared[i] = 0
        (others,) = np.nonzero(shared)
        pairs.append(np.stack([np.full(len(others), i), others], 1))
        counts.append(shared[others])
    return np.concatenate(pairs), np.concatenate(counts)


def baselines(T_cam_world: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(M,) distances between the centres of the cameras of pairs (M, 2)."""
    centre = transforms.inverse(T_cam_world)[:, :3, 3]
    return np.linalg.norm(centre[pairs[:, 0]] - centre[pairs[:, 1]], axis=1)


def grouped(observed: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """`observed` and `start` of a scene from the rows of each image."""
    start = np.concatenate([[0], np.cumsum([len(rows) for rows in observed])])
    return np.concatenate(observed).astype(np.int32), start


def prepared(folder: Path, source: Path, make: Callable[[], PosedScene]) -> PosedScene:
    """The scene kept in `folder`; made first if it is not there or `source` has changed since.

    source: the file or folder that the scene is made from. Several processes may ask at once: one
    makes the scene, the others wait for it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    stamp = f"{source.absolute()} {source.stat().st_mtime_ns if source.exists() else 'missing'}"
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scene = _open(folder, stamp)
        if scene is None:
            _write(folder, stamp, make())
            scene = _open(folder, stamp)
    return scene


def _open(folder: Path, stamp: str) -> PosedScene | None:
    file = folder / "scene.json"
    if not file.is_file():
        return None
    about = json.loads(file.read_text())
    if (about["version"], about["source"]) != (VERSION, stamp):
        return None
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    cameras = tuple(Camera.from_dict(camera, torch.float64) for camera in about["cameras"])
    return PosedScene(tuple(map(Path, about["images"])), cameras, **arrays)


def _write(folder: Path, stamp: str, scene: PosedScene) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in _ARRAYS:
        np.save(partial / f"{name}.npy", getattr(scene, name))
    about = {
        "version": VERSION,
        "source": stamp,
        "images": list(map(str, scene.images)),
        "cameras": [camera.to_dict() for camera in scene.cameras],
    }
    (partial / "scene.json").write_text(json.dumps(about))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)

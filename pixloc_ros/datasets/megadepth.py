"""MegaDepth (Li and Snavely, CVPR 2018) as PixLoc trains on it: its scenes, undistorted.

Layout (that of D2-Net's preparation, which PixLoc builds on):

    ROOT/Undistorted_SfM/<scene>/images/...
    ROOT/Undistorted_SfM/<scene>/sparse/{cameras,images,points3D}.bin

Scenes have no scale: a unit of length means nothing. Photos that lie on their side are turned
upright; pairs are those of at least 50 common points, both images at least 480 px high and wide.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.colmap_scene import read_colmap
from pixloc_ros.datasets.scene import PosedScene

SMALLEST = 480  # px
LYING = 60.0  # degrees from upright beyond which a photo is turned
QUARTER_TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def model_folder(root: Path, scene: str) -> Path:
    return root / "Undistorted_SfM" / scene / "sparse"


def read_megadepth(root: Path, scene: str) -> PosedScene:
    """One scene, "0000" ... Raises MapError or DataError when it is not there or not whole."""
    model = model_folder(root, scene)
    read = read_colmap(model, model.parent / "images")
    turns = quarter_turns(read.T_cam_world[:, :3, :3])
    sizes = np.array([camera.size.tolist() for camera in read.cameras])[read.camera_of]
    large = sizes.min(1) >= SMALLEST
    kept = large[read.pairs].all(1)
    return replace(
        turned(read, turns),
        pairs=read.pairs[kept],
        overlap=read.overlap[kept],
        baseline=read.baseline[kept],
    )


def quarter_turns(R_cam_world: np.ndarray) -> np.ndarray:
    """(N,) quarter turns counterclockwise that bring photos (N, 3, 3) upright.

    Down is the median of the downward axes of all cameras: most photos are upright.
    """
    down = np.median(R_cam_world[:, 1], axis=0)
    x, y, _ = np.moveaxis(R_cam_world @ down, -1, 0)
    angle = np.rad2deg(np.arctan2(x, y))  # of "down" in the picture, from its lower edge
    turns = np.round(-angle / 90).astype(np.int64) % 4
    return np.where(np.abs(angle) > LYING, turns, 0)


def turned(scene: PosedScene, turns: np.ndarray) -> PosedScene:
    """The scene with each image turned counterclockwise by its number of quarter turns (N,)."""
    kinds, camera_of = np.unique(np.stack([scene.camera_of, turns], 1), axis=0, return_inverse=True)
    T = np.array(scene.T_cam_world)
    for count in (1, 2, 3):
        R = np.linalg.matrix_power(QUARTER_TURN, count)
        T[turns == count, :3] = R @ T[turns == count, :3]
    cameras = tuple(turned_camera(scene.cameras[row], count) for row, count in kinds.tolist())
    return replace(scene, cameras=cameras, camera_of=camera_of.ravel(), turns=turns, T_cam_world=T)


def turned_camera(camera: Camera, count: int) -> Camera:
    """The pinhole camera of the image turned counterclockwise by `count` quarter turns."""
    if camera.model != "pinhole":
        raise DataError(
            f"a camera of MegaDepth is '{camera.model}', not pinhole; take the "
            "undistorted images and models"
        )
    (w, h), (fx, fy), (cx, cy) = (v.tolist() for v in (camera.size, camera.f, camera.c))
    for _ in range(count):
        w, h, fx, fy, cx, cy = h, w, fy, fx, cy, w - 1 - cx
    return Camera.pinhole(w, h, fx, fy, cx, cy, dtype=camera.dtype)


def read_split(path: Path) -> tuple[str, ...]:
    """Names of scenes from a text file. Raises DataError when it cannot be read or is empty."""
    try:
        scenes = tuple(path.read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the list of scenes cannot be read ({error})") from error
    if not scenes:
        raise DataError(f"{path}: names no scene")
    return scenes

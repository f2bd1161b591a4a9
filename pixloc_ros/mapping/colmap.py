"""COLMAP models in, as plain arrays. Here COLMAP's half pixel is removed, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.mapping.colmap_files import check_binary
from pixloc_ros.mapping.model import SfmModel

pycolmap.logging.minloglevel = 2  # errors only; what matters is raised

_MODELS = {
    "pinhole": "PINHOLE",
    "radtan": "OPENCV",
    "rational": "FULL_OPENCV",
    "equidistant": "OPENCV_FISHEYE",
}
_NEEDED = ("cameras", "images", "points3D")


def read_model(path: str | Path) -> SfmModel:
    """Read a COLMAP or hloc model folder, binary or text, with or without rigs.

    Raises MapError (file, reason, remedy) when it is missing, corrupt, or has no registered
    images or no points.
    """
    path = Path(path)
    suffix = _suffix(path)
    if suffix == ".bin":
        check_binary(path)
    try:
        reconstruction = pycolmap.Reconstruction(str(path))
        model = _to_arrays(reconstruction)
    except DataError as error:
        raise MapError(f"{path / ('cameras' + suffix)}: {error}") from error
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        reason = str(error).strip().splitlines()[-1:] or ["unreadable"]
        message = f"{path}: not a readable COLMAP model ({reason[0]}); export it again"
        raise MapError(message) from error
    if len(model.names) == 0:
        raise MapError(f"{path / ('images' + suffix)}: no image with a pose; run the SfM again")
    if len(model.points) == 0:
        raise MapError(
            f"{path / ('points3D' + suffix)}: no 3-D points; triangulate the model first "
            "(build_map can do it from images and poses)"
        )
    if not (np.isfinite(model.points).all() and np.isfinite(model.T_world_cam).all()):
        raise MapError(f"{path}: a point or a pose is not finite; run the SfM again")
    return model


def read_image_poses(path: str | Path) -> dict[str, np.ndarray]:
    """T_world_cam (4, 4) of a model's images by name, which is quick for a large model too.

    Raises MapError as `read_model` does.
    """
    path = Path(path)
    if _suffix(path) == ".bin":
        check_binary(path)
    try:
        images = pycolmap.Reconstruction(str(path)).images.values()
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        raise MapError(f"{path}: not a readable COLMAP model ({error}); export it again") from error
    return {
        image.name: transforms.inverse(np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]))
        for image in images
        if image.has_pose
    }


def _suffix(path: Path) -> str:
    """.bin or .txt, whichever the folder has in full."""
    if not path.is_dir():
        raise MapError(f"{path}: no such model folder")
    for suffix in (".bin", ".txt"):
        files = [path / (name + suffix) for name in _NEEDED]
        if all(file.is_file() for file in files):
            return suffix
        missing = [file for file in files if not file.is_file()]
        if len(missing) < len(files):
            raise MapError(f"{missing[0]}: missing; copy the whole model folder")
    raise MapError(f"{path}: no COLMAP model here (cameras, images, points3D as .bin or .txt)")


def _to_arrays(reconstruction: pycolmap.Reconstruction) -> SfmModel:
    point_ids = np.array(sorted(reconstruction.points3D), np.int64)
    points = [reconstruction.points3D[i] for i in point_ids.tolist()]
    row_of = {i: row for row, i in enumerate(point_ids.tolist())}
    camera_ids = sorted(reconstruction.cameras)
    images = sorted(
        (image for image in reconstruction.images.values() if image.has_pose),
        key=lambda image: image.name,
    )
    seen_by, seen, pixels = [], [], []
    for index, image in enumerate(images):
        for point2d in image.points2D:
            if point2d.has_point3D():
                seen_by.append(index)
                seen.append(row_of[point2d.point3D_id])
                pixels.append(point2d.xy)
    T_cam_world = [image.cam_from_world().matrix() for image in images]
    T = np.array(T_cam_world, np.float64).reshape(-1, 3, 4)
    return SfmModel(
        cameras=tuple(_camera(reconstruction.cameras[i]) for i in camera_ids),
        names=tuple(image.name for image in images),
        camera_of=np.array([camera_ids.index(image.camera_id) for image in images], np.int64),
        T_world_cam=transforms.inverse(transforms.from_Rt(T[:, :, :3], T[:, :, 3])),
        points=np.array([point.xyz for point in points], np.float64).reshape(-1, 3),
        point_ids=point_ids,
        errors=np.array([point.error for point in points], np.float64),
        observation_image=np.array(seen_by, np.int64),
        observation_point=np.array(seen, np.int64),
        observation_xy=np.array(pixels, np.float64).reshape(-1, 2) - 0.5,
    )


def to_colmap(camera: Camera, camera_id: int = 1) -> pycolmap.Camera:
    """Our camera as COLMAP's, with its half pixel. DataError: COLMAP has no such model."""
    if camera.model not in _MODELS:
        raise DataError(
            "COLMAP has no camera model with thin prism or tilt coefficients (9th to 14th of "
            "rational_polynomial); use the rectified images, or calibrate with 8 coefficients"
        )
    (width, height), f, c = camera.size.tolist(), camera.f.tolist(), camera.c.tolist()
    return pycolmap.Camera(
        camera_id=camera_id,
        model=_MODELS[camera.model],
        width=round(width),
        height=round(height),
        params=[*f, *(v + 0.5 for v in c), *camera.distortion.tolist()],
    )


def _camera(camera: pycolmap.Camera) -> Camera:
    return Camera.from_colmap(camera.model.name, camera.width, camera.height, camera.params)

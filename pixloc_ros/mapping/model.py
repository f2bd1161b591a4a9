"""Posed images that observe 3-D points: what a map is made from, wherever it comes from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import MapError
from pixloc_ros.core.geometry.camera import Camera


@dataclass(frozen=True)
class SfmModel:
    """Posed images that observe 3-D points, in the model's own frame and units.

    M images: `names`, `camera_of` (M,) rows of `cameras`, `T_world_cam` (M, 4, 4). P points:
    `points` (P, 3), `point_ids` (P,), `errors` (P,) mean reprojection error in pixels. O
    observations, grouped by image: `observation_image` (O,), `observation_point` (O,) rows of the
    above and `observation_xy` (O, 2) the pixel, (0, 0) being the centre of the top-left one.
    """

    cameras: tuple[Camera, ...]
    names: tuple[str, ...]
    camera_of: np.ndarray
    T_world_cam: np.ndarray
    points: np.ndarray
    point_ids: np.ndarray
    errors: np.ndarray
    observation_image: np.ndarray
    observation_point: np.ndarray
    observation_xy: np.ndarray

    @property
    def track_length(self) -> np.ndarray:
        """Images that observe each point, (P,)."""
        return np.bincount(self.observation_point, minlength=len(self.points))

    def save(self, path: str | Path) -> None:
        """Write the model as one `.npz`, cameras and names as JSON inside."""
        about = {"cameras": [camera.to_dict() for camera in self.cameras], "names": self.names}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> SfmModel:
        """The inverse of `save`. Raises MapError when the file is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                about = json.loads(str(stored["about"]))
                arrays = {name: stored[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise MapError(
                f"{path}: not a model that was saved ({error}); make it again"
            ) from error
        cameras = tuple(Camera.from_dict(camera) for camera in about["cameras"])
        return cls(cameras=cameras, names=tuple(about["names"]), **arrays)

    def digest(self) -> str:
        """Hexadecimal SHA-256 of everything that the model holds."""
        digest = hashlib.sha256(repr((self.names, [c.to_dict() for c in self.cameras])).encode())
        for name in _ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()


_ARRAYS = [field.name for field in fields(SfmModel) if field.name not in ("cameras", "names")]

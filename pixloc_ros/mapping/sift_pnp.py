"""SIFT + PnP with the same map images and priors: the classical method, to compare with."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pycolmap

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.images.files import read_image
from pixloc_ros.mapping import sift
from pixloc_ros.mapping.colmap import to_colmap
from pixloc_ros.mapping.model import SfmModel

#: A detected key point is an observation of the model when it lies this close to it (pixels).
SAME_POINT_PX = 1.0
MAX_ERROR_PX = 6.0
MIN_INLIERS = 12


class SiftPnp:
    """Localizes images in a COLMAP model, in the model's frame.

    The key points of the `references` nearest model images that look the same way are detected
    when first needed (and kept), matched with those of the query (ratio, mutual), and the pose is
    found by PnP with RANSAC and refined.
    """

    def __init__(self, model: SfmModel, image_dir: str | Path, references: int = 3) -> None:
        self._model, self._image_dir, self._references = model, Path(image_dir), references
        count = np.arange(len(model.names) + 1)
        self._starts = np.searchsorted(model.observation_image, count)
        self._reference = lru_cache(maxsize=128)(self._detect)

    def localize(
        self, image: np.ndarray, camera: Camera, T_map_cam: np.ndarray
    ) -> np.ndarray | None:
        """T_map_cam (4, 4) of the image (uint8) near the prior T_map_cam, or None if it failed."""
        query = sift.extract(image)
        pixels, points = [np.zeros((0, 2))], [np.zeros((0, 3))]
        for index in self._nearest(T_map_cam):
            descriptors, rows = self._reference(int(index))
            matches = sift.match(query.descriptors, descriptors)
            pixels.append(query.xy[matches[:, 0]])
            points.append(self._model.points[rows[matches[:, 1]]])
        pixels, points = np.concatenate(pixels), np.concatenate(points)
        if len(pixels) < MIN_INLIERS:
            return None
        options = pycolmap.AbsolutePoseEstimationOptions()
        options.ransac.max_error = MAX_ERROR_PX
        options.ransac.random_seed = 0
        answer = pycolmap.estimate_and_refine_absolute_pose(
            pixels + 0.5, points, to_colmap(camera), estimation_options=options
        )
        if answer is None or answer["num_inliers"] < MIN_INLIERS:
            return None
        T = answer["cam_from_world"].matrix()
        return transforms.inverse(transforms.from_Rt(T[:, :3], T[:, 3]))

    def _nearest(self, T_map_cam: np.ndarray) -> np.ndarray:
        poses = self._model.T_world_cam
        cost = np.linalg.norm(poses[:, :3, 3] - T_map_cam[:3, 3], axis=1)
        cost[poses[:, :3, 2] @ T_map_cam[:3, 2] < 0.5] = np.inf
        nearest = np.argsort(cost)[: self._references]
        return nearest[np.isfinite(cost[nearest])]

    def _detect(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Descriptors (n, 128) of a model image at its observations, and rows of points (n,)."""
        found = sift.extract(read_image(self._image_dir / self._model.names[index]))
        span = slice(self._starts[index], self._starts[index + 1])
        observed, rows = self._model.observation_xy[span], self._model.observation_point[span]
        if len(found.xy) == 0 or len(rows) == 0:
            return np.zeros((0, 128), np.float32), np.zeros(0, np.int64)
        distance = np.linalg.norm(observed[:, None] - found.xy[None], axis=-1)
        nearest = distance.argmin(1)
        same = distance[np.arange(len(rows)), nearest] <= SAME_POINT_PX
        return found.descriptors[nearest[same]], rows[same]

"""The model of a rendered drive without triangulation: key points lifted by their exact depth."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.mapping.model import SfmModel

#: New points of an image at most, their distance (px) from each other and from known ones.
POINTS_PER_IMAGE, APART = 400, 7
#: Points further away than this (m) say little about the position.
MAX_DEPTH = 80.0
#: A point is hidden where the depth differs from its own by more than this share.
SAME_DEPTH = 0.01


def exact_model(
    names: Sequence[str],
    camera: Camera,
    T_map_cam: np.ndarray,
    images: Sequence[np.ndarray],
    depths: Sequence[np.ndarray],
) -> SfmModel:
    """The model of N rendered images of one camera, in the frame of T_map_cam (N, 4, 4), metres.

    images: (H, W, 3) uint8. depths: (H, W) metres along z, inf: sky. Points are corners of the
    images, off the edges of depth; they are observed wherever the depth says that they are seen.
    """
    T_cam_map = transforms.inverse(T_map_cam)
    points = np.zeros((0, 3))
    for image, depth, T, T_back in zip(images, depths, T_map_cam, T_cam_map):
        pixels, seen = _observe(points, T_back, camera, depth)
        corners = _corners(image, depth, pixels[seen])
        z = depth[corners[:, 1], corners[:, 0]].astype(np.float64)
        rays = camera.rays(torch.from_numpy(corners).float()).double().numpy()
        points = np.concatenate([points, (rays * z[:, None]) @ T[:3, :3].T + T[:3, 3]])
    image_rows, point_rows, xy = [], [], []
    for i, (depth, T_back) in enumerate(zip(depths, T_cam_map)):
        pixels, seen = _observe(points, T_back, camera, depth)
        point_rows.append(np.flatnonzero(seen))
        image_rows.append(np.full(seen.sum(), i))
        xy.append(pixels[seen])
    return SfmModel(
        cameras=(camera,),
        names=tuple(names),
        camera_of=np.zeros(len(names), np.int64),
        T_world_cam=T_map_cam,
        points=points,
        point_ids=np.arange(len(points)),
        errors=np.zeros(len(points)),
        observation_image=np.concatenate(image_rows),
        observation_point=np.concatenate(point_rows),
        observation_xy=np.concatenate(xy),
    )


def _observe(
    points: np.ndarray, T_cam_map: np.ndarray, camera: Camera, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (P, 2) of points (P, 3), and whether (P,) they are in the image and not hidden."""
    p_cam = points @ T_cam_map[:3, :3].T + T_cam_map[:3, 3]
    projected, inside = camera.project(torch.from_numpy(p_cam).float())
    pixels, seen = projected.double().numpy(), inside.numpy().copy()
    height, width = depth.shape
    u, v = np.clip(np.rint(pixels[seen]), 0, [width - 1, height - 1]).astype(int).T
    z = p_cam[seen, 2]
    seen[seen] = np.abs(depth[v, u] - z) < SAME_DEPTH * z
    return pixels, seen


def _corners(image: np.ndarray, depth: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """(n, 2) integer pixels u, v of corners on smooth surfaces, away from those taken."""
    nearest, farthest = cv2.erode(depth, np.ones((5, 5))), cv2.dilate(depth, np.ones((5, 5)))
    usable = (farthest < MAX_DEPTH) & (farthest / 1.1 < nearest)
    mask = usable.astype(np.uint8)
    for u, v in np.rint(taken).astype(int).tolist():
        cv2.circle(mask, (u, v), APART, 0, -1)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(gray, POINTS_PER_IMAGE, 0.01, APART, mask=mask)
    return np.zeros((0, 2), int) if corners is None else corners[:, 0].astype(int)

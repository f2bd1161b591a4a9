"""A textured corridor, drawn exactly by ray and plane: images, poses and depth."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.drive import T_BODY_OPTICAL, Drive
from pixloc_ros.datasets.folder import read_drive, write_drive

WIDTH, HEIGHT, FOCAL = 320, 240, 200.0
#: axis, position of the walls (metres): left, right, floor, ceiling, end
PLANES = ((1, 2.5), (1, -2.5), (2, -1.2), (2, 2.0), (0, 20.0))


def camera() -> Camera:
    return Camera.pinhole(WIDTH, HEIGHT, FOCAL, FOCAL, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)


def pose(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """T_map_cam of a camera that looks along x, turned left by yaw."""
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:3, 3] = x, y, 0.0
    return T @ T_BODY_OPTICAL


@lru_cache
def _texture() -> np.ndarray:
    random = np.random.default_rng(3)
    layers = [random.random((n, n), np.float32) for n in (16, 64, 200, 400)]
    image = sum(cv2.resize(v, (1024, 1024), interpolation=cv2.INTER_CUBIC) for v in layers)
    return ((image - image.min()) / np.ptp(image) * 255).astype(np.float32)


def render(T_map_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) image, and the map points (H, W, 3) that its pixels see."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    x, y = (u - (WIDTH - 1) / 2) / FOCAL, (v - (HEIGHT - 1) / 2) / FOCAL
    rays = np.stack([x, y, np.ones_like(x)], -1) @ T_map_cam[:3, :3].T
    origin = T_map_cam[:3, 3]
    depth = np.full(u.shape, np.inf)
    uv = np.zeros((*u.shape, 2), np.float32)
    for number, (axis, position) in enumerate(PLANES):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (position - origin[axis]) / rays[..., axis]
        nearer = (t > 0.05) & (t < depth)
        depth = np.where(nearer, t, depth)
        hit = origin + np.where(np.isfinite(t), t, 0)[..., None] * rays
        others = [a for a in range(3) if a != axis]
        place = (hit[..., others] * 64 + 150 * number) % 1000
        uv[nearer] = place[nearer]
    image = cv2.remap(_texture(), uv[..., 0], uv[..., 1], cv2.INTER_LINEAR)
    return np.clip(image, 0, 255).astype(np.uint8), origin + depth[..., None] * rays


def drive(folder: Path, frames: int = 7, step: float = 0.5) -> Drive:
    """An image-folder drive along the corridor, with ground truth."""
    poses = [pose(i * step, 0.15 * np.sin(i), 0.03 * np.cos(2 * i)) for i in range(frames)]
    made = Drive(
        name="corridor",
        names=tuple(f"{i}.png" for i in range(frames)),
        stamps_ns=np.arange(frames) * 100_000_000,
        camera=camera(),
        T_base_cam=T_BODY_OPTICAL,
        load=lambda i: render(poses[i])[0],
        T_map_base=np.stack(poses) @ np.linalg.inv(T_BODY_OPTICAL),
    )
    return read_drive(write_drive(folder, made, suffix=".png"))

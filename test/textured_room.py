"""A small textured room for the tests of the node: images, poses and a feature map in seconds."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.datasets.drive import T_BODY_OPTICAL, Drive, Odometry
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.colmap import read_model

WIDTH, HEIGHT, FOCAL = 320, 240, 220.0
CX, CY = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
LOW, HIGH = np.array([-3.0, -3.0, 0.0]), np.array([11.0, 3.0, 3.0])
T_BASE_CAM = T_BODY_OPTICAL.copy()
T_BASE_CAM[:3, 3] = 0.2, 0.0, 1.2


def camera() -> Camera:
    """The camera of all images."""
    return Camera.pinhole(WIDTH, HEIGHT, FOCAL, FOCAL, CX, CY)


def pose(x: float, y: float, yaw: float) -> np.ndarray:
    """T_map_base on the floor."""
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:2, 3] = x, y
    return T


def drive(seconds: float = 4.0, rate: float = 10.0, start_ns: int = 1_000_000_000) -> Drive:
    """A ride of 1 m/s down the room, off the line that the map was taken on."""
    times = np.arange(int(seconds * rate)) / rate
    poses = np.stack([pose(t, 0.25 * np.sin(t), 0.1 * np.cos(t)) for t in times])
    stamps = start_ns + (times * 1e9).astype(np.int64)
    fine = np.arange(int(seconds * 50) + 10) / 50
    truth = np.stack([pose(t, 0.25 * np.sin(t), 0.1 * np.cos(t)) for t in fine])
    T_odom_map = pose(5.0, -2.0, 0.7)
    return Drive(
        "room",
        tuple(f"{i:04d}" for i in range(len(times))),
        stamps,
        camera(),
        T_BASE_CAM,
        lambda i: picture(poses[i] @ T_BASE_CAM),
        poses,
        Odometry(start_ns + (fine * 1e9).astype(np.int64), T_odom_map @ truth),
    )


def picture(T_map_cam: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) RGB of the room."""
    return _look(T_map_cam)[0]


def make_map(folder: Path, frames: int = 8) -> Path:
    """Images, a COLMAP text model with exact points, and the feature map made from them."""
    images, model = folder / "images", folder / "model"
    images.mkdir(parents=True)
    model.mkdir()
    bases = [pose(x, 0.0, 0.0) for x in np.linspace(-0.5, 4.5, frames)]
    views = [_look(T @ T_BASE_CAM) for T in bases]
    points = np.concatenate([_corners(view, T @ T_BASE_CAM) for view, T in zip(views, bases)])
    with (model / "cameras.txt").open("w") as file:
        file.write(f"1 PINHOLE {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {CX + 0.5} {CY + 0.5}\n")
    tracks: list[list[str]] = [[] for _ in points]
    with (model / "images.txt").open("w") as file:
        for number, (view, T) in enumerate(zip(views, bases), start=1):
            name = f"{number:03d}.png"
            cv2.imwrite(str(images / name), cv2.cvtColor(view[0], cv2.COLOR_RGB2BGR))
            T_cam_map = transforms.inverse(T @ T_BASE_CAM)
            pixels, seen = _project(points, T_cam_map, view[1])
            (x, y, z, w), t = transforms.to_quaternion(T_cam_map)
            file.write(f"{number} {w} {x} {y} {z} {t[0]} {t[1]} {t[2]} 1 {name}\n")
            file.write(
                " ".join(
                    f"{u + 0.5} {v + 0.5} {i + 1}"
                    for (u, v), i in zip(pixels[seen], np.flatnonzero(seen))
                )
                + "\n"
            )
            for slot, index in enumerate(np.flatnonzero(seen)):
                tracks[index].append(f"{number} {slot}")
    with (model / "points3D.txt").open("w") as file:
        for index, (point, track) in enumerate(zip(points, tracks), start=1):
            if track:
                x, y, z = point
                file.write(f"{index} {x} {y} {z} 128 128 128 0.1 {' '.join(track)}\n")
    build_map(read_model(model), images, load_checkpoint("small"), folder / "map")
    return folder / "map"


@lru_cache(maxsize=1)
def _textures() -> list[np.ndarray]:
    """One for each of floor, ceiling, left, right, front and back: smooth noise of many sizes."""
    rng = np.random.default_rng(7)
    textures = []
    for _ in range(6):
        total = np.zeros((1024, 1024, 3), np.float32)
        for cells, weight in ((6, 0.5), (16, 0.6), (48, 0.7), (128, 0.6)):
            noise = rng.random((cells, cells, 3), dtype=np.float32) - 0.5
            total += weight * cv2.resize(noise, (1024, 1024), interpolation=cv2.INTER_CUBIC)
        textures.append(np.clip(128 + 110 * total, 0, 255).astype(np.uint8))
    return textures


def _look(T_map_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image and depth (H, W) along z: each ray ends where it leaves the box."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(u - CX) / FOCAL, (v - CY) / FOCAL, np.ones_like(u, float)], -1)
    directions = rays @ T_map_cam[:3, :3].T
    origin = T_map_cam[:3, 3]
    ahead = np.where(directions > 0, HIGH, LOW)
    distance = (ahead - origin) / np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    axis = distance.argmin(-1)
    depth = distance.min(-1)
    hits = origin + depth[..., None] * directions
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for wall, texture in enumerate(_textures()):
        here = (axis == wall // 2) & (
            np.take_along_axis(directions, axis[..., None], -1)[..., 0] * (1 if wall % 2 else -1)
            > 0
        )
        first, second = [hits[..., a] for a in range(3) if a != wall // 2]
        uv = [(64 * (c + 4)).astype(np.float32) for c in (first, second)]
        colors = cv2.remap(texture, *uv, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        image[here] = colors[here]
    return image, depth


def _corners(view: tuple[np.ndarray, np.ndarray], T_map_cam: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(view[0], cv2.COLOR_RGB2GRAY)
    pixels = cv2.goodFeaturesToTrack(gray, 120, 0.01, 7)[:, 0].astype(int)
    depth = view[1][pixels[:, 1], pixels[:, 0]]
    rays = np.stack(
        [(pixels[:, 0] - CX) / FOCAL, (pixels[:, 1] - CY) / FOCAL, np.ones(len(pixels))], -1
    )
    return (rays * depth[:, None]) @ T_map_cam[:3, :3].T + T_map_cam[:3, 3]


def _project(points: np.ndarray, T_cam_map: np.ndarray, depth: np.ndarray):
    p = points @ T_cam_map[:3, :3].T + T_cam_map[:3, 3]
    pixels = p[:, :2] / np.maximum(p[:, 2:], 1e-6) * FOCAL + [CX, CY]
    inside = (p[:, 2] > 0.3) & (pixels > 4).all(1) & (pixels < [WIDTH - 5, HEIGHT - 5]).all(1)
    rows = np.clip(pixels.round().astype(int), 0, [WIDTH - 1, HEIGHT - 1])
    return pixels, inside & (np.abs(depth[rows[:, 1], rows[:, 0]] - p[:, 2]) < 0.15)

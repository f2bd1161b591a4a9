"""Photos of a textured wall with a COLMAP model of it, in the layouts of public data sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import torch

from pixloc_ros.core.geometry import Pose, transforms
from pixloc_ros.core.geometry.camera import Camera

PINHOLE = ("PINHOLE", 640, 480, (500.0, 510.0, 322.0, 238.0))
SMALL = ("PINHOLE", 400, 300, (310.0, 310.0, 200.0, 150.0))
INTRINSICS = """# the two cameras
c0 OPENCV 512 384 434.5 433.0 263.0 210.0 -0.3994 0.1889 0.000153 0.000571
c1 OPENCV 512 384 436.7 438.2 264.7 198.6 -0.3971 0.1819 0.000176 -0.000579
"""
EXTENT = 8.0  # half the side of the wall, metres, in the plane z = 6


@dataclass
class Photo:
    """name, camera as COLMAP writes it, T_cam_world (4, 4)."""

    name: str
    camera: tuple
    T_cam_world: np.ndarray


def pose(x: float, y: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """T_cam_world of a camera at (x, y, 0) that looks along z; angles in degrees."""
    turn = transforms.exp(np.array([0, 0, 0, 0, np.deg2rad(yaw), 0]))
    turn = turn @ transforms.exp(np.array([0, 0, 0, 0, 0, np.deg2rad(roll)]))
    turn[:3, 3] = x, y, 0.0
    return transforms.inverse(turn)


@lru_cache
def texture() -> torch.Tensor:
    noise = np.random.default_rng(4).random((24, 24, 3), np.float32)
    image = cv2.resize(noise, (1200, 1200), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def colour_at(points: torch.Tensor) -> torch.Tensor:
    """(N, 3) colours of points (N, 3) on the wall, world frame."""
    grid = (points[None, None, :, :2] / EXTENT).float()
    return torch.nn.functional.grid_sample(texture(), grid, align_corners=False)[0, :, 0].T


def render(photo: Photo) -> np.ndarray:
    camera = Camera.from_colmap(*photo.camera[:3], photo.camera[3])
    _, width, height, _ = photo.camera
    v, u = np.mgrid[:height, :width]
    rays = camera.rays(torch.from_numpy(np.stack([u, v], -1).reshape(-1, 2)).float()).numpy()
    T_world_cam = transforms.inverse(photo.T_cam_world)
    directions = rays @ T_world_cam[:3, :3].T
    distance = (6.0 - T_world_cam[2, 3]) / directions[:, 2:]
    points = torch.from_numpy(T_world_cam[:3, 3] + distance * directions)
    return (colour_at(points) * 255).round().byte().reshape(height, width, 3).numpy()


def write_photos(folder: Path, photos: list[Photo]) -> None:
    for photo in photos:
        path = folder / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), render(photo)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def write_model(folder: Path, photos: list[Photo], num_points: int = 400) -> list[set[int]]:
    """A binary COLMAP model of the photos and points of the wall that they see. Returns the rows
    of points that each photo observes; ids are rows + 1."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    points = np.column_stack([rng.uniform(-6, 6, (num_points, 2)), np.full(num_points, 6.0)])
    cameras = sorted({photo.camera for photo in photos})
    lines = [
        f"{i} {model} {w} {h} {' '.join(map(str, p))}"
        for i, (model, w, h, p) in enumerate(cameras, 1)
    ]
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n")
    lines, tracks, observed = [], [[] for _ in points], []
    for number, photo in enumerate(photos, 1):
        camera = Camera.from_colmap(*photo.camera[:3], photo.camera[3])
        p_cam = Pose.from_matrix(photo.T_cam_world[None], dtype=torch.float32).transform(
            torch.from_numpy(points).float()[None]
        )
        p2d, seen = (part[0].numpy() for part in camera.project(p_cam))
        rows = np.flatnonzero(seen & (rng.random(num_points) < 0.8))
        observed.append(set(rows.tolist()))
        q, t = transforms.to_quaternion(photo.T_cam_world)
        numbers = " ".join(map(repr, [*map(float, (q[3], *q[:3])), *map(float, t)]))
        lines.append(f"{number} {numbers} {cameras.index(photo.camera) + 1} {photo.name}")
        lines.append(
            " ".join(
                f"{x + 0.5} {y + 0.5} {row + 1}"
                for (x, y), row in zip(p2d[rows].tolist(), rows.tolist())
            )
        )
        for spot, row in enumerate(rows.tolist()):
            tracks[row].append(f"{number} {spot}")
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "points3D.txt").write_text(
        "".join(
            f"{row + 1} {x} {y} {z} 128 128 128 0.5 {' '.join(track)}\n"
            for row, ((x, y, z), track) in enumerate(zip(points.tolist(), tracks))
        )
    )
    model = pycolmap.Reconstruction(str(folder))
    for path in folder.glob("*.txt"):
        path.unlink()
    model.write(str(folder))
    return observed


def megadepth(root: Path, scene: str) -> tuple[list[Photo], list[set[int]]]:
    """A scene of seven photos: two on their side, one upside down, one too small."""
    photos = [
        Photo("a.jpg", PINHOLE, pose(-1.0)),
        Photo("b.jpg", PINHOLE, pose(-0.4, 0.1, 3)),
        Photo("c.jpg", PINHOLE, pose(0.0, -0.2, roll=4)),
        Photo("d.jpg", PINHOLE, pose(0.5, roll=88)),
        Photo("e.jpg", PINHOLE, pose(0.8, 0.1, -4, roll=-93)),
        Photo("f.jpg", PINHOLE, pose(1.0, roll=178)),
        Photo("g.jpg", SMALL, pose(0.2)),
    ]
    folder = root / "Undistorted_SfM" / scene
    write_photos(folder / "images", photos)
    return photos, write_model(folder / "sparse", photos)


def cmu(root: Path, models: Path, number: int) -> tuple[list[Photo], list[Photo], list[set[int]]]:
    """A slice of five references and four queries; query 2 looks away, query 3 is far from all."""
    (root / f"slice{number}" / "camera-poses").mkdir(parents=True)
    (root / "intrinsics.txt").write_text(INTRINSICS)
    cameras = [
        (model, int(w), int(h), tuple(map(float, rest)))
        for _, model, w, h, *rest in (line.split() for line in INTRINSICS.splitlines()[1:])
    ]
    references = [
        Photo(
            f"img_{i:05d}_c{i % 2}_128334{i}us.jpg",
            cameras[i % 2],
            pose(0.8 * i - 1.6, 0.05 * i, i - 2.0),
        )
        for i in range(5)
    ]
    places = [(-1.5, 0.1, 2.0), (0.9, -0.1, -3.0), (0.0, 0.0, 40.0), (0.0, 3.0, 0.0)]
    queries = [
        Photo(f"img_{i:05d}_c{i % 2}_129000{i}us.jpg", cameras[i % 2], pose(*place))
        for i, place in enumerate(places)
    ]
    folder = root / f"slice{number}"
    write_photos(folder / "database", references)
    write_photos(folder / "query", queries)
    lines = []
    for photo in queries:
        q, _ = transforms.to_quaternion(photo.T_cam_world)
        centre = transforms.inverse(photo.T_cam_world)[:3, 3]
        lines.append(" ".join([photo.name, *map(repr, map(float, (q[3], *q[:3], *centre)))]))
    (folder / "camera-poses" / "monday.txt").write_text("\n".join(lines[:2]) + "\n")
    (folder / "camera-poses" / "tuesday.txt").write_text("\n".join(lines[2:]) + "\n")
    model = models / f"slice{number}" / "sfm_superpoint+superglue" / "model"
    return references, queries, write_model(model, references)

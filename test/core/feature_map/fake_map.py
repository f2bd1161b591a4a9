"""Small feature maps made without a network: random points seen from keyframes along a line."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.core.feature_map import format as fmt
from pixloc_ros.core.feature_map.writer import MapWriter
from pixloc_ros.core.geometry.camera import Camera

CAMERA = Camera.pinhole(320, 240, 200, 200, 159.5, 119.5)
STRIDES, DIMS = (2, 16), (8, 16)
R_MAP_CAM = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # looks along x


def pose(x: float, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ R_MAP_CAM
    T[:3, 3] = x, y, z
    return T


def feature(point_id: np.ndarray, keyframe: int, level: int) -> torch.Tensor:
    """The (made up) feature of a point in a keyframe: tells both apart. (n, C), unit norm."""
    phase = np.asarray(point_id)[:, None] * 1.7 + keyframe * 0.9 + level
    values = np.sin(phase * np.arange(1, DIMS[level] + 1) + 0.5)
    return torch.from_numpy(values / np.linalg.norm(values, axis=1, keepdims=True)).half()


def make_map(folder: Path, x: np.ndarray, origin: float = 0.0, per_keyframe: int = 120) -> Path:
    """Keyframes at (origin + x, origin, 0); points in the 30 m ahead of each."""
    random = np.random.default_rng(7)
    poses = [pose(origin + float(v), origin) for v in x]
    count = per_keyframe * max(2, len(x) // 2)
    points = np.stack(
        [
            origin + random.uniform(x[0] + 4, x[-1] + 30, count),
            origin + random.uniform(-8, 8, count),
            random.uniform(-3, 5, count),
        ],
        axis=1,
    )
    cells = [tuple(np.floor(T[:2, 3] / 20.0).astype(int).tolist()) for T in poses]
    writer = MapWriter(folder, folder.with_name(folder.name + ".tmp"), 20.0)
    row, used = 0, set()
    for cell, group in groupby(range(len(poses)), key=lambda i: cells[i]):
        group = list(group)
        seen = [_seen(poses[i], points)[:per_keyframe] for i in group]
        local = np.unique(np.concatenate(seen))
        table = np.zeros(len(group), fmt.KEYFRAME_DTYPE)
        table["T_map_cam"] = [poses[i][:3] for i in group]
        table["count"] = [len(s) for s in seen]
        table["first"] = np.cumsum(table["count"]) - table["count"]
        table["name"] = [f"{i}.jpg".encode() for i in group]
        table["covisible"] = -1
        for k, i in enumerate(group):
            near = [j for j in (i - 1, i + 1, i - 2, i + 2) if 0 <= j < len(poses)]
            table["covisible"][k, : len(near)] = near
        tensors = {
            "points": torch.from_numpy(points[local]),
            "point_ids": torch.from_numpy(local.astype(np.int64)),
            "track_length": torch.full((len(local),), 3, dtype=torch.int32),
            "viewing_direction": torch.from_numpy(_direction(poses, points[local])),
            "observation_point": torch.from_numpy(
                np.searchsorted(local, np.concatenate(seen)).astype(np.int32)
            ),
        }
        for level in range(len(STRIDES)):
            parts = [feature(s, row + k, level) for k, s in enumerate(seen)]
            tensors[f"features_{level}"] = torch.cat(parts)
            confidence = random.uniform(0.1, 0.9, sum(map(len, seen)))
            tensors[f"confidence_{level}"] = torch.from_numpy(confidence).half()
        writer.add_tile(cell, table, tensors)
        used.update(local.tolist())
        row += len(group)
    writer.finish(
        checkpoint="abc123",
        checkpoint_name="fake",
        strides=STRIDES,
        dims=DIMS,
        resize=320,
        num_points=len(used),
    )
    return folder


def project(points: np.ndarray, T_map_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map points (N, 3) -> pixels (N, 2) and whether they are in the image."""
    p_cam = (points - T_map_cam[:3, 3]) @ T_map_cam[:3, :3]
    with np.errstate(divide="ignore", invalid="ignore"):
        p2d = p_cam[:, :2] / p_cam[:, 2:] * 200 + [159.5, 119.5]
    inside = (p_cam[:, 2] > 0.1) & (p2d >= 0).all(1) & (p2d <= [319, 239]).all(1)
    return p2d, inside


def _seen(T_map_cam: np.ndarray, points: np.ndarray) -> np.ndarray:
    inside = project(points, T_map_cam)[1]
    near = np.linalg.norm(points - T_map_cam[:3, 3], axis=1) < 30
    return np.flatnonzero(inside & near)


def _direction(poses: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    offset = np.array([T[:3, 3] for T in poses])[None] - points[:, None]
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    weight = (distance < 30) & (offset[..., :1] < 0)
    mean = (offset / distance * weight).sum(1)
    return (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)).astype(np.float32)

"""The text files that hloc and the benchmarks of visual localization exchange.

Lists of queries `name MODEL width height params...`, retrieval `query reference`, and poses
`name qw qx qy qz tx ty tz` (world to camera). Lines that are empty or begin with # are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera


@dataclass(frozen=True)
class Query:
    """An image to be localized: its name below the folder of images, and its camera."""

    name: str
    camera: Camera


def read_queries(path: Path) -> list[Query]:
    """Queries with intrinsics, in COLMAP's camera models."""
    queries = []
    for place, parts in _rows(path):
        try:
            camera = Camera.from_colmap(
                parts[1], int(parts[2]), int(parts[3]), [float(v) for v in parts[4:]]
            )
        except (ValueError, IndexError, DataError) as error:
            raise DataError(
                f"{place}: expected name, camera model, width, height and its parameters ({error})"
            ) from None
        queries.append(Query(parts[0], camera))
    return queries


def read_pairs(path: Path) -> dict[str, list[str]]:
    """Retrieval: query -> names of references, best first."""
    pairs: dict[str, list[str]] = {}
    for place, parts in _rows(path):
        if len(parts) != 2:
            raise DataError(f"{place}: expected the names of a query and a reference")
        pairs.setdefault(parts[0], []).append(parts[1])
    return pairs


def read_poses(path: Path) -> dict[str, np.ndarray]:
    """T_world_cam (4, 4) by the name in the file, which may be cut to its last parts."""
    poses = {}
    for place, parts in _rows(path):
        try:
            qw, qx, qy, qz, *t = (float(v) for v in parts[1:])
            T_cam_world = transforms.from_quaternion(np.array([qx, qy, qz, qw]), np.array(t))
        except ValueError as error:
            raise DataError(f"{place}: expected name qw qx qy qz tx ty tz ({error})") from None
        poses[parts[0]] = transforms.inverse(T_cam_world)
    return poses


def write_poses(path: Path, poses: Mapping[str, np.ndarray]) -> Path:
    """The inverse of `read_poses`: T_world_cam (4, 4) by name."""
    lines = []
    for name, T_world_cam in poses.items():
        (qx, qy, qz, qw), t = transforms.to_quaternion(transforms.inverse(T_world_cam))
        numbers = " ".join(f"{v:.10g}" for v in (qw, qx, qy, qz, *t))
        lines.append(f"{name} {numbers}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    return path


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(place for messages, fields) of each line that counts."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file") from None
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield f"{path}, line {number}", line.split()

"""RobotCar Seasons: the benchmark on images of the RobotCar (Sattler et al., CVPR 2018).

Layout of the data set, `<camera>` being rear, left or right:

    images/<condition>/<camera>/<stamp>.jpg        1024 x 1024, undistorted
    intrinsics/<camera>_intrinsics.txt             lines "fx 400.0", "fy ...", "cx ...", "cy ..."
    3D-models/all-merged/all.nvm                   the reference model of overcast-reference

Poses are those of COLMAP: world to camera, in the metres of the reference model. The benchmark's
server wants a line `<camera>/<stamp>.jpg qw qx qy qz tx ty tz` for each query, and scores those of
the rear camera alone (its maintainer, visuallocalizationbenchmark issues 17 and 59).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera

REFERENCE = "overcast-reference"
CONDITIONS = (
    "dawn",
    "dusk",
    "night",
    "night-rain",
    "overcast-summer",
    "overcast-winter",
    "rain",
    "snow",
    "sun",
)
CAMERAS = ("rear", "left", "right")
SCORED = "rear"
SIZE = (1024, 1024)


@dataclass(frozen=True)
class Query:
    """An image to be localized: its name below `images/`, and its camera."""

    name: str
    camera: Camera


def read_intrinsics(root: Path) -> dict[str, Camera]:
    """The three cameras; DataError names a file that is missing or no list of fx, fy, cx, cy."""
    cameras = {}
    for name in CAMERAS:
        path = root / "intrinsics" / f"{name}_intrinsics.txt"
        try:
            rows = dict(line.split()[:2] for line in path.read_text().splitlines()[:4])
            values = [float(rows[key]) for key in ("fx", "fy", "cx", "cy")]
        except FileNotFoundError:
            raise DataError(f"{path}: missing; the data set's folder intrinsics has it") from None
        except (ValueError, KeyError) as error:
            raise DataError(f"{path}: not four lines fx, fy, cx, cy ({error})") from None
        cameras[name] = Camera.from_colmap("PINHOLE", *SIZE, values)
    return cameras


def queries_of(root: Path, condition: str) -> list[Query]:
    """The scored images of a condition, in order of their names."""
    folder = root / "images" / condition / SCORED
    camera = read_intrinsics(root)[SCORED]
    names = sorted(path.name for path in folder.glob("*.jpg"))
    if not names:
        raise DataError(f"{folder}: no images; extract images/{condition}.zip of the data set")
    return [Query(f"{condition}/{SCORED}/{name}", camera) for name in names]


def read_query_list(path: Path) -> list[Query]:
    """hloc's list `name MODEL width height params...`; the scored images of it."""
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
        if camera_of(parts[0]) == SCORED:
            queries.append(Query(parts[0], camera))
    if not queries:
        raise DataError(f"{path}: lists no image of the {SCORED} camera, which alone is scored")
    return queries


def read_pairs(path: Path) -> dict[str, list[str]]:
    """Retrieval: query -> names of references, best first, from lines `query reference`."""
    pairs: dict[str, list[str]] = {}
    for place, parts in _rows(path):
        if len(parts) != 2:
            raise DataError(f"{place}: expected the names of a query and a reference")
        pairs.setdefault(parts[0], []).append(parts[1])
    return pairs


def read_poses(path: Path) -> dict[str, np.ndarray]:
    """T_world_cam (4, 4) by `<camera>/<file>`, from lines `name qw qx qy qz tx ty tz` (world to
    camera): a submission file, or hloc's results."""
    poses = {}
    for place, parts in _rows(path):
        try:
            qw, qx, qy, qz, *t = (float(v) for v in parts[1:])
            T_cam_world = transforms.from_quaternion(np.array([qx, qy, qz, qw]), np.array(t))
        except ValueError as error:
            raise DataError(f"{place}: expected name qw qx qy qz tx ty tz ({error})") from None
        poses[submitted_name(parts[0])] = transforms.inverse(T_cam_world)
    return poses


def write_submission(path: Path, poses: Mapping[str, np.ndarray]) -> Path:
    """Write T_world_cam (4, 4) by name of query as the server's file, and nothing it ignores."""
    lines = []
    for name, T_world_cam in poses.items():
        if camera_of(name) != SCORED:
            continue
        (qx, qy, qz, qw), t = transforms.to_quaternion(transforms.inverse(T_world_cam))
        numbers = " ".join(f"{v:.10g}" for v in (qw, qx, qy, qz, *t))
        lines.append(f"{submitted_name(name)} {numbers}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    return path


def submitted_name(name: str) -> str:
    """`night/rear/1.jpg` -> `rear/1.jpg`, as the server knows the image."""
    return "/".join(Path(name).parts[-2:])


def camera_of(name: str) -> str:
    """The camera of an image: the folder that it lies in."""
    return Path(name).parent.name


def _rows(path: Path):
    """(place for messages, fields) of the lines that are neither empty nor comments."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield f"{path}, line {number}", line.split()

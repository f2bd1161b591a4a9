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
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.hloc import Query, read_queries, write_poses

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
    """The scored images of hloc's list."""
    queries = [query for query in read_queries(path) if camera_of(query.name) == SCORED]
    if not queries:
        raise DataError(f"{path}: lists no image of the {SCORED} camera, which alone is scored")
    return queries


def write_submission(path: Path, poses: Mapping[str, np.ndarray]) -> Path:
    """Write T_world_cam (4, 4) by name of query as the server's file, and nothing it ignores."""
    scored = {name: T for name, T in poses.items() if camera_of(name) == SCORED}
    return write_poses(path, {submitted_name(name): T for name, T in scored.items()})


def submitted_name(name: str) -> str:
    """`night/rear/1.jpg` -> `rear/1.jpg`, as the server knows the image."""
    return "/".join(Path(name).parts[-2:])


def camera_of(name: str) -> str:
    """The camera of an image: the folder that it lies in."""
    return Path(name).parent.name

"""Extended CMU Seasons (Sattler et al., CVPR 2018) as PixLoc trains on it.

Layout (ROOT is that of the data set, MODELS that of hloc's outputs for it):

    ROOT/intrinsics.txt                          c0 OPENCV 1024 768 fx fy cx cy k1 k2 p1 p2, and c1
    ROOT/slice<N>/database/img_..._c0_...jpg     references
    ROOT/slice<N>/query/img_..._c1_...jpg        queries, of other seasons
    ROOT/slice<N>/camera-poses/*.txt             name qw qx qy qz cx cy cz: rotation world ->
                                                 camera, and the camera's centre
    MODELS/slice<N>/sfm_superpoint+superglue/model/{cameras,images,points3D}.bin

The third field of an image's name, between underscores, is its camera. A query observes no points
itself: it takes those of its closest reference, which is within 1 m and 30 deg or there is none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.colmap_scene import check_images, observations
from pixloc_ros.datasets.scene import MIN_COMMON, PosedScene, baselines, grouped, shared_points

NEAR = 1.0  # metres
ALIKE = np.deg2rad(30.0)


def model_folder(models: Path, number: int) -> Path:
    return models / f"slice{number}" / "sfm_superpoint+superglue" / "model"


def read_cmu(root: Path, models: Path, number: int) -> PosedScene:
    """Slice `number`; images are its references followed by its queries.

    Overlap is the share of the points of the query's closest reference that the pair's reference
    observes. Raises MapError or DataError when a file is missing or malformed.
    """
    from pixloc_ros.mapping.colmap import read_model  # pycolmap: only where a model is read

    folder = root / f"slice{number}"
    cameras = read_cameras(root / "intrinsics.txt")
    queries, T_queries = read_poses(folder / "camera-poses")
    sfm = read_model(model_folder(models, number))
    paths = (
        *(folder / "database" / name for name in sfm.names),
        *(folder / "query" / name for name in queries),
    )
    check_images(paths)
    kinds = sorted(cameras)
    T_references = transforms.inverse(sfm.T_world_cam)
    observed = observations(sfm)
    pairs, overlap = query_pairs(T_references, T_queries, observed, len(sfm.points))
    T_cam_world = np.concatenate([T_references, T_queries])
    flat, start = grouped([*observed, *[np.zeros(0, np.int64)] * len(queries)])
    return PosedScene(
        paths,
        tuple(cameras[kind] for kind in kinds),
        np.array([kinds.index(camera_name(path, kinds)) for path in paths]),
        np.zeros(len(paths), np.int64),
        T_cam_world,
        sfm.points,
        flat,
        start,
        pairs,
        overlap,
        baselines(T_cam_world, pairs),
    )


def query_pairs(
    T_references: np.ndarray, T_queries: np.ndarray, observed: list[np.ndarray], num_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (M, 2) of reference and query, rows as in the scene, with their overlap (M,).

    T_references (R, 4, 4), T_queries (Q, 4, 4): T_cam_world. The closest reference itself makes
    no pair with its query.
    """
    closest = closest_references(T_references, T_queries)
    shared, common = shared_points(observed, num_points)
    enough = common >= MIN_COMMON
    shared, common = shared[enough], common[enough]
    starts = np.searchsorted(shared[:, 0], np.arange(len(T_references) + 1))
    sizes = np.array([len(rows) for rows in observed])
    pairs, overlaps = [], []
    for query, reference in enumerate(closest):
        if reference < 0:
            continue
        rows = slice(starts[reference], starts[reference + 1])
        others = shared[rows, 1]
        pairs.append(np.stack([others, np.full(len(others), len(T_references) + query)], 1))
        overlaps.append(common[rows] / sizes[reference])
    empty = np.zeros((0, 2), np.int64), np.zeros(0)
    return (np.concatenate([empty[0], *pairs]), np.concatenate([empty[1], *overlaps]))


def closest_references(T_references: np.ndarray, T_queries: np.ndarray) -> np.ndarray:
    """(Q,) row of the nearest reference that looks the same way, -1 where none is near."""
    centre_r, centre_q = (transforms.inverse(T)[:, :3, 3] for T in (T_references, T_queries))
    rows = np.full(len(T_queries), -1)
    for query in range(len(T_queries)):
        distance = np.linalg.norm(centre_r - centre_q[query], axis=1)
        trace = np.einsum("nij,ij->n", T_references[:, :3, :3], T_queries[query, :3, :3])
        angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))
        distance = np.where(angle < ALIKE, distance, np.inf)
        nearest = int(distance.argmin())
        rows[query] = nearest if distance[nearest] <= NEAR else -1
    return rows


def read_cameras(path: Path) -> dict[str, Camera]:
    """Cameras by name from intrinsics.txt."""
    cameras = {}
    for number, (name, model, *values) in _lines(path):
        try:
            width, height, *parameters = map(float, values)
            cameras[name] = Camera.from_colmap(model, width, height, parameters)
        except (ValueError, DataError) as error:
            raise DataError(
                f"{path}, line {number}: not 'name MODEL width height parameters' ({error})"
            ) from error
    return cameras


def read_poses(folder: Path) -> tuple[list[str], np.ndarray]:
    """Names and T_cam_world (Q, 4, 4) of the queries of a slice."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise DataError(f"{folder}: no pose files; training needs a slice with public query poses")
    names, rows = [], []
    for path in files:
        for number, (name, *values) in _lines(path):
            try:
                row = [float(value) for value in values]
            except ValueError:
                row = []
            if len(row) != 7:
                raise DataError(f"{path}, line {number}: not 'name qw qx qy qz cx cy cz'")
            names.append(name)
            rows.append(row)
    table = np.array(rows).reshape(-1, 7)
    R = transforms.from_quaternion(table[:, [1, 2, 3, 0]], np.zeros((len(table), 3)))[:, :3, :3]
    return names, transforms.from_Rt(R, -np.einsum("nij,nj->ni", R, table[:, 4:]))


def camera_name(path: Path, known: list[str]) -> str:
    parts = path.name.split("_")
    if len(parts) < 3 or parts[2] not in known:
        raise DataError(
            f"{path}: its name tells none of the cameras {', '.join(known)} "
            "(img_<number>_<camera>_<time>us.jpg)"
        )
    return parts[2]


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Numbered lines, split at blanks, without comments."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return [
        (number, line.split())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]

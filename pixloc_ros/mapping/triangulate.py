"""Posed images -> COLMAP model: SIFT, matching and triangulation under the known poses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pycolmap
import torch

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.feature_map.writer import replace_folder
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.progress import Progress
from pixloc_ros.mapping import sift
from pixloc_ros.mapping.colmap import to_colmap
from pixloc_ros.mapping.posed_images import PosedImages


@dataclass(frozen=True)
class TriangulateOptions:
    """max_features, max_image_size: of the SIFT detection (see `sift.extract`). pairs_per_image:
    nearest images that each image is matched with; max_distance (m) and max_angle (deg, between
    the optical axes) bound them. epipolar_error: px that a match may lie off its epipolar line.
    max_error (px), min_angle (deg): reprojection error and triangulation angle of a kept point;
    a smaller angle leaves the depth too uncertain (at 1.5 deg and half a pixel about 3 %).
    """

    max_features: int = 3000
    max_image_size: int = 1600
    pairs_per_image: int = 10
    max_distance: float = 30.0
    max_angle: float = 60.0
    epipolar_error: float = 3.0
    max_error: float = 3.0
    min_angle: float = 1.5


def triangulate(
    posed: PosedImages,
    out_dir: str | Path,
    progress: Progress | None = None,
    options: TriangulateOptions = TriangulateOptions(),
) -> Path:
    """Make a COLMAP model of images with known poses; returns its folder, `out_dir`.

    The poses are taken as they are. The model's frame is that of the poses, in metres. Key points
    found are kept in `<out_dir>.partial` until the end, so that an interrupted run continues.
    Raises DataError when an image cannot be used, MapError when nothing could be triangulated.
    """
    out_dir = Path(out_dir)
    if out_dir.exists() and not (out_dir / "points3D.bin").is_file():
        raise MapError(f"{out_dir}: exists and is no COLMAP model; choose another folder")
    pairs = select_pairs(posed.T_map_cam, options)
    if len(pairs) == 0:
        raise MapError(
            f"no two of the {len(posed)} images are within {options.max_distance:g} m and look "
            "the same way: check the poses and their unit"
        )
    work = _work_folder(out_dir, posed, options)
    features = _Features(work / "sift", posed, options)
    reconstruction = _cameras_and_poses(posed)
    database = pycolmap.Database.open(str(work / "database.db"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(features.detect, range(len(posed)))):
            _tell(progress, done + 1, len(posed), "features")
        _write_images(database, reconstruction, features)
        matches = pool.map(lambda pair: _match(posed, features, options, *pair), pairs)
        for done, ((a, b), rows) in enumerate(zip(pairs, matches)):
            _write_matches(database, posed, a, b, rows)
            _tell(progress, done + 1, len(pairs), "matching")
    database.close()
    _tell(progress, 0, 1, "triangulation")
    _triangulate(reconstruction, work, options)
    _tell(progress, 1, 1, "triangulation")
    shutil.rmtree(work / "sift")
    for name in ("database.db", "fingerprint"):
        (work / name).unlink()
    replace_folder(work, out_dir)
    return out_dir


def select_pairs(T_map_cam: np.ndarray, options: TriangulateOptions) -> list[tuple[int, int]]:
    """Pairs (a < b) of images worth matching: each with its nearest that look the same way."""
    position, axis = T_map_cam[:, :3, 3], T_map_cam[:, :3, 2]
    pairs = set()
    for i in range(len(position)):
        distance = np.linalg.norm(position - position[i], axis=1)
        usable = (distance <= options.max_distance) & (distance > 1e-2)
        usable &= axis @ axis[i] >= np.cos(np.radians(options.max_angle))
        rows = np.flatnonzero(usable)
        for j in rows[np.argsort(distance[rows], kind="stable")[: options.pairs_per_image]]:
            pairs.add((min(i, int(j)), max(i, int(j))))
    return sorted(pairs)


class _Features:
    """SIFT of the images, on disk so that memory stays bounded and work done is not lost."""

    def __init__(self, folder: Path, posed: PosedImages, options: TriangulateOptions) -> None:
        self._folder, self._posed, self._options = folder, posed, options
        self._folder.mkdir(exist_ok=True)
        self.get = lru_cache(maxsize=4 * options.pairs_per_image)(self._get)

    def detect(self, index: int) -> None:
        path = self._folder / f"{index + 1}.npz"
        if path.is_file():
            return
        image = self._posed.load(index)
        expected = tuple(round(v) for v in self._posed.camera.size.tolist())
        if image.shape[1::-1] != expected:
            raise DataError(
                f"{self._posed.names[index]}: {image.shape[1]}x{image.shape[0]} px, but the "
                f"camera says {expected[0]}x{expected[1]}"
            )
        points = sift.extract(image, self._options.max_features, self._options.max_image_size)
        with path.with_suffix(".tmp").open("wb") as stream:
            np.savez(stream, xy=points.xy, descriptors=points.descriptors.astype(np.float16))
        os.replace(path.with_suffix(".tmp"), path)

    def _get(self, index: int) -> tuple[sift.KeyPoints, np.ndarray]:
        """Key points and their rays (N, 3)."""
        with np.load(self._folder / f"{index + 1}.npz", allow_pickle=False) as content:
            points = sift.KeyPoints(content["xy"], content["descriptors"].astype(np.float32))
        rays = self._posed.camera.rays(torch.from_numpy(points.xy).float())
        return points, rays.double().numpy()


def _match(
    posed: PosedImages, features: _Features, options: TriangulateOptions, a: int, b: int
) -> np.ndarray:
    (points_a, rays_a), (points_b, rays_b) = features.get(a), features.get(b)
    T_b_a = transforms.inverse(posed.T_map_cam[b]) @ posed.T_map_cam[a]
    tolerance = options.epipolar_error / float(posed.camera.f.mean())
    pairs = sift.could_meet(rays_a, rays_b, T_b_a, tolerance)
    return sift.match_guided(points_a.descriptors, points_b.descriptors, pairs)


def _cameras_and_poses(posed: PosedImages) -> pycolmap.Reconstruction:
    reconstruction = pycolmap.Reconstruction()
    reconstruction.add_camera_with_trivial_rig(to_colmap(posed.camera))
    for index, T_cam_map in enumerate(transforms.inverse(posed.T_map_cam)):
        image = pycolmap.Image(name=posed.names[index], camera_id=1, image_id=index + 1)
        reconstruction.add_image_with_trivial_frame(image, pycolmap.Rigid3d(T_cam_map[:3]))
    return reconstruction


def _write_images(
    database: pycolmap.Database, reconstruction: pycolmap.Reconstruction, features: _Features
) -> None:
    database.write_camera(reconstruction.camera(1), use_camera_id=True)
    database.write_rig(reconstruction.rig(1), use_rig_id=True)
    for image_id in sorted(reconstruction.images):
        image = reconstruction.image(image_id)
        database.write_frame(reconstruction.frame(image.frame_id), use_frame_id=True)
        database.write_image(image, use_image_id=True)
        points, _ = features.get(image_id - 1)
        database.write_keypoints(image_id, (points.xy + 0.5).astype(np.float32))


def _write_matches(
    database: pycolmap.Database, posed: PosedImages, a: int, b: int, rows: np.ndarray
) -> None:
    T_b_a = transforms.inverse(posed.T_map_cam[b]) @ posed.T_map_cam[a]
    geometry = pycolmap.TwoViewGeometry()
    geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
    geometry.cam2_from_cam1 = pycolmap.Rigid3d(T_b_a[:3])
    geometry.inlier_matches = rows.astype(np.uint32)
    database.write_two_view_geometry(a + 1, b + 1, geometry)


def _triangulate(
    reconstruction: pycolmap.Reconstruction, work: Path, options: TriangulateOptions
) -> None:
    pipeline = pycolmap.IncrementalPipelineOptions()
    pipeline.triangulation.min_angle = options.min_angle
    # With known poses a match already lies on its epipolar line; at run time such points only
    # fill up where there are too few that a third image confirms.
    pipeline.triangulation.ignore_two_view_tracks = False
    pipeline.mapper.filter_min_tri_angle = options.min_angle
    pipeline.mapper.filter_max_reproj_error = options.max_error
    pipeline.extract_colors = False
    result = pycolmap.triangulate_points(
        reconstruction, str(work / "database.db"), str(work), str(work), options=pipeline
    )
    if result.num_points3D() == 0:
        raise MapError(
            "no point could be triangulated: check that the poses are T_map_cam (camera to map, "
            "metres, optical axes) and that they belong to the images"
        )
    result.write_binary(str(work))


def _work_folder(out_dir: Path, posed: PosedImages, options: TriangulateOptions) -> Path:
    """`<out_dir>.partial`, emptied unless it was made for the same task."""
    digest = hashlib.sha256(np.ascontiguousarray(posed.T_map_cam).tobytes())
    task = [posed.names, posed.camera.to_dict(), asdict(options)]
    digest.update(json.dumps(task, sort_keys=True).encode())
    work = out_dir.with_name(out_dir.name + ".partial")
    note = work / "fingerprint"
    if not note.is_file() or note.read_text() != digest.hexdigest():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        note.write_text(digest.hexdigest())
    (work / "database.db").unlink(missing_ok=True)
    return work


def _tell(progress: Progress | None, done: int, total: int, what: str) -> None:
    if progress:
        progress(done, total, what)

"""Adds places to a feature map: key points of its keyframes, and where they lie in the map."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.progress import Progress
from pixloc_ros.finding.keypoints import EXTRACTOR, Keypoints, Matcher
from pixloc_ros.finding.places import Landmarks, write_places
from pixloc_ros.images.files import read_image
from pixloc_ros.mapping import sift
from pixloc_ros.mapping.model import SfmModel

#: Keyframes that a key point is looked for in; less than that far apart (m) they do not help.
NEIGHBOURS, LEAST_BASELINE = 6, 0.01
#: A match lies this close (px) to its epipolar line, a position to every ray that made it.
EPIPOLAR_ERROR, MAX_ERROR = 2.0, 3.0
#: Of the descriptors of a match: nearest over second nearest, and largest distance.
RATIO, MAX_DISTANCE = 0.9, 0.9
#: Least angle (deg) under which two keyframes see a position.
MIN_ANGLE = 1.0


def add_places(
    map_dir: str | Path,
    model: SfmModel,
    image_dir: str | Path,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> None:
    """Give a map the places that a robot can be found from (see `finding.places`).

    model, image_dir: those that the map was built from. Key points found are kept beside the map
    until the end, so that an interrupted run continues. Raises MapError or DataError (file, reason,
    remedy).
    """
    feature_map = FeatureMap.open(map_dir)
    keyframes = _Keyframes(feature_map, model, Path(image_dir), Matcher(device))
    count, neighbours = len(keyframes.names), feature_map.covisible()
    for row in range(count):
        keyframes.get(row)
        if progress:
            progress(row + 1, count, "key points")
    found = []
    for row in range(count):
        others = [other for other in neighbours[row].tolist() if other >= 0]
        found.append(_located(keyframes, row, others[:NEIGHBOURS]))
        if progress:
            progress(row + 1, count, "places")
    write_places(feature_map, [keyframes.get(row)[0] for row in range(count)], found)
    shutil.rmtree(keyframes.folder)


class _Keyframes:
    """Key points of a map's keyframes, kept on disk, with their rays (N, 3) in the camera."""

    def __init__(
        self, feature_map: FeatureMap, model: SfmModel, image_dir: Path, matcher: Matcher
    ) -> None:
        self.names, self.T_map_cam = feature_map.keyframe_names(), feature_map.keyframe_poses()
        self._image_dir, self._matcher = image_dir, matcher
        # The map keeps the first 96 bytes of a name.
        of_model = {
            name.encode()[:96].decode(errors="replace"): (name, model.cameras[number])
            for name, number in zip(model.names, model.camera_of)
        }
        missing = [name for name in self.names if name not in of_model]
        if missing:
            raise DataError(
                f"{feature_map.path}: the model has no image '{missing[0]}' ({len(missing)} of "
                f"{len(self.names)} are missing); give the model that the map was built from"
            )
        self._of_model = [of_model[name] for name in self.names]
        digest = feature_map.info.keyframes_sha256[:12]
        self.folder = feature_map.path / f"places.partial-{EXTRACTOR}-{digest}"
        self.folder.mkdir(exist_ok=True)
        self.get = lru_cache(maxsize=256)(self._get)

    def camera(self, row: int) -> Camera:
        return self._of_model[row][1]

    def _get(self, row: int) -> tuple[Keypoints, np.ndarray]:
        path = self.folder / f"{row}.npz"
        if not path.is_file():
            name, camera = self._of_model[row]
            image = read_image(self._image_dir / name)
            expected = tuple(round(v) for v in camera.size.tolist())
            if image.shape[1::-1] != expected:
                raise DataError(
                    f"{self._image_dir / name}: {image.shape[1]}x{image.shape[0]} px, but the "
                    f"model's camera says {expected[0]}x{expected[1]}"
                )
            seen = self._matcher.look(image)
            with path.with_suffix(".tmp").open("wb") as stream:
                descriptors = seen.descriptors.half().cpu().numpy()
                np.savez(stream, xy=seen.xy, descriptors=descriptors, size=seen.size)
            os.replace(path.with_suffix(".tmp"), path)
        with np.load(path, allow_pickle=False) as content:
            descriptors = torch.from_numpy(content["descriptors"]).float()
            seen = Keypoints(content["xy"], descriptors, tuple(content["size"].tolist()))
        rays = self.camera(row).rays(torch.from_numpy(seen.xy).float())
        return seen, rays.double().numpy()


def _located(keyframes: _Keyframes, row: int, others: list[int]) -> Landmarks:
    """The key points of a keyframe whose position the matches in other keyframes tell."""
    seen, rays = keyframes.get(row)
    T, focal = keyframes.T_map_cam[row], float(keyframes.camera(row).f.mean())
    index, directions = [np.arange(len(rays))], [_unit(rays @ T[:3, :3].T)]
    centres = [np.broadcast_to(T[:3, 3], rays.shape)]
    for other in others:
        T_map_other = keyframes.T_map_cam[other]
        if np.linalg.norm(T_map_other[:3, 3] - T[:3, 3]) < LEAST_BASELINE:
            continue
        seen_there, rays_there = keyframes.get(other)
        tolerance = EPIPOLAR_ERROR / float(keyframes.camera(other).f.mean())
        T_other_row = transforms.inverse(T_map_other) @ T
        pairs = sift.could_meet(rays, rays_there, T_other_row, tolerance)
        descriptors = seen.descriptors.numpy(), seen_there.descriptors.numpy()
        matches = sift.match_guided(*descriptors, pairs, RATIO, MAX_DISTANCE)
        index.append(matches[:, 0])
        directions.append(_unit(rays_there[matches[:, 1]] @ T_map_other[:3, :3].T))
        centres.append(np.broadcast_to(T_map_other[:3, 3], (len(matches), 3)))
    points, known = intersect(
        np.concatenate(index),
        np.concatenate(centres),
        np.concatenate(directions),
        len(rays),
        MAX_ERROR / focal,
    )
    kept = np.flatnonzero(known)
    keypoints = Keypoints(seen.xy[kept], seen.descriptors[torch.from_numpy(kept)], seen.size)
    return Landmarks(keypoints, points[kept])


def intersect(
    index: np.ndarray, centres: np.ndarray, directions: np.ndarray, count: int, max_error: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points nearest to bundles of rays; the first `count` rays begin a bundle each.

    index (R,): the bundle of each ray; centres, directions (R, 3): where it starts, and unit
    vectors. Rays further than max_error (rad) off their point are left out, and the rest is
    intersected again. Returns points (count, 3), and (count,) bool: in front of two rays or more,
    its first one among them, that meet under `MIN_ANGLE`.
    """
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    good = np.ones(len(index), bool)
    for _ in range(2):
        system, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
        np.add.at(system, index[good], across[good])
        np.add.at(right, index[good], (across[good] @ centres[good, :, None])[..., 0])
        points = np.linalg.solve(system + 1e-9 * np.eye(3), right[..., None])[..., 0]
        towards = _unit(points[index] - centres)
        error = np.linalg.norm(np.cross(towards, directions), axis=1)
        good = good & (error < max_error) & ((towards * directions).sum(1) > 0)
    with_first = np.clip((towards * towards[:count][index]).sum(1), -1, 1)
    widest = np.zeros(count)
    np.maximum.at(widest, index[good], np.degrees(np.arccos(with_first[good])))
    return points, good[:count] & (widest >= MIN_ANGLE)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

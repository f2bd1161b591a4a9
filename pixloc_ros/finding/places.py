"""The places of a map: what its keyframes look like as a whole, and key points with positions.

In the map's folder:

    places/places.json                    version, extractor, checksums
    places/index.safetensors              words, basis (see `Pooling`); images (M, d) float16
    places/<ix>_<iy>.safetensors          landmarks of the keyframes of a tile

Landmarks (N) of a tile with k keyframes: ends (k,) int32, rows after each keyframe's last; sizes
(k, 2) int32 px; xy (N, 2) uint16 in eighths of a pixel; descriptors (N, 64) int8, any length;
points (N, 3) float32 metres from the tile's origin. The keyframes are those of the map, in its
order.
"""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F

from pixloc_ros.core.config import from_dict
from pixloc_ros.core.errors import ConfigError, MapError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.feature_map import format as fmt
from pixloc_ros.core.feature_map.writer import replace_folder
from pixloc_ros.finding.keypoints import EXTRACTOR, Keypoints
from pixloc_ros.finding.pooling import Pooling

VERSION = 1
FOLDER, INFO, INDEX = "places", "places.json", "index.safetensors"
ADD = "add them with: build_map --add places"
PER_PIXEL = 8
#: Tiles whose landmarks are kept in memory.
TILES = 64


@dataclass(frozen=True)
class Landmarks:
    """Key points (N) of a keyframe whose positions are known: points (N, 3) float64, map frame."""

    keypoints: Keypoints
    points: np.ndarray


@dataclass(frozen=True)
class _Info:
    """keyframes_sha256: of the map that the places belong to. files: checksums by name."""

    extractor: str
    keyframes_sha256: str
    files: dict[str, str]
    version: int = VERSION


class Places:
    """The places of an open map. Landmarks are read when an image is compared with their keyframe.

    Raises MapError (file, reason, remedy) where the map has none, or they do not belong to it.
    """

    def __init__(self, feature_map: FeatureMap) -> None:
        self.map, self._folder = feature_map, feature_map.path / FOLDER
        self._info = _read_info(self._folder, feature_map.info)
        content = self._load(INDEX)
        self._pooling = Pooling.from_arrays(content)
        self._images = torch.from_numpy(content["images"]).float()
        self._positions = feature_map.keyframe_poses()[:, :3, 3]
        self._tile, self._number = feature_map.keyframe_tiles()
        self._landmarks: OrderedDict[int, list[Landmarks]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._images)

    def position(self, row: int) -> np.ndarray:
        """(3,) of a keyframe's camera in the map."""
        return self._positions[row]

    def ranking(self, seen: Keypoints, count: int, among: np.ndarray | None = None) -> list[int]:
        """Rows of the keyframes that look most like an image, best first; among: (M,) bool."""
        similarity = self._images @ self._pooling(seen.descriptors.cpu())
        if among is not None:
            similarity[torch.from_numpy(~among)] = -torch.inf
            count = min(count, int(among.sum()))
        return similarity.topk(min(count, len(self))).indices.tolist()

    def within(self, position: np.ndarray, metres: float) -> np.ndarray:
        """(M,) bool: keyframes so close to a position (3,) of the map."""
        return np.linalg.norm(self._positions - position, axis=1) <= metres

    def landmarks(self, row: int) -> Landmarks:
        """Of a keyframe. MapError if their file is damaged."""
        tile = int(self._tile[row])
        if tile not in self._landmarks:
            self._landmarks[tile] = self._read(tile)
            while len(self._landmarks) > TILES:
                self._landmarks.popitem(last=False)
        self._landmarks.move_to_end(tile)
        return self._landmarks[tile][int(self._number[row])]

    def _read(self, tile: int) -> list[Landmarks]:
        about = self.map.info.tiles[tile]
        content = self._load(about.name)
        points = content["points"].astype(np.float64) + np.array(about.origin)
        xy = content["xy"] / PER_PIXEL
        descriptors = F.normalize(torch.from_numpy(content["descriptors"]).float(), dim=1)
        descriptors = descriptors.to(self.map.device)
        found, first = [], 0
        for last, size in zip(content["ends"].tolist(), content["sizes"].tolist()):
            span = slice(first, last)
            keypoints = Keypoints(xy[span], descriptors[span], tuple(size))
            found.append(Landmarks(keypoints, points[span]))
            first = last
        return found

    def _load(self, name: str) -> dict[str, np.ndarray]:
        path = self._folder / name
        try:
            if fmt.file_sha256(path) != self._info.files[name]:
                raise MapError(f"{path}: damaged (checksum differs); {ADD}")
            return load_file(path)
        except (OSError, KeyError, SafetensorError) as error:
            raise MapError(f"{path}: cannot be read ({error}); {ADD}") from error


def write_places(
    feature_map: FeatureMap, keyframes: list[Keypoints], found: list[Landmarks]
) -> None:
    """Write the places of a map, whole or not at all.

    keyframes: all key points of each keyframe (M), for the images as a whole; found: those with a
    position.
    """
    work = feature_map.path / f"{FOLDER}.new"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    pooling = Pooling.learn([seen.descriptors.cpu() for seen in keyframes])
    images = torch.stack([pooling(seen.descriptors.cpu()) for seen in keyframes])
    content = {INDEX: {**pooling.arrays(), "images": images.half().numpy()}}
    tiles, _ = feature_map.keyframe_tiles()
    for number, tile in enumerate(feature_map.info.tiles):
        of_tile = [found[row] for row in np.flatnonzero(tiles == number)]
        content[tile.name] = _arrays(of_tile, np.array(tile.origin))
    files = {}
    for name, arrays in content.items():
        save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, work / name)
        files[name] = fmt.file_sha256(work / name)
    info = _Info(EXTRACTOR, feature_map.info.keyframes_sha256, files)
    (work / INFO).write_text(json.dumps(asdict(info), indent=1) + "\n")
    replace_folder(work, feature_map.path / FOLDER)


def _arrays(found: list[Landmarks], origin: np.ndarray) -> dict[str, np.ndarray]:
    descriptors = torch.cat([each.keypoints.descriptors.cpu() for each in found])
    largest = descriptors.abs().amax(1, keepdim=True).clamp(min=1e-6)
    return {
        "ends": np.cumsum([len(each.points) for each in found]).astype(np.int32),
        "sizes": np.array([each.keypoints.size for each in found], np.int32),
        "xy": np.concatenate([_fixed(each.keypoints.xy) for each in found]),
        "descriptors": (descriptors * (127 / largest)).round().to(torch.int8).numpy(),
        "points": np.concatenate([each.points - origin for each in found]).astype(np.float32),
    }


def _fixed(xy: np.ndarray) -> np.ndarray:
    return np.clip(np.round(xy * PER_PIXEL), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _read_info(folder: Path, of_map: fmt.MapInfo) -> _Info:
    path = folder / INFO
    if not path.is_file():
        raise MapError(f"{folder.parent}: the map has no places to be found from; {ADD}")
    try:
        info = from_dict(_Info, json.loads(path.read_text()), str(path))
    except (ValueError, ConfigError) as error:
        raise MapError(f"{path}: damaged ({error}); {ADD}") from error
    if (info.version, info.extractor) != (VERSION, EXTRACTOR):
        raise MapError(
            f"{path}: version {info.version} of {info.extractor}, this package reads version "
            f"{VERSION} of {EXTRACTOR}; {ADD}"
        )
    if info.keyframes_sha256 != of_map.keyframes_sha256:
        raise MapError(f"{path}: belongs to another map; {ADD}")
    return info

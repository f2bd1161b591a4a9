"""What a feature map looks like on disk. A folder with

    map.json                      MapInfo: version, units, checkpoint, statistics, list of tiles
    keyframes.npy                 one KEYFRAME_DTYPE record per keyframe, grouped by tile
    tiles/<ix>_<iy>.safetensors   everything the keyframes of one square cell observed

A keyframe lies in the tile whose cell holds its x, y. The tensors of a tile (P points, O
observations; the observations of a keyframe are the rows first : first + count):

    points (P, 3) float32              metres, relative to the tile's origin
    point_ids (P,) int64               the ids of the model the map was built from
    track_length (P,) int32            keyframes that observed the point while mapping
    viewing_direction (P, 3) float32   mean unit direction from the point to its observers
    observation_point (O,) int32       row in points
    features_<l> (O, C_l) float16      L2-normalised reference features of level l, 0 = finest
    confidence_<l> (O,) float16        in (0, 1)

The map frame has z up, metres. Everything may be memory-mapped; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pixloc_ros.core import config
from pixloc_ros.core.errors import ConfigError, MapError

VERSION = 1
INFO_FILE = "map.json"
KEYFRAME_FILE = "keyframes.npy"
TILE_FOLDER = "tiles"
NUM_COVISIBLE = 8

#: T_map_cam is the upper 3x4 part; `covisible` lists keyframe rows, most shared points first, -1
#: filling up; `tile` is a row of MapInfo.tiles; `name` the mapping image, UTF-8, cut at 96 bytes.
KEYFRAME_DTYPE = np.dtype(
    [
        ("T_map_cam", np.float64, (3, 4)),
        ("tile", np.int32),
        ("first", np.int32),
        ("count", np.int32),
        ("covisible", np.int32, (NUM_COVISIBLE,)),
        ("name", "S96"),
    ]
)


@dataclass(frozen=True)
class TileInfo:
    """One square cell of the map: `cell` = floor((x, y) / tile_size), `origin` in map metres."""

    name: str
    cell: tuple[int, int]
    origin: tuple[float, float, float]
    keyframes: int
    points: int
    observations: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class MapInfo:
    """The contents of map.json. Lists over levels go from fine to coarse.

    `resize`: longer side, in pixels, of the images given to the network while mapping; images are
    only ever shrunk. `gravity_aligned` is false when the mapping cameras' up was not near +z.
    `statistics` holds what the map's builder found worth knowing (see mapping.inspect).
    """

    checkpoint: str
    checkpoint_name: str
    strides: tuple[int, ...]
    dims: tuple[int, ...]
    resize: int
    tile_size: float
    num_keyframes: int
    num_points: int
    num_observations: int
    keyframes_sha256: str
    tiles: tuple[TileInfo, ...]
    gravity_aligned: bool = True
    warnings: tuple[str, ...] = ()
    statistics: dict[str, float] = field(default_factory=dict)
    frame: str = "map"
    units: str = "m"
    version: int = VERSION

    @property
    def num_bytes(self) -> int:
        """Size of all tiles on disk."""
        return sum(tile.bytes for tile in self.tiles)


def read_info(folder: Path) -> MapInfo:
    """map.json of a map folder; MapError says which file is wrong, why, and what to do."""
    path = folder / INFO_FILE
    if not path.is_file():
        raise MapError(f"{path}: missing; this is no feature map (build one with build_map)")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise MapError(f"{path}: damaged ({error}); build the map again") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise MapError(
            f"{path}: format version {version}, this package reads version {VERSION}; "
            "build the map again with build_map"
        )
    try:
        return config.from_dict(MapInfo, content, str(path))
    except ConfigError as error:
        raise MapError(f"{error}; build the map again") from error


def write_info(folder: Path, info: MapInfo) -> None:
    """Write map.json, whole or not at all."""
    temporary = folder / (INFO_FILE + ".tmp")
    temporary.write_text(json.dumps(config.to_dict(info), indent=1) + "\n")
    os.replace(temporary, folder / INFO_FILE)


def read_keyframes(folder: Path, info: MapInfo) -> np.ndarray:
    """keyframes.npy as (M,) KEYFRAME_DTYPE, verified against its checksum."""
    path = folder / KEYFRAME_FILE
    if not path.is_file():
        raise MapError(f"{path}: missing; copy the whole map folder again")
    if file_sha256(path) != info.keyframes_sha256:
        raise MapError(f"{path}: damaged (checksum differs); copy or build the map again")
    keyframes = np.load(path, allow_pickle=False)
    if keyframes.dtype != KEYFRAME_DTYPE or len(keyframes) != info.num_keyframes:
        raise MapError(f"{path}: does not belong to {INFO_FILE}; build the map again")
    return keyframes


def check_tiles(folder: Path, info: MapInfo) -> None:
    """MapError unless every tile file is there in its full size (contents are checked on use)."""
    sizes = {}
    if (folder / TILE_FOLDER).is_dir():
        with os.scandir(folder / TILE_FOLDER) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
    for tile in info.tiles:
        size = sizes.get(tile.name)
        if size == tile.bytes:
            continue
        state = "missing" if size is None else f"truncated ({size} of {tile.bytes} bytes)"
        raise MapError(f"{folder / TILE_FOLDER / tile.name}: {state}; copy or build the map again")


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

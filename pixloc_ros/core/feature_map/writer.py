"""Writes a feature map: tile after tile into a temporary folder, renamed into place at the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pixloc_ros.core.errors import MapError
from pixloc_ros.core.feature_map import format as fmt


class MapWriter:
    """Collects the tiles of a map that shall appear at `target`, all at once or not at all.

    Keyframe rows are numbered in the order in which tiles bring them. `work` is the temporary
    folder; it must lie on the same file system as `target` and is started afresh.
    """

    def __init__(self, target: Path, work: Path, tile_size: float) -> None:
        if target.exists() and not (target / fmt.INFO_FILE).is_file():
            raise MapError(f"{target}: exists and is no feature map; choose another output folder")
        self._target, self._work, self._tile_size = target, work, tile_size
        self._tiles: list[fmt.TileInfo] = []
        self._keyframes: list[np.ndarray] = []
        if work.exists():
            shutil.rmtree(work)
        (work / fmt.TILE_FOLDER).mkdir(parents=True)

    def add_tile(
        self, cell: tuple[int, int], keyframes: np.ndarray, tensors: dict[str, torch.Tensor]
    ) -> None:
        """Write one tile.

        keyframes: (k,) KEYFRAME_DTYPE with poses, names, `first` and `count` set. tensors: those
        that the format lists, with `points` (P, 3) float64 in map coordinates.
        """
        origin = tile_origin(cell, self._tile_size, keyframes)
        points = (tensors["points"] - torch.from_numpy(origin)).to(torch.float32)
        content = {**tensors, "points": points}
        name = f"{cell[0]}_{cell[1]}.safetensors"
        path = self._work / fmt.TILE_FOLDER / name
        save_file({key: value.contiguous() for key, value in content.items()}, path)
        keyframes = keyframes.copy()
        keyframes["tile"] = len(self._tiles)
        self._keyframes.append(keyframes)
        self._tiles.append(
            fmt.TileInfo(
                name=name,
                cell=cell,
                origin=tuple(origin.tolist()),
                keyframes=len(keyframes),
                points=len(tensors["points"]),
                observations=len(tensors["observation_point"]),
                bytes=path.stat().st_size,
                sha256=fmt.file_sha256(path),
            )
        )

    def finish(self, **fields) -> fmt.MapInfo:
        """Write map.json, move the map to its target and return what map.json holds.

        fields: those of MapInfo that the tiles do not know.
        """
        keyframes = np.concatenate(self._keyframes)
        np.save(self._work / fmt.KEYFRAME_FILE, keyframes, allow_pickle=False)
        info = fmt.MapInfo(
            tile_size=self._tile_size,
            num_keyframes=len(keyframes),
            num_observations=sum(tile.observations for tile in self._tiles),
            keyframes_sha256=fmt.file_sha256(self._work / fmt.KEYFRAME_FILE),
            tiles=tuple(self._tiles),
            **fields,
        )
        fmt.write_info(self._work, info)
        replace_folder(self._work, self._target)
        return info


def tile_origin(cell: tuple[int, int], tile_size: float, keyframes: np.ndarray) -> np.ndarray:
    """The cell's centre at the keyframes' mean height, (3,) float64."""
    x, y = (np.array(cell) + 0.5) * tile_size
    return np.array([x, y, keyframes["T_map_cam"][:, 2, 3].mean()])


def replace_folder(new: Path, target: Path) -> None:
    """Rename `new` to `target`, putting an old `target` out of the way first."""
    old = target.with_name(target.name + ".old")
    if old.exists():
        shutil.rmtree(old)
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    if old.exists():
        shutil.rmtree(old)

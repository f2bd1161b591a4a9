"""An open feature map: which points should a camera see, and what do they look like?"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from pixloc_ros.core.errors import MapError
from pixloc_ros.core.feature_map import format as fmt
from pixloc_ros.core.feature_map.select import (
    Candidates,
    KeyframeIndex,
    SelectionConfig,
    VisiblePoints,
    choose,
)
from pixloc_ros.core.geometry.camera import Camera

#: Keyframes that must have observed a point before it is preferred (see `Candidates.confirmed`).
CONFIRMED_TRACK = 3


@dataclass(frozen=True)
class _Tile:
    """A tile in memory: geometry on the host, features (fp16) on the map's device."""

    points: np.ndarray  # (P, 3) float64, map frame
    point_ids: np.ndarray
    view: np.ndarray
    confirmed: np.ndarray
    observation_point: np.ndarray
    features: list[torch.Tensor]
    confidence: list[torch.Tensor]
    num_bytes: int


@dataclass(frozen=True)
class _Pool:
    """All distinct points of one set of keyframes, relative to `origin`."""

    keyframes: tuple[int, ...]
    origin: np.ndarray
    candidates: Candidates
    point_ids: np.ndarray
    features: list[torch.Tensor]
    confidence: list[torch.Tensor]


class FeatureMap:
    """An open map. Tiles are read when a camera comes near and dropped when `cache_mb` is exceeded.

    A tile that turns out to be damaged is left out; `problems` then says which, why and what to do.
    """

    def __init__(
        self,
        path: Path,
        info: fmt.MapInfo,
        keyframes: np.ndarray,
        device: torch.device | str,
        cache_mb: float,
    ) -> None:
        self.path, self.info, self.device = path, info, torch.device(device)
        self.problems: list[str] = []
        self._keyframes = keyframes
        self._index = KeyframeIndex(keyframes["T_map_cam"], keyframes["covisible"])
        self._cache: OrderedDict[int, _Tile] = OrderedDict()
        self._cache_bytes = int(cache_mb * 1e6)
        self._verified: set[int] = set()
        self._damaged: set[int] = set()
        self._pool: _Pool | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        identity: str | None = None,
        device: torch.device | str = "cpu",
        cache_mb: float = 512,
    ) -> FeatureMap:
        """Open the map folder `path`; takes milliseconds whatever the map's size.

        identity: that of the checkpoint in use; a map built with another one is refused.
        cache_mb: bound on the tiles held on `device`, in megabytes.
        Raises MapError (file, reason, remedy) for a missing file, another format version, another
        checkpoint, a damaged table or a truncated tile.
        """
        path = Path(path)
        if not path.is_dir():
            raise MapError(f"{path}: no such folder; build a map with build_map")
        info = fmt.read_info(path)
        if identity is not None and identity != info.checkpoint:
            raise MapError(
                f"{path}: built with checkpoint '{info.checkpoint_name}' "
                f"({info.checkpoint[:12]}), not with the one in use ({identity[:12]}); "
                "load that checkpoint or build the map again with this one"
            )
        keyframes = fmt.read_keyframes(path, info)
        fmt.check_tiles(path, info)
        return cls(path, info, keyframes, device, cache_mb)

    def keyframe_poses(self) -> np.ndarray:
        """T_map_cam of all keyframes, (M, 4, 4) float64."""
        poses = np.tile(np.eye(4), (len(self._keyframes), 1, 1))
        poses[:, :3] = self._keyframes["T_map_cam"]
        return poses

    def keyframe_names(self) -> list[str]:
        """The images that the keyframes were made from."""
        return [name.decode(errors="replace") for name in self._keyframes["name"]]

    def keyframe_counts(self) -> np.ndarray:
        """Observations of each keyframe, (M,)."""
        return self._keyframes["count"].astype(np.int64)

    def keyframe_tiles(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each keyframe (M,) the tile, a row of `info.tiles`, and its number in that tile."""
        tile = self._keyframes["tile"].astype(np.int64)
        first = np.searchsorted(tile, np.arange(len(self.info.tiles)))
        return tile, np.arange(len(tile)) - first[tile]

    def covisible(self) -> np.ndarray:
        """Rows of the keyframes that share most points with each, (M, n); -1 fills up."""
        return self._keyframes["covisible"].astype(np.int64)

    def point_cloud(self, max_points: int = 200_000) -> np.ndarray:
        """Up to `max_points` of the points, (P, 3) float64 in the map frame, evenly thinned."""
        total = sum(tile.points for tile in self.info.tiles)
        step = max(1, -(-total // max(max_points, 1)))
        clouds, ids = [np.zeros((0, 3))], [np.zeros(0, np.int64)]
        for tile in self.info.tiles:
            path = self.path / fmt.TILE_FOLDER / tile.name
            try:
                with safe_open(str(path), framework="np") as content:
                    clouds.append(content.get_tensor("points")[::step] + np.array(tile.origin))
                    ids.append(content.get_tensor("point_ids")[::step])
            except (OSError, SafetensorError) as error:
                self._report(path, str(error))
        _, unique = np.unique(np.concatenate(ids), return_index=True)
        return np.concatenate(clouds)[unique]

    def visible_points(
        self, T_map_cam: np.ndarray, camera: Camera, config: SelectionConfig = SelectionConfig()
    ) -> VisiblePoints | None:
        """The map points that a camera at (about) T_map_cam (4, 4) should see.

        camera: unbatched, best kept on the CPU. At most `point_budget` points, spread over the
        image, from the `max_keyframes` best keyframes; each with the features of the best
        keyframe that observed it. None when there is no keyframe near that looks the same way, none
        of its points falls into the image, or its tile is damaged (see `problems`).
        """
        if not np.isfinite(T_map_cam).all():
            return None
        pool = self._pool_of(tuple(int(row) for row in self._index.rank(T_map_cam, config)))
        if pool is None:
            return None
        T_local_cam = T_map_cam.copy()
        T_local_cam[:3, 3] -= pool.origin
        chosen = choose(pool.candidates, T_local_cam, camera, config)
        if len(chosen) == 0:
            return None
        rows = torch.from_numpy(chosen).to(self.device, non_blocking=True)
        points = torch.from_numpy(pool.candidates.points[chosen].astype(np.float32))
        return VisiblePoints(
            origin=pool.origin,
            points=points.to(self.device, non_blocking=True),
            mask=torch.ones(len(chosen), dtype=torch.bool, device=self.device),
            features=[f.index_select(0, rows).float() for f in pool.features],
            confidence=[c.index_select(0, rows).float() for c in pool.confidence],
            point_ids=pool.point_ids[chosen],
            keyframes=pool.keyframes,
        )

    def _pool_of(self, rows: tuple[int, ...]) -> _Pool | None:
        """The points of these keyframes; kept, since consecutive frames ask for the same ones."""
        if self._pool is not None and self._pool.keyframes == rows:
            return self._pool
        tiles = [(row, self._tile(int(self._keyframes["tile"][row]))) for row in rows]
        parts = [(row, tile) for row, tile in tiles if tile is not None]
        if not parts:
            return None
        self._pool = self._gather(rows, parts)
        return self._pool

    def _gather(self, rows: tuple[int, ...], parts: list[tuple[int, _Tile]]) -> _Pool:
        positions = self._keyframes["T_map_cam"][[row for row, _ in parts], :, 3]
        origin = np.round(positions[0])
        points, ids, view, confirmed, distance, spans = [], [], [], [], [], []
        for (row, tile), position in zip(parts, positions):
            first, count = int(self._keyframes["first"][row]), int(self._keyframes["count"][row])
            seen = tile.observation_point[first : first + count]
            spans.append((tile, first, first + count))
            points.append(tile.points[seen] - origin)
            ids.append(tile.point_ids[seen])
            view.append(tile.view[seen])
            confirmed.append(tile.confirmed[seen])
            distance.append(np.linalg.norm(tile.points[seen] - position, axis=1))
        # best keyframe first, so that the first occurrence of a point is the one to keep
        point_ids, keep = np.unique(np.concatenate(ids), return_index=True)
        device_keep = torch.from_numpy(keep).to(self.device)

        def collect(name: str, level: int) -> torch.Tensor:
            slices = [getattr(tile, name)[level][first:last] for tile, first, last in spans]
            return torch.cat(slices).index_select(0, device_keep)

        levels = range(len(self.info.strides))
        confidence = [collect("confidence", level) for level in levels]
        score = torch.stack([c.float() for c in confidence]).mean(0)
        return _Pool(
            keyframes=rows,
            origin=origin,
            candidates=Candidates(
                points=np.concatenate(points)[keep],
                view=np.concatenate(view)[keep],
                distance=np.concatenate(distance)[keep],
                confirmed=np.concatenate(confirmed)[keep],
                score=score.cpu().numpy(),
            ),
            point_ids=point_ids,
            features=[collect("features", level) for level in levels],
            confidence=confidence,
        )

    def _tile(self, index: int) -> _Tile | None:
        """Tile `index`, from the cache or from disk; None when it is damaged."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        if index in self._damaged:
            return None
        tile = self._load(index)
        if tile is None:
            self._damaged.add(index)
            return None
        self._cache[index] = tile
        while len(self._cache) > 1 and self.cached_bytes > self._cache_bytes:
            self._cache.popitem(last=False)
        return tile

    @property
    def cached_bytes(self) -> int:
        """Memory held by the cached tiles."""
        return sum(tile.num_bytes for tile in self._cache.values())

    def _load(self, index: int) -> _Tile | None:
        entry = self.info.tiles[index]
        path = self.path / fmt.TILE_FOLDER / entry.name
        try:
            if index not in self._verified and fmt.file_sha256(path) != entry.sha256:
                self._report(path, "checksum differs from map.json")
                return None
            content = load_file(path)
            self._verified.add(index)
            levels = range(len(self.info.strides))
            return _Tile(
                points=content["points"].double().numpy() + np.array(entry.origin),
                point_ids=content["point_ids"].numpy(),
                view=content["viewing_direction"].double().numpy(),
                confirmed=content["track_length"].numpy() >= CONFIRMED_TRACK,
                observation_point=content["observation_point"].numpy(),
                features=[content[f"features_{level}"].to(self.device) for level in levels],
                confidence=[content[f"confidence_{level}"].to(self.device) for level in levels],
                num_bytes=entry.bytes,
            )
        except (OSError, SafetensorError, KeyError) as error:
            self._report(path, f"{type(error).__name__}: {error}")
            return None

    def _report(self, path: Path, reason: str) -> None:
        problem = f"{path}: damaged tile ({reason}); copy or build the map again"
        if problem not in self.problems:
            self.problems.append(problem)

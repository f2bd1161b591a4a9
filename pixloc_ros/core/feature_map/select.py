"""Which keyframes and which of their points to use for a camera: geometry only, numpy on the host.

Nothing here grows with the size of the map: keyframes come from a grid of cells around the
prior, points from the few keyframes chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from pixloc_ros.core.config import require_positive
from pixloc_ros.core.geometry.camera import Camera

#: Side (m) of the square cells by which keyframes are found.
CELL_SIZE = 30.0


@dataclass(frozen=True)
class SelectionConfig:
    """Which keyframes and which of their points serve a camera.

    point_budget: most map points aligned in a frame. max_keyframes: reference keyframes whose
    points are drawn on. max_distance (m), max_axes_angle (deg): keyframes further away, or whose
    optical axis is turned away by more, do not serve. metres_per_cost, axes_weight: how they are
    ranked: one unit of cost is this many metres apart, or 1 - cos = 1 / axes_weight of the angle
    between the axes (6: 34 deg), or not sharing points with the best keyframe. image_margin: the
    prior may be off, so points up to this share of the image size outside it are kept in reserve.
    max_view_angle (deg), max_scale_change: a reference feature is trusted for views turned by up
    to that angle and up to so many times nearer or further than the keyframe that gave it.
    unconfirmed_worth: what a point seen by two keyframes only is worth beside one that a third
    confirms. spread_cells: points are spread over about this many cells of the image.
    """

    point_budget: int = 512
    max_keyframes: int = 4
    max_distance: float = 30.0
    max_axes_angle: float = 75.0
    metres_per_cost: float = 5.0
    axes_weight: float = 6.0
    image_margin: float = 0.15
    max_view_angle: float = 60.0
    max_scale_change: float = 3.0
    unconfirmed_worth: float = 0.5
    spread_cells: int = 128

    def __post_init__(self) -> None:
        require_positive(self, "metres_per_cost", "max_scale_change", "spread_cells")


@dataclass(frozen=True)
class VisiblePoints:
    """Map points expected in view, with their reference features.

    `origin` (3,) float64 numpy, map metres: `points` are relative to it, so that float32 stays
    exact on a map of any size. On the map's device: points (N, 3) float32, mask (N,) bool,
    features and confidence: one (N, C_l) and (N,) float32 per level, fine to coarse, features
    L2-normalised. point_ids (N,) int64 numpy. keyframes: the reference keyframes, best first.
    """

    origin: np.ndarray
    points: torch.Tensor
    mask: torch.Tensor
    features: list[torch.Tensor]
    confidence: list[torch.Tensor]
    point_ids: np.ndarray
    keyframes: tuple[int, ...]

    def first(self, count: int) -> VisiblePoints:
        """The first `count` of the points."""
        return replace(
            self,
            points=self.points[:count],
            mask=self.mask[:count],
            features=[level[:count] for level in self.features],
            confidence=[level[:count] for level in self.confidence],
            point_ids=self.point_ids[:count],
        )

    def counted_from(self, origin: np.ndarray) -> VisiblePoints:
        """The same points, relative to another origin (3,)."""
        if (self.origin == origin).all():
            return self
        shift = torch.as_tensor(self.origin - origin).to(self.points)
        return replace(self, origin=origin, points=self.points + shift)


class KeyframeIndex:
    """Keyframes by position, in square cells of the map's x-y plane."""

    def __init__(self, T_map_cam: np.ndarray, covisible: np.ndarray) -> None:
        """T_map_cam (M, 3, 4); covisible (M, k) rows of covisible keyframes, -1 for none."""
        self._position, self._axis = T_map_cam[:, :, 3], T_map_cam[:, :, 2]
        self._covisible = covisible
        code = self._codes(self._cells(self._position[:, :2]))
        self._order = np.argsort(code, kind="stable")
        self._code = code[self._order]

    @staticmethod
    def _cells(xy: np.ndarray) -> np.ndarray:
        return np.floor(xy / CELL_SIZE).astype(np.int64)

    @staticmethod
    def _codes(cells: np.ndarray) -> np.ndarray:
        return (cells[..., 0] << 32) + cells[..., 1]

    def near(self, position: np.ndarray, distance: float) -> np.ndarray:
        """Rows of the keyframes in the cells within `distance` (m) of `position` (3,)."""
        steps = math.ceil(distance / CELL_SIZE)
        reach = np.arange(-steps, steps + 1)
        offsets = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
        codes = self._codes(self._cells(position[:2]) + offsets)
        first = np.searchsorted(self._code, codes, "left")
        last = np.searchsorted(self._code, codes, "right")
        return np.concatenate([self._order[a:b] for a, b in zip(first, last)])

    def rank(self, T_map_cam: np.ndarray, config: SelectionConfig) -> np.ndarray:
        """Up to `max_keyframes` reference keyframes for a camera at T_map_cam (4, 4), best first.

        The best is near and looks the same way; the others also share points with the best.
        """
        rows = self.near(T_map_cam[:3, 3], config.max_distance)
        distance = np.linalg.norm(self._position[rows] - T_map_cam[:3, 3], axis=1)
        cos_axes = self._axis[rows] @ T_map_cam[:3, 2]
        usable = (distance <= config.max_distance) & (cos_axes >= _cos(config.max_axes_angle))
        rows, distance, cos_axes = rows[usable], distance[usable], cos_axes[usable]
        if len(rows) == 0:
            return rows
        cost = distance / config.metres_per_cost + config.axes_weight * (1 - cos_axes)
        best = rows[np.argmin(cost)]
        stranger = ~np.isin(rows, self._covisible[best]) & (rows != best)
        return rows[np.argsort(cost + stranger, kind="stable")[: config.max_keyframes]]


@dataclass(frozen=True)
class Candidates:
    """What the choice of points needs to know of them, (N, ...) numpy float64 on the host.

    points: relative to a local origin; view: mean unit direction from the point to its mapping
    cameras; distance: metres from the keyframe that gives the feature; confirmed: seen by a third
    keyframe, so that a wrong match is unlikely; score: higher first.
    """

    points: np.ndarray
    view: np.ndarray
    distance: np.ndarray
    confirmed: np.ndarray
    score: np.ndarray


def choose(
    candidates: Candidates, T_local_cam: np.ndarray, camera: Camera, config: SelectionConfig
) -> np.ndarray:
    """Indices of up to `point_budget` candidates that the camera should see, spread over its image.

    T_local_cam: (4, 4), the camera in the axes of the candidates' points.
    """
    camera = camera.to("cpu")
    R, t = T_local_cam[:3, :3], T_local_cam[:3, 3]
    offset = candidates.points - t
    p_cam = torch.from_numpy((offset @ R).astype(np.float32))
    p2d, valid = camera.project(p_cam)
    in_front = p_cam[:, 2].numpy() > 0.1
    pixels, size, inside = p2d.numpy(), camera.size.numpy(), valid.numpy()
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-6)
    cos_view = -np.einsum("ij,ij->i", offset, candidates.view) / distance
    scale = candidates.distance / distance
    margin = config.image_margin * size
    ok = in_front & np.isfinite(pixels).all(1)
    ok &= ((pixels >= -margin) & (pixels <= size + margin)).all(1)
    ok &= cos_view >= _cos(config.max_view_angle)
    ok &= (scale <= config.max_scale_change) & (scale >= 1 / config.max_scale_change)
    index = np.flatnonzero(ok)
    score = candidates.score * np.where(candidates.confirmed, 1.0, config.unconfirmed_worth)
    chosen = spread(
        pixels[index],
        score[index],
        size,
        config.point_budget,
        reserve=~inside[index],
        cells=config.spread_cells,
    )
    return index[chosen]


def spread(
    p2d: np.ndarray,
    score: np.ndarray,
    size: np.ndarray,
    budget: int,
    reserve: np.ndarray | None = None,
    cells: int = SelectionConfig.spread_cells,
) -> np.ndarray:
    """Indices of up to `budget` of the points p2d (N, 2), spread over an image of `size` (w, h).

    Round robin over about `cells` cells of a grid: first the best of every cell, then the second
    of every cell, and so on, so that any first part of the result is spread as well. Points marked
    in `reserve` (N,) come only after all the others.
    """
    if len(p2d) == 0:
        return np.zeros(0, np.int64)
    side = float(np.sqrt(size[0] * size[1] / cells))
    cell = np.floor(p2d / side).astype(np.int64)
    code = cell[:, 0] * (1 << 20) + cell[:, 1]
    order = np.lexsort((-score, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=code[order[0]] - 1))
    turn = np.empty(len(p2d), np.int64)
    turn[order] = np.arange(len(p2d)) - np.repeat(starts, np.diff(starts, append=len(p2d)))
    last = np.zeros(len(p2d), bool) if reserve is None else reserve
    return np.lexsort((-score, turn, last))[:budget]


def _cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))

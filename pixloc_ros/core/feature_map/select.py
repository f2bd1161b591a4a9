"""Which keyframes and which of their points to use for a camera: geometry only, numpy on the host.

Nothing here grows with the size of the map: keyframes come from a grid of cells around the
prior, points from the few keyframes chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pixloc_ros.core.geometry.camera import Camera

#: Keyframes further away than this (metres) do not serve as references.
MAX_DISTANCE = 30.0
#: ... nor do those whose optical axis is turned away by more than this.
MIN_COS_AXES = float(np.cos(np.radians(75)))
#: One unit of ranking cost: this many metres apart; looking 1 - cos = 1/6 (34 deg) apart weighs as
#: much, and so does not sharing points with the best keyframe.
METRES_PER_COST = 5.0
AXES_WEIGHT = 6.0
#: The prior may be off: points up to this share of the image size outside it are kept in reserve.
IMAGE_MARGIN = 0.15
#: A reference feature is trusted for views turned by up to 60 deg and up to 3 times nearer or
#: further than the keyframe that gave it.
MIN_COS_VIEW = 0.5
MAX_SCALE_CHANGE = 3.0
#: What a point seen by two keyframes only is worth beside one that a third confirms.
UNCONFIRMED_WORTH = 0.5
#: Points are spread over about this many cells of the image.
SPREAD_CELLS = 128


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
        return np.floor(xy / MAX_DISTANCE).astype(np.int64)

    @staticmethod
    def _codes(cells: np.ndarray) -> np.ndarray:
        return (cells[..., 0] << 32) + cells[..., 1]

    def near(self, position: np.ndarray) -> np.ndarray:
        """Rows of the keyframes in the nine cells around `position` (3,)."""
        offsets = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
        codes = self._codes(self._cells(position[:2]) + offsets)
        first = np.searchsorted(self._code, codes, "left")
        last = np.searchsorted(self._code, codes, "right")
        return np.concatenate([self._order[a:b] for a, b in zip(first, last)])

    def rank(self, T_map_cam: np.ndarray, count: int) -> np.ndarray:
        """Up to `count` reference keyframes for a camera at T_map_cam (4, 4), best first.

        The best is near and looks the same way; the others also share points with the best.
        """
        rows = self.near(T_map_cam[:3, 3])
        distance = np.linalg.norm(self._position[rows] - T_map_cam[:3, 3], axis=1)
        cos_axes = self._axis[rows] @ T_map_cam[:3, 2]
        usable = (distance <= MAX_DISTANCE) & (cos_axes >= MIN_COS_AXES)
        rows, distance, cos_axes = rows[usable], distance[usable], cos_axes[usable]
        if len(rows) == 0:
            return rows
        cost = distance / METRES_PER_COST + AXES_WEIGHT * (1 - cos_axes)
        best = rows[np.argmin(cost)]
        stranger = ~np.isin(rows, self._covisible[best]) & (rows != best)
        return rows[np.argsort(cost + stranger, kind="stable")[:count]]


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
    candidates: Candidates, T_local_cam: np.ndarray, camera: Camera, budget: int
) -> np.ndarray:
    """Indices of up to `budget` candidates that the camera should see, spread over its image.

    T_local_cam: (4, 4), the camera in the axes of the candidates' points.
    """
    camera = camera.to("cpu")
    R, t = T_local_cam[:3, :3], T_local_cam[:3, 3]
    offset = candidates.points - t
    p_cam = torch.from_numpy((offset @ R).astype(np.float32))
    p2d, valid = camera.project(p_cam)
    in_front = p_cam[:, 2].numpy() > 0.1
    p2d, size = p2d.numpy(), camera.size.numpy()
    inside = valid.numpy()
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-6)
    cos_view = -np.einsum("ij,ij->i", offset, candidates.view) / distance
    scale = candidates.distance / distance
    margin = IMAGE_MARGIN * size
    ok = in_front & np.isfinite(p2d).all(1)
    ok &= ((p2d >= -margin) & (p2d <= size + margin)).all(1)
    ok &= (cos_view >= MIN_COS_VIEW) & (scale <= MAX_SCALE_CHANGE) & (scale >= 1 / MAX_SCALE_CHANGE)
    index = np.flatnonzero(ok)
    score = candidates.score * np.where(candidates.confirmed, 1.0, UNCONFIRMED_WORTH)
    chosen = spread(p2d[index], score[index], size, budget, reserve=~inside[index])
    return index[chosen]


def spread(
    p2d: np.ndarray,
    score: np.ndarray,
    size: np.ndarray,
    budget: int,
    reserve: np.ndarray | None = None,
) -> np.ndarray:
    """Indices of up to `budget` of the points p2d (N, 2), spread over an image of `size` (w, h).

    Round robin over the cells of a grid: first the best of every cell, then the second of every
    cell, and so on, so that any first part of the result is spread as well. Points marked in
    `reserve` (N,) come only after all the others.
    """
    if len(p2d) == 0:
        return np.zeros(0, np.int64)
    side = float(np.sqrt(size[0] * size[1] / SPREAD_CELLS))
    cell = np.floor(p2d / side).astype(np.int64)
    code = cell[:, 0] * (1 << 20) + cell[:, 1]
    order = np.lexsort((-score, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=code[order[0]] - 1))
    turn = np.empty(len(p2d), np.int64)
    turn[order] = np.arange(len(p2d)) - np.repeat(starts, np.diff(starts, append=len(p2d)))
    last = np.zeros(len(p2d), bool) if reserve is None else reserve
    return np.lexsort((-score, turn, last))[:budget]

"""Training pairs: two views of one place, points with exact depth, a disturbed starting pose."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixloc_ros.core.geometry import Camera, Pose, transforms
from pixloc_ros.training.augment import AugmentConfig, augment_pair
from pixloc_ros.training.two_view import PairBatch
from pixloc_ros.training.views import ViewConfig, Views, camera_of, load_world


@dataclass(frozen=True)
class PairConfig:
    """points: map points of a pair. max_depth: farthest of them (m). textured: share of them that
    is drawn from the strongest edges, where a map has its points. min_overlap: share of the points
    that the query must have in its picture. max_translation (m), max_rotation_deg: the starting
    pose is off by up to that much; both are large together, as `far` ** power for a `far` drawn
    evenly from [0, 1], so that a power above 1 gives more small offsets than large ones.
    """

    points: int = 384
    max_depth: float = 60.0
    textured: float = 0.7
    min_overlap: float = 0.3
    max_translation: float = 5.0
    max_rotation_deg: float = 12.0
    power: float = 1.5
    views: ViewConfig = field(default_factory=ViewConfig)


class SyntheticPairs(Dataset):
    """`length` pairs, each a pure function of the seed and its index.

    seed: of the pairs. first_world: seed of the first world used; its views lie in `folder`.
    """

    def __init__(
        self,
        config: PairConfig,
        augment: AugmentConfig,
        seed: int,
        first_world: int,
        length: int,
        folder: Path,
    ):
        self.config = config
        self.augment = augment
        self._seed = seed
        self._first_world = first_world
        self._length = length
        self._load = lru_cache(maxsize=64)(lambda world: load_world(config.views, world, folder))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> PairBatch:
        """One pair as a batch of one."""
        rng = np.random.default_rng([self._seed, index])
        views_config = self.config.views
        places = self._load(self._first_world + int(rng.integers(views_config.worlds)))
        while True:
            views = places[rng.integers(len(places))]
            first, second = rng.choice(len(views.image), 2, replace=False)
            if overlap(views, first, second, self.config) >= self.config.min_overlap:
                return self._pair(views, first, second, rng)

    def _pair(self, views: Views, first: int, second: int, rng: np.random.Generator) -> PairBatch:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        reference, query = (
            torch.from_numpy(views.image[i]).permute(2, 0, 1) / 255 for i in (first, second)
        )
        depths = torch.from_numpy(views.depth[first]), torch.from_numpy(views.depth[second])
        reference, query, hidden = augment_pair(reference, query, depths, self.augment, generator)
        cameras = camera_of(views, first), camera_of(views, second)
        depth = np.where(hidden, np.inf, views.depth[first])
        points = sample_points(views.image[first], depth, cameras[0], self.config, rng)
        T_query_ref = transforms.inverse(views.T_map_cam[second]) @ views.T_map_cam[first]
        T_init = transforms.exp(disturbance(self.config, rng)) @ T_query_ref
        return PairBatch(
            reference[None],
            query[None],
            cameras[0][None],
            cameras[1][None],
            points[None],
            _pose(T_query_ref),
            _pose(T_init),
        )


def overlap(views: Views, first: int, second: int, config: PairConfig) -> float:
    """Share of what the first view sees, within max_depth, that the second has in its picture."""
    depth = views.depth[first, 8::16, 8::16]  # no pixel of the rim, where rounding decides
    v, u = np.nonzero(depth < config.max_depth)
    rays = camera_of(views, first).rays(torch.from_numpy(np.stack([u, v], -1) * 16.0 + 8).float())
    points = rays * torch.from_numpy(depth[v, u])[:, None]
    T = transforms.inverse(views.T_map_cam[second]) @ views.T_map_cam[first]
    seen = camera_of(views, second).project(_pose(T)[0].transform(points))[1]
    return float(seen.float().mean()) if len(points) else 0.0


def sample_points(
    image: np.ndarray,
    depth: np.ndarray,
    camera: Camera,
    config: PairConfig,
    rng: np.random.Generator,
) -> Tensor:
    """(N, 3) metres in the camera frame: some on strong edges, some anywhere, none in the sky."""
    gray = image.astype(np.float32).mean(-1)
    dy, dx = np.gradient(gray)
    usable = depth < config.max_depth
    edges = np.hypot(dx, dy) * usable
    weight = config.textured * edges / max(edges.sum(), 1e-6)
    weight = weight + (1 - config.textured) * usable / max(usable.sum(), 1)
    flat = rng.choice(weight.size, config.points, p=(weight / weight.sum()).ravel())
    v, u = np.unravel_index(flat, depth.shape)
    pixels = torch.from_numpy(np.stack([u, v], -1)).float()
    return camera.rays(pixels) * torch.from_numpy(depth[v, u])[:, None]


def collate(pairs: list[PairBatch]) -> PairBatch:
    """Batches of one -> one batch."""

    def join(parts):
        if isinstance(parts[0], Tensor):
            return torch.cat(parts)
        return type(parts[0]).stack([part[0] for part in parts])

    return PairBatch(*(join(parts) for parts in zip(*pairs)))


def disturbance(config: PairConfig, rng: np.random.Generator) -> np.ndarray:
    """How far a starting pose is off, (6,): metres and radians. config: anything with the three
    keys that say how far at most."""
    directions = rng.normal(size=(2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    far = rng.uniform() ** config.power
    distance = config.max_translation * far * rng.uniform(0.3, 1)
    angle = np.deg2rad(config.max_rotation_deg) * far * rng.uniform(0.3, 1)
    return np.concatenate([directions[0] * distance, directions[1] * angle])


def _pose(T: np.ndarray) -> Pose:
    return Pose.from_matrix(T[None], dtype=torch.float32)

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
    is drawn from the strongest edges, where a map has its points. max_translation (m),
    max_rotation_deg: the starting pose is off by up to that much, evenly from zero.
    """

    points: int = 384
    max_depth: float = 60.0
    textured: float = 0.7
    max_translation: float = 1.5
    max_rotation_deg: float = 5.0
    views: ViewConfig = field(default_factory=ViewConfig)


class SyntheticPairs(Dataset):
    """`length` pairs, each a pure function of the seed and its index.

    seed: of the pairs. first_world: seed of the first world used; its views lie in `folder`.
    """

    def __init__(self, config: PairConfig, augment: AugmentConfig, seed: int, first_world: int,
                 length: int, folder: Path):
        self.config = config
        self.augment = augment
        self._seed = seed
        self._first_world = first_world
        self._length = length
        self._load = lru_cache(maxsize=64)(
            lambda world: load_world(config.views, world, folder))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> PairBatch:
        """One pair as a batch of one."""
        rng = np.random.default_rng([self._seed, index])
        views_config = self.config.views
        places = self._load(self._first_world + int(rng.integers(views_config.worlds)))
        views = places[rng.integers(len(places))]
        first, second = rng.choice(len(views.image), 2, replace=False)
        return self._pair(views, first, second, rng)

    def _pair(self, views: Views, first: int, second: int, rng: np.random.Generator) -> PairBatch:
        generator = torch.Generator().manual_seed(int(rng.integers(2 ** 62)))
        reference, query = (torch.from_numpy(views.image[i]).permute(2, 0, 1) / 255
                            for i in (first, second))
        cameras = camera_of(views, first), camera_of(views, second)
        points = sample_points(views.image[first], views.depth[first], cameras[0], self.config, rng)
        T_query_ref = transforms.inverse(views.T_map_cam[second]) @ views.T_map_cam[first]
        T_init = transforms.exp(_disturbance(self.config, rng)) @ T_query_ref
        reference, query = augment_pair(reference, query, self.augment, generator)
        return PairBatch(reference[None], query[None], cameras[0][None], cameras[1][None],
                         points[None], _pose(T_query_ref), _pose(T_init))


def sample_points(image: np.ndarray, depth: np.ndarray, camera: Camera, config: PairConfig,
                  rng: np.random.Generator) -> Tensor:
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


def _disturbance(config: PairConfig, rng: np.random.Generator) -> np.ndarray:
    directions = rng.normal(size=(2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distance = rng.uniform(0, config.max_translation)
    angle = np.deg2rad(rng.uniform(0, config.max_rotation_deg))
    return np.concatenate([directions[0] * distance, directions[1] * angle])


def _pose(T: np.ndarray) -> Pose:
    return Pose.from_matrix(T[None], dtype=torch.float32)

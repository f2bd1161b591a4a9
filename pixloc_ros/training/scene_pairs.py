"""Pairs from recorded images with poses and sparse points, as PixLoc draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import Camera, Pose, transforms
from pixloc_ros.datasets.scene import PosedScene
from pixloc_ros.images.files import read_image
from pixloc_ros.training.augment import AugmentConfig, augment_pair
from pixloc_ros.training.pairs import disturbance
from pixloc_ros.training.two_view import PairBatch

ENOUGH_POINTS = 32  # in the reference's crop; with fewer another pair is drawn
TRIES = 20
NO_POINT = (0.0, 0.0, -1.0)  # behind the camera, which leaves it out of everything
ASSUMED_DEPTH = 20.0  # metres: haze and headlights want a depth, and sparse points give none


@dataclass(frozen=True)
class ScenePairConfig:
    """points: of a pair, drawn from those that the reference observes in its crop. crop: pixels;
    images are resized so that their shorter side has this length, and cropped to a square of it
    at random. min_overlap, max_overlap: range of the overlap of a pair; max_baseline: between its
    cameras (in metres, or units of the scene).

    initial: the starting pose: "reference", that of the reference; "interpolated", `interval` of
    the way from there to the true one (0.75 to 1: drawn evenly); "disturbed", the true one off by
    up to max_translation (m) and max_rotation_deg, `power` as for rendered pairs.
    """

    points: int = 512
    crop: int = 512
    min_overlap: float = 0.3
    max_overlap: float = 1.0
    max_baseline: float | None = None
    initial: Literal["reference", "interpolated", "disturbed"] = "reference"
    interval: tuple[float, float] = (0.75, 1.0)
    max_translation: float = 5.0
    max_rotation_deg: float = 12.0
    power: float = 1.5


class ScenePairs(Dataset):
    """`length` pairs, each a pure function of the seed and its index; every scene as often.

    Raises DataError if no scene has a pair that the configuration admits.
    """

    def __init__(
        self,
        config: ScenePairConfig,
        augment: AugmentConfig,
        scenes: Sequence[PosedScene],
        seed: int,
        length: int,
    ):
        self.config = config
        self.augment = augment
        chosen = [(scene, admitted(scene, config)) for scene in scenes]
        self._scenes = [(scene, rows) for scene, rows in chosen if len(rows)]
        self._seed = seed
        self._length = length
        if not self._scenes:
            raise DataError(
                f"none of the {len(chosen)} scenes has a pair of images that overlap "
                f"by {config.min_overlap} to {config.max_overlap}, at most "
                f"{config.max_baseline} apart; relax min_overlap or max_baseline"
            )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> PairBatch:
        """One pair as a batch of one."""
        rng = np.random.default_rng([self._seed, index])
        for _ in range(TRIES):
            scene, rows = self._scenes[rng.integers(len(self._scenes))]
            reference, query = scene.pairs[rows[rng.integers(len(rows))]]
            pair, seen = self._pair(scene, int(reference), int(query), rng)
            if seen >= ENOUGH_POINTS:
                break
        return pair

    def _pair(
        self, scene: PosedScene, first: int, second: int, rng: np.random.Generator
    ) -> tuple[PairBatch, int]:
        """The pair, and how many points its reference has."""
        config = self.config
        reference, camera_reference = read_view(scene, first, config.crop, rng)
        query, camera_query = read_view(scene, second, config.crop, rng)
        depth = torch.full(reference.shape[1:], ASSUMED_DEPTH)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        reference, query, hidden = augment_pair(
            reference, query, (depth, depth), self.augment, generator
        )
        points, seen = self._points(scene, first, camera_reference, hidden, rng)
        T_query_ref = scene.T_cam_world[second] @ transforms.inverse(scene.T_cam_world[first])
        T_init = initial_pose(T_query_ref, config, rng)
        return PairBatch(
            reference[None],
            query[None],
            camera_reference[None],
            camera_query[None],
            points[None],
            _pose(T_query_ref),
            _pose(T_init),
        ), seen

    def _points(
        self,
        scene: PosedScene,
        image: int,
        camera: Camera,
        hidden: Tensor,
        rng: np.random.Generator,
    ) -> tuple[Tensor, int]:
        """(N, 3) in the reference camera frame, and how many of them are no padding."""
        rows = scene.observed_by(image)
        T = scene.T_cam_world[image]
        points = np.asarray(scene.points[rows]) @ T[:3, :3].T + T[:3, 3]
        points = torch.from_numpy(points).float()
        pixels, seen = camera.project(points)
        column, row = pixels[seen].round().long().unbind(-1)
        points = points[seen][~hidden[row, column]].numpy()
        taken = rng.permutation(len(points))[: self.config.points]
        padded = np.tile(np.array(NO_POINT, np.float32), (self.config.points, 1))
        padded[: len(taken)] = points[taken]
        return torch.from_numpy(padded), len(taken)


def admitted(scene: PosedScene, config: ScenePairConfig) -> np.ndarray:
    """Rows of the scene's pairs that the configuration admits."""
    good = (scene.overlap > config.min_overlap) & (scene.overlap <= config.max_overlap)
    if config.max_baseline is not None:
        good &= scene.baseline < config.max_baseline
    return np.flatnonzero(good)


def read_view(
    scene: PosedScene, image: int, crop: int, rng: np.random.Generator
) -> tuple[Tensor, Camera]:
    """Image (3, crop, crop), float in [0, 1], of one view and the camera of just that crop."""
    path, camera = scene.images[image], scene.cameras[scene.camera_of[image]]
    pixels = np.rot90(read_image(path), int(scene.turns[image]))
    height, width = pixels.shape[:2]
    if (width, height) != tuple(camera.size.round().int().tolist()):
        raise DataError(
            f"{path}: the image is {width} x {height}, its camera in the model "
            f"{camera.size.tolist()}; are these the images of that model?"
        )
    size, offset = fit(width, height, crop, rng)
    shrinks = size[0] < width
    pixels = cv2.resize(
        np.ascontiguousarray(pixels),
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    camera = camera.scale(size[0] / width, size[1] / height).crop(offset, (crop, crop))
    left, top = offset
    pixels = np.ascontiguousarray(pixels[top : top + crop, left : left + crop])
    tensor = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None])
    return tensor.permute(2, 0, 1).expand(3, -1, -1) / 255, camera.to(torch.float32)


def fit(
    width: int, height: int, crop: int, rng: np.random.Generator
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size (width, height) with a shorter side of `crop`, and left and top of a random crop."""
    factor = crop / min(width, height)
    size = max(crop, round(width * factor)), max(crop, round(height * factor))
    return size, (int(rng.integers(size[0] - crop + 1)), int(rng.integers(size[1] - crop + 1)))


def initial_pose(
    T_query_ref: np.ndarray, config: ScenePairConfig, rng: np.random.Generator
) -> np.ndarray:
    """Where the alignment of a pair starts, (4, 4)."""
    if config.initial == "reference":
        return transforms.identity()
    if config.initial == "interpolated":
        share = rng.uniform(*config.interval)
        return transforms.interpolate(transforms.identity(), T_query_ref, share)
    return transforms.exp(disturbance(config, rng)) @ T_query_ref


def _pose(T: np.ndarray) -> Pose:
    return Pose.from_matrix(T[None], dtype=torch.float32)

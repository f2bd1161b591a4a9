"""Pairs of a textured wall, made without the renderer: exact and quick."""

import numpy as np
import torch

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.network import PixLocNet
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.sources import SyntheticData
from pixloc_ros.training.views import ViewConfig, Views

WIDTH, HEIGHT, FOCAL = 96, 72, 70.0


def wall_views(seed: int) -> Views:
    """Three views of a textured wall 6 m ahead."""
    rng = np.random.default_rng(seed)
    texture = torch.from_numpy(rng.random((1, 3, 20, 20), dtype=np.float32))
    texture = torch.nn.functional.interpolate(texture, (400, 400), mode="bicubic")[0].clamp(0, 1)
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    images, poses = [], []
    for shift in (0.0, 0.3, -0.4):
        x = (u - (WIDTH - 1) / 2) / FOCAL * 6 + shift
        y = (v - (HEIGHT - 1) / 2) / FOCAL * 6
        grid = torch.from_numpy(np.stack([x / 6, y / 6], -1)).float()[None]
        image = torch.nn.functional.grid_sample(texture[None], grid, align_corners=False)[0]
        images.append((image * 255).byte().permute(1, 2, 0).numpy())
        T = np.eye(4)
        T[0, 3] = shift
        poses.append(T)
    depth = np.full((3, HEIGHT, WIDTH), 6.0, np.float32)
    return Views(np.stack(images), depth, np.stack(poses), np.full(3, FOCAL))


def tiny_config() -> TrainConfig:
    """A training of a few small steps."""
    return TrainConfig(
        name="test",
        steps=4,
        batch=2,
        workers=0,
        warmup=1,
        save_every=1,
        validate_every=4,
        picture_every=4,
        validation_pairs=2,
        aligner=AlignerConfig(iterations=(1, 1, 1)),
        augment=AugmentConfig.none(),
        data=SyntheticData(
            points=64,
            max_translation=1.5,
            max_rotation_deg=5.0,
            views=ViewConfig(worlds=2, width=WIDTH, height=HEIGHT),
        ),
    )


def fresh_net(seed: int = 0) -> PixLocNet:
    torch.manual_seed(seed)
    return PixLocNet("small")

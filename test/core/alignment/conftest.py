"""A scene that needs no network: smooth random maps, points seen in them, and their features."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from pixloc_ros.core.alignment import (
    AlignerConfig,
    Problem,
    QueryLevel,
    ReferenceLevel,
    align,
    sample_reference,
)
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose

STRIDES = (2, 8)
WIDTH, HEIGHT = 320, 240


@dataclass
class Scene:
    """The parts of a `Problem`, and the true pose T_rig_map (1,)."""

    T_rig_map: Pose
    points: torch.Tensor
    mask: torch.Tensor
    reference: list[ReferenceLevel]
    query: list[QueryLevel]
    cameras: Camera
    T_cam_rig: Pose
    damping: torch.Tensor

    def align(self, T, config=AlignerConfig(iterations=(15, 15)), prior=None, **changes):
        parts = {**self.__dict__, **changes}
        del parts["T_rig_map"]
        return align(T, Problem(**parts), config, prior)


def smooth(generator, channels, height, width, cell, dtype):
    noise = torch.randn(1, channels, height // cell + 2, width // cell + 2, generator=generator)
    return torch.nn.functional.interpolate(
        noise.to(dtype), size=(height, width), mode="bicubic", align_corners=True
    )


@pytest.fixture
def make_scene():
    """make_scene(cameras=1, points=300, channels=8, dtype): noise-free features."""

    def make(cameras=1, points=300, channels=8, dtype=torch.float32, seed=0):
        generator = torch.Generator().manual_seed(seed)
        T_rig_map = Pose.identity((1,), dtype=dtype).retract(
            torch.tensor([[1.0, -2.0, 0.5, 0.4, -0.2, 0.3]], dtype=dtype)
        )
        camera = Camera.stack(
            [
                Camera.pinhole(WIDTH, HEIGHT, 200 + 20 * k, 210, 160 - 5 * k, 119, dtype=dtype)
                for k in range(cameras)
            ]
        )[None]
        increments = torch.tensor(
            [[0.3 * k, 0.1 * k, -0.2 * k, 0.1 * k, 0.8 * k, -0.2 * k] for k in range(cameras)],
            dtype=dtype,
        )[None]
        T_cam_rig = Pose.identity((1, cameras), dtype=dtype).retract(increments)
        pixels = torch.rand(1, cameras, points, 2, generator=generator).to(dtype)
        pixels = pixels * torch.tensor([WIDTH - 80, HEIGHT - 80], dtype=dtype) + 40
        depth = 3 + 12 * torch.rand(1, cameras, points, 1, generator=generator).to(dtype)
        T_map_cam = (T_cam_rig @ T_rig_map[:, None]).inv()
        query, reference = [], []
        for stride in STRIDES:
            size = (HEIGHT // stride, WIDTH // stride)
            features = torch.cat(
                [smooth(generator, channels, *size, 10, dtype) for _ in range(cameras)]
            )
            confidence = torch.sigmoid(
                torch.cat([smooth(generator, 1, *size, 10, dtype) for _ in range(cameras)])
            )
            # Unit length at the pixels, so that the query is read as the reference was.
            features = torch.nn.functional.normalize(features, dim=1)
            level = QueryLevel(features, confidence, stride)
            sampled, _ = sample_reference(level, pixels[0], pad=2)
            query.append(QueryLevel(features[None], confidence[None], stride))
            reference.append(ReferenceLevel(*(part[None] for part in sampled)))
        return Scene(
            T_rig_map,
            T_map_cam.transform(camera.rays(pixels) * depth),
            torch.ones(1, cameras, points, dtype=torch.bool),
            reference,
            query,
            camera,
            T_cam_rig,
            torch.full((len(STRIDES), 6), 1e-3, dtype=dtype),
        )

    return make


@pytest.fixture
def offsets():
    """Increments (4, 6) of a few centimetres and tenths of a degree."""
    generator = torch.Generator().manual_seed(7)
    scale = torch.tensor([0.15, 0.15, 0.15, 0.015, 0.015, 0.015])
    return (2 * torch.rand(4, 6, generator=generator) - 1) * scale

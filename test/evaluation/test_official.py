"""The official way of working solves the same equations as ours, only at another price."""

import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig, QueryLevel, ReferenceLevel
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.network import FeatureLevel
from pixloc_ros.evaluation.benchmark.official import OfficialResiduals

POINTS, CHANNELS, WIDTH, HEIGHT, STRIDE = 60, 8, 48, 36, 4


@pytest.fixture
def random():
    return torch.Generator().manual_seed(3)


def test_its_system_is_ours(random):
    def draw(*shape):
        return torch.rand(shape, generator=random, dtype=torch.float64)

    points = (draw(POINTS, 3) - 0.5) * torch.tensor([5.0, 4.0, 6.0]) + torch.tensor([0, 0, 6.0])
    features = torch.nn.functional.normalize(draw(POINTS, CHANNELS), dim=-1)
    confidence = draw(POINTS) * 0.8 + 0.1
    maps, seen = draw(1, CHANNELS, HEIGHT, WIDTH), draw(1, 1, HEIGHT, WIDTH)
    camera = Camera.pinhole(WIDTH * STRIDE, HEIGHT * STRIDE, 180, 170, 95, 70, torch.float64)
    T = Pose.identity(dtype=torch.float64).retract(0.2 * draw(6))
    config = AlignerConfig()

    hessian, gradient, valid = OfficialResiduals(
        points,
        ReferenceLevel(features, confidence),
        FeatureLevel(maps, seen, STRIDE),
        camera.scale(1 / STRIDE),
        config.pad,
    ).system(T)
    ours = LevelResiduals.prepare(
        points[None, None],
        torch.ones(1, 1, POINTS, dtype=torch.bool),
        ReferenceLevel(features[None, None], confidence[None, None]),
        QueryLevel(maps[None], seen[None], STRIDE),
        camera[None, None],
        Pose.identity((1, 1), dtype=torch.float64),
        config,
    ).evaluate(T[None])
    H, g = ours.normal_equations()
    assert 20 < valid == ours.num_valid()[0] < POINTS
    torch.testing.assert_close(hessian, H[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient, g[0], rtol=1e-9, atol=1e-9)

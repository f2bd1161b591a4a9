"""Does the covariance tell the truth, and does it survive the change of frames?"""

import dataclasses

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import (
    AlignerConfig,
    PosePrior,
    Problem,
    QueryLevel,
    ReferenceLevel,
    align,
    sample_reference,
)
from pixloc_ros.core.covariance import (
    body_covariance,
    body_jacobian,
    tangent_covariance,
    tangent_information,
)
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.geometry.so3 import log_so3

CONFIG = AlignerConfig(iterations=(8,), translation_tolerance=0, rotation_tolerance=0)
WIDTH, HEIGHT, CHANNELS = 160, 120, 8
RUNS = 200


def smooth(generator, channels):
    noise = torch.randn(1, channels, 14, 18, generator=generator)
    return torch.nn.functional.interpolate(
        noise, (HEIGHT, WIDTH), mode="bicubic", align_corners=True
    )


class Scene:
    """One camera at the identity, smooth maps, noise-free features of the points."""

    def __init__(self, points=200, seed=0):
        self.generator = generator = torch.Generator().manual_seed(seed)
        self.camera = Camera.pinhole(WIDTH, HEIGHT, 120, 120, 79.5, 59.5)
        pixels = torch.rand(1, points, 2, generator=generator)
        pixels = pixels * torch.tensor([WIDTH - 40, HEIGHT - 40]) + 20
        depth = 2 + 10 * torch.rand(1, points, 1, generator=generator)
        self.points = (self.camera.rays(pixels) * depth)[None]
        features = torch.nn.functional.normalize(smooth(generator, CHANNELS), dim=1)
        level = QueryLevel(features, torch.sigmoid(smooth(generator, 1)), 1)
        sampled, _ = sample_reference(level, pixels, pad=2)
        self.reference = ReferenceLevel(*(part[None] for part in sampled))
        self.query = QueryLevel(features[None], level.confidence[None], 1)

    def run(self, runs, noise=None, query=None, prior=None, config=CONFIG):
        reference = self.reference
        if noise is not None:
            reference = reference._replace(features=reference.features + noise)
        query = self.query if query is None else query
        mask = torch.ones(self.points.shape[:-1], dtype=torch.bool)
        with torch.inference_mode():
            return align(
                Pose.identity((runs,)),
                Problem(
                    self.points,
                    mask,
                    [reference],
                    [query],
                    self.camera[None, None],
                    Pose.identity((1, 1)),
                    torch.full((1, 6), 1e-5),
                ),
                config,
                prior,
            )

    def noise(self, runs, sigma, rank=CHANNELS):
        """Independent between runs and points; rank < 8 correlates the channels of a point."""
        shape = (runs, *self.points.shape[1:3], rank)
        mixing, _ = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=self.generator))
        return sigma * torch.randn(shape, generator=self.generator) @ mixing[:rank]


def tangent_error(T):
    """Left increment (B, 6) from the identity to T."""
    return torch.cat((T.t, log_so3(T.R)), -1).double()


def consistency(errors, covariance):
    """Ratio (6) of stated to observed standard deviations, and the mean NEES (6 if honest)."""
    observed = errors.square().mean(0).sqrt()
    stated = covariance.mean(0).diagonal().sqrt()
    nees = (errors[..., None, :] @ torch.linalg.solve(covariance, errors[..., None])).mean()
    return (stated / observed).numpy(), nees.item()


# The NEES of an honest covariance has mean 6; over 200 runs its own standard deviation is 0.25. The
# interval leaves room for what the estimate of the covariance itself scatters.
NEES = (5.0, 8.0)


@pytest.mark.parametrize("sigma, rank", [(0.02, 8), (0.15, 8), (0.15, 2)])
def test_stated_covariance_is_the_observed_one(sigma, rank):
    problem = Scene()
    result = problem.run(RUNS, problem.noise(RUNS, sigma, rank))
    assert not result.failed.any()
    ratio, nees = consistency(tangent_error(result.T_rig_map), tangent_covariance(result).double())
    assert (ratio > 0.8).all() and (ratio < 1.2).all(), ratio
    assert NEES[0] < nees < NEES[1]


def test_outliers_are_part_of_the_statement():
    problem = Scene()
    noise = problem.noise(RUNS, 0.05)
    outliers = torch.rand(noise.shape[:-1], generator=problem.generator) < 0.2
    noise = torch.where(outliers[..., None], problem.noise(RUNS, 0.5), noise)
    result = problem.run(RUNS, noise)
    ratio, nees = consistency(tangent_error(result.T_rig_map), tangent_covariance(result).double())
    assert (ratio > 0.8).all() and (ratio < 1.2).all(), ratio
    assert NEES[0] < nees < NEES[1]


def test_noise_of_the_query_map():
    """Per pixel of the query map. It enters the feature gradients too, hence the wider limits."""
    problem = Scene()
    errors, covariances = [], []
    for _ in range(100):
        noise = 0.02 * torch.randn(problem.query.features.shape, generator=problem.generator)
        result = problem.run(
            1, query=problem.query._replace(features=problem.query.features + noise)
        )
        errors.append(tangent_error(result.T_rig_map))
        covariances.append(tangent_covariance(result).double())
    ratio, nees = consistency(torch.cat(errors), torch.cat(covariances))
    assert (ratio > 0.7).all() and (ratio < 1.3).all(), ratio
    assert 4.5 < nees < 9.5


def test_with_a_prior_of_comparable_weight():
    """Priors drawn around the truth with the covariance they state, features weighed as noisy as
    they are: half of the variance should go."""
    problem, runs = Scene(), RUNS
    noise = problem.noise(runs, 0.1)
    result = problem.run(runs, noise)
    alone = tangent_covariance(result).double().mean(0)
    variance = (
        torch.linalg.solve(result.curvature.mean(0), result.gradient_products.mean(0)).trace() / 6
    )
    config = dataclasses.replace(CONFIG, feature_sigma=variance.sqrt().item())
    draws = torch.randn(runs, 6, generator=problem.generator).double()
    centres = Pose.identity((runs,)).retract((draws @ torch.linalg.cholesky(alone).mT).float())
    prior = PosePrior(centres, torch.linalg.inv(alone).float()[None])
    result = problem.run(runs, noise, prior=prior, config=config)
    covariance = tangent_covariance(result).double()
    errors = tangent_error(result.T_rig_map)
    ratio, nees = consistency(errors, covariance)
    assert (ratio > 0.8).all() and (ratio < 1.2).all(), ratio
    assert NEES[0] < nees < NEES[1]
    assert (errors.square().mean(0) < 0.75 * alone.diagonal()).all()


def test_unusable_results_are_infinitely_uncertain():
    problem = Scene()
    flat = problem.query._replace(features=torch.ones_like(problem.query.features))
    broken = problem.query._replace(features=problem.query.features * float("nan"))
    for query in (flat, broken):
        covariance = tangent_covariance(problem.run(2, query=query))
        assert (covariance.diagonal(dim1=-2, dim2=-1) > 1e6).all()
    mixed = problem.run(2, problem.noise(2, 0.1))
    mixed = dataclasses.replace(mixed, failed=torch.tensor([False, True]))
    covariance = tangent_covariance(mixed, scale=2.0)
    assert torch.isfinite(covariance[0]).all() and torch.isinf(covariance[1].diagonal()).all()
    torch.testing.assert_close(covariance[0], 2 * tangent_covariance(mixed)[0])
    ours = body_covariance(covariance[1].numpy(), np.eye(4), np.eye(4))
    assert np.isinf(ours.diagonal()).all() and not np.isnan(ours).any()


def random_transform(rng):
    return transforms.exp(np.concatenate([rng.normal(size=3) * 5, rng.normal(size=3)]))


def ros_error(T, T_true):
    """(x, y, z, rotation about map axes) from T_true to T."""
    turn = transforms.log(transforms.from_Rt(T[:3, :3] @ T_true[:3, :3].T, np.zeros(3)))[3:]
    return np.concatenate([T[:3, 3] - T_true[:3, 3], turn])


def test_body_jacobian_is_the_derivative():
    rng = np.random.default_rng(0)
    T_map_rig, T_base_rig = random_transform(rng), random_transform(rng)
    T_map_base = T_map_rig @ transforms.inverse(T_base_rig)
    T_rig_map = torch.from_numpy(transforms.inverse(T_map_rig))

    def moved(delta):
        T = Pose.from_matrix(T_rig_map).retract(torch.from_numpy(delta)).matrix().numpy()
        return ros_error(transforms.inverse(T) @ transforms.inverse(T_base_rig), T_map_base)

    step = 1e-6
    numeric = np.stack([(moved(step * d) - moved(-step * d)) / (2 * step) for d in np.eye(6)], 1)
    np.testing.assert_allclose(body_jacobian(T_map_rig, T_base_rig), numeric, atol=1e-7)


def test_body_covariance_is_that_of_drawn_poses():
    rng = np.random.default_rng(1)
    T_map_rig, T_base_rig = random_transform(rng), random_transform(rng)
    A = rng.normal(size=(6, 6))
    covariance = 1e-12 * A @ A.T
    deltas = rng.multivariate_normal(np.zeros(6), covariance, size=3000)
    T_rig_map = Pose.from_matrix(transforms.inverse(T_map_rig)).retract(torch.from_numpy(deltas))
    T_map_base = transforms.inverse(T_rig_map.matrix().numpy()) @ transforms.inverse(T_base_rig)
    mean = T_map_rig @ transforms.inverse(T_base_rig)
    errors = np.stack([ros_error(T, mean) for T in T_map_base])
    ours = body_covariance(covariance, T_map_rig, T_base_rig)
    whitened = np.linalg.solve(np.linalg.cholesky(ours), errors.T)
    np.testing.assert_allclose(whitened @ whitened.T / len(errors), np.eye(6), atol=0.1)
    information = tangent_information(ours, T_map_rig, T_base_rig)
    np.testing.assert_allclose(information @ covariance, np.eye(6), atol=1e-6)

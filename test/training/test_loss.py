"""Loss, poses and gradients of the two-view model against the numbers of the official code."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.geometry import Camera, Pose
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.training.loss import LossConfig, alignment_loss
from pixloc_ros.training.two_view import PairBatch, align_pairs

CASES = [
    ("vgg19", 2, "identity_init"),
    ("vgg19", 2, "mid_init"),
    ("vgg19", 2, "far_init"),
    ("vgg16", 3, "vgg16_cmu_identity_init"),
]


@pytest.fixture(scope="module")
def networks(shared, tmp_path_factory):
    """The seeded networks of the oracle, unfused, so that gradients reach every parameter."""
    folder = tmp_path_factory.mktemp("official")
    loaded = {}
    for backbone in ("vgg16", "vgg19"):
        path = folder / f"{backbone}.tar"
        subprocess.run(
            [
                sys.executable,
                shared / "oracle/make_checkpoint.py",
                "--backbone",
                backbone,
                "--seed",
                "1",
                "--output",
                path,
            ],
            check=True,
        )
        loaded[backbone] = load_checkpoint(path, inference=False).net.eval()
    return loaded


def pose(twelve: np.ndarray) -> Pose:
    numbers = torch.from_numpy(twelve).float()
    return Pose(numbers[..., :9].unflatten(-1, (3, 3)), numbers[..., 9:])


def run(oracle, networks, backbone: str, pad: int, case: str):
    inputs, expected = oracle("inputs"), oracle("loss_metrics_grads")
    T_cam_world = {view: pose(inputs[f"T_w2cam_{view}"])[None] for view in ("ref", "query")}
    image = {
        view: torch.from_numpy(inputs[f"image_{view}"]).permute(2, 0, 1)[None] / 255
        for view in ("ref", "query")
    }
    camera = {
        view: Camera.pinhole(*inputs[f"camera_{view}"].tolist()).to(torch.float32)[None]
        for view in ("ref", "query")
    }
    batch = PairBatch(
        image["ref"],
        image["query"],
        camera["ref"],
        camera["query"],
        torch.from_numpy(inputs["points3D_ref"]).float()[None],
        T_cam_world["query"] @ T_cam_world["ref"].inv(),
        pose(expected[f"{case}/T_r2q_init"]).expand(1),
    )
    config = AlignerConfig(
        iterations=(15, 15, 15), pad=pad, translation_tolerance=0, rotation_tolerance=0
    )
    net = networks[backbone]
    alignment, mask = align_pairs(net, batch, config)
    losses = alignment_loss(
        alignment.levels,
        batch.T_init,
        batch.T_query_ref,
        batch.points,
        mask,
        batch.camera_query,
        net.strides,
    )
    prefix = f"{case}/"
    return (
        alignment,
        losses,
        {key[len(prefix) :]: value for key, value in expected.items() if key.startswith(prefix)},
    )


@pytest.mark.parametrize("backbone, pad, case", CASES)
def test_poses_and_losses_agree(oracle, networks, backbone, pad, case):
    with torch.no_grad():
        alignment, losses, expected = run(oracle, networks, backbone, pad, case)
    for level, official in ((0, 2), (1, 1), (2, 0)):  # official index counts from the coarsest
        twelve = torch.cat([alignment.levels[level].R.flatten(-2), alignment.levels[level].t], -1)
        np.testing.assert_allclose(twelve[0], expected["T_r2q_opt"][official], atol=5e-5)
        np.testing.assert_allclose(
            losses["levels"][level],
            expected[f"loss/reprojection_error/{official}"],
            rtol=1e-3,
            atol=1e-3,
        )
    np.testing.assert_allclose(losses["init"], expected["loss/reprojection_error/init"], rtol=1e-3)
    np.testing.assert_allclose(losses["total"], expected["loss/total"], rtol=1e-3, atol=1e-3)


def test_gradients_agree(oracle, networks):
    net = networks["vgg19"]
    net.zero_grad()
    _, losses, _ = run(oracle, networks, *CASES[0])
    losses["total"].mean().backward()
    expected = oracle("loss_metrics_grads")
    parameters = dict(net.named_parameters())
    norms = [float(parameters[str(name)].grad.norm()) for name in expected["grad/param_names"]]
    np.testing.assert_allclose(norms, expected["grad/param_grad_norms"], rtol=1e-2)
    for level in range(3):
        for key, name in (
            (f"grad/damping_const_{level}", f"optimizer.{level}.dampingnet.const"),
            (f"grad/adaptation_{level}_bias", f"extractor.adaptation.{level}.0.bias"),
        ):
            gradient = parameters[name].grad.numpy()
            np.testing.assert_allclose(
                gradient, expected[key], atol=1e-2 * np.abs(expected[key]).max()
            )


def test_a_log_scale_weighs_small_errors_like_large_ones_and_keeps_the_order():
    """Errors of 1 cm and 1 m: their ratio of 100 in slope becomes about one in effect."""
    points = torch.tensor([[[0.0, 0, 5], [1, 0, 5], [0, 1, 5], [1, 1, 6]] * 4])
    camera = Camera.pinhole(640, 480, 400.0, 400.0, 319.5, 239.5).to(torch.float32)[None]
    mask = torch.ones(1, 16, dtype=torch.bool)
    identity = Pose.identity((1,))

    def total(offset: float, config: LossConfig) -> tuple[float, float]:
        shift = torch.tensor([[offset, 0.0, 0.0]], requires_grad=True)
        pose = Pose(identity.R, shift)
        loss = alignment_loss([pose], identity, identity, points, mask, camera, (4,), config)
        loss["total"].sum().backward()
        return float(loss["total"].detach()), float(shift.grad[0, 0])

    plain = [total(offset, LossConfig(clamp=1e4)) for offset in (0.01, 1.0)]
    scaled = [total(offset, LossConfig(clamp=1e4, log_scale=0.05)) for offset in (0.01, 1.0)]
    for (error, slope), (cost, scaled_slope) in zip(plain, scaled):
        assert cost == pytest.approx(np.log1p(error / 0.2), rel=1e-5)
        assert scaled_slope == pytest.approx(slope / (0.2 + error), rel=1e-4)
    assert scaled[0][0] < scaled[1][0]

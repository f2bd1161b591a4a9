"""On a GPU the network, the map and the tracker give what they give on the CPU."""

from __future__ import annotations

import numpy as np
import pretended
import pytest
import torch

from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.folder import read_drive
from pixloc_ros.evaluation.metrics import pose_errors
from pixloc_ros.evaluation.runner import run_drive
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.model import SfmModel
from pixloc_ros.mapping.plan import BuildOptions

# Convolutions in tf32, torch's default on a GPU, keep ten bits: features of unit length agree to
# this, poses to millimetres.
TF32_FEATURES = 2e-2
POSE_M, POSE_DEG = 2e-3, 2e-2


@pytest.fixture(scope="module")
def drive(street):
    return read_drive(street / "query")


def localizer(street, device) -> Localizer:
    checkpoint = load_checkpoint("small", device)
    return Localizer(checkpoint, FeatureMap.open(street / "built", device=device), device=device)


@pytest.mark.parametrize("tf32, tolerance", [(False, 1e-3), (True, TF32_FEATURES)])
def test_features_agree(drive, device, tf32, tolerance, monkeypatch):
    image = drive.image(0)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
    with torch.inference_mode():
        expected = load_checkpoint("small").net(prepare_image(image, 1024, "cpu")[0])
        found = load_checkpoint("small", device).net(prepare_image(image, 1024, device)[0])
    for ours, theirs in zip(found, expected):
        assert ours.features.device.type == device.type
        units = [
            torch.nn.functional.normalize(level.features.cpu(), dim=1) for level in (ours, theirs)
        ]
        torch.testing.assert_close(*units, atol=tolerance, rtol=0)
        torch.testing.assert_close(
            ours.confidence.cpu(), theirs.confidence, atol=tolerance, rtol=tolerance
        )


def test_the_map_gives_the_same_points(street, drive, device):
    views = [
        FeatureMap.open(street / "built", device=place).visible_points(
            drive.T_map_cam[1], drive.camera, SelectionConfig()
        )
        for place in (device, "cpu")
    ]
    ours, theirs = views
    assert ours.points.device.type == device.type and len(ours.points) > 100
    np.testing.assert_array_equal(ours.point_ids, theirs.point_ids)
    np.testing.assert_array_equal(ours.origin, theirs.origin)
    for name in ("points", "mask"):
        torch.testing.assert_close(getattr(ours, name).cpu(), getattr(theirs, name))
    for name in ("features", "confidence"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name)):
            torch.testing.assert_close(mine.cpu(), other)


def test_a_map_built_on_the_device_is_the_same(street, drive, device, tmp_path):
    model, checkpoint = SfmModel.load(street / "model.npz"), load_checkpoint("small", device)
    build_map(model, street / "map", checkpoint, tmp_path / "map", BuildOptions(scale=1.0))
    ours, theirs = (
        FeatureMap.open(path).visible_points(drive.T_map_cam[1], drive.camera, SelectionConfig())
        for path in (tmp_path / "map", street / "built")
    )
    common, mine, other = np.intersect1d(ours.point_ids, theirs.point_ids, return_indices=True)
    assert len(common) > 0.9 * len(theirs.point_ids)
    for a, b in zip(ours.features, theirs.features):
        error = (a[mine] - b[other]).norm(dim=-1)
        assert float(error.median()) < TF32_FEATURES


@pytest.mark.parametrize("metres, degrees, starts", [(0.2, 1.0, 1), (1.0, 2.0, 48)])
def test_a_fix_agrees(street, drive, device, metres, degrees, starts):
    """From one starting pose, and from the many of a search."""
    covariance = np.diag(np.repeat([metres, np.radians(degrees)], 3) ** 2)
    prior = drive.T_map_base[1].copy()
    prior[:2, 3] += metres / 2
    frame = Frame(int(drive.stamps_ns[1]), drive.image(1), drive.camera, drive.T_base_cam)
    fixes = []
    for place in (device, torch.device("cpu")):
        one = localizer(street, place)
        fixes.append(one.localize(one.look(frame.image), frame, prior, covariance))
    ours, theirs = fixes
    assert not ours.failure and ours.hypotheses == theirs.hypotheses == starts
    distance, angle = pose_errors(ours.T_map_base[None], theirs.T_map_base[None])
    assert distance < POSE_M and angle < POSE_DEG
    distance, angle = pose_errors(ours.T_map_base[None], drive.T_map_base[1][None])
    assert distance < 0.05 and angle < 0.2
    np.testing.assert_allclose(np.diag(ours.covariance), np.diag(theirs.covariance), rtol=0.2)
    assert abs(ours.num_inliers - theirs.num_inliers) <= 0.05 * theirs.num_points


def test_a_frame_waits_for_the_device_no_more_than_twice(street, drive, device):
    """Once for the points in view, once for the result: a GPU is idle while the host waits."""
    if device != pretended.DEVICE:
        pytest.skip("counted with --device pretended")
    one = localizer(street, device)
    frame = Frame(int(drive.stamps_ns[1]), drive.image(1), drive.camera, drive.T_base_cam)
    for metres in (0.2, 1.0):  # without and with a search
        covariance = np.diag(np.repeat([metres, 0.01], 3) ** 2)
        for _ in range(2):  # the first one reads tiles and makes constants
            pretended.crossings.clear()
            one.localize(one.look(frame.image), frame, drive.T_map_base[1], covariance)
        waits = pretended.crossings["download"] + pretended.crossings["scalar"]
        assert waits <= 2, pretended.crossings


def test_the_tracker_drives_the_same_way(street, drive, device):
    poses = []
    for place in (device, torch.device("cpu")):
        run = run_drive(localizer(street, place), Tracker(), drive)
        assert all(result.accepted for result in run.results[1:])
        poses.append(run.track().poses[1:])
    distance, angle = pose_errors(*poses)
    assert distance.max() < POSE_M and angle.max() < POSE_DEG

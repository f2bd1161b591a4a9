"""Network, reference sampling and alignment together against the reference poses."""

import dataclasses
import subprocess
import sys

import numpy as np
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
from pixloc_ros.core.network import load_checkpoint

OFFICIAL = AlignerConfig(iterations=(15, 15, 15), translation_tolerance=0, rotation_tolerance=0)


def pose12(vector):
    vector = torch.as_tensor(vector)
    return Pose(vector[..., :9].unflatten(-1, (3, 3)), vector[..., 9:])


def image(array):
    return torch.from_numpy(array).movedim(-1, 0)[None].float() / 255


@pytest.fixture(scope="module")
def pyramids(shared, oracle, tmp_path_factory):
    """(net, reference pyramid, query pyramid) of a backbone, each computed once."""
    inputs, cache = oracle("inputs"), {}

    def get(backbone):
        if backbone not in cache:
            path = tmp_path_factory.mktemp(backbone) / "checkpoint_best.tar"
            subprocess.run(
                [
                    sys.executable,
                    shared / "oracle" / "make_checkpoint.py",
                    "--backbone",
                    backbone,
                    "--seed",
                    "1",
                    "--output",
                    path,
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            net = load_checkpoint(path).net
            with torch.inference_mode():
                cache[backbone] = (
                    net,
                    *(net(image(inputs[f"image_{view}"])) for view in ("ref", "query")),
                )
        return cache[backbone]

    return get


@pytest.mark.parametrize(
    "case", ["identity_init", "mid_init", "far_init", "vgg16_cmu_identity_init"]
)
def test_poses_of_every_level(oracle, pyramids, case):
    inputs, expected = oracle("inputs"), oracle("loss_metrics_grads")
    net, reference_pyramid, query_pyramid = pyramids("vgg16" if "vgg16" in case else "vgg19")
    points = torch.from_numpy(inputs["points3D_ref"])
    cameras = [Camera.pinhole(*inputs[f"camera_{view}"].tolist()) for view in ("ref", "query")]
    pixels, mask = cameras[0].project(points)
    reference = []
    for level in reference_pyramid:
        sampled, _ = sample_reference(level, pixels[None], net.pad)
        reference.append(ReferenceLevel(*(part[:, None] for part in sampled)))
    query = [
        QueryLevel(level.features[None], level.confidence[None], level.stride)
        for level in query_pyramid
    ]
    with torch.no_grad():
        result = align(
            pose12(expected[f"{case}/T_r2q_init"])[None],
            Problem(
                points[None, None],
                mask[None, None],
                reference,
                query,
                cameras[1][None, None],
                Pose.identity((1, 1)),
                net.damping(),
            ),
            dataclasses.replace(OFFICIAL, pad=net.pad),
        )
    for level, pose in enumerate(reversed(result.levels)):
        ours = torch.cat((pose.R.flatten(-2), pose.t), -1)[0]
        np.testing.assert_allclose(ours, expected[f"{case}/T_r2q_opt"][level], rtol=0, atol=5e-5)
    assert result.failed.item() == (case != "identity_init")

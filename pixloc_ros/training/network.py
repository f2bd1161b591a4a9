"""The network before the first step."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network import PixLocNet, load_checkpoint
from pixloc_ros.training.config import NetworkConfig, TrainConfig
from pixloc_ros.training.imagenet import initial_small

TYPICAL_PAIRS = 4


def starting_network(config: TrainConfig, cache: Path) -> PixLocNet:
    """What the experiment starts from, unfused: its `start`, or its `network` untrained."""
    if config.start is not None:
        return load_checkpoint(config.start, inference=False).net
    network = config.network or NetworkConfig()
    widths = {
        name: width for name in ("decoder", "dims") if (width := getattr(network, name)) is not None
    }
    if network.architecture == "small":
        pairs = config.data.training_pairs(config.augment, config.seed, TYPICAL_PAIRS, cache)
        images = [pairs[i].reference for i in range(TYPICAL_PAIRS)]
        return initial_small(torch.cat(images), config.seed, **widths)
    torch.manual_seed(config.seed)
    net = PixLocNet(network.architecture, pad=config.aligner.pad, **widths)
    if network.imagenet:
        load_vgg_encoder(net.extractor.encoder, network.imagenet)
    return net


def load_vgg_encoder(encoder: nn.ModuleList, path: Path) -> None:
    """ImageNet weights into the encoder of a vgg network, from torchvision's file of them.

    There the convolutions are numbered through: features.0, features.2, features.5 ... Raises
    CheckpointError when the file is none of that VGG.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights = _in_order(state, "weight"), _in_order(state, "bias")
    except (
        OSError,
        RuntimeError,
        pickle.UnpicklingError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise CheckpointError(
            f"{path}: not readable as torchvision's VGG weights ({str(error).splitlines()[0]})"
        ) from error
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    shapes = [layer.weight.shape for layer in convolutions]
    if [weight.shape for weight in weights[0]] != shapes:
        raise CheckpointError(
            f"{path}: not the weights of a VGG with {len(shapes)} convolutions; "
            "take torchvision's file for the architecture in use"
        )
    with torch.no_grad():
        for layer, weight, bias in zip(convolutions, *weights):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)


def _in_order(state: dict[str, Tensor], kind: str) -> list[Tensor]:
    names = [name.split(".") for name in state if name.startswith("features.")]
    numbers = sorted(int(number) for _, number, what in names if what == kind)
    return [state[f"features.{number}.{kind}"] for number in numbers]

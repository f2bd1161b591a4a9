"""One experiment: what its YAML file may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.loss import LossConfig
from pixloc_ros.training.sources import Data, SyntheticData


@dataclass(frozen=True)
class NetworkConfig:
    """A network to train from the beginning.

    architecture: "small", or the paper's "vgg16" and "vgg19".
    decoder, dims: widths where they differ from the architecture's own (fine -> coarse for dims);
    three decoder widths and two dims make a small network without its level at stride 2.
    imagenet: file of the ImageNet weights for a vgg encoder, as torchvision saves them
    (vgg19-dcbb9e9d.pth); the small network takes its own from a package.
    """

    architecture: Literal["small", "vgg16", "vgg19"] = "small"
    decoder: tuple[int, ...] | None = None
    dims: tuple[int, ...] | None = None
    imagenet: Path | None = None

    def __post_init__(self):
        if self.imagenet and self.architecture == "small":
            raise ValueError("imagenet is for vgg16 and vgg19 only")


@dataclass(frozen=True)
class TrainConfig:
    """One experiment; YAML files under config/ hold these keys.

    start: checkpoint to go on from, a shipped name ("small"), folder or `.tar`; without one the
    network starts untrained, as `network` says, its encoder from ImageNet.
    data: where pairs come from.
    steps: optimiser steps. batch: pairs a step, shared out among the processes. workers: per
    process, those that prepare pairs ahead.
    learning_rate: Adam's, for decoder and heads; encoder_rate, damping_rate and confidence_rate
    are factors on it. A factor of 0 keeps that part as it starts: for the encoder that saves its
    backward pass, the confidences of a new small network are then the same everywhere.
    freeze_norms: batch norms keep the statistics they have, as in use; right for going on from
    trained weights with few pairs a step.
    Rates rise linearly over `warmup` steps and fall to zero along a cosine.
    clip_norm: gradient norm limit, applied before the step.
    precision: of the network; the solver always computes in fp32. fp16 only on a GPU.
    validate_every, save_every, picture_every: in steps. validation_pairs: of places that training
    never sees.
    """

    name: str
    start: str | None = None
    network: NetworkConfig | None = None
    data: Data = field(default_factory=SyntheticData)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = 4000
    batch: int = 3
    workers: int = 1
    seed: int = 1
    learning_rate: float = 5e-4
    encoder_rate: float = 0.2
    damping_rate: float = 20.0
    confidence_rate: float = 1.0
    freeze_norms: bool = False
    warmup: int = 100
    clip_norm: float = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    validate_every: int = 250
    save_every: int = 100
    picture_every: int = 250
    validation_pairs: int = 48

    def __post_init__(self):
        if self.start is not None and self.network is not None:
            raise ValueError("start brings its own network: leave out one of start and network")

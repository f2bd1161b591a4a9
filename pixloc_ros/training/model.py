"""Network, solver and loss as one module: what a training step runs forwards and backwards."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.geometry import Pose
from pixloc_ros.core.network import FeaturePyramid, PixLocNet
from pixloc_ros.training.loss import LossConfig, alignment_loss
from pixloc_ros.training.two_view import PairBatch, align_pairs

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Outcome(NamedTuple):
    """What became of B pairs: levels, the pose after each, fine -> coarse (B); losses as from
    `alignment_loss`."""

    levels: list[Pose]
    losses: dict[str, Tensor]


class MixedPrecisionNet:
    """The network in a lower precision, its features given out in fp32."""

    def __init__(self, net: PixLocNet, dtype: torch.dtype | None):
        self.net = net
        self.dtype = dtype

    def __call__(self, images: Tensor) -> FeaturePyramid:
        lower = self.dtype is not None
        with torch.autocast(images.device.type, self.dtype, enabled=lower):
            pyramid = self.net(images)
        return [
            level._replace(features=level.features.float(), confidence=level.confidence.float())
            for level in pyramid
        ]

    def damping(self) -> Tensor:
        return self.net.damping()


class TwoViewModel(nn.Module):
    """Extraction of both views, unrolled alignment and loss (paper, section 3.3).

    precision: of the extraction ("fp32", "bf16", "fp16"); everything after it is fp32.
    """

    def __init__(self, net: PixLocNet, aligner: AlignerConfig, loss: LossConfig, precision: str):
        super().__init__()
        self.net = net
        self._extract = MixedPrecisionNet(net, AUTOCAST[precision])
        self._aligner = aligner
        self._loss = loss

    def forward(self, batch: PairBatch) -> Outcome:
        alignment, mask = align_pairs(self._extract, batch, self._aligner)
        losses = alignment_loss(
            alignment.levels,
            batch.T_init,
            batch.T_query_ref,
            batch.points,
            mask,
            batch.camera_query,
            self.net.strides,
            self._loss,
        )
        return Outcome(alignment.levels, losses)

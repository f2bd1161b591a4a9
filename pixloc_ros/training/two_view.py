"""One reference, one query: through network, solver and loss, as a training step runs them forwards
and backwards."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pixloc_ros.core.alignment import (
    AlignerConfig,
    Alignment,
    Problem,
    QueryLevel,
    ReferenceLevel,
    align,
    sample_reference,
)
from pixloc_ros.core.geometry import Camera, Pose
from pixloc_ros.core.network import FeaturePyramid, PixLocNet
from pixloc_ros.training.loss import LossConfig, alignment_loss

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class PairBatch(NamedTuple):
    """B pairs of views of one scene each.

    reference, query (B, 3, H, W) float in [0, 1]; points (B, N, 3) metres in the reference
    camera frame; T_query_ref, T_init (B,): the true and the starting pose, reference -> query.
    """

    reference: Tensor
    query: Tensor
    camera_reference: Camera
    camera_query: Camera
    points: Tensor
    T_query_ref: Pose
    T_init: Pose


def align_pairs(
    net: PixLocNet, batch: PairBatch, config: AlignerConfig
) -> tuple[Alignment, Tensor]:
    """Extract both views with the shared network and align: the alignment (B,) and the mask (B, N)
    of points that the reference sees."""
    pixels, mask = batch.camera_reference.project(batch.points)
    count = len(batch.reference)
    pyramid = net(torch.cat([batch.reference, batch.query]))
    reference, query = [], []
    for level in pyramid:
        views = level._replace(features=level.features[:count], confidence=level.confidence[:count])
        sampled, _ = sample_reference(views, pixels, config.pad)
        reference.append(ReferenceLevel(*(part[:, None] for part in sampled)))
        query.append(
            QueryLevel(level.features[count:, None], level.confidence[count:, None], level.stride)
        )
    identity = Pose.identity((count, 1), device=batch.points.device, dtype=batch.points.dtype)
    problem = Problem(
        points=batch.points[:, None],
        mask=mask[:, None],
        reference=reference,
        query=query,
        cameras=batch.camera_query[:, None],
        T_cam_rig=identity,
        damping=net.damping(),
    )
    alignment = align(batch.T_init, problem, config)
    return alignment, mask


class Outcome(NamedTuple):
    """Of B pairs: the pose after each level, fine -> coarse; losses as from `alignment_loss`."""

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

"""One reference, one query: what training puts through the network and the solver."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

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
from pixloc_ros.core.network import PixLocNet


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

"""Features of the reference image at the observations of the map points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixloc_ros.core.alignment import interpolation
from pixloc_ros.core.alignment.types import ReferenceLevel

if TYPE_CHECKING:
    from pixloc_ros.core.network.pyramid import FeatureLevel


def sample_reference(level: FeatureLevel, p2d: Tensor, pad: int) -> tuple[ReferenceLevel, Tensor]:
    """Features of the images (B) of a level at pixels p2d (B, N, 2) of the network's input.

    Returns features (B, N, C), interpolated and then L2-normalised, with confidences (B, N), and
    a mask (B, N) of the pixels at least `pad` pixels of the level away from the border. Elsewhere
    the confidence is zero, so that this level leaves the point out. Differentiable in the maps.
    """
    pixels = (p2d + 0.5) / level.stride - 0.5
    maps = interpolation.flatten(level.features, level.confidence)
    value, _, confidence = interpolation.sample(maps, pixels, normalize=False)
    mask = interpolation.inside(maps, pixels, pad)
    features = torch.nn.functional.normalize(value, dim=-1)
    return ReferenceLevel(features, confidence * mask), mask

"""What the network returns, and the heads that both architectures share."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureLevel(NamedTuple):
    """One level of the pyramid.

    features: (B, C, h, w), as the head gives them, not normalised.
    confidence: (B, 1, h, w) in (0, 1).
    stride: pixels of the input image per pixel of the level. Pixel i of a level stands for the
        position (i + 0.5) * stride - 0.5 of the input.
    """

    features: Tensor
    confidence: Tensor
    stride: int


FeaturePyramid = list[FeatureLevel]  # fine to coarse


class PyramidExtractor(nn.Module):
    """Base of the architectures: input normalisation, and 1x1 heads on one map per level.

    The confidence of a level is sigmoid(-u) = 1 / (1 + e^u), u being the output of its
    uncertainty head (eq. 6 of the paper).
    """

    widths: dict[str, tuple[int, ...]]  # the arguments it was built with
    strides: tuple[int, ...]
    dims: tuple[int, ...]
    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def add_heads(self, widths: tuple[int, ...], dims: tuple[int, ...], strides: tuple[int, ...]):
        """Create the heads for maps of `widths` channels; all tuples run fine to coarse."""
        self.strides, self.dims = tuple(strides), tuple(dims)
        self.adaptation = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, dim, 1)) for width, dim in zip(widths, dims)
        )
        self.uncertainty = nn.ModuleList(nn.Sequential(nn.Conv2d(width, 1, 1)) for width in widths)

    def forward(self, image: Tensor) -> FeaturePyramid:
        maps = self.maps((image - self.mean) / self.std)
        return [
            FeatureLevel(adapt(x), torch.sigmoid(-uncertain(x)), stride)
            for adapt, uncertain, x, stride in zip(
                self.adaptation, self.uncertainty, maps, self.strides
            )
        ]

    def maps(self, image: Tensor) -> list[Tensor]:
        """The inputs of the heads, fine to coarse, for a normalised image (B, 3, H, W)."""
        raise NotImplementedError


class DecoderBlock(nn.Module):
    """Upsample by two, append the skip map cropped to that size, 3x3 convolution."""

    def __init__(self, channels: int, skip_channels: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels + skip_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.layers(torch.cat([x, skip[..., : x.shape[-2], : x.shape[-1]]], dim=1))

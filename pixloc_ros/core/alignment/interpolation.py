"""Sub-pixel values, gradients and confidences of feature maps at projected points.

The map is prepared once per level (`flatten`): channels last, one row per pixel, so that a point reads
whole rows. A point then needs only the 12 pixels of its 4 x 4 neighbourhood that bilinear
interpolation and the central difference of one pixel touch (the four corners never count). The query
map is L2-normalised per pixel before it is interpolated (PixLoc, section 3.1); this is done on the
gathered pixels, which gives the same numbers as normalising the whole map at a fraction of the cost.

Outside the image every map is zero, as in bilinear sampling with zero padding.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NORM_EPS = 1e-12  # torch.nn.functional.normalize

# Rows and columns (0..3 = -1..2 around the top-left neighbour) of the 12 pixels.
_ROWS = (0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3)
_COLS = (1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 1, 2)


class FlatMap(NamedTuple):
    """Feature maps of several images as one table of pixels.

    features (M H W, C) and confidence (M H W), M images; first_row (..., 1): row of the first pixel
    of each image; width, height in pixels; rows, cols (12): the neighbourhood, on the device.
    """

    features: Tensor
    confidence: Tensor
    first_row: Tensor
    width: int
    height: int
    rows: Tensor
    cols: Tensor


class Samples(NamedTuple):
    """value (..., C), gradient (..., 2, C) per pixel in x, y, confidence (...)."""

    value: Tensor
    gradient: Tensor
    confidence: Tensor


def flatten(features: Tensor, confidence: Tensor) -> FlatMap:
    """Prepare maps (..., C, H, W) with confidences (..., 1, H, W) for `sample`.

    Costs one copy, or none where the network already computes in channels-last memory.
    """
    *batch, channels, height, width = features.shape
    count = 1
    for size in batch:
        count *= size
    device = features.device
    first_row = torch.arange(count, device=device).mul(height * width).reshape(*batch, 1)
    return FlatMap(
        features=features.movedim(-3, -1).reshape(-1, channels),
        confidence=confidence.reshape(-1),
        first_row=first_row,
        width=width,
        height=height,
        rows=torch.tensor(_ROWS, device=device),
        cols=torch.tensor(_COLS, device=device),
    )


def inside(p2d: Tensor, width: int, height: int, pad: int) -> Tensor:
    """Mask (...) of the pixels p2d (..., 2) at least `pad` pixels away from the border of the map."""
    x, y = p2d.unbind(-1)
    return (x >= pad) & (x <= width - 1 - pad) & (y >= pad) & (y <= height - 1 - pad)


def sample(level: FlatMap, p2d: Tensor, normalize: bool) -> Samples:
    """Interpolate at pixels p2d (..., N, 2); the leading dims broadcast with those of the maps.

    normalize: scale every pixel's feature to unit length before interpolating (query maps). The
    gradient is the central difference (F(p + 1) - F(p - 1)) / 2. Results have p2d's dtype whatever
    the dtype of the map.
    """
    dtype = p2d.dtype
    index, weights = _neighbourhood(level, p2d)
    shape = index.shape[:-1]
    confidence = (level.confidence[index].to(dtype) * weights[..., 0, :]).sum(-1)
    pixels = level.features.index_select(0, index.flatten()).to(dtype)
    pixels = pixels.view(-1, 12, pixels.shape[-1])
    weights = weights.reshape(-1, 3, 12)
    if normalize:
        norm = torch.linalg.vector_norm(pixels, dim=-1).clamp_min(NORM_EPS)
        weights = weights / norm[:, None]
    mixed = torch.bmm(weights, pixels).view(*shape, 3, -1)
    return Samples(mixed[..., 0, :], mixed[..., 1:, :], confidence)


def _neighbourhood(level: FlatMap, p2d: Tensor) -> tuple[Tensor, Tensor]:
    """Table rows (..., N, 12) and weights (..., N, 3, 12) of the value, x- and y-difference."""
    x, y = p2d.unbind(-1)
    column, value_x, difference_x = _axis(x, level.width)
    row, value_y, difference_y = _axis(y, level.height)
    pixel = (level.first_row[..., None] + row * level.width)[..., level.rows]
    index = pixel + column[..., level.cols]
    along_x = torch.stack((value_x, difference_x, value_x), -2)[..., level.cols]
    along_y = torch.stack((value_y, value_y, difference_y), -2)[..., level.rows]
    return index, along_x * along_y


def _axis(coordinate: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The four pixels (..., 4) around a coordinate on one axis and their weights (..., 4).

    Beyond two pixels outside everything is zero, so the coordinate is clamped there first.
    """
    coordinate = coordinate.clamp(-2, size + 1)
    floor = coordinate.detach().floor()
    f = (coordinate - floor)[..., None]
    zero = torch.zeros_like(f)
    value = torch.cat((zero, 1 - f, f, zero), -1)
    difference = torch.cat((f - 1, -f, 1 - f, f), -1) / 2
    pixel = floor.long()[..., None] + torch.arange(-1, 3, device=f.device)
    index = pixel.clamp(0, size - 1)
    outside = index != pixel
    return index, value.masked_fill(outside, 0), difference.masked_fill(outside, 0)

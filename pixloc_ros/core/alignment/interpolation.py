"""Sub-pixel values, gradients and confidences of feature maps at projected points.

The map is prepared once per level (`flatten`): channels last, one row per pixel, so that a point
reads whole rows. A point then needs only the 12 pixels of its 4 x 4 neighbourhood that bilinear
interpolation and the central difference of one pixel touch (the four corners never count). The
query map is L2-normalised per pixel before it is interpolated (PixLoc, section 3.1); this is done
on the gathered pixels, which gives the same numbers as normalising the whole map at a fraction of
the cost.

Outside the image every map is zero, as in bilinear sampling with zero padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

NORM_EPS = 1e-12  # torch.nn.functional.normalize

# Weights of the pixels -1, 0, 1, 2 along an axis are CONSTANT + SLOPE * f, f the distance from
# pixel 0: bilinear value, and central difference of two bilinear values.
_CONSTANT = {"value": (0, 1, 0, 0), "difference": (-0.5, 0, 0.5, 0)}
_SLOPE = {"value": (0, -1, 1, 0), "difference": (0.5, -0.5, -0.5, 0.5)}
# What is wanted, as products of a weight along x and one along y: value, x- and y-difference.
_WANTED = (("value", "difference", "value"), ("value", "value", "difference"))


class FlatMap(NamedTuple):
    """Feature maps of several images as one table of pixels.

    features (M H W, C) and confidence (M H W), M images; first_row (..., 1): row of the first pixel
    of each image. last (2): largest column and row, as a tensor so that nothing depends on them as
    numbers (see core/recording.py).
    """

    features: Tensor
    confidence: Tensor
    first_row: Tensor
    last: Tensor


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
    first_row = torch.arange(math.prod(batch), device=features.device) * (height * width)
    table = features.movedim(-3, -1).reshape(-1, channels).contiguous()
    return FlatMap(
        table,
        confidence.reshape(-1),
        first_row.view(*batch, 1),
        _last(width, height, features.device),
    )


def inside(level: FlatMap, p2d: Tensor, pad: int) -> Tensor:
    """Mask (...) of the pixels p2d (..., 2) at least `pad` pixels away from the map's border."""
    return ((p2d >= pad) & (p2d <= level.last - pad)).all(-1)


def sample(level: FlatMap, p2d: Tensor, normalize: bool) -> Samples:
    """Interpolate at pixels p2d (..., N, 2); the leading dims broadcast with those of the maps.

    normalize: scale every pixel's feature to unit length before interpolating (query maps). The
    gradient is the central difference (F(p + 1) - F(p - 1)) / 2. Results have p2d's dtype whatever
    the dtype of the map.
    """
    dtype, shape = p2d.dtype, p2d.shape[:-1]
    index, weights = (part.movedim(-1, 0).contiguous() for part in _neighbourhood(level, p2d))
    pixels = level.features.index_select(0, index.flatten()).to(dtype)
    pixels = pixels.view(-1, 12, pixels.shape[-1])
    confidence = level.confidence.index_select(0, index.flatten()).view_as(index).to(dtype)
    confidence = (confidence * weights[:, 0]).sum(-1)
    if normalize:
        norm = torch.linalg.vector_norm(pixels, dim=-1).clamp_min(NORM_EPS)
        weights = weights / norm[:, None]
    mixed = torch.bmm(weights, pixels).view(*shape, 3, -1)
    return Samples(mixed[..., 0, :], mixed[..., 1:, :], confidence.view(shape))


def _neighbourhood(level: FlatMap, p2d: Tensor) -> tuple[Tensor, Tensor]:
    """Table rows (12, M) and weights (3, 12, M) of the value, x- and y-difference at all M points.

    The points run along the last dimension, which is what makes these many small steps fast.
    """
    around, constant, slope = _constants(p2d.dtype, p2d.device)
    last = level.last[:, None]
    # Two pixels outside everything is zero already; further away, indices need not be counted.
    position = torch.minimum(p2d.reshape(-1, 2).mT.clamp_min(-2), last + 2)
    floor = position.detach().floor()
    pixel = floor.long()[:, None] + around
    known = torch.minimum(pixel.clamp_min(0), last[:, None])
    column, row = known
    first_row = level.first_row.expand(p2d.shape[:-1]).flatten()
    index = _cross(torch.add, row * (level.last[0] + 1) + first_row, column)

    weights = torch.addcmul(constant, slope, (position - floor)[:, None, None])
    along_x, along_y = weights.masked_fill((known != pixel)[:, None], 0)
    return index, _cross(torch.mul, along_y, along_x)


@lru_cache(maxsize=64)
def _last(width: int, height: int, device: torch.device) -> Tensor:
    """Kept, like the constants below, so that frames send nothing to the device."""
    with torch.inference_mode(False):  # training may use them too
        return torch.tensor([width - 1, height - 1], device=device)


@lru_cache(maxsize=64)
def _constants(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The neighbours' offsets (4, 1), and the constant and slope (2, 3, 4, 1) of the weights along
    x and y."""

    def weights(table: dict[str, tuple]) -> Tensor:
        values = [[table[kind] for kind in axis] for axis in _WANTED]
        return torch.tensor(values, dtype=dtype, device=device)[..., None]

    with torch.inference_mode(False):
        return torch.arange(-1, 3, device=device)[:, None], weights(_CONSTANT), weights(_SLOPE)


def _cross(combine: Callable[[Tensor, Tensor], Tensor], rows: Tensor, columns: Tensor) -> Tensor:
    """Combine rows and columns (..., 4, M) into (..., 12, M), the 4 x 4 without its corners."""
    top, upper, lower, bottom = rows.split(1, -2)
    middle = columns[..., 1:3, :]
    return torch.cat(
        (
            combine(top, middle),
            combine(upper, columns),
            combine(lower, columns),
            combine(bottom, middle),
        ),
        -2,
    )

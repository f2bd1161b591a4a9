"""Photometric changes, drawn for each view on its own: what a map and a later drive differ in."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class AugmentConfig:
    """Largest changes. gamma, gain: log2 range. cast: log2 range by colour channel.
    shadow: log2 range of a smooth light field. noise: standard deviation. blur: pixels (sigma).
    gray: probability that both views lose their colour, as from a monochrome camera."""

    gamma: float = 0.6
    gain: float = 0.8
    cast: float = 0.25
    shadow: float = 0.8
    noise: float = 0.03
    blur: float = 1.2
    gray: float = 0.4


def augment_pair(reference: Tensor, query: Tensor, config: AugmentConfig,
                 generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Both views (3, H, W), float in [0, 1], each with its own light, exposure, blur and noise."""
    views = [augment(view, config, generator) for view in (reference, query)]
    if _uniform(generator) < config.gray:
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        views = [(view * weights).sum(0, keepdim=True).expand(3, -1, -1) for view in views]
    return views[0], views[1]


def augment(image: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """One view (3, H, W) in [0, 1]."""
    field = torch.rand((1, 1, 4, 5), generator=generator) * 2 - 1
    field = F.interpolate(field, image.shape[1:], mode="bicubic", align_corners=True)[0]
    cast = (torch.rand((3, 1, 1), generator=generator) * 2 - 1) * config.cast
    gain = _symmetric(config.gain, generator)
    strength = _uniform(generator) * config.shadow
    image = image.clamp(min=1e-4) ** (2 ** _symmetric(config.gamma, generator))
    image = image * 2 ** (gain + cast + strength * field)
    sigma = _uniform(generator) * config.blur
    if sigma > 0.3:
        image = _blur(image, sigma)
    noise = torch.randn(image.shape, generator=generator)
    return (image + noise * (_uniform(generator) ** 2 * config.noise)).clamp(0, 1)


def _blur(image: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    image = F.pad(image[None], (reach,) * 4, mode="reflect")
    image = F.conv2d(F.conv2d(image, kernel, groups=3), kernel.mT, groups=3)
    return image[0]


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _symmetric(limit: float, generator: torch.Generator) -> float:
    return (2 * _uniform(generator) - 1) * limit

"""Things in the way: pieces of image that belong to nothing in the map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pixloc_ros.training.augment.draw import happens, symmetric, uniform
from pixloc_ros.training.augment.light import grid

MOST = 5  # occluders


def occlude(image: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Boxes and discs over about `share` of the image (3, H, W); the picture and the mask (H, W).

    Each shows one colour, a random texture, or another part of the picture, mirrored and in other
    light.
    """
    x, y = grid(image)
    height, width = image.shape[1:]
    mask = torch.zeros(height, width, dtype=torch.bool)
    count = int(uniform(generator, 1, MOST + 1))
    for _ in range(count):
        area = share / count * height / width
        aspect = 2 ** symmetric(generator, 1.3)
        wide, high = (area * aspect) ** 0.5, (area / aspect) ** 0.5
        dx = (x - uniform(generator)) / wide
        dy = (y - uniform(generator, 0, height / width)) / high
        if happens(generator, 0.6):
            inside = torch.maximum(dx.abs(), dy.abs()) < 0.5
        else:
            inside = dx**2 + dy**2 < 1 / torch.pi
        mask |= inside
        image = torch.where(inside, _look(image, generator), image)
    return image, mask


def _look(image: Tensor, generator: torch.Generator) -> Tensor:
    """(3, H, W), or (3, 1, 1) for one colour."""
    kind = uniform(generator)
    if kind < 0.25:
        return torch.rand((3, 1, 1), generator=generator)
    if kind < 0.6:
        cells = (int(uniform(generator, 3, 40)), int(uniform(generator, 3, 40)))
        color = torch.rand((3, 1, 1), generator=generator)
        texture = torch.rand((1, 3, *cells), generator=generator)
        mode = "bilinear" if happens(generator, 0.5) else "nearest"
        texture = F.interpolate(texture, image.shape[1:], mode=mode)[0]
        return torch.lerp(color.expand_as(texture), texture, uniform(generator, 0.1, 0.8))
    shift = (int(uniform(generator, 0, image.shape[1])), int(uniform(generator, 0, image.shape[2])))
    return image.flip(-1).roll(shift, (1, 2)) * 2 ** symmetric(generator, 0.7)

"""Light that differs between drives: sun and shadows, haze, night. Images (3, H, W) in [0, 1]."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from pixloc_ros.training.augment.draw import happens, symmetric, uniform

NIGHT_GAMMA = (1.0, 2.5)
NIGHT_EXPOSURE = (-1.7, 0.3)  # log2
SKYLIGHT = (0.15, 0.8)  # share of light at night that comes from everywhere


def smooth_field(image: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    """Times a smooth field of light of up to 2 ** +-limit; brightens half as far as it darkens."""
    field = (torch.rand((4, 5), generator=generator) * 1.5 - 1).numpy()
    field = cv2.resize(field, (image.shape[2], image.shape[1]), interpolation=cv2.INTER_CUBIC)
    return image * 2 ** (limit * uniform(generator) * torch.from_numpy(field))


def shadows(image: Tensor, generator: torch.Generator) -> Tensor:
    """One to four shadows with straight edges, sharp or soft, that take most of the light."""
    x, y = grid(image)
    for _ in range(int(uniform(generator, 1, 5))):
        tint = torch.tensor([-0.03, 0.0, 0.05]) + uniform(generator, 0.2, 0.75)
        edge = 10 ** uniform(generator, -3, -1.3)
        shade = torch.ones_like(x)
        for _ in range(2):  # a wedge or a band: where two half planes meet
            angle = torch.tensor(symmetric(generator, torch.pi))
            across = angle.cos() * (x - uniform(generator)) + angle.sin() * (y - uniform(generator))
            shade = shade * (across / edge).sigmoid()
        image = image * (1 - shade * (1 - tint[:, None, None]))
    return image


def haze(image: Tensor, depth: Tensor, generator: torch.Generator) -> Tensor:
    """What is far fades to a bright gray. depth (H, W) metres, infinite for the sky."""
    clear = torch.exp(-depth / uniform(generator, 25, 150))
    air = uniform(generator, 0.55, 0.95) + torch.tensor([-0.02, 0.0, 0.03])[:, None, None]
    return image * clear + air * (1 - clear)


def night(image: Tensor, depth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The picture in the dark, and the glare (3, H, W) that lamps add in the lens.

    Headlights reach some tens of metres, lamps light pools around them; little else is left.
    """
    x, y = grid(image)
    light = torch.full_like(x, uniform(generator, *SKYLIGHT))
    if happens(generator, 0.6):
        wide, high = uniform(generator, 0.2, 0.5), uniform(generator, 0.12, 0.3)
        cone = -(((x - uniform(generator, 0.3, 0.7)) / wide) ** 2)
        cone = cone - ((y - uniform(generator, 0.4, 0.65)) / high) ** 2
        reach = uniform(generator, 5, 25)
        light = light + uniform(generator, 0.8, 3) * cone.exp() / (1 + (depth / reach) ** 2)
    warm = torch.tensor([1.0, uniform(generator, 0.65, 1.0), 0.0])
    warm[2] = warm[1] ** 2.5
    glare = torch.zeros_like(x)
    for _ in range(int(uniform(generator, 0, 5))):
        away = ((x - uniform(generator)) ** 2 + (y - uniform(generator, 0, 0.6)) ** 2).sqrt()
        pool = uniform(generator, 0.1, 0.35)
        light = light + uniform(generator, 0.3, 1.2) * (-((away / pool) ** 2)).exp()
        core = 10 ** uniform(generator, -2.2, -1.4)
        glare = glare + uniform(generator, 0.5, 2) / (1 + (away / core) ** 2) ** 1.2
    light = light * (1 + (warm - 1) * uniform(generator))[:, None, None]
    dark = image.clamp(min=1e-4) ** uniform(generator, *NIGHT_GAMMA)
    dark = dark * light * 2 ** uniform(generator, *NIGHT_EXPOSURE)
    return dark, glare * warm[:, None, None]


def grid(image: Tensor) -> tuple[Tensor, Tensor]:
    """x and y (H, W) in widths of the image."""
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) / width, torch.arange(width) / width, indexing="ij")
    return x, y

"""Changes of the pictures of a pair: what a map and a later drive differ in."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pixloc_ros.training.augment import lens, light
from pixloc_ros.training.augment.config import AugmentConfig
from pixloc_ros.training.augment.draw import happens, symmetric, uniform
from pixloc_ros.training.augment.occlude import occlude

__all__ = ["AugmentConfig", "augment", "augment_pair"]

SHARES = ("shadows", "night", "haze", "motion", "defocus", "jpeg", "occlusion")
DAYLIGHT = 0.25  # a picture that is brighter on average was not taken at night
LEVEL_ANGLE = 0.09  # rad
NIGHT_SHOT, NIGHT_READ = 0.12, 0.05  # largest standard deviations of the noise


def augment_pair(
    reference: Tensor,
    query: Tensor,
    depths: tuple[Tensor, Tensor],
    config: AugmentConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Reference and query (3, H, W), float in [0, 1], each with its own changes, and the mask
    (H, W) of what is hidden in the reference. depths (H, W) metres of both, infinite for the sky.
    """
    if happens(generator, config.unchanged):
        return reference, query, torch.zeros(reference.shape[1:], dtype=torch.bool)
    milder = replace(config, **{name: getattr(config, name) * config.reference for name in SHARES})
    reference, hidden = augment(reference, depths[0], milder, generator)
    query, _ = augment(query, depths[1], config, generator)
    if happens(generator, config.gray):
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        reference, query = (
            (view * weights).sum(0, keepdim=True).expand(3, -1, -1) for view in (reference, query)
        )
    return reference, query, hidden


def augment(
    image: Tensor, depth: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One view (3, H, W) in [0, 1] and what is hidden (H, W): light, things in the way, lens,
    sensor, in the order in which light meets them."""
    width = image.shape[-1]
    glare, shot, read = None, 0.0, uniform(generator) ** 2 * config.noise
    if happens(generator, config.haze):
        image = light.haze(image, depth, generator)
    if config.field > 0:
        image = light.smooth_field(image, config.field, generator)
    if happens(generator, config.shadows):
        image = light.shadows(image, generator)
    hidden = torch.zeros(image.shape[1:], dtype=torch.bool)
    dark = happens(generator, config.night) and float(image.mean()) > DAYLIGHT
    if happens(generator, config.occlusion):
        share = config.occluded * uniform(generator) ** 0.5
        image, hidden = occlude(image, share, generator)
    if dark:
        image, glare = light.night(image, depth, generator)
        shot, read = uniform(generator, 0, NIGHT_SHOT), uniform(generator, 0, NIGHT_READ)
    else:
        image = image.clamp(min=1e-4) ** (2 ** symmetric(generator, config.gamma))
        cast = (torch.rand((3, 1, 1), generator=generator) * 2 - 1) * config.cast
        image = image * 2 ** (uniform(generator, -1, 0.5) * config.gain + cast)
    if glare is not None:
        image = image + glare
    image = image.clamp(max=1.5)
    if happens(generator, config.motion):
        length = config.motion_length * width * uniform(generator) ** 0.5
        angle = LEVEL_ANGLE if happens(generator, config.level) else torch.pi / 2
        image = lens.motion_blur(image, length, symmetric(generator, angle))
    if happens(generator, config.defocus):
        image = lens.defocus(image, uniform(generator, 0.3, 1) * config.defocus_radius * width)
    sigma = uniform(generator) * config.blur
    if sigma > 0.3:
        image = lens.gaussian(image, sigma)
    image = lens.noise(image, shot, read, generator).clamp(0, 1)
    if happens(generator, config.jpeg):
        image = lens.jpeg(image, generator)
    return image, hidden

"""The camera behind the lens: exposure, white balance, vignetting, blur, tone curve, noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class Sensor:
    """How scene radiance becomes an image.

    exposure multiplies the automatic exposure (or the radiance itself if `auto` is off). blur:
    lens blur sigma in pixels. vignette: loss in the corners. white_balance: gains of R, G, B.
    saturation: 0 grey, 1 true. contrast: strength of the tone curve's S shape. shot_noise,
    read_noise: standard deviations in display units at white and black.
    """

    exposure: float = 1.0
    auto: bool = True
    blur: float = 0.5
    vignette: float = 0.18
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    contrast: float = 1.0
    shot_noise: float = 0.008
    read_noise: float = 0.004

    @staticmethod
    def ideal() -> Sensor:
        """Fixed exposure, no blur, vignetting or noise: for tests of exactness."""
        return Sensor(auto=False, blur=0.0, vignette=0.0, shot_noise=0.0, read_noise=0.0)

    @staticmethod
    def random(rng: np.random.Generator) -> Sensor:
        """A different camera or setting: exposure about half a stop off at most, and so on."""
        return Sensor(
            exposure=float(2.0 ** rng.uniform(-0.7, 0.6)),
            blur=rng.uniform(0.4, 0.9),
            vignette=rng.uniform(0.0, 0.3),
            white_balance=tuple(1.0 + rng.normal(0, 0.05, 3)),
            saturation=rng.uniform(0.6, 1.15),
            contrast=rng.uniform(0.4, 1.5),
            shot_noise=rng.uniform(0.002, 0.02),
            read_noise=rng.uniform(0.002, 0.01),
        )

    @staticmethod
    def random_night(rng: np.random.Generator) -> Sensor:
        """A camera after dark: exposed too little, long enough to blur, amplified and noisy."""
        day = Sensor.random(rng)
        return replace(
            day,
            exposure=float(2.0 ** rng.uniform(-2.2, -0.3)),
            blur=rng.uniform(0.5, 1.3),
            shot_noise=rng.uniform(0.01, 0.06),
            read_noise=rng.uniform(0.005, 0.03),
        )


def expose(radiance: torch.Tensor, rays: torch.Tensor, sensor: Sensor, seed: int) -> torch.Tensor:
    """Linear radiance (3,H,W) and its rays (H,W,3) -> image (3,H,W) in [0,1]."""
    image = radiance
    if sensor.blur > 0:
        image = _blur(image, sensor.blur)
    gain = sensor.exposure
    luma = torch.tensor(_LUMA, device=image.device)[:, None, None]
    if sensor.auto:
        gain = gain * 0.42 / (image * luma).sum(0).clamp(max=2.0).mean().clamp(min=1e-3)
    balance = torch.tensor(sensor.white_balance, dtype=image.dtype, device=image.device)
    image = image * (gain * balance[:, None, None])
    if sensor.vignette > 0:
        radius2 = (rays[..., :2] ** 2).sum(-1)
        image = image * (1 - sensor.vignette * radius2 / radius2.max())
    if sensor.saturation != 1.0:
        grey = (image * luma).sum(0, keepdim=True)
        image = (grey + (image - grey) * sensor.saturation).clamp(min=0)
    image = (1 - torch.exp(-1.25 * image)) ** (1 / 2.2)
    image = image + sensor.contrast * 1.2 * image * (1 - image) * (image - 0.45)
    if sensor.shot_noise > 0 or sensor.read_noise > 0:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(image.shape, generator=generator).to(image)
        image = image + noise * (sensor.read_noise**2 + sensor.shot_noise**2 * image).sqrt()
    return image.clamp(0, 1)


def _blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = max(1, int(np.ceil(2.5 * sigma)))
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).tolist()
    padded = F.pad(image[None], (reach, reach, reach, reach), mode="replicate")[0]
    return _weighted(_weighted(padded, kernel, 1), kernel, 2)


def _weighted(image: torch.Tensor, kernel: list[float], axis: int) -> torch.Tensor:
    """Correlation along one axis without padding; quicker than a convolution with few channels."""
    size = image.shape[axis] - len(kernel) + 1
    out = kernel[0] * image.narrow(axis, 0, size)
    for k, weight in enumerate(kernel[1:], 1):
        out.add_(image.narrow(axis, k, size), alpha=weight)
    return out

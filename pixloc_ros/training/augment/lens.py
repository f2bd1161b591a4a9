"""What lens, sensor and compression do to a picture. Images (3, H, W) in [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pixloc_ros.training.augment.draw import uniform

JPEG_QUALITY = (12, 70)


def gaussian(image: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    return _filter(_filter(image, kernel[None]), kernel[:, None])


def motion_blur(image: Tensor, length: float, angle: float) -> Tensor:
    """Blurred along a straight line of `length` pixels, centred: nothing moves on average."""
    reach = int(np.ceil(length / 2))
    if reach == 0:
        return image
    steps = torch.linspace(-length / 2, length / 2, 8 * reach + 1)
    kernel = torch.zeros(2 * reach + 3, 2 * reach + 3)
    x, y = (steps * np.cos(angle) + reach + 1, steps * np.sin(angle) + reach + 1)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = x.floor().long() + dx, y.floor().long() + dy
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            kernel.index_put_((row, column), weight, accumulate=True)
    return _filter(image, kernel)


def defocus(image: Tensor, radius: float) -> Tensor:
    """Every point spread to a disc of `radius` pixels, its rim softened over one pixel."""
    reach = int(np.ceil(radius))
    steps = torch.arange(-reach, reach + 1).float()
    away = (steps[:, None] ** 2 + steps**2).sqrt()
    return _filter(image, (radius + 0.5 - away).clamp(0, 1))


def noise(image: Tensor, shot: float, read: float, generator: torch.Generator) -> Tensor:
    """Standard deviations: shot at white (grows with the root of the light), read everywhere."""
    deviation = (read**2 + shot**2 * image.clamp(min=0)).sqrt()
    return image + deviation * torch.randn(image.shape, generator=generator)


def jpeg(image: Tensor, generator: torch.Generator) -> Tensor:
    quality = round(uniform(generator, *JPEG_QUALITY))
    pixels = (image.flip(0).clamp(0, 1) * 255).round().byte().permute(1, 2, 0)  # OpenCV: BGR
    _, data = cv2.imencode(".jpg", pixels.contiguous().numpy(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return decoded.permute(2, 0, 1).flip(0) / 255


def _filter(image: Tensor, kernel: Tensor) -> Tensor:
    """Filtered with one kernel of odd size, normalised to sum 1; the border is mirrored."""
    weights = (kernel / kernel.sum()).numpy()
    return torch.from_numpy(
        np.stack([cv2.filter2D(channel, -1, weights) for channel in image.contiguous().numpy()])
    )

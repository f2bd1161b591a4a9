"""From a camera's pixels to what the network takes."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def prepare_image(
    image: np.ndarray, longer_side: int, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, tuple[float, float]]:
    """Convert an image to the network's input.

    image: uint8, (H, W, 3) RGB or (H, W) gray (repeated to three channels). If its longer side
    exceeds `longer_side` pixels it is shrunk to that, with anti-aliasing; it is never enlarged.
    Returns the tensor (1, 3, h, w), float32 in [0, 1] on `device`, and the scale factors
    (w / W, h / H) that `Camera.scale` takes. Mapping and tracking both come through here, so that
    reference and query features see the same resampling.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    pixels = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
    height, width = pixels.shape[-2:]
    tensor = pixels.to(torch.float32).mul_(1 / 255)
    factor = longer_side / max(height, width)
    if factor < 1:
        size = (round(height * factor), round(width * factor))
        tensor = F.interpolate(tensor, size=size, mode="bilinear", antialias=True)
    scale = (tensor.shape[-1] / width, tensor.shape[-2] / height)
    return tensor.expand(-1, 3, -1, -1), scale

"""Texture storage: every texture with its mip chain in one flat array, and filtered look-ups."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

LEVELS = 21  # half-octave mip levels, enough for 1024 texels down to one
MAX_TAPS = 4


class TextureBank:
    """Collects RGBA8 textures. Each is stored with mips at scales 2^(-k/2), all seamlessly wrapping."""

    def __init__(self) -> None:
        self._chunks: list[torch.Tensor] = []
        self._table: list[np.ndarray] = []
        self._total = 0
        self.sizes: list[tuple[int, int]] = []

    def add(self, image: np.ndarray) -> int:
        """Add an (H,W,3|4) float image in [0,1] (display-referred RGB, gloss); returns its number."""
        if image.shape[2] == 3:
            image = np.concatenate([image, np.zeros_like(image[..., :1])], 2)
        base = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))
        base = (base.clamp(0, 1) * 255 + 0.5).to(torch.uint8)[None]
        base = base.contiguous(memory_format=torch.channels_last)
        height, width = image.shape[:2]
        levels = [base]
        for k in range(1, LEVELS):
            size = (max(1, round(height * 2 ** (-k / 2))), max(1, round(width * 2 ** (-k / 2))))
            if size == tuple(levels[-1].shape[2:]) and k % 2:
                levels.append(levels[-1])
                continue
            source = levels[max(0, k - 2)]
            levels.append(F.interpolate(source, size, mode="bilinear", antialias=True))
        rows = np.zeros((LEVELS, 3), np.int64)
        for k, level in enumerate(levels):
            flat = level[0].permute(1, 2, 0).contiguous().view(-1)
            rows[k] = (self._total, level.shape[3], level.shape[2])
            self._chunks.append(flat)
            self._total += flat.numel() // 4
        self._table.append(rows)
        self.sizes.append((width, height))
        return len(self.sizes) - 1

    def freeze(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(texels (N,) int32, each four bytes RGBA; table (n*LEVELS,3) of offset, width, height)."""
        texels = torch.cat(self._chunks).view(torch.int32)
        return texels, torch.from_numpy(np.concatenate(self._table))


def lookup(texels: torch.Tensor, table: torch.Tensor, texture: torch.Tensor, uv: torch.Tensor,
           level: torch.Tensor) -> torch.Tensor:
    """Bilinear wrapped look-up. texture, level (n,) int64; uv (2,n) normalised. -> (n,4) in [0,1]."""
    entry = table.index_select(0, texture * LEVELS + level)
    offset, size = entry[:, 0], entry[:, 1:].T
    size_f = size.to(uv.dtype)
    position = (uv - uv.floor()) * size_f - 0.5
    base = position.floor()
    fraction = (position - base).unsqueeze(-1)
    low = base.long()
    high = low + 1
    high = torch.where(high >= size, high - size, high)
    low = torch.where(low < 0, low + size, low)
    row0, row1 = offset + low[1] * size[0], offset + high[1] * size[0]

    def texel(index):
        return texels.index_select(0, index).view(torch.uint8).view(-1, 4).to(uv.dtype)

    fx, fy = fraction[0], fraction[1]
    top = torch.lerp(texel(row0 + low[0]), texel(row0 + high[0]), fx)
    bottom = torch.lerp(texel(row1 + low[0]), texel(row1 + high[0]), fx)
    return torch.lerp(top, bottom, fy) * (1 / 255)


def sample(texels: torch.Tensor, table: torch.Tensor, texture: torch.Tensor, uv: torch.Tensor,
           du: torch.Tensor, dv: torch.Tensor, taps: int = MAX_TAPS) -> torch.Tensor:
    """Anisotropically filtered look-up: up to `taps` probes along the longer axis of the footprint.

    texture (n,); uv (2,n) normalised; du, dv (2,n): change of uv per pixel to the right and down.
    Returns (n,4).
    """
    size = table.index_select(0, texture * LEVELS)[:, 1:].T.to(uv.dtype)
    length_x = (du * size).norm(dim=0)
    length_y = (dv * size).norm(dim=0)
    axis = torch.where(length_x >= length_y, du, dv)
    major = torch.maximum(length_x, length_y)
    minor = torch.minimum(length_x, length_y).clamp(min=1e-6)
    count = (major / minor).clamp(1, taps).ceil()
    footprint = torch.maximum(major / count, minor).clamp(min=1e-6)
    level = (2 * footprint.log2() - 0.3).round().clamp(0, LEVELS - 1).long()
    out = torch.empty((texture.shape[0], 4), dtype=uv.dtype, device=uv.device)
    for number in range(1, taps + 1):
        chosen = torch.nonzero(count == number).squeeze(1)
        if chosen.numel() == 0:
            continue
        tex, lev = texture[chosen], level[chosen]
        center, step = uv[:, chosen], axis[:, chosen]
        total = 0.0
        for tap in range(number):
            total = total + lookup(texels, table, tex, center + step * ((tap + 0.5) / number - 0.5),
                                   lev)
        out[chosen] = total / number
    return out

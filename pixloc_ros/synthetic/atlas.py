"""Texture storage: every texture with its mip chain in one flat array, and filtered look-ups."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

LEVELS = 21  # half-octave mip levels, enough for 1024 texels down to one
MAX_TAPS = 6
_SHARPER = 0.5  # half octaves by which mips are chosen finer than one texel per pixel


class TextureBank:
    """Collects RGBA8 textures. Each is stored with mips at scales 2^(-k/2); all of them wrap."""

    def __init__(self) -> None:
        self._chunks: list[torch.Tensor] = []
        self._table: list[np.ndarray] = []
        self._total = 0
        self.sizes: list[tuple[int, int]] = []

    def add(self, image: np.ndarray) -> int:
        """Add an (H,W,3|4) float image in [0,1] (display-referred RGB, gloss); its number."""
        return self.add_levels(mip_levels(image))

    def add_levels(self, levels: list[torch.Tensor]) -> int:
        """Add a prepared mip chain, uint8 (h,w,4) each."""
        rows = np.zeros((LEVELS, 3), np.int64)
        for k, level in enumerate(levels):
            rows[k] = (self._total, level.shape[1], level.shape[0])
            self._chunks.append(level.view(-1))
            self._total += level.numel() // 4
        self._table.append(rows)
        self.sizes.append((levels[0].shape[1], levels[0].shape[0]))
        return len(self.sizes) - 1

    def freeze(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(texels (N,) int32, RGBA bytes; table (3,n*LEVELS) int32: offset, width, height)."""
        texels = torch.cat(self._chunks).view(torch.int32)
        table = np.concatenate(self._table).T
        return texels, torch.from_numpy(np.ascontiguousarray(table, np.int32))


def mip_levels(image: np.ndarray) -> list[torch.Tensor]:
    """The mip chain, uint8 (h,w,4) each, of an (H,W,3|4) float image in [0,1]."""
    if image.shape[2] == 3:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], 2)
    base = torch.from_numpy(np.ascontiguousarray(image, np.float32))
    base = (base.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(2, 0, 1)[None]
    height, width = image.shape[:2]
    levels = [base]
    for k in range(1, LEVELS):
        size = (max(1, round(height * 2 ** (-k / 2))), max(1, round(width * 2 ** (-k / 2))))
        source = levels[max(0, k - 2)]
        levels.append(
            source
            if size == tuple(source.shape[2:])
            else F.interpolate(source, size, mode="bilinear", antialias=True)
        )
    return [level[0].permute(1, 2, 0).contiguous() for level in levels]


def lookup(texels: torch.Tensor, rows: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Bilinear wrapped look-up. rows (3,n): offset, width, height of each point's mip level;
    uv (2,n) normalised. Returns (n,4) in units of 1/255."""
    offset, size = rows[0], rows[1:]
    position = (uv - uv.floor()) * size - 0.5
    base = position.floor()
    fx, fy = (position - base).unsqueeze(-1)
    low = base.int()
    high = low + 1
    high = torch.where(high >= size, high - size, high)
    low = torch.where(low < 0, low + size, low)
    row0, row1 = (offset + y * size[0] for y in (low[1], high[1]))

    def texel(index):
        return texels.index_select(0, index).view(torch.uint8).view(-1, 4).to(uv.dtype)

    top = torch.lerp(texel(row0 + low[0]), texel(row0 + high[0]), fx)
    bottom = torch.lerp(texel(row1 + low[0]), texel(row1 + high[0]), fx)
    return torch.lerp(top, bottom, fy)


def sample(
    texels: torch.Tensor,
    table: torch.Tensor,
    texture: torch.Tensor,
    uv: torch.Tensor,
    du: torch.Tensor,
    dv: torch.Tensor,
    taps: int = MAX_TAPS,
) -> torch.Tensor:
    """Anisotropically filtered look-up: up to `taps` probes along the longer axis of the footprint.

    texture (n,); uv (2,n) normalised; du, dv (2,n): change of uv per pixel to the right and down.
    Returns (n,4) in [0,1].
    """
    size = table.index_select(1, texture * LEVELS)[1:]
    length_x = ((du[0] * size[0]).square() + (du[1] * size[1]).square()).sqrt()
    length_y = ((dv[0] * size[0]).square() + (dv[1] * size[1]).square()).sqrt()
    axis = torch.where(length_x >= length_y, du, dv)
    major = torch.maximum(length_x, length_y)
    minor = torch.minimum(length_x, length_y).clamp(min=1e-6)
    count = (major / minor).clamp(1, taps).ceil()
    footprint = torch.maximum(major / count, minor)
    level = (2 * footprint.log2() - _SHARPER).round().clamp(0, LEVELS - 1).long()
    entry = texture * LEVELS + level
    out = torch.empty((texture.shape[0], 4), dtype=uv.dtype, device=uv.device)
    for number in range(1, taps + 1):
        chosen = torch.nonzero(count == number).squeeze(1)
        if chosen.numel() == 0:
            continue
        where = table.index_select(1, entry[chosen])
        center, step = uv.index_select(1, chosen), axis.index_select(1, chosen)
        total = lookup(texels, where, center + step * (0.5 / number - 0.5))
        for tap in range(1, number):
            total += lookup(texels, where, center + step * ((tap + 0.5) / number - 0.5))
        out[chosen] = total * (1 / (255 * number))
    return out

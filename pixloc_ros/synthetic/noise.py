"""Seeded procedural noise, of which every texture of the synthetic world is made."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H,W) or (H,W,C) float arrays, low-pass filtered when shrinking."""
    planes = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    planes = planes[None, None] if planes.ndim == 2 else planes.permute(2, 0, 1)[None]
    out = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)[0]
    return out[0].numpy() if image.ndim == 2 else out.permute(1, 2, 0).numpy()


def value_noise(
    rng: np.random.Generator, height: int, width: int, rows: int, cols: int
) -> np.ndarray:
    """(height,width) smooth noise in about [-1,1] that repeats seamlessly in both directions.

    A random grid of rows x cols values is enlarged bicubically.
    """
    rows, cols = max(1, min(rows, height)), max(1, min(cols, width))
    grid = rng.uniform(-1.0, 1.0, (rows, cols)).astype(np.float32)
    padded = np.pad(grid, 2, mode="wrap")
    x = _bicubic_rows(torch.from_numpy(padded), height, rows)
    return _bicubic_rows(x.T.contiguous(), width, cols).T.contiguous().numpy()


def _bicubic_rows(padded: torch.Tensor, size: int, count: int) -> torch.Tensor:
    """Catmull-Rom enlargement of the first axis: `count` periodic values, padded by 2."""
    position = (torch.arange(size, dtype=torch.float32) + 0.5) * (count / size) + 1.5
    base = position.floor()
    t = (position - base)[:, None]
    base = base.long()
    p0, p1, p2, p3 = (padded[base + k] for k in (-1, 0, 1, 2))
    return p1 + 0.5 * t * (
        p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )


def seamless_fbm(
    rng: np.random.Generator,
    height: int,
    width: int,
    cells: float,
    octaves: int = 5,
    gain: float = 0.5,
    aspect: float = 1.0,
) -> np.ndarray:
    """Sum of octaves of seamless value noise, scaled to unit standard deviation and zero mean.

    `cells` is the number of grid cells along the height in the first octave; `aspect` > 1 makes
    the structures longer vertically.
    """
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows = cells * 2.0**octave
        cols = rows * aspect * width / height
        if rows > height and cols > width:
            break
        total += weight * value_noise(rng, height, width, round(rows), round(cols))
        weight *= gain
    return (total - total.mean()) / max(float(total.std()), 1e-6)


@lru_cache(maxsize=1)
def _sheets() -> list[np.ndarray]:
    """Seamless noise with cells of 2, 4, 8 ... 512 texels; each repeats after another size."""
    rng = np.random.default_rng(99)
    sheets = []
    for k in range(1, 10):
        count = max(2, round((1090 - 37 * k) / 2**k))
        sheet = value_noise(rng, count * 2**k, count * 2**k, count, count)
        sheets.append(sheet / sheet.std())
    return sheets


def fbm(
    rng: np.random.Generator,
    height: int,
    width: int,
    cell: float,
    octaves: int = 5,
    gain: float = 0.5,
    aspect: float = 1.0,
) -> np.ndarray:
    """As `seamless_fbm` but quick and of any size: pieces of prepared sheets at random places.

    `cell` is the size of the largest structures across, in texels; it is rounded to a power of two.
    Unit standard deviation on average.
    """
    total = np.zeros((height, width), np.float32)
    sheets = _sheets()
    first = int(np.clip(round(np.log2(max(cell, 2.0))), 1, len(sheets)))
    weight, power = 1.0, 0.0
    for k in range(first, max(0, first - octaves), -1):
        sheet = sheets[k - 1]
        size = len(sheet)
        y = rng.uniform(0, size) + np.arange(height) / aspect
        x = (int(rng.uniform(0, size)) + np.arange(width)) % size
        low = y.astype(int)
        piece = sheet.take(low % size, 0).take(x, 1)
        if aspect != 1.0:
            part = (y - low).astype(np.float32)[:, None]
            piece += part * (sheet.take((low + 1) % size, 0).take(x, 1) - piece)
        total += weight * piece
        power += weight * weight
        weight *= gain
    return total / np.float32(np.sqrt(power))


def sparse_spots(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """(height,width) float mask in [0,1] of single-texel specks covering `share` of the area."""
    return (rng.random((height, width), dtype=np.float32) < share).astype(np.float32)


def worley(rng: np.random.Generator, size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Seamless cellular noise on a jittered grid: (distance gap F2-F1, random value per cell).

    Both (size,size); distances in cells. Small gaps are the borders between cells.
    """
    points = rng.random((cells, cells, 2)).astype(np.float32)
    value = rng.random((cells, cells)).astype(np.float32)
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (cells / size)
    y, x = axis[:, None], axis[None, :]
    iy, ix = np.floor(y).astype(int), np.floor(x).astype(int)
    first = np.full((size, size), 9.0, np.float32)
    second = first.copy()
    owner = np.zeros((size, size), np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            cy, cx = (iy + dy) % cells, (ix + dx) % cells
            py = points[cy, cx, 0] + iy + dy
            px = points[cy, cx, 1] + ix + dx
            distance = np.hypot(py - y, px - x)
            closer = distance < first
            second = np.where(closer, first, np.minimum(second, distance))
            owner = np.where(closer, value[cy, cx], owner)
            first = np.minimum(first, distance)
    return second - first, owner

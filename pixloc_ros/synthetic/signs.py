"""Lettering-like marks, shop signs, posters and graffiti: small things that never repeat."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pixloc_ros.synthetic.noise import resize

# strokes of a 3 x 5 grid of knots from which glyphs are drawn
_STROKES = [
    ((0, 0), (0, 4)),
    ((2, 0), (2, 4)),
    ((0, 0), (2, 0)),
    ((0, 2), (2, 2)),
    ((0, 4), (2, 4)),
    ((0, 0), (2, 4)),
    ((2, 0), (0, 4)),
    ((0, 2), (2, 4)),
    ((0, 2), (2, 0)),
    ((1, 0), (1, 4)),
]


@lru_cache(maxsize=1)
def _alphabet() -> np.ndarray:
    """Letter-like marks, (96,40,28) float masks with some space at the right."""
    rng = np.random.default_rng(7)
    marks = np.zeros((96, 40, 28), np.float32)
    y, x = np.mgrid[0:40, 0:24] / 8.0
    for mark in marks:
        weight = rng.uniform(0.28, 0.42)
        for k in rng.choice(len(_STROKES), rng.integers(2, 5), replace=False):
            (x0, y0), (x1, y1) = np.array(_STROKES[k]) + 0.5
            along = np.array([x1 - x0, y1 - y0])
            s = np.clip(((x - x0) * along[0] + (y - y0) * along[1]) / (along @ along), 0, 1)
            distance = np.hypot(x - x0 - s * along[0], y - y0 - s * along[1])
            mark[:, :24] = np.maximum(mark[:, :24], np.clip((weight - distance) * 6 + 0.5, 0, 1))
    return marks


def lettering(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A line of marks with word gaps centred in a (height,width) mask."""
    out = np.zeros((height, width), np.float32)
    size = min(height, max(4, round(height * rng.uniform(0.45, 0.75))))
    count = int(min(rng.integers(4, 14), (width - 2) // (size * 0.7)))
    if count < 1:
        return out
    marks = _alphabet()[rng.integers(0, 96, count)] * (rng.random(count) > 0.14)[:, None, None]
    line = np.concatenate(list(marks), 1)
    span = min(width, round(count * size * 0.7))
    x, y = (width - span) // 2, (height - size) // 2
    out[y : y + size, x : x + span] = resize(line, size, span)
    return out


def vivid(rng: np.random.Generator, saturation: float = 0.5) -> np.ndarray:
    """A random RGB colour (3,) float32."""
    base = rng.uniform(0.1, 0.95)
    color = base + saturation * (rng.uniform(0, 1, 3) - 0.5)
    return np.clip(color, 0.03, 0.97).astype(np.float32)


def board(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A shop sign, (height,width,3)."""
    back = vivid(rng)
    ink = np.where(back.mean() > 0.5, 0.05, 0.95) + 0.3 * (vivid(rng) - 0.5)
    out = np.broadcast_to(back, (height, width, 3)).copy()
    out *= np.linspace(1.05, 0.92, height)[:, None, None]
    mask = lettering(rng, height, width)[..., None]
    out = out * (1 - mask) + np.clip(ink, 0, 1) * mask
    if rng.random() < 0.6:
        rim = max(1, height // 14)
        out[:rim], out[-rim:], out[:, :rim], out[:, -rim:] = ink, ink, ink, ink
    return np.clip(out, 0, 1).astype(np.float32)


def poster(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A bill: blocks, blobs and lines of lettering, (height,width,3)."""
    out = np.broadcast_to(vivid(rng, 0.9), (height, width, 3)).copy()
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for _ in range(rng.integers(2, 6)):
        color = vivid(rng, 1.0)
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(0.08, 0.45) * height, rng.uniform(0.08, 0.45) * width
        if rng.random() < 0.5:
            inside = (np.abs(y - cy) < ry) & (np.abs(x - cx) < rx)
        else:
            inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        out[inside] = color * rng.uniform(0.8, 1.0)
    ink = vivid(rng, 1.0)
    for _ in range(rng.integers(1, 5)):
        rows = min(height, max(6, int(height * rng.uniform(0.05, 0.16))))
        top = int(rng.uniform(0, max(1, height - rows)))
        mask = lettering(rng, rows, width)[..., None]
        out[top : top + rows] = out[top : top + rows] * (1 - mask) + ink * mask
    return np.clip(out, 0, 1).astype(np.float32)


def scribble(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Graffiti: a (height,width) mask of a few thick random curves."""
    out = np.zeros((height, width), np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for _ in range(rng.integers(2, 5)):
        knots = rng.uniform(0.1, 0.9, (4, 2)) * (height, width)
        s = np.linspace(0, 1, 16)[:, None]
        path = (
            (1 - s) ** 3 * knots[0]
            + 3 * s * (1 - s) ** 2 * knots[1]
            + 3 * s * s * (1 - s) * knots[2]
            + s**3 * knots[3]
        )
        thick = rng.uniform(0.04, 0.07) * height
        for py, px in path:
            out = np.maximum(out, np.clip(thick - np.hypot(y - py, x - px) + 0.5, 0, 1))
    return out

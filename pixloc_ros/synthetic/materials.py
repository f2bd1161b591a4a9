"""The shared library of seamless textures: fine detail, base materials, clouds, cut-out masks.

A detail texture adds what baked textures are too coarse for: red is a multiplier around 0.5, green
and blue are the slope of the surface to the right and upwards (0.5 = flat), lit when rendered.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from pixloc_ros.synthetic.noise import resize, seamless_fbm, sparse_spots, worley

SIZE = 512
MASK_SIZE = 128
MASK_LEVELS = 5
LEAF_MASKS = 4  # masks 0..3 are leaf clusters, 4 is a disc, 5 a railing
DISC, RAILING = 4, 5
#: steepness of the fine relief; negative where bright texels lie deeper (mortar)
_RELIEF = {
    "grain": 1.1,
    "plaster": 1.8,
    "brick": -0.9,
    "ashlar": 1.3,
    "planks": 1.0,
    "concrete": 1.0,
}


def grey(values: np.ndarray) -> np.ndarray:
    """(H,W) -> (H,W,3)."""
    return np.repeat(values[..., None], 3, 2)


def relief(values: np.ndarray, depth: float) -> np.ndarray:
    """Detail texture (H,W,3) of a material: its values, and slopes as if bright texels rose."""
    right = np.roll(values, -1, 1) - np.roll(values, 1, 1)
    upward = np.roll(values, 1, 0) - np.roll(values, -1, 0)
    return np.stack([values, 0.5 + depth * right, 0.5 + depth * upward], 2)


def tinted(
    values: np.ndarray, color, hue: np.ndarray | None = None, spread: float = 0.0
) -> np.ndarray:
    """(H,W) brightness times an RGB colour whose warmth follows the map `hue`."""
    out = values[..., None] * np.asarray(color, np.float32)
    if hue is not None:
        out = out * (1 + spread * hue[..., None] * np.array([1.0, 0.1, -1.0], np.float32))
    return out


def _grain(rng) -> np.ndarray:
    """Asphalt stones, 1.3 m per tile at 400 texels/m."""
    gap, stone = worley(rng, SIZE, 90)
    value = 0.5 + 0.09 * seamless_fbm(rng, SIZE, SIZE, 40, 4, 0.8) + 0.16 * (stone - 0.5)
    return value - 0.08 * np.clip(1 - gap * 5, 0, 1)


def _plaster(rng) -> np.ndarray:
    fine = seamless_fbm(rng, SIZE, SIZE, 24, 4, 0.85)
    return 0.5 + 0.035 * fine + 0.03 * seamless_fbm(rng, SIZE, SIZE, 3, 3)


def _bricks(rng, rows: int, cols: int, joint: float, spread: float) -> np.ndarray:
    """Running bond: rows x cols units per tile; joint width as a share of the course height."""
    axis = (np.arange(SIZE) + 0.5) / SIZE
    y = axis[:, None] * rows
    row = y.astype(int)
    x = axis[None, :] * cols + 0.5 * (row % 2)
    col = x.astype(int) % cols
    shade = rng.normal(0, spread, (rows, cols)).astype(np.float32)
    fy, fx = y - row, x - np.floor(x)
    wobble = 0.05 * seamless_fbm(rng, SIZE, SIZE, 30, 3)
    edge = np.minimum(np.minimum(fy, 1 - fy), 3.0 * np.minimum(fx, 1 - fx)) + wobble * joint
    mortar = np.clip((joint - edge) / (0.6 * joint) + 0.5, 0, 1)
    value = 0.48 + shade[row, col] + 0.035 * seamless_fbm(rng, SIZE, SIZE, 40, 4, 0.8)
    lip = np.clip((fy - 0.75) * 4, 0, 1) * 0.06
    joint = 0.62 + 0.04 * seamless_fbm(rng, SIZE, SIZE, 60, 3)
    return value * (1 - mortar) + joint * mortar - lip


def _planks(rng) -> np.ndarray:
    boards = 9
    axis = (np.arange(SIZE) + 0.5) / SIZE * boards
    board = axis.astype(int)
    shade = rng.normal(0, 0.05, boards)[board][None, :]
    seam = np.clip(1 - np.minimum(axis % 1, 1 - axis % 1) * 22, 0, 1)[None, :]
    fibres = seamless_fbm(rng, SIZE, SIZE, 3, 5, 0.7, aspect=24.0)
    return 0.5 + shade + 0.05 * fibres - 0.28 * seam


def _leaves(rng, color, scale: float) -> np.ndarray:
    gap, leaf = worley(rng, SIZE, round(40 * scale))
    depth = seamless_fbm(rng, SIZE, SIZE, 6, 5, 0.7)
    value = 0.34 + 0.10 * depth + 0.22 * (leaf - 0.5) - 0.1 * np.clip(1 - gap * 4, 0, 1)
    return tinted(np.clip(value, 0.05, 1) / 0.4, color, seamless_fbm(rng, SIZE, SIZE, 4, 3), 0.08)


def _tiles(rng) -> np.ndarray:
    rows, cols = 14, 10
    axis = (np.arange(SIZE) + 0.5) / SIZE
    y, x = axis[:, None] * rows, axis[None, :] * cols
    shade = rng.normal(0, 0.08, (rows, cols))[y.astype(int), x.astype(int)]
    profile = 0.12 * np.cos(2 * np.pi * x) - 0.25 * np.clip((y % 1) - 0.8, 0, 1) / 0.2
    return 0.5 + shade + profile + 0.05 * seamless_fbm(rng, SIZE, SIZE, 20, 4, 0.8)


def _concrete(rng) -> np.ndarray:
    pores = 0.1 * sparse_spots(rng, SIZE, SIZE, 0.01)
    fine = seamless_fbm(rng, SIZE, SIZE, 60, 3, 0.9)
    return 0.5 + 0.05 * fine + 0.03 * seamless_fbm(rng, SIZE, SIZE, 4, 4) - pores


def _metal(rng) -> np.ndarray:
    return 0.5 + 0.015 * seamless_fbm(rng, SIZE, SIZE, 30, 3, 0.8)


def _bark(rng) -> np.ndarray:
    return tinted(
        0.5 + 0.16 * seamless_fbm(rng, SIZE, SIZE, 4, 5, 0.7, aspect=6.0), (0.62, 0.54, 0.46)
    )


def _clouds(rng) -> np.ndarray:
    billow = seamless_fbm(rng, SIZE, SIZE, 3, 6, 0.55) * 0.16 + 0.62
    shade = seamless_fbm(rng, SIZE, SIZE, 6, 4) * 0.14 + 0.5
    return np.stack([billow, shade, billow], 2)


def _leaf_mask(rng) -> np.ndarray:
    """A ragged cluster of leaves; four-fold supersampled."""
    size = MASK_SIZE * 2
    axis = np.linspace(-1, 1, size)
    radius = np.hypot(axis[:, None], axis[None, :])
    ragged = seamless_fbm(rng, size, size, 5, 3)
    gap, leaf = worley(rng, size, 20)
    inside = 0.80 + 0.14 * ragged + 0.35 * (leaf - 0.6) - radius
    return ((inside > 0) & (gap > 0.05) & (leaf > 0.12)).astype(np.float32)


def _railing() -> np.ndarray:
    size = MASK_SIZE * 2
    axis = (np.arange(size) + 0.5) / size
    bars = ((axis * 14) % 1 < 0.22)[None, :] | np.zeros((size, 1), bool)
    rails = ((axis < 0.07) | (axis > 0.93))[:, None]
    return (bars | rails).astype(np.float32)


def _keep_cover(mask: np.ndarray, cover: float) -> np.ndarray:
    """Shift a smoothed mask so that the share above 0.5 stays `cover`: thin bars do not vanish."""
    return mask + (0.5 - np.quantile(mask, 1 - cover))


@lru_cache(maxsize=1)
def masks() -> torch.Tensor:
    """(MASK_LEVELS, 6, MASK_SIZE, MASK_SIZE) cut-out opacities, smoother and smoother."""
    rng = np.random.default_rng(77)
    axis = np.linspace(-1, 1, MASK_SIZE * 2)
    disc = (np.hypot(axis[:, None], axis[None, :]) <= 1).astype(np.float32)
    shapes = [_leaf_mask(rng) for _ in range(LEAF_MASKS)] + [disc, _railing()]
    levels = []
    for level in range(MASK_LEVELS):
        small = [resize(s, MASK_SIZE >> level, MASK_SIZE >> level) for s in shapes]
        levels.append(
            np.stack(
                [
                    _keep_cover(resize(s, MASK_SIZE, MASK_SIZE), float(shape.mean()))
                    for s, shape in zip(small, shapes)
                ]
            )
        )
    return torch.from_numpy(np.stack(levels).astype(np.float32))


@lru_cache(maxsize=1)
def library() -> dict[str, np.ndarray]:
    """Name -> (512,512,3) texture. The same in every world; baked textures make worlds differ."""
    makers = {
        "grain": lambda rng: grey(_grain(rng)),
        "plaster": lambda rng: grey(_plaster(rng)),
        "brick": lambda rng: grey(_bricks(rng, 16, 5, 0.1, 0.06)),
        "ashlar": lambda rng: grey(_bricks(rng, 4, 2, 0.03, 0.03)),
        "planks": lambda rng: grey(_planks(rng)),
        "tiles": lambda rng: grey(_tiles(rng)),
        "concrete": lambda rng: grey(_concrete(rng)),
        "metal": lambda rng: grey(_metal(rng)),
        "leaves": lambda rng: _leaves(rng, (0.30, 0.40, 0.20), 1.0),
        "hedge": lambda rng: _leaves(rng, (0.22, 0.33, 0.17), 1.6),
        "bark": _bark,
        "clouds": _clouds,
    }
    out = {name: make(np.random.default_rng(list(name.encode()))) for name, make in makers.items()}
    for name, depth in _RELIEF.items():
        values = out[name][..., 0]
        out[name + " detail"] = relief(values, depth)
    return {name: np.clip(image, 0, 1).astype(np.float32) for name, image in out.items()}


#: texels per metre at which each detail is true to scale
DETAIL_DENSITY = {
    "grain": 400.0,
    "plaster": 300.0,
    "brick": 440.0,
    "ashlar": 320.0,
    "planks": 400.0,
    "tiles": 150.0,
    "concrete": 250.0,
    "metal": 250.0,
}

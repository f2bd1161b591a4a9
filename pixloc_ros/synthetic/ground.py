"""The street's surface baked along its course: asphalt, patches, cracks, markings, pavements."""

from __future__ import annotations

import numpy as np

from pixloc_ros.synthetic.noise import fbm, seamless_fbm


def bake_road(rng: np.random.Generator, length: float, width: float, density: float) -> np.ndarray:
    """Carriageway, (H,W,3): columns along the street, rows across it."""
    rows, cols = round(width * density), round(length * density)
    tone = rng.uniform(0.27, 0.4)
    out = np.full((rows, cols), tone, np.float32)
    out *= 1 + 0.10 * fbm(rng, rows, cols, 4 * density, 8, 0.8)
    _speckle(out, rng, 0.012)
    out *= 1 + 0.05 * fbm(rng, cols, rows, 0.7 * density, 4, aspect=12.0).T
    for side in (-1, 1):
        for wheel in (0.25, 0.62):
            center = rows / 2 + side * wheel * rows / 2
            band = np.exp(-0.5 * ((np.arange(rows) - center) / (0.28 * density)) ** 2)
            out *= 1 - 0.07 * band[:, None]
    spill = np.clip(fbm(rng, rows, cols, 0.5 * density, 4, 0.6) - 1.6, 0, 1)
    out *= 1 - 0.35 * spill
    _patches(out, rng, density)
    _cracks(out, rng, density)
    _manholes(out, rng, density)
    color = np.stack([out * 1.0, out * rng.uniform(0.97, 1.0), out * rng.uniform(0.93, 1.0)], 2)
    _markings(color, rng, density)
    return np.clip(color, 0, 1)


def bake_pavement(
    rng: np.random.Generator, length: float, width: float, density: float
) -> np.ndarray:
    """Footway with kerb stones along its first row edge, (H,W,3)."""
    rows, cols = max(8, round(width * density)), round(length * density)
    tone = rng.uniform(0.38, 0.56)
    out = np.full((rows, cols), tone, np.float32)
    out *= 1 + 0.08 * fbm(rng, rows, cols, 2 * density, 7, 0.8)
    _speckle(out, rng, 0.006)
    pitch = rng.choice([0.3, 0.4, 0.5, 0.6]) * density
    across, along = np.arange(rows) / pitch, np.arange(cols) / (pitch * rng.choice([1.0, 1.5]))
    shade = rng.normal(0, 0.05, (int(across[-1]) + 1, int(along[-1]) + 2)).astype(np.float32)
    row = across.astype(int)
    shift = 0.5 * (row % 2) if rng.random() < 0.5 else 0.0 * row
    col = (along[None, :] + shift[:, None]).astype(int)
    out *= 1 + shade[row[:, None], col]
    joint_along = ((along[None, :] + shift[:, None]) % 1) * pitch < 1.0
    joint_across = (across % 1) * pitch < 1.0
    out *= np.where(joint_along | joint_across[:, None], 0.78, 1.0)
    _cracks(out, rng, density)
    _patches(out, rng, density, rate=0.03)
    edge = max(2, round(0.15 * density))
    stones = rng.normal(1.08, 0.06, cols // max(1, round(density)) + 1)
    out[:edge] = tone * np.repeat(stones, max(1, round(density)))[:cols]
    out[:edge, :: max(1, round(density))] *= 0.6
    return np.clip(np.stack([out, out * 0.985, out * 0.95], 2), 0, 1)


def bake_terrain(rng: np.random.Generator, size: int = 512) -> np.ndarray:
    """Open ground beside the street at a few texels per metre, grass to gravel, (size,size,3)."""
    mix = np.clip(0.5 + 0.6 * seamless_fbm(rng, size, size, 4, 6, 0.6), 0, 1)[..., None]
    tone = 1 + 0.12 * seamless_fbm(rng, size, size, 24, 5, 0.7)[..., None]
    grass, gravel = np.array([0.33, 0.40, 0.21]), np.array([0.50, 0.46, 0.39])
    return np.clip((grass * (1 - mix) + gravel * mix) * tone, 0, 1).astype(np.float32)


def _speckle(out: np.ndarray, rng, share: float) -> None:
    """Light and dark stones, chewing gum, scraps: single texels and small blots."""
    rows, cols = out.shape
    count = int(share * rows * cols)
    y, x = rng.integers(0, rows - 1, count), rng.integers(0, cols - 1, count)
    tone = rng.uniform(0.6, 1.45, count).astype(np.float32)
    out[y, x] *= tone
    large = slice(0, count // 4)
    out[y[large] + 1, x[large]] *= tone[large]
    out[y[large], x[large] + 1] *= tone[large]


def _patches(out: np.ndarray, rng, density: float, rate: float = 0.02) -> None:
    """Repairs: rectangles of another tone with a dark seam, some long trenches."""
    rows, cols = out.shape
    for _ in range(rng.poisson(rate * rows * cols / density**2)):
        w, h = rng.uniform(0.5, 5.0) * density, rng.uniform(0.4, 1.6) * density
        if rng.random() < 0.3:
            w, h = rng.uniform(0.3, 0.6) * density, rng.uniform(0.3, 1.0) * rows
        x, y = int(rng.uniform(0, cols)), int(rng.uniform(0, rows))
        area = out[y : y + int(h), x : x + int(w)]
        if area.size:
            area *= rng.uniform(0.72, 1.22)
            area[:2] *= 0.7
            area[-2:] *= 0.7
            area[:, :2] *= 0.7
            area[:, -2:] *= 0.7


def _cracks(out: np.ndarray, rng, density: float) -> None:
    """Dark wandering lines, some sealed with bitumen."""
    rows, cols = out.shape
    for _ in range(rng.poisson(0.06 * rows * cols / density**2)):
        x, y = rng.uniform(0, cols), rng.uniform(0, rows)
        angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.5)
        steps = int(rng.uniform(0.5, 4.0) * density)
        angle = angle + np.cumsum(rng.normal(0, 0.18, steps))
        xs = (x + np.cumsum(np.cos(angle))).astype(int)
        ys = (y + np.cumsum(np.sin(angle))).astype(int)
        keep = (xs >= 0) & (xs < cols - 1) & (ys >= 0) & (ys < rows - 1)
        xs, ys = xs[keep], ys[keep]
        depth = rng.uniform(0.5, 0.8)
        out[ys, xs] *= depth
        if rng.random() < 0.35:
            out[ys + 1, xs] *= depth
            out[ys, xs + 1] *= depth


def _manholes(out: np.ndarray, rng, density: float) -> None:
    rows, cols = out.shape
    for _ in range(rng.poisson(cols / density / 9)):
        radius = rng.uniform(0.28, 0.4) * density
        cx = rng.uniform(radius, cols - radius)
        cy = rng.uniform(radius, max(radius + 1, rows - radius))
        x0, y0 = max(0, int(cx - radius - 2)), max(0, int(cy - radius - 2))
        area = out[y0 : int(cy + radius + 3), x0 : int(cx + radius + 3)]
        y, x = np.mgrid[0 : area.shape[0], 0 : area.shape[1]]
        distance = np.hypot(x + x0 - cx, y + y0 - cy) / radius
        if rng.random() < 0.4:
            distance = np.maximum(np.abs(x + x0 - cx), np.abs(y + y0 - cy)) / radius * 1.3
        lid = distance < 1
        pattern = 0.75 + 0.2 * ((x // 3 + y // 3) % 2)
        area[lid] = (rng.uniform(0.25, 0.42) * pattern)[lid]
        area[np.abs(distance - 1) < 0.1] *= 0.5


def _markings(color: np.ndarray, rng, density: float) -> None:
    """Worn paint: centre dashes, edge lines, now and then a zebra crossing or an arrow."""
    rows, cols = color.shape[:2]
    paint = np.zeros((rows, cols), np.float32)
    half = max(1, round(0.06 * density))
    middle = rows // 2
    dash, gap = rng.choice([(3.0, 6.0), (2.0, 4.0), (1.5, 1.5), (6.0, 3.0)])
    phase = np.arange(cols) / density % (dash + gap) < dash
    if rng.random() < 0.85:
        paint[middle - half : middle + half, phase] = 1
    if rng.random() < 0.5:
        for y in (round(0.22 * rows), round(0.78 * rows)):
            paint[y - half : y + half, :] = 1
    for x in np.arange(rng.uniform(6, 20), cols / density - 4, rng.uniform(25, 50)):
        kind = rng.random()
        start = round(x * density)
        if kind < 0.4:
            stripes = np.arange(rows) / density % 1.0 < 0.5
            paint[stripes, start : start + round(3.0 * density)] = 1
        elif kind < 0.7:
            y = round(rng.choice([0.36, 0.62]) * rows)
            for k in range(round(2.4 * density)):
                spread = (
                    round(0.07 * density)
                    if k < 1.5 * density
                    else round(0.35 * density * (1 - (k / density - 1.5) / 0.9))
                )
                paint[y - spread : y + spread, min(start + k, cols - 1)] = 1
        else:
            paint[middle:, start : start + round(0.4 * density)] = 1
    wear = np.clip(0.75 + 0.35 * fbm(rng, rows, cols, density, 5, 0.8), 0, 1)
    cover = (paint * wear * rng.uniform(0.6, 0.95))[..., None]
    color *= 1 - cover
    color += cover * rng.uniform(0.75, 0.9)

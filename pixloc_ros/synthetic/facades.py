"""Facades baked as unique textures: wall, weathering, windows, doors, shops, signs.

The fourth channel of a baked texture says what a texel is: 0 bare wall (the material's fine detail
applies), PAINT painted or wooden (no detail), up to 1 glass (mirrors the sky).
"""

from __future__ import annotations

import numpy as np

from pixloc_ros.synthetic import signs
from pixloc_ros.synthetic.noise import fbm, resize
from pixloc_ros.synthetic.photographs import POSTERS, WALLS, Photographs

PAINT = 0.25
WALL_STYLES = ("plaster", "brick", "ashlar", "concrete", "planks")


class Canvas:
    """A texture addressed in metres from the lower left corner; pixels (H,W,4). photographs: for
    walls and posters, besides the procedural ones."""

    def __init__(
        self, width: float, height: float, density: float, photographs: Photographs | None = None
    ) -> None:
        self.density, self.photographs = density, photographs
        self.cols, self.rows = max(8, round(width * density)), max(8, round(height * density))
        self.pixels = np.zeros((self.rows, self.cols, 4), np.float32)

    def window(self, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        """Writable view of the rectangle (metres, y up), at least one texel, clipped."""
        left, right = round(x0 * self.density), round(x1 * self.density)
        top, bottom = self.rows - round(y1 * self.density), self.rows - round(y0 * self.density)
        left, top = min(max(left, 0), self.cols - 1), min(max(top, 0), self.rows - 1)
        return self.pixels[top : max(bottom, top + 1), left : max(right, left + 1)]

    def fill(self, x0, y0, x1, y1, color, kind: float = PAINT) -> None:
        """Paint a rectangle."""
        area = self.window(x0, y0, x1, y1)
        area[..., :3] = color
        area[..., 3] = kind

    def shade(self, x0, y0, x1, y1, factor) -> None:
        """Multiply the colours of a rectangle."""
        self.window(x0, y0, x1, y1)[..., :3] *= factor

    def paste(self, x0, y0, x1, y1, make, kind: float = PAINT, opacity: float = 1.0) -> None:
        """Fill a rectangle with make(rows, cols) -> (rows,cols,3)."""
        area = self.window(x0, y0, x1, y1)
        area[..., :3] += opacity * (make(*area.shape[:2]) - area[..., :3])
        area[..., 3] = kind


def poster(
    rng: np.random.Generator, rows: int, cols: int, photographs: Photographs | None
) -> np.ndarray:
    """A bill (rows,cols,3): drawn, or, if there are any, perhaps a photograph."""
    if photographs and rng.random() < POSTERS:
        return photographs.poster(rng, rows, cols)
    return signs.poster(rng, rows, cols)


def wall_color(rng: np.random.Generator, style: str) -> np.ndarray:
    """A plausible wall colour (3,)."""
    if style == "brick":
        return np.array([0.6, 0.44, 0.37]) * rng.uniform(0.8, 1.12) + rng.normal(0, 0.03, 3)
    if style == "planks":
        wood = rng.uniform(0.3, 0.75) * np.array([1.0, 0.95, 0.87])
        return np.clip(wood + rng.normal(0, 0.03, 3), 0.1, 0.9)
    if style == "plaster":
        return np.clip(
            rng.uniform(0.52, 0.85)
            + np.array([0.05, 0, -0.07]) * rng.uniform(-0.5, 1.8)
            + rng.normal(0, 0.03, 3),
            0.15,
            0.95,
        )
    stone = rng.uniform(0.4, 0.68)
    return np.clip(stone + np.array([0.03, 0.01, -0.03]) * rng.uniform(0, 1.5), 0, 1)


def bake_facade(
    rng: np.random.Generator,
    width: float,
    height: float,
    style: str,
    color,
    density: float,
    shop: bool,
    floor: float = 3.0,
    photographs: Photographs | None = None,
) -> tuple[np.ndarray, list]:
    """Front of a house: the texture (H,W,4) and the window openings (x0,y0,x1,y1) in metres."""
    canvas = Canvas(width, height, density, photographs)
    _wall(canvas, rng, color)
    plinth = rng.uniform(0.3, 0.9)
    canvas.shade(0, 0, width, plinth, rng.uniform(0.6, 0.9))
    ground = rng.uniform(3.2, 4.0) if shop else floor
    for level in range(1, int((height - ground) / floor) + 1):
        if rng.random() < 0.5:
            y = ground + (level - 1) * floor
            canvas.shade(0, y, width, y + 0.12, 1.12)
            canvas.shade(0, y - 0.06, width, y, 0.7)
    openings = _upper_floors(canvas, rng, width, height, ground, floor)
    if shop:
        _shop_front(canvas, rng, width, ground)
    else:
        openings += _ground_floor(canvas, rng, width, floor, plinth)
    _weather(canvas, rng)
    _extras(canvas, rng, width, height, ground)
    canvas.shade(0, height - 0.25, width, height, rng.uniform(0.7, 1.15))
    return np.clip(canvas.pixels, 0, 1), openings


def bake_wall(
    rng: np.random.Generator,
    width: float,
    height: float,
    color,
    density: float,
    photographs: Photographs | None = None,
) -> np.ndarray:
    """A blank wall with weathering, marks and perhaps posters, (H,W,4)."""
    canvas = Canvas(width, height, density, photographs)
    _wall(canvas, rng, color)
    _weather(canvas, rng)
    for _ in range(rng.poisson(width * height / 18)):
        x, y = rng.uniform(0.3, max(0.4, width - 1.2)), rng.uniform(0.6, max(0.7, height - 1.8))
        _draw_window(
            canvas,
            rng,
            x,
            y,
            x + rng.uniform(0.5, 1.1),
            y + rng.uniform(0.5, 1.4),
            _window_style(rng),
        )
    for _ in range(rng.integers(0, 3)):
        _graffito(canvas, rng, width, min(height, 2.5))
    for _ in range(rng.integers(0, 4)):
        w, h = rng.uniform(0.4, 1.2), rng.uniform(0.5, 1.6)
        x, y = rng.uniform(0, max(0.1, width - w)), rng.uniform(0.3, max(0.4, min(height, 3) - h))
        canvas.paste(x, y, x + w, y + h, lambda r, c: poster(rng, r, c, photographs), opacity=0.92)
    return np.clip(canvas.pixels, 0, 1)


def _wall(canvas: Canvas, rng, color) -> None:
    rows, cols = canvas.rows, canvas.cols
    if canvas.photographs and rng.random() < WALLS:
        canvas.pixels[..., :3] = canvas.photographs.wall(rng, rows, cols, canvas.density, color)
        return
    broad = fbm(rng, rows, cols, 3.0 * canvas.density, 7, 0.75)
    canvas.pixels[..., :3] = np.asarray(color, np.float32) * (1 + 0.075 * broad[..., None])


def _weather(canvas: Canvas, rng) -> None:
    """Streaks that run down, stains, darker towards the ground."""
    rows, cols = canvas.rows, canvas.cols
    metres = rows / canvas.density
    streaks = np.clip(fbm(rng, rows, cols, 0.35 * canvas.density, 4, 0.7, aspect=14.0) - 0.7, 0, 2)
    stains = np.clip(fbm(rng, rows, cols, 2.0 * canvas.density, 5, 0.6) - 1.1, 0, 1.5)
    ground = np.exp(-np.linspace(metres, 0, rows) / 0.5)[:, None]
    loss = rng.uniform(0.03, 0.16) * streaks + rng.uniform(0.05, 0.25) * stains
    loss = (loss + rng.uniform(0.1, 0.35) * ground) * (canvas.pixels[..., 3] < 0.5)
    canvas.pixels[..., :3] *= np.clip(1 - loss, 0.3, 1.2)[..., None]


def _upper_floors(canvas, rng, width, height, ground, floor) -> list:
    w = rng.uniform(0.8, 1.7)
    h = rng.uniform(1.1, min(2.1, floor - 0.7))
    gap = rng.uniform(0.6, 1.8)
    count = max(1, int((width - 0.8) // (w + gap)))
    pitch = width / count
    style = _window_style(rng)
    out = []
    for level in range(int((height - ground - 0.3) / floor)):
        y = ground + level * floor + rng.uniform(0.75, 0.8) * (floor - h) * 0.75
        for k in range(count):
            if rng.random() < 0.06:
                continue
            x = (k + 0.5) * pitch - w / 2
            _draw_window(canvas, rng, x, y, x + w, y + h, style)
            out.append((x, y, x + w, y + h))
    return out


def _window_style(rng) -> dict:
    return {
        "frame": rng.uniform(0.05, 0.1),
        "bars": int(rng.integers(0, 3)),
        "rungs": int(rng.integers(0, 3)),
        "surround": rng.uniform(0, 0.2) * (rng.random() < 0.6),
        "tone": rng.uniform(0.75, 1.3),
        "shutters": rng.random() < 0.25,
        "frame_color": (
            np.full(3, rng.uniform(0.7, 0.95))
            if rng.random() < 0.65
            else signs.vivid(rng, 0.3) * 0.6
        ),
        "shutter_color": signs.vivid(rng, 0.4) * 0.7,
    }


def _draw_window(canvas, rng, x0, y0, x1, y1, style) -> None:
    s, f = style["surround"], style["frame"]
    if s > 0.03:
        canvas.shade(x0 - s, y0 - s, x1 + s, y1 + s, style["tone"])
    if style["shutters"]:
        w = (x1 - x0) / 2
        for a in (x0 - w - 0.03, x1 + 0.03):
            color = style["shutter_color"] * rng.uniform(0.9, 1.1)
            canvas.fill(a, y0, a + w, y1, color)
            for y in np.arange(y0 + 0.1, y1 - 0.05, 0.12):
                canvas.shade(a + 0.05, y, a + w - 0.05, y + 0.05, 0.75)
    canvas.fill(x0, y0, x1, y1, style["frame_color"] * rng.uniform(0.92, 1.05))
    canvas.shade(x0, y1 - 0.06, x1, y1, 0.5)
    canvas.shade(x0, y0, x0 + 0.03, y1, 0.7)
    glass(canvas, rng, x0 + f, y0 + f, x1 - f, y1 - f)
    bar = max(0.03, f * 0.6)
    for k in range(1, style["bars"] + 1):
        x = x0 + (x1 - x0) * k / (style["bars"] + 1)
        canvas.fill(x - bar / 2, y0 + f, x + bar / 2, y1 - f, style["frame_color"])
    for k in range(1, style["rungs"] + 1):
        y = y0 + (y1 - y0) * (0.35 + 0.65 * k / (style["rungs"] + 1))
        canvas.fill(x0 + f, y - bar / 2, x1 - f, y + bar / 2, style["frame_color"])
    canvas.fill(x0 - 0.08, y0 - 0.08, x1 + 0.08, y0, style["frame_color"] * 0.9)
    canvas.shade(x0 - 0.08, y0 - 0.14, x1 + 0.08, y0 - 0.08, 0.6)


def glass(canvas: Canvas, rng, x0, y0, x1, y1) -> None:
    """A pane with what can be seen behind it: dark room, curtains, blinds, things on the sill."""
    dark = rng.uniform(0.05, 0.2) * np.array([0.95, 1.0, 1.05])
    canvas.fill(x0, y0, x1, y1, dark, 1.0)
    area = canvas.window(x0, y0, x1, y1)
    rows, cols = area.shape[:2]
    area[..., :3] *= 1 + 0.25 * fbm(rng, rows, cols, 0.6 * rows, 3)[..., None]
    choice = rng.random()
    if choice < 0.4:
        cloth = rng.uniform(0.4, 0.85) * np.array([1.0, 0.97, rng.uniform(0.8, 1.0)])
        folds = 1 + 0.2 * fbm(rng, rows, cols, cols / 6, 3, aspect=16.0)[..., None]
        left, right = (rng.uniform(0.08, 0.5, 2) * cols).astype(int)
        area[:, :left, :3] = (cloth * folds)[:, :left]
        area[:, cols - right :, :3] = (cloth * folds)[:, cols - right :]
        area[..., 3] = 0.8
    elif choice < 0.6:
        drop = int(rows * rng.uniform(0.2, 1.0))
        slats = 0.5 + 0.25 * (np.arange(drop) % 4 < 2)[:, None, None]
        area[:drop, :, :3] = slats * rng.uniform(0.7, 1.2)
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 4)):
            w, h = rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.4)
            x = rng.uniform(x0, max(x0 + 0.01, x1 - w))
            canvas.fill(x, y0, min(x + w, x1), min(y0 + h, y1), signs.vivid(rng) * 0.5, 0.7)


def _ground_floor(canvas, rng, width, floor, plinth) -> list:
    style = _window_style(rng)
    x, out = rng.uniform(0.4, 0.9), []
    while x < width - 1.2:
        kind = rng.random()
        if kind < 0.3:
            w, h = rng.uniform(0.95, 1.3), rng.uniform(2.05, 2.4)
            _door(canvas, rng, x, x + w, h)
        elif kind < 0.42 and x + 2.6 < width:
            w, h = rng.uniform(2.3, 2.6), rng.uniform(2.0, 2.4)
            color = signs.vivid(rng, 0.3) * 0.8
            canvas.fill(x, 0, x + w, h, color)
            for y in np.arange(0.2, h, rng.uniform(0.15, 0.5)):
                canvas.shade(x, y, x + w, y + 0.03, 0.72)
        else:
            w, h = rng.uniform(0.8, 1.8), rng.uniform(1.1, 1.5)
            y = max(plinth + 0.1, floor - 0.6 - h)
            if x + w < width - 0.2:
                _draw_window(canvas, rng, x, y, x + w, y + h, style)
                out.append((x, y, x + w, y + h))
        x += w + rng.uniform(0.5, 1.6)
    return out


def _door(canvas, rng, x0, x1, top) -> None:
    color = signs.vivid(rng, 0.5) * rng.uniform(0.5, 1.0)
    canvas.fill(x0 - 0.1, 0, x1 + 0.1, top + 0.1, rng.uniform(0.3, 0.9))
    canvas.fill(x0, 0, x1, top, color)
    canvas.shade(x0, top - 0.06, x1, top, 0.5)
    split = rng.uniform(0.4, 0.55) * top
    if rng.random() < 0.6:
        glass(canvas, rng, x0 + 0.18, split, x1 - 0.18, top - 0.2)
    for y0, y1 in ((0.15, split - 0.12),):
        canvas.shade(x0 + 0.15, y0, x1 - 0.15, y1, 0.82)
        canvas.shade(x0 + 0.19, y0 + 0.04, x1 - 0.19, y1 - 0.04, 1.25)
    canvas.fill(x1 - 0.14, 1.0, x1 - 0.08, 1.14, 0.85, 0.6)


def _shop_front(canvas, rng, width, height) -> None:
    color = signs.vivid(rng, 0.5) * 0.8
    canvas.fill(0.1, 0, width - 0.1, height - 0.2, color)
    x, door = 0.3, rng.uniform(0.2, 0.7) * width
    while x < width - 0.7:
        w = min(rng.uniform(1.2, 2.6), width - 0.3 - x)
        if abs(x - door) < 1.3:
            w = min(1.1, w)
            glass(canvas, rng, x + 0.1, 0.25, x + w - 0.1, height - 1.2)
            door = -9.0
        else:
            glass(canvas, rng, x, 0.5, x + w, height - 1.1)
            _display(canvas, rng, x, 0.5, x + w)
        x += w + rng.uniform(0.08, 0.2)
    canvas.paste(0.2, height - 0.95, width - 0.2, height - 0.3, lambda r, c: signs.board(rng, r, c))
    canvas.shade(0.1, height - 0.32, width - 0.1, height - 0.28, 0.5)


def _display(canvas, rng, x0, y0, x1) -> None:
    """Goods behind a shop window, stickers on it."""
    for _ in range(rng.integers(3, 9)):
        w, h = rng.uniform(0.1, 0.4), rng.uniform(0.15, 1.1)
        x = rng.uniform(x0, max(x0 + 0.01, x1 - w))
        canvas.fill(x, y0, min(x + w, x1), y0 + h, signs.vivid(rng) * rng.uniform(0.3, 0.8), 0.75)
    if rng.random() < 0.6 and x1 - x0 > 0.9:
        w, h = rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.9)
        x, y = rng.uniform(x0, x1 - w), rng.uniform(y0 + 0.3, y0 + 0.9)
        canvas.paste(x, y, x + w, y + h, lambda r, c: poster(rng, r, c, canvas.photographs))


def _graffito(canvas, rng, width, top) -> None:
    w, h = rng.uniform(0.8, 2.5), rng.uniform(0.4, 1.2)
    x, y = rng.uniform(0, max(0.1, width - w)), rng.uniform(0.3, max(0.4, top - h))
    area = canvas.window(x, y, x + w, y + h)
    small = signs.scribble(rng, 32, max(8, int(32 * w / h)))
    mask = resize(small, *area.shape[:2])[..., None] * 0.85
    area[..., :3] = area[..., :3] * (1 - mask) + signs.vivid(rng, 1.0) * mask


def _extras(canvas, rng, width, height, ground) -> None:
    if rng.random() < 0.35:
        _graffito(canvas, rng, width, 2.4)
    for _ in range(rng.integers(0, 3)):
        w, h = rng.uniform(0.15, 0.6), rng.uniform(0.2, 0.7)
        x, y = rng.uniform(0.1, max(0.2, width - w)), rng.uniform(0.8, 2.2)
        canvas.paste(x, y, x + w, y + h, lambda r, c: poster(rng, r, c, canvas.photographs))
    for _ in range(rng.integers(0, 3)):
        x = rng.uniform(0.05, width - 0.15)
        canvas.fill(x, 0, x + 0.1, height, rng.uniform(0.25, 0.8))
        canvas.shade(x + 0.07, 0, x + 0.1, height, 0.6)
    if height > ground + 2 and rng.random() < 0.2:
        w, h = rng.uniform(2.0, min(5.0, width)), rng.uniform(0.6, 1.4)
        x = rng.uniform(0, max(0.1, width - w))
        canvas.paste(x, ground + 0.1, x + w, ground + 0.1 + h, lambda r, c: signs.board(rng, r, c))

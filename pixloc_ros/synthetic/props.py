"""Street furniture, trees and vehicles built of faces."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import lru_cache

import numpy as np

from pixloc_ros.synthetic import materials, signs
from pixloc_ros.synthetic.atlas import mip_levels
from pixloc_ros.synthetic.facades import Canvas, poster
from pixloc_ros.synthetic.faces import FaceList, Skin
from pixloc_ros.synthetic.photographs import Photographs

_LACQUERS = (
    (0.08, 0.08, 0.09),
    (0.14, 0.15, 0.17),
    (0.82, 0.82, 0.82),
    (0.82, 0.82, 0.80),
    (0.55, 0.56, 0.58),
    (0.36, 0.37, 0.39),
    (0.12, 0.18, 0.36),
    (0.10, 0.25, 0.45),
    (0.55, 0.08, 0.09),
    (0.40, 0.08, 0.08),
    (0.14, 0.27, 0.18),
    (0.60, 0.55, 0.43),
    (0.75, 0.50, 0.10),
)


class Kit:
    """Texture numbers shared by all props of a world, and its photographs if it has any."""

    def __init__(self, bank, photographs: Photographs | None = None) -> None:
        self.bank, self.photographs = bank, photographs
        shared, cars = _shared_levels()
        self.base = {name: bank.add_levels(levels) for name, levels in shared.items()}
        self.cars = [
            {part: bank.add_levels(levels) for part, levels in style.items()} for style in cars
        ]

    def detail(self, material: str) -> dict:
        """Arguments of a Skin that lay the fine structure of a material over a baked texture."""
        return {
            "detail": self.base[material + " detail"],
            "detail_density": materials.DETAIL_DENSITY[material],
        }

    def plain(self, name: str, color, density: float | None = None, gloss: float = 0.0) -> Skin:
        """A library material in a colour (display-referred RGB)."""
        density = density or materials.DETAIL_DENSITY.get(name, 150.0)
        scale = 1.0 if name in ("leaves", "hedge") else 2.0
        tint = tuple(float((scale * c) ** 2) for c in np.broadcast_to(color, 3))
        return Skin(self.base[name], density, tint, gloss=gloss)

    def lacquer(self, color, gloss: float = 0.5) -> Skin:
        """Smooth paint."""
        tint = tuple(float(c) ** 2 for c in np.broadcast_to(color, 3))
        return Skin(self.base["paint"], 1.0, tint, gloss=gloss)

    def image(self, pixels: np.ndarray, gloss: float = 0.3) -> Skin:
        """A new texture stretched over one face."""
        return Skin(self.bank.add(pixels), fit=True, gloss=gloss)

    def poster(self, rng, rows: int, cols: int) -> Skin:
        """A bill, drawn or photographed, stretched over one face."""
        return self.image(poster(rng, rows, cols, self.photographs))


def tree(faces: FaceList, kit: Kit, rng, base, height: float) -> None:
    """Trunk and a crown of leaf cards in a rough ellipsoid."""
    trunk = height * rng.uniform(0.28, 0.4)
    radius = rng.uniform(0.1, 0.22)
    faces.add_prism(
        base,
        radius,
        trunk * 1.4,
        kit.plain("bark", rng.uniform(0.25, 0.42), 180.0),
        7,
        top_radius=radius * 0.6,
    )
    color = np.array([0.9, 1.0, 0.9]) * rng.uniform(0.7, 1.15) * (1 + rng.normal(0, 0.06, 3))
    spread = np.array([1, 1, 0]) * height * rng.uniform(0.22, 0.34) + [0, 0, (height - trunk) / 2]
    center = np.asarray(base) + [0, 0, trunk + spread[2]]
    for _ in range(rng.integers(26, 40)):
        direction = rng.normal(0, 1, 3)
        direction /= np.linalg.norm(direction)
        middle = center + direction * spread * rng.uniform(0.35, 0.85)
        size = height * rng.uniform(0.10, 0.17)
        normal = direction + rng.normal(0, 0.5, 3)
        _card(faces, kit, rng, middle, normal, size, color * (0.8 + 0.25 * (direction[2] + 1) / 2))


def shrub(faces: FaceList, kit: Kit, rng, base, size: float) -> None:
    """A small bush of leaf cards."""
    color = np.array([0.85, 1.0, 0.8]) * rng.uniform(0.7, 1.2)
    for _ in range(rng.integers(7, 12)):
        direction = rng.normal(0, 1, 3)
        direction /= np.linalg.norm(direction)
        middle = np.asarray(base) + [0, 0, size * 0.5] + direction * size * 0.35
        _card(faces, kit, rng, middle, direction + rng.normal(0, 0.3, 3), size * 0.5, color)


def _card(faces, kit, rng, middle, normal, size, color) -> None:
    normal = normal / np.linalg.norm(normal)
    side = np.cross(normal, [0.1, 0.2, 1.0])
    side *= size / np.linalg.norm(side)
    up = np.cross(normal, side)
    skin = replace(
        kit.plain("leaves", np.clip(color, 0.05, 1.6), 220.0),
        mask=int(rng.integers(0, materials.LEAF_MASKS)),
    )
    faces.add(middle, side, up, skin, offset=rng.uniform(0, 3, 2))


def lamp(faces: FaceList, kit: Kit, rng, base, toward) -> np.ndarray:
    """Street lamp with an arm towards the road. Returns where its light comes from, (3,)."""
    steel = kit.plain("metal", rng.uniform(0.2, 0.5))
    height = rng.uniform(5.0, 8.0)
    faces.add_prism(base, 0.09, height, steel, 8, top_radius=0.05)
    faces.add_prism(base, 0.13, 0.9, steel, 8)
    head = np.asarray(base) + np.append(np.asarray(toward) * 0.8, height - 0.1)
    yaw = np.arctan2(toward[1], toward[0])
    faces.add_box(
        head - np.append(np.asarray(toward) * 0.4, 0.0), (0.5, 0.03, 0.03), yaw, steel, skip=()
    )
    faces.add_box(head, (0.35, 0.12, 0.06), yaw, kit.lacquer(0.7), skip=())
    return head - [0, 0, 0.1]


def traffic_sign(faces: FaceList, kit: Kit, rng, base, yaw: float) -> None:
    """A pole with one or two plates that face direction `yaw`."""
    base = np.asarray(base, float)
    height = rng.uniform(2.3, 3.2)
    faces.add_prism(base, 0.035, height, kit.plain("metal", 0.5), 6)
    out = np.array([np.cos(yaw), np.sin(yaw), 0])
    along = np.array([-out[1], out[0], 0])
    for k in range(rng.integers(1, 3)):
        size = rng.uniform(0.25, 0.38)
        middle = base + out * 0.05 + [0, 0, height - size - 0.8 * k]
        plate = signs.poster if rng.random() < 0.4 else signs.board
        pixels = _round_sign(rng) if k == 0 and rng.random() < 0.6 else plate(rng, 64, 64)
        disc = k == 0 and rng.random() < 0.7
        skin = kit.image(pixels, 0.2)
        faces.add(
            middle,
            along * size,
            [0, 0, size],
            replace(skin, mask=materials.DISC) if disc else skin,
            two_sided=True,
        )


def _round_sign(rng) -> np.ndarray:
    axis = np.linspace(-1, 1, 64)
    radius = np.hypot(axis[:, None], axis[None, :])[..., None]
    rim = np.array([0.75, 0.08, 0.1]) if rng.random() < 0.6 else np.array([0.1, 0.2, 0.6])
    inner = np.full((64, 64, 3), rng.choice([0.93, 0.93, 0.2]), np.float32)
    mask = signs.lettering(rng, 40, 44)
    inner[12:52, 10:54] *= 1 - mask[..., None] * 0.9
    return np.where(radius > 0.72, rim, inner).astype(np.float32)


def box_prop(faces: FaceList, kit: Kit, rng, base, yaw: float) -> None:
    """One of: power box, bin, bench, planter, bollard, crate pile, mail box, advertising column."""
    base = np.asarray(base, float)
    kind = rng.integers(0, 7)
    if kind == 0:
        w, h = rng.uniform(0.4, 0.8), rng.uniform(0.9, 1.5)
        skin = kit.plain(
            "metal", np.clip(rng.uniform(0.25, 0.5) + rng.normal(0, 0.05, 3), 0.1, 0.9)
        )
        front = kit.poster(rng, 64, 48) if rng.random() < 0.6 else skin
        faces.add_box(
            base + [0, 0, h / 2],
            (0.2, w / 2, h / 2),
            yaw,
            {"default": skin, "front": front, "back": skin},
            rng,
        )
    elif kind == 1:
        h = rng.uniform(0.9, 1.15)
        color = signs.vivid(rng, 0.6) * 0.7
        faces.add_box(base + [0, 0, h / 2], (0.3, 0.28, h / 2), yaw, kit.lacquer(color, 0.3))
        lid = kit.lacquer(color * 0.8, 0.3)
        faces.add_box(base + [0, 0, h + 0.04], (0.33, 0.3, 0.04), yaw, lid)
    elif kind == 2:
        wood = kit.plain("planks", (0.5, 0.36, 0.24))
        side = np.array([-np.sin(yaw), np.cos(yaw), 0])
        faces.add_box(base + [0, 0, 0.45], (0.22, 0.8, 0.03), yaw, wood, rng, skip=())
        out = np.array([np.cos(yaw), np.sin(yaw), 0])
        faces.add_box(base - out * 0.22 + [0, 0, 0.72], (0.03, 0.8, 0.18), yaw, wood, rng, skip=())
        for s in (-0.65, 0.65):
            faces.add_box(
                base + side * s + [0, 0, 0.21], (0.2, 0.04, 0.21), yaw, kit.plain("metal", 0.25)
            )
    elif kind == 3:
        w = rng.uniform(0.35, 0.7)
        faces.add_box(base + [0, 0, 0.25], (w, w, 0.25), yaw, kit.plain("concrete", 0.55), rng)
        shrub(faces, kit, rng, base + [0, 0, 0.35], w * 1.7)
    elif kind == 4:
        for k in range(rng.integers(2, 5)):
            side = np.array([-np.sin(yaw), np.cos(yaw), 0]) * 1.4 * k
            faces.add_prism(
                base + side,
                0.07,
                0.9,
                kit.lacquer(rng.uniform(0.15, 0.8), 0.2),
                8,
                kit.lacquer(0.7, 0.2),
            )
    elif kind == 5:
        for k in range(rng.integers(2, 6)):
            h = rng.uniform(0.15, 0.35)
            spot = base + np.append(rng.uniform(-0.5, 0.5, 2), h + (0.3 if k > 3 else 0))
            half = (rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4), h)
            turn = yaw + rng.normal(0, 0.3)
            faces.add_box(spot, half, turn, kit.plain("planks", rng.uniform(0.35, 0.65)), rng)
    else:
        radius, h = rng.uniform(0.5, 0.7), rng.uniform(2.2, 3.0)
        for k in range(8):
            angle = yaw + k * np.pi / 4
            out = np.array([np.cos(angle), np.sin(angle), 0])
            along = np.array([-out[1], out[0], 0])
            faces.add(
                base + out * radius * 0.924 + [0, 0, h / 2],
                along * radius * 0.383,
                [0, 0, h / 2],
                kit.poster(rng, 160, 40),
            )
        faces.add_prism(
            base + [0, 0, h], radius * 1.1, 0.3, kit.plain("metal", 0.3), 8, top_radius=radius * 0.5
        )


def fence(faces: FaceList, kit: Kit, rng, start, end, kind: str) -> None:
    """A run of hedge, garden wall or railing from start to end (3,)."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    along = end - start
    length = np.linalg.norm(along)
    yaw = np.arctan2(along[1], along[0])
    middle = (start + end) / 2
    if kind == "hedge":
        h = rng.uniform(0.9, 1.8)
        skin = kit.plain("hedge", np.array([0.8, 0.9, 0.75]) * rng.uniform(0.8, 1.2), 200.0)
        faces.add_box(middle + [0, 0, h / 2], (length / 2, 0.35, h / 2), yaw, skin, rng, taper=0.1)
        for _ in range(int(length * 1.2)):
            spot = start + along * rng.random() + np.append(rng.normal(0, 0.2, 2), h - 0.5)
            shrub(faces, kit, rng, spot, rng.uniform(0.5, 0.8))
    elif kind == "wall":
        h = rng.uniform(0.7, 2.2)
        material, color = [
            ("brick", (0.55, 0.42, 0.36)),
            ("ashlar", (0.55, 0.52, 0.46)),
            ("plaster", (0.7, 0.67, 0.6)),
        ][rng.integers(0, 3)]
        skin = kit.plain(material, np.array(color) * rng.uniform(0.75, 1.15))
        faces.add_box(middle + [0, 0, h / 2], (length / 2, 0.12, h / 2), yaw, skin, rng)
        faces.add_box(
            middle + [0, 0, h + 0.03],
            (length / 2, 0.16, 0.04),
            yaw,
            kit.plain("concrete", 0.5),
            rng,
            skip=(),
        )
    else:
        h = rng.uniform(0.9, 1.4)
        skin = replace(kit.plain("metal", rng.uniform(0.1, 0.4)), mask=materials.RAILING)
        count = max(1, round(length / 1.5))
        for k in range(count):
            spot = start + along * (k + 0.5) / count
            faces.add(spot + [0, 0, h / 2], along / count / 2, [0, 0, h / 2], skin)


def car(faces: FaceList, kit: Kit, rng, base, yaw: float) -> None:
    """A parked vehicle: hatchback, saloon, estate or van, wheels on z = base z."""
    parts = kit.cars[rng.integers(0, len(kit.cars))]
    color = np.clip(
        np.array(_LACQUERS[rng.integers(0, len(_LACQUERS))]) * rng.uniform(0.75, 1.2)
        + rng.normal(0, 0.015, 3),
        0.03,
        0.95,
    )
    van = rng.random() < 0.2
    half_l, half_w = (2.6, 0.97) if van else (rng.uniform(1.85, 2.3), rng.uniform(0.82, 0.9))
    waist = 0.98 if van else rng.uniform(0.82, 0.95)
    roof = rng.uniform(1.9, 2.3) if van else rng.uniform(1.38, 1.62)
    base = np.asarray(base, float)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])

    def skin(part, gloss=0.9):
        return Skin(parts[part], tint=tuple(float(c) ** 2 for c in color), fit=True, gloss=gloss)

    bottom = 0.2
    middle = base + [0, 0, (bottom + waist) / 2]
    lacquer = kit.lacquer(color, 0.7)
    faces.add_box(
        middle,
        (half_l, half_w, (waist - bottom) / 2),
        yaw,
        {
            "default": skin("side"),
            "front": skin("nose"),
            "back": skin("tail"),
            "top": lacquer,
            "bottom": kit.lacquer(0.05),
        },
        taper=0.03,
        skip=(),
    )
    front, back = (0.30, 0.98) if van else (0.25, rng.choice([0.62, 0.92]))
    low = np.array([-back, front * 2 - 0.1 if not van else 0.72]) * half_l * 0.98
    high = low + np.array([0.12 if back > 0.8 else 0.5, -0.55 if not van else -0.35])
    _cabin(
        faces, skin, lacquer, base, turn, low, high, half_w * 0.95, half_w * 0.8, waist - 0.03, roof
    )
    dark = np.clip(rng.uniform(0.03, 0.07), 0, 1)
    for x in (-0.62 * half_l, 0.64 * half_l):
        for side in (-1, 1):
            hub = base + turn @ np.array([x, side * (half_w + 0.012), 0.32])
            along = turn @ np.array([-side * 0.32, 0.0, 0.0])
            faces.add(
                hub,
                along,
                [0, 0, 0.32],
                Skin(parts["wheel"], fit=True, gloss=0.2, mask=materials.DISC),
            )
            inner = base + turn @ np.array([x, side * (half_w - 0.12), 0.2])
            faces.add_box(inner, (0.3, 0.1, 0.2), yaw, kit.lacquer(dark, 0.0), skip=())


def _cabin(faces, skin, lacquer, base, turn, low, high, wide, narrow, waist, roof) -> None:
    """Windows between the waist line (x range `low`) and the roof (`high`)."""
    tall = roof - waist

    def put(points, part):
        """Quad from lower left, lower right, upper right, upper left; the lower edge is longer."""
        p = [base + turn @ np.asarray(q, float) for q in points]
        bottom, top = (p[0] + p[1]) / 2, (p[2] + p[3]) / 2
        width, upper = np.linalg.norm(p[1] - p[0]), np.linalg.norm(p[2] - p[3])
        faces.add(
            (bottom + top) / 2,
            (p[1] - p[0]) / 2,
            (top - bottom) / 2,
            lacquer if part is None else skin(part),
            taper=1 - min(1.0, upper / width),
        )

    z0, z1 = waist, waist + tall
    (x0, x1), (u0, u1) = low, high
    put([(x1, -wide, z0), (x1, wide, z0), (u1, narrow, z1), (u1, -narrow, z1)], "screen")
    put([(x0, wide, z0), (x0, -wide, z0), (u0, -narrow, z1), (u0, narrow, z1)], "screen")
    put([(x0, -wide, z0), (x1, -wide, z0), (u1, -narrow, z1), (u0, -narrow, z1)], "glass")
    put([(x1, wide, z0), (x0, wide, z0), (u0, narrow, z1), (u1, narrow, z1)], "glass")
    put([(u1, -narrow, z1), (u1, narrow, z1), (u0, narrow, z1), (u0, -narrow, z1)], None)


@lru_cache(maxsize=1)
def _shared_levels() -> tuple[dict, list[dict]]:
    """Mip chains of the material library, and of the skins of six cars in white, to be tinted."""
    flat = np.ones((4, 4, 4), np.float32)
    flat[..., 3] = 0.55
    base = {name: mip_levels(image) for name, image in materials.library().items()}
    base["paint"] = mip_levels(flat)
    cars = [_car_style(np.random.default_rng(900 + k)) for k in range(6)]
    return base, [{part: mip_levels(image) for part, image in car.items()} for car in cars]


def _car_style(rng) -> dict[str, np.ndarray]:
    side = Canvas(4.2, 0.75, 60)
    side.fill(0, 0, 4.2, 0.75, 1.0, 0.6)
    side.fill(0, 0, 4.2, rng.uniform(0.05, 0.16), 0.25, 0.1)
    for x in (0.8, 3.45):
        side.fill(x - 0.38, 0, x + 0.38, 0.42, 0.06, 0.0)
    for x in sorted(rng.uniform(1.3, 3.1, rng.integers(1, 3))):
        side.fill(x, 0.12, x + 0.02, 0.75, 0.3)
        side.fill(x + 0.1, 0.55, x + 0.28, 0.6, rng.choice([0.3, 1.0]))
    side.shade(0, 0.36, 4.2, 0.39, 0.8)
    side.fill(0, 0.5, 0.25, 0.66, (0.6, 0.05, 0.05), 0.8)
    side.fill(3.95, 0.45, 4.2, 0.62, 0.95, 0.9)
    ends = {}
    for part, lights in (("nose", (0.95, 0.95, 0.9)), ("tail", (0.7, 0.06, 0.05))):
        end = Canvas(1.7, 0.75, 60)
        end.fill(0, 0, 1.7, 0.75, 1.0, 0.6)
        end.fill(0.1, 0.0, 1.6, 0.16, 0.12)
        if part == "nose":
            end.fill(0.45, 0.3, 1.25, 0.52, 0.08)
            for y in np.arange(0.32, 0.52, 0.05):
                end.fill(0.45, y, 1.25, y + 0.015, 0.5)
        for x in (0.05, 1.28):
            end.fill(x, 0.42, x + 0.37, 0.66, lights, 0.8)
            end.fill(x + 0.1, 0.47, x + 0.27, 0.6, np.array(lights) * 0.7, 0.8)
        end.fill(0.59, 0.17, 1.11, 0.28, 0.95)
        end.paste(
            0.62,
            0.18,
            1.08,
            0.27,
            lambda r, c: 0.93 - 0.85 * np.repeat(signs.lettering(rng, r, c)[..., None], 3, 2),
        )
        ends[part] = end.pixels
    pane = Canvas(2.4, 0.55, 60)
    pane.fill(0, 0, 2.4, 0.55, 1.0, 0.6)
    edges = np.linspace(0.08, 2.32, rng.integers(3, 5))
    for x0, x1 in itertools.pairwise(edges):
        pane.fill(x0 + 0.05, 0.04, x1 - 0.02, 0.49, 0.13, 1.0)
        pane.fill(x0 + 0.2, 0.04, x0 + 0.45, 0.3, 0.05, 1.0)
    screen = Canvas(1.5, 0.6, 60)
    screen.fill(0, 0, 1.5, 0.6, 1.0, 0.6)
    screen.fill(0.06, 0.04, 1.44, 0.55, 0.14, 1.0)
    for x in (0.2, 0.9):
        screen.fill(x, 0.04, x + 0.4, 0.32, 0.05, 1.0)
    return {
        "side": side.pixels,
        "glass": pane.pixels,
        "screen": screen.pixels,
        "wheel": _wheel(rng),
        **ends,
    }


def _wheel(rng) -> np.ndarray:
    axis = np.linspace(-1, 1, 64)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    spokes = np.cos(angle * rng.integers(5, 9)) > rng.uniform(-0.3, 0.4)
    bright = spokes | (radius < 0.18) | (radius > 0.6)
    value = np.where(radius > 0.68, 0.09, np.where(bright, 0.6, 0.12))
    return np.repeat(value[..., None], 3, 2).astype(np.float32)

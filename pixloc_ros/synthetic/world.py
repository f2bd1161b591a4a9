"""A synthetic street: layout of buildings, road, furniture, trees and parked vehicles by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.synthetic import facades, ground, materials, props
from pixloc_ros.synthetic.atlas import TextureBank
from pixloc_ros.synthetic.faces import FaceList, Skin
from pixloc_ros.synthetic.photographs import Photographs
from pixloc_ros.synthetic.scene import Scene

_SEGMENT = 6.0  # metres of street per piece of road
_KERB = 0.12


@dataclass(frozen=True)
class WorldOptions:
    """Size, fineness and layout. length: metres of street; density: texels/m of baked facades and
    road; shadow_resolution: metres. curvature: of the street (rad/m). road_half: half
    width of the carriageway in metres (10 and more: a square or courtyard), green: 0 for closed
    rows of tall houses and shops, 1 for gardens and trees; None leaves both to the seed. terrace:
    width (m) of the one house that each side repeats wall to wall; None: every house its own.
    textures: folder of photographs that cover part of the walls, the ground and smaller things."""

    length: float = 120.0
    density: float = 40.0
    shadow_resolution: float = 0.06
    curvature: float = 0.0
    road_half: float | None = None
    green: float | None = None
    terrace: float | None = None
    textures: Path | None = None


class StreetWorld:
    """Everything there is to see, fixed by `seed` (houses, road, trees) and `clutter` (vehicles,
    movable things). The street runs from s = 0 to s = length; d is the offset to its left.

    The map frame has its origin at s = 0 on the road's axis, x along the street there, z up, road
    surface at z = 0.
    """

    def __init__(
        self, seed: int, options: WorldOptions | None = None, clutter: int | None = None
    ) -> None:
        self.seed = seed
        self.options = options or WorldOptions()
        rng = np.random.default_rng([seed, 1])
        self.road_half = rng.uniform(3.9, 4.8)
        self.pavement = rng.uniform(1.4, 3.0)
        self.green = rng.random()
        if self.options.road_half is not None:
            self.road_half = self.options.road_half
        if self.options.green is not None:
            self.green = self.options.green
        self._bend = rng.normal(0, 0.0008, 2) + [2 * self.options.curvature, 0.0]
        self._bank = TextureBank()
        textures = self.options.textures
        self._kit = props.Kit(self._bank, Photographs(textures) if textures else None)
        self._fixed = FaceList()
        self._lamps: list[np.ndarray] = []
        self._build(rng)
        self._scenes: dict[str, Scene] = {}
        self._frozen = None
        self._place_clutter(seed if clutter is None else clutter)

    def with_clutter(self, clutter: int) -> StreetWorld:
        """The same street with other vehicles and movable things (textures are shared)."""
        other = object.__new__(StreetWorld)
        other.__dict__ = dict(self.__dict__)
        other._scenes, other._frozen = {}, None
        other._place_clutter(clutter)
        return other

    def heading(self, s: float) -> float:
        """Direction of the street at s, radians from map x."""
        return 0.5 * self._bend[0] * s + 0.04 * np.sin(s * 0.05) * np.sign(self._bend[1])

    def place(self, s: float, d: float = 0.0, z: float = 0.0) -> np.ndarray:
        """Map coordinates (3,) of the point d metres left of the axis at s."""
        samples = np.linspace(0.0, s, 65)
        angle = self.heading(samples)
        middle = (
            0.5
            * (samples[1] - samples[0])
            * (
                np.array([np.cos(angle), np.sin(angle)])[:, 1:]
                + np.array([np.cos(angle), np.sin(angle)])[:, :-1]
            ).sum(1)
        )
        theta = self.heading(s)
        return np.array([middle[0] - np.sin(theta) * d, middle[1] + np.cos(theta) * d, z])

    def scene(self, device: str | torch.device = "cpu") -> Scene:
        """Tensors for the renderer, built once per device."""
        key = str(device)
        if key not in self._scenes:
            if self._frozen is None:
                self._frozen = self._bank.freeze()
            faces = FaceList()
            faces.extend(self._fixed)
            faces.extend(self._clutter)
            corners = np.stack([self.place(s)[:2] for s in np.linspace(0, self.options.length, 9)])
            core = np.array([[*(corners.min(0) - 16), 0.0], [*(corners.max(0) + 16), 14.0]])
            self._scenes[key] = Scene.build(
                faces,
                self._bank.sizes,
                *self._frozen,
                materials.masks(),
                self._kit.base["clouds"],
                core,
                self.options.shadow_resolution,
                device,
                np.reshape(self._lamps, (-1, 3)),
            )
        return self._scenes[key]

    def _build(self, rng) -> None:
        self._lay_road(rng)
        for side in (-1, 1):
            if self.options.terrace is None:
                self._line_of_houses(rng, side)
            else:
                self._terrace(rng, side, self.options.terrace)
        self._close_ends(rng)
        self._furnish(rng)

    def _lay_road(self, rng) -> None:
        o, bank, kit = self.options, self._bank, self._kit
        start, end = -18.0, o.length + 18.0
        span = end - start
        road = self._ground(rng, ground.bake_road(rng, span, 2 * self.road_half, o.density))
        terrain = Skin(bank.add(ground.bake_terrain(rng)), 8.0, **kit.detail("concrete"))
        center = self.place(o.length / 2, 0, -0.02)
        self._fixed.add(center, [0, -400, 0], [400, 0, 0], terrain)
        walks = {
            side: self._ground(rng, ground.bake_pavement(rng, span, self.pavement + 1.5, o.density))
            for side in (-1, 1)
        }
        skins = {side: Skin(walks[side], o.density, **kit.detail("concrete")) for side in walks}
        kerb = kit.plain("concrete", 0.5)
        surface = Skin(road, o.density, **kit.detail("grain"))
        for k, s in enumerate(np.arange(start, end, _SEGMENT)):
            theta = self.heading(s + _SEGMENT / 2)
            along = np.array([np.cos(theta), np.sin(theta), 0])
            left = np.array([-along[1], along[0], 0])
            half = _SEGMENT / 2 + 0.15
            z = 0.0015 * (k % 2)
            middle = self.place(s + _SEGMENT / 2, 0, z)
            self._fixed.add(
                middle, along * half, left * self.road_half, surface, offset=(s - start - 0.15, 0.0)
            )
            for side in (-1, 1):
                width = self.pavement + 1.5
                spot = middle + left * side * (self.road_half + width / 2) + [0, 0, _KERB]
                # the baked kerb stones must lie along the road: seen from above, u runs with
                # `along` times -side, v from the road outwards
                self._fixed.add(
                    spot,
                    along * half * -side,
                    -left * side * width / 2,
                    skins[side],
                    offset=(s - start - 0.15, 0.0),
                )
                edge = middle + left * side * self.road_half + [0, 0, _KERB / 2]
                self._fixed.add(
                    edge, along * half * side, [0, 0, _KERB / 2], kerb, offset=(s - start, 0.0)
                )

    def _ground(self, rng, pixels: np.ndarray) -> int:
        photographs = self._kit.photographs
        if photographs:
            pixels = photographs.ground(rng, pixels, self.options.density)
        return self._bank.add(pixels)

    def _line_of_houses(self, rng, side: int) -> None:
        s = -14.0
        front = self.road_half + self.pavement
        while s < self.options.length + 10:
            width = rng.uniform(6, 15)
            setback = (
                rng.uniform(2.0, 6.0)
                if rng.random() < self.green
                else rng.choice([0.0, 0.0, rng.uniform(0.4, 1.2)])
            )
            if rng.random() < 0.88 - 0.25 * self.green:
                self._house(rng, s, width, side, front + setback)
            else:
                setback = width = rng.uniform(4, 9)
            if setback > 1.5:
                self._boundary(rng, s, s + width, side * (front + 0.3))
                self._garden(rng, s, width, side, front, setback)
            gap = rng.random() < 0.2 + 0.6 * self.green
            s += width + (rng.uniform(1.0, 4.0) if gap else 0.0)

    def _terrace(self, rng, side: int, width: float) -> None:
        seed = rng.integers(1 << 30)
        for s in np.arange(-14.0, self.options.length + 10, width):
            again = np.random.default_rng(seed)
            self._house(again, s, width, side, self.road_half + self.pavement)

    def _garden(self, rng, s: float, width: float, side: int, front: float, depth: float) -> None:
        for _ in range(rng.integers(0, 4)):
            spot = self.place(s + rng.uniform(0.5, width), side * (front + rng.uniform(1.0, depth)))
            if rng.random() < 0.5:
                props.tree(self._fixed, self._kit, rng, spot, rng.uniform(3.5, 9))
            else:
                props.shrub(self._fixed, self._kit, rng, spot, rng.uniform(0.8, 2.2))

    def _boundary(self, rng, s0: float, s1: float, d: float) -> None:
        kind = ("hedge", "wall", "railing")[rng.integers(0, 3)]
        props.fence(
            self._fixed, self._kit, rng, self.place(s0, d, _KERB), self.place(s1, d, _KERB), kind
        )

    def _house(self, rng, s: float, width: float, side: int, front: float) -> None:
        floor = rng.uniform(2.7, 3.4)
        most = 3 if rng.random() < self.green else 5
        height = floor * rng.integers(1, most) + rng.uniform(0.6, 1.6)
        depth = rng.uniform(7, 11)
        theta = self.heading(s + width / 2)
        center = self.place(s + width / 2, side * (front + depth / 2), height / 2)
        yaw = theta - side * np.pi / 2  # the house's +x faces the street
        build_house(
            self._fixed,
            self._kit,
            rng,
            center,
            (depth, width, height),
            yaw,
            self.options.density,
            floor,
        )

    def _close_ends(self, rng) -> None:
        """Houses across both ends, and blocks farther away so that no view ends in nothing."""
        length = self.options.length
        for s, facing in ((-32.0, 0.0), (length + 32.0, np.pi)):
            for d in (-14.0, 0.0, 14.0):
                height = rng.uniform(7, 15)
                center = self.place(s, d, height / 2)
                build_house(
                    self._fixed,
                    self._kit,
                    rng,
                    center,
                    (9.0, rng.uniform(11, 14), height),
                    self.heading(s) + facing,
                    self.options.density / 2,
                    3.0,
                )
        skin = Skin(
            self._bank.add(
                facades.bake_facade(rng, 24, 18, "plaster", (0.6, 0.58, 0.54), 12, False)[0]
            ),
            12,
        )
        for _ in range(24):
            angle, radius = rng.uniform(-np.pi, np.pi), rng.uniform(100, 260)
            spot = self.place(length / 2) + np.array(
                [radius * np.cos(angle) * 1.3, radius * np.sin(angle), 0]
            )
            h = rng.uniform(5, 14)
            tint = tuple(rng.uniform(0.5, 1.2) + rng.normal(0, 0.05, 3))
            self._fixed.add_box(
                spot + [0, 0, h],
                (rng.uniform(6, 15), rng.uniform(6, 15), h),
                rng.uniform(0, np.pi),
                replace(skin, tint=tint),
                rng,
            )

    def _furnish(self, rng) -> None:
        edge = self.road_half + 0.45
        back = self.road_half + self.pavement - 0.35
        for side in (-1, 1):
            for s in np.arange(rng.uniform(0, 20), self.options.length + 8, rng.uniform(18, 28)):
                theta = self.heading(s)
                toward = np.array([np.sin(theta), -np.cos(theta)]) * side
                self._lamps.append(
                    props.lamp(
                        self._fixed, self._kit, rng, self.place(s, side * edge, _KERB), toward
                    )
                )
            for _ in range(int(self.options.length / 9)):
                s = rng.uniform(-5, self.options.length + 12)
                yaw = self.heading(s) + np.pi * (rng.random() < 0.5)
                kind = rng.random()
                if kind < 0.3:
                    spot = self.place(s, side * (edge + 0.3), _KERB)
                    props.tree(self._fixed, self._kit, rng, spot, rng.uniform(3.5, 7.5))
                elif kind < 0.6:
                    spot = self.place(s, side * edge, _KERB)
                    props.traffic_sign(self._fixed, self._kit, rng, spot, yaw)
                else:
                    props.box_prop(
                        self._fixed,
                        self._kit,
                        rng,
                        self.place(s, side * back, _KERB),
                        self.heading(s) - side * np.pi / 2,
                    )

    def _place_clutter(self, clutter: int) -> None:
        """Parked vehicles and movable things: each slot keeps its usual content or not."""
        self._clutter = FaceList()
        usual = np.random.default_rng([self.seed, 2])
        change = np.random.default_rng([self.seed, 3, clutter])
        edge = self.road_half - 1.05
        for side in (-1, 1):
            s = usual.uniform(-10, 0)
            while s < self.options.length + 14:
                seed, taken, gap = usual.integers(1 << 30), usual.random(), usual.uniform(4.6, 8.5)
                fate, shift = change.random(), change.normal(0, 0.5)
                other = change.integers(1 << 30)
                if (taken < 0.5 and fate > 0.2) or (taken >= 0.5 and fate > 0.85):
                    rng = np.random.default_rng(other if fate > 0.7 else seed)
                    at = s + (shift if fate > 0.5 else 0.0)
                    d = side * (edge + rng.normal(0, 0.08))
                    yaw = self.heading(at) + (np.pi if side > 0 else 0.0) + rng.normal(0, 0.02)
                    props.car(self._clutter, self._kit, rng, self.place(at, d), yaw)
                s += gap
            for _ in range(int(self.options.length / 18)):
                s = change.uniform(0, self.options.length)
                d = self.road_half + change.uniform(0.4, 1.0)
                props.box_prop(
                    self._clutter,
                    self._kit,
                    change,
                    self.place(s, side * d, _KERB),
                    self.heading(s) - side * np.pi / 2,
                )


def build_house(
    faces: FaceList, kit: props.Kit, rng, center, size, yaw: float, density: float, floor: float
) -> None:
    """A house: `size` = depth, width, height; its front looks along `yaw`; `center` of the box."""
    depth, width, height = size
    style = facades.WALL_STYLES[rng.choice(5, p=[0.42, 0.26, 0.12, 0.12, 0.08])]
    color = facades.wall_color(rng, style)
    fine = kit.detail(style)
    shop = height > 3.6 and rng.random() < 0.35
    pixels, openings = facades.bake_facade(
        rng, width, height, style, color, density, shop, floor, kit.photographs
    )
    front = Skin(kit.bank.add(pixels), pixels.shape[1] / width, **fine)
    wall = facades.bake_wall(rng, depth, height, color, density / 2, kit.photographs)
    blank = Skin(kit.bank.add(wall), density / 2, **fine)
    faces.add_box(
        center,
        (depth / 2, width / 2, height / 2),
        yaw,
        {"default": blank, "front": front},
        skip=("bottom", "top"),
    )
    base = np.asarray(center) - [0, 0, height / 2]
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    _roof(faces, kit, rng, np.asarray(center) + [0, 0, height / 2], depth, width, yaw)
    stone = kit.plain("concrete", np.clip(rng.uniform(0.5, 0.8), 0, 1))
    for x0, y0, x1, _ in openings:
        if rng.random() < 0.75:
            spot = base + turn @ np.array([depth / 2 + 0.05, (x0 + x1) / 2 - width / 2, y0 - 0.04])
            faces.add_box(spot, (0.06, (x1 - x0) / 2 + 0.06, 0.04), yaw, stone, rng, skip=("back",))
    balcony = rng.random() < 0.3
    for x0, y0, x1, _ in openings:
        if balcony and y0 > floor and rng.random() < 0.5:
            _balcony(
                faces,
                kit,
                rng,
                base + turn @ np.array([depth / 2, (x0 + x1) / 2 - width / 2, y0 - 0.5]),
                (x1 - x0) / 2 + 0.4,
                yaw,
            )
    if shop and rng.random() < 0.6:
        color = facades.signs.vivid(rng)
        span = width * rng.uniform(0.4, 0.9) / 2
        middle = base + turn @ np.array([depth / 2 + 0.5, rng.uniform(-0.1, 0.1) * width, 2.75])
        out = turn @ np.array([0.55, 0, -0.22])
        faces.add(
            middle, turn @ np.array([0, span, 0]), -out, kit.plain("plaster", color), two_sided=True
        )


def _balcony(faces, kit, rng, spot, half: float, yaw: float) -> None:
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    faces.add_box(
        spot + turn @ np.array([0.5, 0, 0]),
        (0.5, half, 0.08),
        yaw,
        kit.plain("concrete", 0.6),
        rng,
        skip=("back",),
    )
    skin = replace(kit.plain("metal", rng.uniform(0.1, 0.5)), mask=materials.RAILING)
    faces.add(
        spot + turn @ np.array([0.97, 0, 0.55]), turn @ np.array([0, half, 0]), [0, 0, 0.47], skin
    )
    for side in (-1, 1):
        faces.add(
            spot + turn @ np.array([0.5, side * half, 0.55]),
            turn @ np.array([0.47, 0, 0]),
            [0, 0, 0.47],
            skin,
        )


def _roof(faces, kit, rng, top, depth: float, width: float, yaw: float) -> None:
    """Hipped, gabled or flat with a parapet and things on it; `top` = centre of the wall top."""
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    kind = rng.random()
    color = np.array([[0.45, 0.25, 0.19], [0.3, 0.3, 0.32], [0.4, 0.3, 0.25]][rng.integers(0, 3)])
    tiles = kit.plain("tiles", color * rng.uniform(0.8, 1.2))
    if kind < 0.35:
        rise = depth * rng.uniform(0.3, 0.45)
        reach = depth / 2 + 0.35
        for side in (-1, 1):
            middle = top + turn @ np.array([side * reach / 2, 0, rise / 2 - 0.05])
            faces.add(
                middle,
                turn @ np.array([0, side * (width / 2 + 0.2), 0]),
                turn @ np.array([-side * reach / 2, 0, rise / 2]),
                tiles,
                two_sided=True,
            )
        wall = kit.plain("plaster", rng.uniform(0.5, 0.75))
        for side in (-1, 1):
            faces.add(
                top + turn @ np.array([0, side * width / 2, rise / 2 - 0.1]),
                turn @ np.array([-side * depth / 2, 0, 0]),
                [0, 0, rise / 2],
                wall,
                taper=1.0,
            )
    elif kind < 0.65:
        rise = min(depth, width) * rng.uniform(0.2, 0.3)
        lean = rng.uniform(0.55, 0.9)
        half = (depth / 2 + 0.3, width / 2 + 0.3, rise / 2)
        faces.add_box(top + [0, 0, rise / 2], half, yaw, tiles, rng, taper=lean, skip=())
    else:
        rim = kit.plain("concrete", rng.uniform(0.45, 0.75))
        faces.add_box(
            top + [0, 0, 0.15], (depth / 2 + 0.15, width / 2 + 0.02, 0.15), yaw, rim, rng, skip=()
        )
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(-0.3, 0.3) * depth, rng.uniform(-0.4, 0.4) * width
        spot = top + turn @ np.array([x, y, 1.2])
        faces.add_box(spot, (0.3, 0.4, 1.4), yaw, kit.plain("brick", (0.45, 0.3, 0.25)), rng)

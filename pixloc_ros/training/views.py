"""Rendered views of synthetic streets, kept on disk: an epoch costs no second rendering."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pixloc_ros.core.geometry import Camera, transforms
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.render import render
from pixloc_ros.synthetic.sensor import Sensor
from pixloc_ros.synthetic.world import StreetWorld, WorldOptions

# Camera axes (right, down, forward) in a body looking along x with z up.
LOOK_AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class ViewConfig:
    """worlds: streets and squares of different layout. places: spots in each, and views_per_place:
    views from around each spot, under different light. street_length (m). width, height (px) of
    the views. min_focal, max_focal: range of focal lengths (px). spread_along, spread_across (m),
    spread_yaw_deg, spread_tilt_deg (pitch), spread_roll_deg: how far views of one spot lie apart
    at most, to either side. night, wet: shares of views after dark and with wet ground. squares:
    share of worlds that are squares and courtyards rather than streets. textures: folder of
    photographs (any that OpenCV reads) for walls, ground and smaller things; photographic: share
    of worlds that use them.
    """

    worlds: int = 40
    places: int = 12
    views_per_place: int = 4
    street_length: float = 60.0
    width: int = 384
    height: int = 288
    min_focal: float = 220.0
    max_focal: float = 420.0
    spread_along: float = 4.0
    spread_across: float = 1.8
    spread_yaw_deg: float = 10.0
    spread_tilt_deg: float = 2.0
    spread_roll_deg: float = 3.0
    night: float = 0.2
    wet: float = 0.3
    squares: float = 0.25
    textures: Path | None = None
    photographic: float = 0.5


class Views(NamedTuple):
    """All views of one place: image (V, H, W, 3) uint8, depth (V, H, W) metres along z (inf: sky),
    T_map_cam (V, 4, 4), focal (V,) pixels; principal point in the middle, no distortion."""

    image: np.ndarray
    depth: np.ndarray
    T_map_cam: np.ndarray
    focal: np.ndarray


def load_world(config: ViewConfig, seed: int, folder: Path) -> list[Views]:
    """The places of the world with this seed; rendered and stored in `folder` the first time."""
    path = world_path(folder, seed)
    if not path.exists():
        save_world(folder, seed, render_world(config, seed))
    with np.load(path) as stored:
        arrays = [stored[name] for name in Views._fields]
    return [Views(*(array[place] for array in arrays)) for place in range(len(arrays[0]))]


def save_world(folder: Path, seed: int, places: list[Views]) -> None:
    """Store the places of the world with this seed where `load_world` finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = world_path(folder, seed)
    temporary = folder / f".{os.getpid()}_{path.name}"
    np.savez(temporary, **{name: np.stack(p) for name, p in zip(Views._fields, zip(*places))})
    os.replace(temporary, path)


def world_path(folder: Path, seed: int) -> Path:
    """File of the world with this seed."""
    return folder / f"world_{seed:08d}.npz"


def render_world(config: ViewConfig, seed: int) -> list[Views]:
    """Render all places of one world, in several lights and two states of its movable things."""
    rng = np.random.default_rng([seed, 7])
    world = StreetWorld(seed, _layout(config, rng))
    moved = world.with_clutter(seed + 1)
    days = [
        (state, _wetted(Lighting.random(rng), config, rng))
        for state in (world, moved)
        for _ in range(2)
    ]
    nights = [(state, _wetted(Lighting.random_night(rng), config, rng)) for state in (world, moved)]
    places = []
    for _ in range(config.places):
        s = rng.uniform(2, config.street_length - 15)
        d = rng.uniform(-1, 1) * (world.road_half - 2)
        focal = rng.uniform(config.min_focal, config.max_focal)
        heading = world.heading(s) + (np.pi if rng.random() < 0.3 else 0.0)
        heading += np.deg2rad(rng.normal(0, 20 if world.road_half < 6 else 60))
        views = []
        while len(views) < config.views_per_place:
            T_map_cam = _pose(world, s, d, heading, config, rng)
            camera = Camera.pinhole(
                config.width,
                config.height,
                focal,
                focal,
                (config.width - 1) / 2,
                (config.height - 1) / 2,
            )
            dark = rng.random() < config.night
            state, lighting = (nights if dark else days)[rng.integers(2 if dark else 4)]
            sensor = Sensor.random_night(rng) if dark else Sensor.random(rng)
            rendering = render(
                state, camera, T_map_cam, lighting, sensor=sensor, seed=int(rng.integers(2**31))
            )
            if (rendering.depth < 1.0).float().mean() < 0.05:  # the camera stands free
                views.append(
                    (
                        rendering.to_uint8(),
                        rendering.depth.numpy().astype(np.float32),
                        T_map_cam,
                        focal,
                    )
                )
        places.append(Views(*(np.stack(part) for part in zip(*views))))
    return places


def _layout(config: ViewConfig, rng: np.random.Generator) -> WorldOptions:
    square, textures = rng.random() < config.squares, config.textures
    return WorldOptions(
        config.street_length,
        density=24.0 if square else 32.0,
        shadow_resolution=0.1,
        curvature=rng.normal(0, 0.006),
        road_half=rng.uniform(7, 14) if square else None,
        green=rng.uniform(0.6, 1.2) if rng.random() < 0.4 else None,
        textures=textures if textures and rng.random() < config.photographic else None,
    )


def _wetted(lighting: Lighting, config: ViewConfig, rng: np.random.Generator) -> Lighting:
    wet = rng.random() < config.wet
    return replace(lighting, wet=rng.uniform(0.3, 1.0) if wet else 0.0)


def _pose(
    world: StreetWorld,
    s: float,
    d: float,
    heading: float,
    config: ViewConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    along = rng.uniform(-1, 1) * config.spread_along
    across = rng.uniform(-1, 1) * config.spread_across
    position = world.place(s + along, d + across, rng.uniform(1.3, 2.0))
    yaw = heading + np.deg2rad(rng.uniform(-1, 1) * config.spread_yaw_deg)
    tilt = np.deg2rad(rng.uniform(-1, 1, 2) * [config.spread_roll_deg, config.spread_tilt_deg])
    turn = transforms.exp(np.array([0, 0, 0, 0, 0, yaw])) @ transforms.exp(
        np.array([0, 0, 0, *tilt, 0])
    )
    T_map_cam = turn @ LOOK_AHEAD
    T_map_cam[:3, 3] = position
    return T_map_cam


def camera_of(views: Views, index: int) -> Camera:
    """Camera of one view, float32."""
    height, width = views.depth.shape[1:]
    focal = float(views.focal[index])
    return Camera.pinhole(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2).to(
        torch.float32
    )

"""Random views for training: cheap small worlds and pairs of nearby cameras in different light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.render import Rendering, render
from pixloc_ros.synthetic.sensor import Sensor
from pixloc_ros.synthetic.world import StreetWorld, WorldOptions

_OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0],
                     [0.0, 0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class View:
    """A rendering with its camera and exact pose T_map_cam (4,4)."""

    rendering: Rendering
    camera: Camera
    T_map_cam: np.ndarray


@dataclass(frozen=True)
class PairOptions:
    """size: width, height in pixels. distance: most metres between the two views; turn: most
    degrees of yaw between them."""

    size: tuple[int, int] = (384, 288)
    distance: float = 3.0
    turn: float = 12.0


class TrainingScene:
    """A small world with two states of light and clutter; `pair` draws views of it."""

    def __init__(self, seed: int, options: PairOptions | None = None, device: str = "cpu") -> None:
        self.options = options or PairOptions()
        self.device = device
        self._rng = np.random.default_rng([seed, 5])
        world = StreetWorld(seed, WorldOptions(length=40.0, density=32.0, shadow_resolution=0.1),
                            clutter=1)
        self._worlds = (world, world.with_clutter(2))
        self._lights = tuple(Lighting.random(self._rng) for _ in range(2))

    def pair(self) -> tuple[View, View]:
        """(reference, query): the second within `distance` and `turn` of the first, often with a
        different focal length, with its own light, exposure and movable things."""
        o, rng = self.options, self._rng
        world = self._worlds[0]
        for _ in range(20):
            s, d = rng.uniform(2, world.options.length - 6), rng.uniform(-1.6, 1.6)
            yaw = world.heading(s) + np.pi * (rng.random() < 0.5) + np.deg2rad(rng.choice(
                [rng.normal(0, 6), rng.uniform(-80, 80)], p=[0.6, 0.4]))
            first = self._camera_pose(world.place(s, d, rng.uniform(1.2, 2.0)), yaw)
            focal = o.size[0] * rng.uniform(0.6, 1.1)
            reference = self._view(0, first, focal)
            if _clear(reference):
                break
        for _ in range(20):
            step = rng.normal(0, 1, 3)
            step *= o.distance * rng.random() ** 0.7 / np.linalg.norm(step)
            where = first[:3, 3] + step * [1, 1, 0.15]
            second = self._camera_pose(where, yaw + np.deg2rad(rng.uniform(-o.turn, o.turn)))
            query = self._view(1, second, focal * rng.choice([1.0, rng.uniform(0.85, 1.18)]))
            if _clear(query):
                break
        return reference, query

    def _camera_pose(self, where: np.ndarray, yaw: float) -> np.ndarray:
        tilt = np.deg2rad(self._rng.normal(0, 2.0, 2))
        T = transforms.exp(np.array([0, 0, 0, 0, 0, yaw])) @ transforms.exp(
            np.array([0, 0, 0, tilt[0], tilt[1], 0])) @ _OPTICAL
        T[:3, 3] = where
        return T

    def _view(self, state: int, T_map_cam: np.ndarray, focal: float) -> View:
        width, height = self.options.size
        camera = Camera.pinhole(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
        rendering = render(self._worlds[state], camera, T_map_cam, self._lights[state], self.device,
                           Sensor.random(self._rng), int(self._rng.integers(1 << 31)))
        return View(rendering, camera, T_map_cam)


def _clear(view: View) -> bool:
    """Whether the camera stands free: little of the view is nearer than a metre."""
    return bool((view.rendering.depth < 1.0).float().mean() < 0.05)


def training_scene(seed: int, options: PairOptions | None = None, device: str = "cpu"
                   ) -> TrainingScene:
    """The training scene of this seed."""
    return TrainingScene(seed, options, device)

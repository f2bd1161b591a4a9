"""A synthetic drive: a mapping run and a later query run along the same street."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.odometry import simulate_odometry
from pixloc_ros.synthetic.render import Rendering, render
from pixloc_ros.synthetic.sensor import Sensor
from pixloc_ros.synthetic.world import StreetWorld, WorldOptions

#: camera 1.25 m ahead of and 1.6 m above the rear axle's foot point, looking straight ahead
T_BASE_CAM = np.array(
    [[0.0, 0.0, 1.0, 1.25], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 1.6], [0.0, 0.0, 0.0, 1.0]]
)


@dataclass(frozen=True)
class DriveOptions:
    """What to drive. size: image width, height in pixels; focal: pixels. speed in m/s, rate_hz of
    the query images, spacing of the map images in metres. lighting names a preset per run.
    lane, query_lane: metres left of the street's axis. terrace: as in `WorldOptions`."""

    query_frames: int = 100
    rate_hz: float = 10.0
    speed: float = 5.0
    spacing: float = 1.1
    size: tuple[int, int] = (640, 400)
    focal: float = 430.0
    lane: float = -1.2
    query_lane: float = 0.4
    map_light: str = "noon"
    query_light: str = "evening"
    odometry_rate_hz: float = 50.0
    terrace: float | None = None


@dataclass(frozen=True)
class Session:
    """One run through the street; images are rendered when asked for.

    stamps_ns (N,) int64; T_map_base (N,4,4) truth; odometry_stamps_ns (M,) and T_odom_base (M,4,4)
    drift. `sensors` holds one exposure state per frame.
    """

    name: str
    world: StreetWorld = field(repr=False)
    camera: Camera = field(repr=False)
    T_base_cam: np.ndarray = field(repr=False)
    stamps_ns: np.ndarray = field(repr=False)
    T_map_base: np.ndarray = field(repr=False)
    odometry_stamps_ns: np.ndarray = field(repr=False)
    T_odom_base: np.ndarray = field(repr=False)
    lighting: Lighting
    sensors: tuple[Sensor, ...] = field(repr=False)
    seed: int = 0

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def render(self, index: int, device: str = "cpu") -> Rendering:
        """Frame `index` with its exact depth."""
        return render(
            self.world,
            self.camera,
            self.T_map_base[index] @ self.T_base_cam,
            self.lighting,
            device,
            self.sensors[index],
            self.seed * 100003 + index,
        )

    def image(self, index: int, device: str = "cpu") -> np.ndarray:
        """Frame `index` as (H,W,3) uint8 RGB."""
        return self.render(index, device).to_uint8()


def make_drive(seed: int, options: DriveOptions | None = None) -> dict[str, Session]:
    """Sessions "map" and "query" in the street of this seed.

    The query run keeps another lane, in other light, exposure and white balance, with part of the
    parked vehicles and movable things gone or replaced.
    """
    o = options or DriveOptions()
    reach = o.query_frames / o.rate_hz * o.speed
    world = StreetWorld(seed, WorldOptions(length=reach + 30.0, terrace=o.terrace), clutter=1)
    camera = Camera.pinhole(*o.size, o.focal, o.focal, (o.size[0] - 1) / 2, (o.size[1] - 1) / 2)
    rng = np.random.default_rng([seed, 17])
    run = _Run(world, rng, o.lane, start=3.0, speed=o.speed)
    count = int((reach + 10.0) / o.spacing)
    mapping = _session("map", run, camera, count, o.spacing / o.speed, o, o.map_light, seed, rng)
    run = _Run(world.with_clutter(2), rng, o.query_lane, start=7.0, speed=o.speed)
    query = _session(
        "query", run, camera, o.query_frames, 1.0 / o.rate_hz, o, o.query_light, seed + 1, rng
    )
    return {"map": mapping, "query": query}


class _Run:
    """Smooth motion of a body along the street as a function of time."""

    def __init__(self, world: StreetWorld, rng, lane: float, start: float, speed: float) -> None:
        self.world, self.lane, self.start, self.speed = world, lane, start, speed
        self._phase = rng.uniform(0, 2 * np.pi, 8)

    def pose(self, seconds: float) -> np.ndarray:
        """T_map_base (4,4): rear axle's foot point, x forward, z up."""
        p, t = self._phase, seconds
        s = self.start + self.speed * (t + 0.25 * (np.sin(0.5 * t + p[0]) - np.sin(p[0])))
        d = self.lane + 0.25 * np.sin(0.12 * s + p[1]) + 0.1 * np.sin(0.31 * s + p[2])
        slope = 0.03 * np.cos(0.12 * s + p[1]) + 0.031 * np.cos(0.31 * s + p[2])
        yaw = self.world.heading(s) + slope
        pitch = np.deg2rad(0.35 * np.sin(5.1 * t + p[3]) + 0.2 * np.sin(0.9 * t + p[4]))
        roll = np.deg2rad(0.3 * np.sin(3.7 * t + p[5]) + 0.15 * np.sin(0.7 * t + p[6]))
        bounce = 0.01 * np.sin(6.3 * t + p[7])
        level = transforms.exp(np.array([0, 0, 0, 0, 0, yaw]))
        tilt = transforms.exp(np.array([0, 0, 0, 0, pitch, 0])) @ transforms.exp(
            np.array([0, 0, 0, roll, 0, 0])
        )
        T = level @ tilt
        T[:3, 3] = self.world.place(s, d, bounce)
        return T


def _session(
    name: str,
    run: _Run,
    camera: Camera,
    count: int,
    period: float,
    o: DriveOptions,
    light: str,
    seed: int,
    rng,
) -> Session:
    stamps = np.round(np.arange(count) * period * 1e9).astype(np.int64) + 10**9
    poses = np.stack([run.pose((t - 10**9) * 1e-9) for t in stamps])
    ticks = np.arange(10**9, stamps[-1] + 1, round(1e9 / o.odometry_rate_hz))
    truth = np.stack([run.pose((t - 10**9) * 1e-9) for t in ticks])
    odometry = simulate_odometry(ticks, truth, seed)
    base = Sensor(
        exposure=float(2 ** rng.normal(0, 0.1)), white_balance=tuple(1 + rng.normal(0, 0.02, 3))
    )
    drift = 1 + 0.05 * np.sin(0.07 * np.arange(count) + rng.uniform(0, 6))
    sensors = tuple(replace(base, exposure=base.exposure * float(d)) for d in drift)
    lighting = replace(Lighting.preset(light), cloud_shift=tuple(rng.uniform(0, 1, 2)))
    return Session(
        name,
        run.world,
        camera,
        T_BASE_CAM.copy(),
        stamps,
        poses,
        ticks,
        odometry,
        lighting,
        sensors,
        seed,
    )

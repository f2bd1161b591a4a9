"""Outdoor light: sun, sky, haze, lamps and wet ground, as presets or drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RGB = tuple  # three linear floats


@dataclass(frozen=True)
class Lighting:
    """Light of a scene in linear, relative units.

    azimuth, elevation: direction to the sun (radians; azimuth from map x towards y). sun, sky:
    irradiance of the direct sun and of the open sky; ground: light reflected by the ground;
    zenith, horizon: colours of the sky dome. clouds: share of sky covered [0,1], cloud_shift moves
    them. haze: extinction per metre. lamp: radiant intensity of every street lamp, headlight: of
    a vehicle's two headlights that shine where the camera looks. wet: how much of the ground is
    wet, [0,1].
    """

    azimuth: float = 0.9
    elevation: float = 0.95
    sun: RGB = (2.7, 2.55, 2.3)
    sky: RGB = (0.75, 0.88, 1.05)
    ground: RGB = (0.42, 0.40, 0.36)
    zenith: RGB = (0.28, 0.48, 0.95)
    horizon: RGB = (0.85, 0.95, 1.1)
    clouds: float = 0.35
    cloud_shift: tuple[float, float] = (0.0, 0.0)
    haze: float = 0.0012
    lamp: RGB = (0.0, 0.0, 0.0)
    headlight: RGB = (0.0, 0.0, 0.0)
    wet: float = 0.0

    def __post_init__(self):
        for name in (
            "sun",
            "sky",
            "ground",
            "zenith",
            "horizon",
            "cloud_shift",
            "lamp",
            "headlight",
        ):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))

    @property
    def direction(self) -> np.ndarray:
        """Unit vector (3,) towards the sun, map frame."""
        return np.array(
            [
                np.cos(self.elevation) * np.cos(self.azimuth),
                np.cos(self.elevation) * np.sin(self.azimuth),
                np.sin(self.elevation),
            ]
        )

    @staticmethod
    def preset(name: str) -> Lighting:
        """One of PRESETS: "noon", "evening", "overcast" or "night"; KeyError otherwise."""
        return PRESETS[name]

    @staticmethod
    def random(rng: np.random.Generator) -> Lighting:
        """Any daylight from clear noon to hazy evening to dull overcast."""
        elevation = np.deg2rad(rng.uniform(8, 70))
        cover = float(rng.choice([rng.uniform(0, 0.5), rng.uniform(0.5, 1.0)]))
        warmth = np.clip(1.4 - elevation * 1.6, 0, 1)
        direct = 2.9 * np.sin(elevation) ** 0.35 * max(0.0, 1 - 1.25 * max(0.0, cover - 0.2))
        if rng.random() < 0.25:
            direct, cover = 0.0, 1.0
        sun = direct * np.array([1.0, 0.95 - 0.33 * warmth, 0.87 - 0.5 * warmth])
        sky = rng.uniform(0.6, 1.1) * np.array([0.75 + 0.22 * cover, 0.87 + 0.1 * cover, 1.02])
        bounce = 0.12 * direct * np.sin(elevation) + rng.uniform(0.15, 0.3)
        zenith = (1 - cover) * np.array([0.28, 0.48, 0.95]) + cover * np.array([0.8, 0.83, 0.88])
        horizon = np.array([0.9 + 0.25 * warmth, 0.95, 1.08 - 0.25 * warmth])
        horizon = horizon * rng.uniform(0.8, 1.1)
        return Lighting(
            rng.uniform(-np.pi, np.pi),
            elevation,
            tuple(sun),
            tuple(sky),
            tuple(bounce * np.array([1.0, 0.96, 0.88])),
            tuple(zenith),
            tuple(horizon),
            cover,
            tuple(rng.uniform(0, 1, 2)),
            float(rng.choice([6e-4, 2e-3, 6e-3])),
        )

    @staticmethod
    def random_night(rng: np.random.Generator) -> Lighting:
        """A night with little light from the sky, street lamps lit or not, headlights or not."""
        glow = 0.02 * 2.0 ** rng.uniform(-1.5, 1.5) * np.array([1.0, 0.93, 0.85])
        tone = np.array([1.0, rng.uniform(0.55, 0.95), 0.0])
        tone[2] = tone[1] ** 3
        lit, driving = rng.random() < 0.8, rng.random() < 0.6
        lamp = lit * rng.uniform(3, 12) * tone
        headlight = (driving or not lit) * rng.uniform(10, 50) * np.array([1.0, 0.95, 0.85])
        return Lighting(
            sun=(0, 0, 0),
            sky=tuple(glow),
            ground=tuple(0.4 * glow),
            zenith=tuple(0.3 * glow),
            horizon=tuple(glow),
            clouds=rng.uniform(0, 1),
            haze=float(rng.choice([6e-4, 3e-3])),
            lamp=tuple(lamp),
            headlight=tuple(headlight),
        )


PRESETS = {
    "noon": Lighting(),
    "evening": Lighting(
        2.6,
        0.24,
        (2.6, 1.65, 0.85),
        (0.55, 0.62, 0.85),
        (0.24, 0.2, 0.17),
        (0.3, 0.42, 0.75),
        (1.25, 0.95, 0.7),
        0.25,
        (0.4, 0.1),
        0.003,
    ),
    "overcast": Lighting(
        0.5,
        1.0,
        (0.0, 0.0, 0.0),
        (1.25, 1.3, 1.36),
        (0.34, 0.33, 0.31),
        (0.95, 0.98, 1.02),
        (1.1, 1.12, 1.14),
        1.0,
        (0.7, 0.5),
        0.006,
    ),
    "night": Lighting(
        0.0,
        1.0,
        (0.0, 0.0, 0.0),
        (0.02, 0.02, 0.022),
        (0.008, 0.008, 0.008),
        (0.006, 0.007, 0.01),
        (0.02, 0.019, 0.018),
        0.5,
        (0.2, 0.6),
        0.001,
        (8.0, 6.0, 3.4),
        (25.0, 24.0, 21.0),
    ),
}

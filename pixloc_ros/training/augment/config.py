"""What may happen to the pictures of a pair."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges, drawn for every view: gamma, gain: log2; the gain brightens only half as far as it
    darkens. cast: log2 by colour channel. field: log2 of a smooth field of light, which also
    brightens half as far. noise: standard deviation. blur: sigma in pixels.

    Shares of queries that something happens to: shadows: hard-edged, deep. night: dark, with
    headlights, lamps, glare and shot noise (views that are dark already stay). haze: by depth.
    motion: motion blur up to motion_length (share of the image's width), level: the share of it
    that runs along the rows within a few degrees, as when a vehicle turns. defocus: out of focus,
    a disc up to defocus_radius (share of the width). jpeg: compressed hard. occlusion: boxes and
    discs over up to occluded (share of the image).

    reference: factor on these shares for references, which were chosen and seldom are that bad.
    gray: share of pairs without colour, as from a monochrome camera. unchanged: share of pairs
    to which nothing happens, because the best case must stay exact.
    """

    gamma: float = 0.8
    gain: float = 1.0
    cast: float = 0.35
    field: float = 2.0
    noise: float = 0.04
    blur: float = 1.2
    shadows: float = 0.3
    night: float = 0.15
    haze: float = 0.15
    motion: float = 0.25
    motion_length: float = 0.035
    level: float = 0.0
    defocus: float = 0.12
    defocus_radius: float = 0.008
    jpeg: float = 0.25
    occlusion: float = 0.4
    occluded: float = 0.3
    reference: float = 0.4
    gray: float = 0.35
    unchanged: float = 0.2

    @classmethod
    def none(cls, **changes: float) -> AugmentConfig:
        """Nothing happens, except for `changes`."""
        return cls(**{**{field.name: 0.0 for field in fields(cls)}, **changes})

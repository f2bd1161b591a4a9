"""The sky: dome, clouds and sun as seen directly and in glass."""

from __future__ import annotations

import torch

from pixloc_ros.synthetic.atlas import sample
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.scene import Scene

_CLOUD_SCALE = 0.11  # cloud texture repeats per unit of the plane z = 1 above the eye


def sky(scene: Scene, direction: torch.Tensor, lighting: Lighting, spacing: float) -> torch.Tensor:
    """Radiance (3,n) of the sky along directions (3,n) of the map frame, `spacing` rad apart."""
    d = direction * direction.square().sum(0).rsqrt()
    up = d[2].clamp(min=0.0)
    zenith, horizon, light, sun = (
        torch.tensor(c, device=d.device)[:, None]
        for c in (lighting.zenith, lighting.horizon, lighting.sky, lighting.sun)
    )
    color = torch.lerp(horizon, zenith, 1 - (1 - up) ** 3)
    plane = d[:2] / (up + 0.12) * _CLOUD_SCALE
    shift = torch.tensor(lighting.cloud_shift, device=d.device)[:, None]
    step = torch.zeros_like(plane)
    step[0] = spacing * _CLOUD_SCALE
    texture = torch.full((d.shape[1],), scene.cloud_texture, dtype=torch.int64, device=d.device)
    density, shade = sample(
        scene.texels, scene.table, texture, plane + shift, step, step.flip(0), taps=1
    ).T[:2]
    cover = ((density - 0.85 + 0.45 * lighting.clouds) * 4).clamp(0, 1)
    cloud = (light * 0.55 + sun * 0.28) * (0.35 + 1.1 * shade)
    toward = (torch.tensor(lighting.direction, device=d.device).float() @ d).clamp(min=0)
    halo = sun * (0.25 * toward**24 + 1.5 * toward**600)
    return torch.lerp(color, cloud, cover) + halo * (1 - 0.6 * cover)


def mirrored(direction: torch.Tensor, normal: torch.Tensor, lighting: Lighting) -> torch.Tensor:
    """Radiance (3,n) a glossy surface mirrors towards the eye: Schlick's Fresnel term times sky.

    direction, normal (3,n). Below the horizon it mirrors a dim street.
    """
    d = direction * direction.square().sum(0).rsqrt()
    cosine = (d * normal).sum(0)
    up = d[2] - 2 * cosine * normal[2]
    fresnel = 0.06 + 0.94 * (1 - cosine.abs()).clamp(0, 1) ** 5
    zenith, horizon = (
        torch.tensor(c, device=d.device)[:, None] for c in (lighting.zenith, lighting.horizon)
    )
    dome = torch.lerp(horizon, zenith, ((up - 0.05) / 0.5).clamp(0, 1))
    return fresnel * dome * (0.25 + 0.75 * (up / 0.35).clamp(0, 1))

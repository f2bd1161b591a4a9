"""Light after dark: street lamps and headlights, and the glare of lamps in the lens."""

from __future__ import annotations

import torch

from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.scene import Scene

_REACH = 40.0  # metres from the camera beyond which a street lamp is left out
_HEADLIGHTS = ((-0.6, 0.8, 0.3), (0.6, 0.8, 0.3))  # in the camera frame, metres
_DIP = 0.03  # slope at which the headlights point down
_GLARE_CORE, _GLARE_SHARE = 0.006, 0.4  # radius (rad) of the bright disc; radiance per intensity


def lamp_light(
    scene: Scene,
    face: torch.Tensor,
    offset: torch.Tensor,
    T_map_cam: torch.Tensor,
    lighting: Lighting,
) -> torch.Tensor:
    """Light (3,n) from all lamps at points T_map_cam's origin + offset (3,n) of faces (n,).

    Lamps cast no shadows; leaves take light from both sides.
    """
    light = torch.zeros_like(offset)
    normal = scene.normal.index_select(0, face).T
    leaf = scene.faces.mask[face] >= 0
    R, eye = T_map_cam[:3, :3], T_map_cam[:3, 3]

    def arriving(toward):
        """Toward the lamp (3,n) -> its distance and the share of light per unit intensity."""
        distance = toward.square().sum(0).clamp(min=0.25).sqrt()
        cosine = (normal * toward).sum(0) / distance
        cosine = torch.where(leaf, 0.6 * cosine.abs(), cosine.clamp(min=0))
        return distance, cosine / distance.square()

    if max(lighting.lamp) > 0:
        color = offset.new_tensor(lighting.lamp)[:, None]
        for lamp in scene.lamps[(scene.lamps - eye).norm(dim=1) < _REACH]:
            toward = (lamp - eye).float()[:, None] - offset
            distance, share = arriving(toward)
            down = ((toward[2] / distance + 0.1) / 0.5).clamp(0, 1)
            light += color * (share * down)
    if max(lighting.headlight) > 0:
        color = offset.new_tensor(lighting.headlight)[:, None]
        for spot in _HEADLIGHTS:
            toward = (R @ R.new_tensor(spot)).float()[:, None] - offset
            distance, share = arriving(toward)
            right, down, ahead = -(R.T.float() @ toward) / distance
            down = down - _DIP * ahead
            beam = torch.exp(-(right / 0.35).square() - (down / 0.12).square())
            light += color * 8 * (share * (0.03 + beam) * (ahead > 0))
    return light


def add_glare(
    radiance: torch.Tensor,
    depth: torch.Tensor,
    rays: torch.Tensor,
    lamps: torch.Tensor,
    R: torch.Tensor,
    t: torch.Tensor,
    lighting: Lighting,
) -> torch.Tensor:
    """Radiance (3,H,W) with the discs and halos of the lamps (L,3) that the camera sees.

    depth (H,W), rays (H,W,3) with z = 1; R, t: map -> camera.
    """
    if max(lighting.lamp) <= 0:
        return radiance
    color = radiance.new_tensor(lighting.lamp)[:, None, None]
    for x, y, z in (lamps @ R.T + t).float().tolist():
        if not 1.0 < z < 2 * _REACH:
            continue
        away = ((rays[..., 0] - x / z).square() + (rays[..., 1] - y / z).square()).sqrt()
        nearest = away.argmin()
        if away.view(-1)[nearest] > 0.01 or depth.reshape(-1)[nearest] < z - 1.0:
            continue
        core = max(_GLARE_CORE, 0.15 / z)
        halo = 1 / (1 + (away / core).square()) ** 1.25
        radiance = radiance + color * (_GLARE_SHARE * halo)
    return radiance

"""Renders a world: one image with its exact depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.synthetic import shading
from pixloc_ros.synthetic.antialias import smooth
from pixloc_ros.synthetic.lamps import add_glare
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.raster import rasterise
from pixloc_ros.synthetic.scene import Scene
from pixloc_ros.synthetic.sensor import Sensor, expose


@dataclass(frozen=True)
class Rendering:
    """image (3,H,W) float32 in [0,1], display RGB; depth (H,W) metres along z, inf: sky."""

    image: torch.Tensor
    depth: torch.Tensor

    def to_uint8(self) -> np.ndarray:
        """The image as (H,W,3) uint8 RGB on the host."""
        return (self.image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


@torch.no_grad()
def render(
    world,
    camera: Camera,
    T_map_cam: np.ndarray,
    lighting: Lighting | None = None,
    device: str | torch.device = "cpu",
    sensor: Sensor | None = None,
    seed: int = 0,
) -> Rendering:
    """Render `world` (a StreetWorld) as `camera` sees it from T_map_cam (4,4).

    `seed` draws the sensor noise only. Any Camera model works: it only enters through its rays.
    """
    lighting = lighting or Lighting()
    scene: Scene = world.scene(device)
    T = torch.from_numpy(np.asarray(T_map_cam, np.float64)).to(device)
    R, t = T[:3, :3].T, -T[:3, :3].T @ T[:3, 3]
    rays = pixel_rays(camera.to(device))
    spacing = float((rays[0, -1] - rays[0, 0]).norm()) / max(1, rays.shape[1] - 1)
    visible = rasterise(scene.faces, rays, R, t, spacing)
    fan = _fan(rays)
    radiance = shading.shade(scene, visible, fan, T, lighting, spacing)
    radiance = smooth(scene.faces, visible, radiance, fan, spacing)
    depth = torch.where(
        visible.face >= 0,
        1 / visible.inverse_depth,
        torch.full_like(visible.inverse_depth, torch.inf),
    )
    radiance = add_glare(radiance, depth, rays, scene.lamps, R, t, lighting)
    return Rendering(expose(radiance, rays, sensor or Sensor(), seed), depth)


def pixel_rays(camera: Camera) -> torch.Tensor:
    """Rays (H,W,3) float32 with z = 1 through the pixel centres of one camera."""
    width, height = (round(v) for v in camera.size.tolist())
    y, x = torch.meshgrid(
        torch.arange(height, dtype=camera.dtype, device=camera.device),
        torch.arange(width, dtype=camera.dtype, device=camera.device),
        indexing="ij",
    )
    pixels = torch.stack([x, y], -1).view(-1, 2)
    return camera.rays(pixels).view(height, width, 3).float()


def _fan(rays: torch.Tensor) -> torch.Tensor:
    """(3,3,H*W): each pixel's ray, and the change of the ray per pixel to the right and down."""
    right = torch.diff(rays, dim=1)
    down = torch.diff(rays, dim=0)
    right, down = torch.cat([right, right[:, -1:]], 1), torch.cat([down, down[-1:]], 0)
    return torch.stack([rays, right, down]).view(3, -1, 3).transpose(1, 2).contiguous()

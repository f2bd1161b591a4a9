"""Deferred shading: textures, sun with cast shadows, sky light with occlusion, glass, haze, sky."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from pixloc_ros.synthetic.atlas import sample
from pixloc_ros.synthetic.facades import PAINT
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.raster import Visible
from pixloc_ros.synthetic.scene import DepthView, Scene

_UP = (0.0, 0.0, 1.0)
_HEIGHT_RESOLUTION = 0.2


def shade(scene: Scene, visible: Visible, rays: torch.Tensor, right: torch.Tensor,
          down: torch.Tensor, T_map_cam: torch.Tensor, lighting: Lighting, spacing: float
          ) -> torch.Tensor:
    """Linear radiance (H,W,3) of what is visible. right, down: change of the rays per pixel."""
    height, width = visible.face.shape
    flat_rays = rays.view(-1, 3)
    face = visible.face.reshape(-1)
    hit = torch.nonzero(face >= 0).squeeze(1)
    miss = torch.nonzero(face < 0).squeeze(1)
    radiance = torch.empty((height * width, 3), device=rays.device)
    R = T_map_cam[:3, :3].float()
    if miss.numel():
        radiance[miss] = sky(scene, flat_rays[miss] @ R.T, lighting, spacing)
    if hit.numel():
        depth = 1 / visible.inverse_depth.reshape(-1)[hit]
        radiance[hit] = _surface(scene, visible, face[hit], [r.reshape(-1, 3)[hit] for r in (
            rays, right, down)], depth, T_map_cam, lighting)
    return radiance.view(height, width, 3)


def _surface(scene, visible, face, rays, depth, T_map_cam, lighting):
    """Radiance (n,3) of hit points: face (n,), their rays and ray steps (n,3), depth (n,)."""
    d, dx, dy = rays
    M = visible.matrices.float().view(-1, 9).index_select(0, face).view(-1, 3, 3)
    ab = torch.einsum("nij,nj->in", M[:, :2], d) * depth
    slope_x = (torch.einsum("nij,nj->in", M, dx)) * depth
    slope_y = (torch.einsum("nij,nj->in", M, dy)) * depth
    ab_x = slope_x[:2] - ab * slope_x[2]
    ab_y = slope_y[:2] - ab * slope_y[2]
    uv = scene.uv.index_select(0, face).T
    base = sample(scene.texels, scene.table, scene.texture[face], uv[::2] * ab + uv[1::2],
                  uv[::2] * ab_x, uv[::2] * ab_y)
    albedo = base[:, :3] ** 2 * scene.tint.index_select(0, face)
    bare = 1 - base[:, 3] / PAINT
    detailed = torch.nonzero((scene.detail[face] >= 0) & (bare > 0.05)).squeeze(1)
    if detailed.numel():
        at = face[detailed]
        uv = scene.detail_uv.index_select(0, at).T
        fine = sample(scene.texels, scene.table, scene.detail[at],
                      uv[::2] * ab[:, detailed] + uv[1::2],
                      uv[::2] * ab_x[:, detailed], uv[::2] * ab_y[:, detailed], taps=2)
        albedo[detailed] *= 1 + (2 * fine[:, :3] - 1) * bare[detailed, None]
    R = T_map_cam[:3, :3].float()
    direction = d @ R.T
    offset = direction * depth[:, None]
    eye = T_map_cam[:3, 3]
    light = _irradiance(scene, face, direction, offset, eye, lighting)
    out = albedo * light + _mirror(scene, face, direction, base[:, 3], lighting)
    fog = torch.exp(-lighting.haze * depth)[:, None]
    return torch.lerp(torch.tensor(lighting.horizon, device=out.device) * 0.85, out, fog)


def _irradiance(scene, face, direction, offset, eye, lighting):
    """Light (n,3) that arrives at points eye + offset."""
    device = direction.device
    sun = torch.tensor(lighting.direction, device=device).float()
    sky_light, bounce, direct = (torch.tensor(c, device=device) for c in
                                 (lighting.sky, lighting.ground, lighting.sun))
    leaf = scene.faces.mask >= 0
    lambert = scene.normal @ sun
    lambert = torch.where(leaf, 0.25 + 0.5 * lambert.abs(), lambert.clamp(min=0))
    up = torch.where(leaf, torch.full_like(lambert, 0.6), scene.normal[:, 2])
    sky_share = (0.5 + 0.5 * up)[:, None]
    per_face = torch.cat([sky_share * sky_light + (1 - sky_share) * bounce, lambert[:, None]], 1)
    values = per_face.index_select(0, face)
    ambient = values[:, :3] * _openness(scene, offset, eye)[:, None]
    if max(lighting.sun) <= 0:
        return ambient
    lit = values[:, 3]
    facing = torch.nonzero(lit > 0).squeeze(1)
    view = scene.depth_view(lighting.direction, scene.shadow_resolution)
    normal = scene.normal.index_select(0, face[facing])
    lit[facing] *= _sunlit(view, offset[facing] + 0.03 * normal, eye)
    return ambient + lit[:, None] * direct


def _locate(view: DepthView, offset, eye):
    """Pixel coordinates x, y and depth of eye + offset in a far view."""
    origin = (view.R @ eye + view.t).float()
    q = offset @ view.R.float().T + origin
    shift = view.shift.float()
    xy = q[:, :2] / q[:, 2:] * view.scale + shift
    return xy[:, 0], xy[:, 1], q[:, 2]


def _sunlit(view: DepthView, offset, eye):
    """Share (n,) of the sun's disc seen, by bilinear comparison with the sun's depth view."""
    x, y, z = _locate(view, offset, eye)
    rows, cols = view.inverse_depth.shape
    x0, y0 = x.floor(), y.floor()
    fx, fy = x - x0, y - y0
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < cols - 1) & (y0 < rows - 1)
    index = (y0.clamp(0, rows - 2) * cols + x0.clamp(0, cols - 2)).long()
    limit = 1 / (z - 0.08)
    flat = view.inverse_depth.reshape(-1)

    def open_at(step):
        return (flat.index_select(0, index + step) <= limit).float()

    share = torch.lerp(torch.lerp(open_at(0), open_at(1), fx),
                       torch.lerp(open_at(cols), open_at(cols + 1), fx), fy)
    return torch.where(inside, share, torch.ones_like(share))


def _openness(scene: Scene, offset, eye):
    """Share (n,) of sky light left by surroundings, from smoothed heights of the scene around."""
    view = scene.depth_view(torch.tensor(_UP).numpy().astype(float), _HEIGHT_RESOLUTION)
    x, y, z = _locate(view, offset, eye)
    near, far = _smoothed_depths(view)
    rows, cols = view.inverse_depth.shape
    grid = torch.stack([2 * x / (cols - 1) - 1, 2 * y / (rows - 1) - 1], -1)[None, None]
    heights = F.grid_sample(torch.stack([near, far])[None], grid, align_corners=True,
                            padding_mode="border")[0, :, 0]
    above = (z - heights).clamp(min=0)
    return (0.5 + 0.5 * torch.exp(-above[0] / 0.5)) * (0.5 + 0.5 * torch.exp(-above[1] / 5.0))


def _smoothed_depths(view: DepthView) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth from above averaged over about 0.5 m and 4 m; kept with the view."""
    if view.smoothed is None:
        depth = 1 / view.inverse_depth.clamp(min=1e-6)
        depth = depth.clamp(max=float(depth[view.inverse_depth > 0].max()))[None, None]
        smoothed = []
        for metres in (0.5, 4.0):
            reach = max(1, round(metres / _HEIGHT_RESOLUTION / 2))
            for _ in range(2):
                padded = F.pad(depth, (reach,) * 4, mode="replicate")
                depth = F.avg_pool2d(padded, 2 * reach + 1, stride=1)
            smoothed.append(depth[0, 0])
        view.smoothed = tuple(smoothed)
    return view.smoothed


def _mirror(scene, face, direction, glass, lighting):
    """Reflected sky (n,3) of glossy texels: Schlick's Fresnel term times the sky seen in them."""
    gloss = ((glass - 0.3) / 0.7).clamp(min=0) * scene.gloss[face]
    out = torch.zeros((len(face), 3), device=direction.device)
    shiny = torch.nonzero(gloss > 0.02).squeeze(1)
    if shiny.numel() == 0:
        return out
    d = F.normalize(direction[shiny], dim=1)
    normal = scene.normal.index_select(0, face[shiny])
    cosine = (d * normal).sum(1)
    up = d[:, 2] - 2 * cosine * normal[:, 2]
    fresnel = 0.06 + 0.94 * (1 - cosine.abs()).clamp(0, 1) ** 5
    weight = (gloss[shiny] * fresnel)[:, None]
    zenith, horizon = (torch.tensor(c, dtype=torch.float32, device=d.device) for c in (lighting.zenith, lighting.horizon))
    share = ((up - 0.05) / 0.5).clamp(0, 1)[:, None]
    mirrored = torch.lerp(horizon, zenith, share) * (0.25 + 0.75 * (up / 0.35).clamp(0, 1)[:, None])
    out[shiny] = weight * mirrored
    return out


def sky(scene: Scene, direction: torch.Tensor, lighting: Lighting, spacing: float) -> torch.Tensor:
    """Radiance (n,3) of the sky dome along directions (n,3) of the map frame."""
    d = F.normalize(direction, dim=1)
    up = d[:, 2].clamp(min=0.0)[:, None]
    zenith, horizon = (torch.tensor(c, dtype=torch.float32, device=d.device) for c in (lighting.zenith, lighting.horizon))
    color = torch.lerp(horizon, zenith, 1 - (1 - up) ** 3)
    plane = (d[:, :2] / (up + 0.12)).T * 0.11
    shift = torch.tensor(lighting.cloud_shift, dtype=torch.float32, device=d.device)[:, None]
    step = torch.stack([torch.full_like(up[:, 0], spacing * 0.11), torch.zeros_like(up[:, 0])])
    texture = torch.full((len(d),), scene.cloud_texture, dtype=torch.int64, device=d.device)
    density = sample(scene.texels, scene.table, texture, plane + shift, step, step.flip(0), taps=1)
    cover = ((density[:, :1] - 1.05 + lighting.clouds) * 3.5).clamp(0, 1)
    white = torch.tensor(lighting.sky, device=d.device) * 0.55 + torch.tensor(
        lighting.sun, device=d.device) * 0.28
    cloud = white * (0.65 + 0.5 * density[:, 1:2])
    glow = (d @ torch.tensor(lighting.direction, device=d.device).float()).clamp(min=0)[:, None]
    halo = torch.tensor(lighting.sun, device=d.device) * (0.25 * glow**24 + 1.5 * glow**600)
    return torch.lerp(color, cloud, cover) + halo * (1 - 0.6 * cover)

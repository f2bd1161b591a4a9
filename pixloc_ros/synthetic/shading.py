"""Deferred shading: textures, sun with cast shadows, sky light with occlusion, lamps, glass, haze.

Everything is held component by component, (3,n) for n points: contiguous rows are what makes it
quick on a CPU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from pixloc_ros.synthetic.atlas import sample
from pixloc_ros.synthetic.facades import PAINT
from pixloc_ros.synthetic.lamps import lamp_light
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.raster import Visible
from pixloc_ros.synthetic.scene import DepthView, Scene
from pixloc_ros.synthetic.sky import mirrored, sky

_HEIGHT_RESOLUTION = 0.2  # metres per pixel of the view from above
_SHADOW_BIAS = 0.08  # metres
_DETAIL_END, _DETAIL_FADE = 0.06, 0.02  # metres per pixel where fine structure is averaged out


def shade(
    scene: Scene,
    visible: Visible,
    fan: torch.Tensor,
    T_map_cam: torch.Tensor,
    lighting: Lighting,
    spacing: float,
) -> torch.Tensor:
    """Linear radiance (3,H,W) of what is visible.

    fan (3,3,H*W): for each pixel its ray and the ray's change to the right and down. spacing: mean
    angle between pixels.
    """
    height, width = visible.face.shape
    face = visible.face.view(-1)
    hit = torch.nonzero(face >= 0).squeeze(1)
    miss = torch.nonzero(face < 0).squeeze(1)
    radiance = torch.empty((3, height * width), device=fan.device)
    if miss.numel():
        direction = T_map_cam[:3, :3].float() @ fan[0].index_select(1, miss)
        radiance.index_copy_(1, miss, sky(scene, direction, lighting, spacing))
    if hit.numel():
        depth = 1 / visible.inverse_depth.view(-1)[hit]
        radiance.index_copy_(
            1,
            hit,
            _surface(
                scene,
                visible.matrices,
                face[hit],
                fan.index_select(2, hit),
                depth,
                T_map_cam,
                lighting,
                spacing,
            ),
        )
    return radiance.view(3, height, width)


def _surface(scene, matrices, face, fan, depth, T_map_cam, lighting, spacing):
    """Radiance (3,n) of hit points: face (n,), their part of the fan (3,3,n), depth (n,)."""
    at, right, down = _face_coordinates(matrices, face, fan, depth)
    uv = scene.uv.index_select(1, face)
    base = sample(
        scene.texels,
        scene.table,
        scene.texture[face],
        uv[:2] * at + uv[2:],
        uv[:2] * right,
        uv[:2] * down,
    ).T.contiguous()
    albedo = base[:3].square() * scene.tint.index_select(1, face)
    bare = (1 - base[3] / PAINT) * ((_DETAIL_END - depth * spacing) / _DETAIL_FADE).clamp(0, 1)
    shade, *slope = _detail(scene, face, bare, at, right, down)
    albedo *= 1 + shade
    direction = T_map_cam[:3, :3].float() @ fan[0]
    offset = direction * depth
    light = _irradiance(scene, face, slope, offset, T_map_cam[:3, 3], lighting)
    light += lamp_light(scene, face, offset, T_map_cam, lighting)
    gloss = ((base[3] - 0.3) / 0.7).clamp(min=0) * scene.gloss[face]
    if lighting.wet > 0:
        film = _wet(scene, face, offset, T_map_cam[:3, 3], lighting.wet)
        albedo *= 1 - 0.5 * film
        gloss = torch.maximum(gloss, 0.8 * film)
    out = albedo * light
    shiny = torch.nonzero(gloss > 0.02).squeeze(1)
    if shiny.numel():
        normal = scene.normal.index_select(0, face[shiny]).T
        out[:, shiny] += gloss[shiny] * mirrored(direction.index_select(1, shiny), normal, lighting)
    fog = torch.exp(-lighting.haze * depth)
    return torch.lerp(_column(lighting.horizon, out) * 0.85, out, fog)


def _face_coordinates(matrices, face, fan, depth):
    """Face coordinates a, b (2,n) of the points, their change per pixel to the right, and down."""
    m = matrices.float().view(-1, 9).T.contiguous().index_select(1, face).view(3, 3, -1)

    def project(rays):
        return (m * rays).sum(1) * depth

    at, right, down = (project(rays) for rays in fan)
    return at[:2], right[:2] - at[:2] * right[2], down[:2] - at[:2] * down[2]


def _detail(scene, face, bare, at, right, down):
    """Fine structure where the wall is `bare` (n,): relative brightness, two slopes; (3,n)."""
    out = torch.zeros((3, len(face)), device=at.device)
    chosen = torch.nonzero((scene.detail[face] >= 0) & (bare > 0.05)).squeeze(1)
    if chosen.numel():
        face = face[chosen]
        uv = scene.detail_uv.index_select(1, face)
        at, right, down = (x.index_select(1, chosen) for x in (at, right, down))
        fine = sample(
            scene.texels,
            scene.table,
            scene.detail[face],
            uv[:2] * at + uv[2:],
            uv[:2] * right,
            uv[:2] * down,
            taps=2,
        ).T[:3]
        out.index_copy_(1, chosen, (2 * fine - 1) * bare[chosen])
    return out


def _irradiance(scene, face, slope, offset, eye, lighting):
    """Light (3,n) that reaches points eye + offset (3,n) whose surface is tilted by slope (2,n)."""
    sun = torch.tensor(lighting.direction, device=offset.device).float()
    sky_light, bounce, direct = (
        _column(c, offset) for c in (lighting.sky, lighting.ground, lighting.sun)
    )
    leaf = scene.faces.mask >= 0
    lambert = scene.normal @ sun
    lambert = torch.where(leaf, 0.25 + 0.5 * lambert.abs(), lambert)
    up = torch.where(leaf, torch.full_like(lambert, 0.6), scene.normal[:, 2])
    share = 0.5 + 0.5 * up
    per_face = torch.cat(
        [
            share * sky_light + (1 - share) * bounce,
            lambert[None],
            (scene.tangent @ sun).T,
            scene.tangent[:, 1, 2][None],
        ]
    )
    values = per_face.index_select(1, face)
    ambient = values[:3] * (_openness(scene, offset, eye) * (1 - slope[1] * values[6]))
    if max(lighting.sun) <= 0:
        return ambient
    lit = values[3] - slope[0] * values[4] - slope[1] * values[5]
    lit = torch.where(values[3] > 0, lit, torch.zeros_like(lit)).clamp(min=0)
    facing = torch.nonzero(lit > 0).squeeze(1)
    view = scene.depth_view(lighting.direction, scene.shadow_resolution)
    normal = scene.normal.index_select(0, face[facing]).T
    lit[facing] *= _sunlit(view, offset.index_select(1, facing) + 0.03 * normal, eye)
    return ambient + lit * direct


def _wet(scene, face, offset, eye, share: float):
    """How wet (n,), [0,1], points are: level ground in patches of a few metres, nothing else."""
    x, y = offset[:2] + eye[:2, None].float()
    patches = (
        torch.sin(0.7 * x + 1.3 * torch.sin(0.5 * y))
        + torch.sin(0.9 * y + 1.1 * torch.sin(0.6 * x))
    ) / 2
    level = (scene.normal[face, 2] > 0.99) & (offset[2] + eye[2].float() < 0.3)
    return ((patches + 2 * share - 1) * 3).clamp(0, 1) * level


def _locate(view: DepthView, offset, eye):
    """Pixel coordinates (2,n) and depth (n,) of eye + offset in a far view."""
    q = view.R.float() @ offset + (view.R @ eye + view.t).float()[:, None]
    return q[:2] / q[2] * view.scale + view.shift.float()[:, None], q[2]


def _sunlit(view: DepthView, offset, eye):
    """Share (n,) of the sun's disc seen, by bilinear comparison with the sun's depth view."""
    position, z = _locate(view, offset, eye)
    rows, cols = view.inverse_depth.shape
    corner = position.floor()
    fx, fy = position - corner
    x0, y0 = corner
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < cols - 1) & (y0 < rows - 1)
    index = (y0.clamp(0, rows - 2) * cols + x0.clamp(0, cols - 2)).int()
    limit = 1 / (z - _SHADOW_BIAS)
    flat = view.inverse_depth.reshape(-1)

    def open_at(step):
        return (flat.index_select(0, index + step) <= limit).float()

    share = torch.lerp(
        torch.lerp(open_at(0), open_at(1), fx), torch.lerp(open_at(cols), open_at(cols + 1), fx), fy
    )
    return torch.where(inside, share, torch.ones_like(share))


def _openness(scene: Scene, offset, eye):
    """Share (n,) of sky light left by surroundings, from smoothed heights of the scene around."""
    view = scene.depth_view(scene.UP, _HEIGHT_RESOLUTION)
    position, z = _locate(view, offset, eye)
    rows, cols = view.inverse_depth.shape
    extent = torch.tensor([[cols - 1.0], [rows - 1.0]], device=offset.device)
    grid = (2 * position / extent - 1).T[None, None]
    heights = F.grid_sample(
        _smoothed_depths(view)[None], grid, align_corners=True, padding_mode="border"
    )[0, :, 0]
    above = (z - heights).clamp(min=0)
    near, far = torch.exp(above * torch.tensor([[-2.0], [-0.2]], device=offset.device))
    return (0.5 + 0.5 * near) * (0.5 + 0.5 * far)


def _smoothed_depths(view: DepthView) -> torch.Tensor:
    """Depth from above averaged over about 0.5 m and 4 m, (2,rows,cols); kept with the view."""
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
        view.smoothed = torch.stack(smoothed)
    return view.smoothed


def _column(color, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(color, dtype=like.dtype, device=like.device)[:, None]

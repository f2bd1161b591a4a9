"""A world's faces and textures as tensors, and the shadow views that go with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from pixloc_ros.synthetic.faces import FaceList
from pixloc_ros.synthetic.raster import FaceSet, rasterise

_FAR = 1000.0  # metres from which sun and sky look at the scene


@dataclass
class DepthView:
    """Inverse depth seen from far away: point p lies at scale * xy/z + shift of R p + t, pixels."""

    R: torch.Tensor
    t: torch.Tensor
    scale: float
    shift: torch.Tensor
    inverse_depth: torch.Tensor
    smoothed: torch.Tensor | None = None


@dataclass
class Scene:
    """Tensors of one world on one device. Per face, float32: normal (F,3), tangent (F,2,3: unit
    half_u, half_v), uv (4,F), detail_uv (4,F), tint (3,F), gloss (F,); texture, detail (F,) int64.
    `core` (2,3): the box whose contents cast shadows. lamps (L,3) float64: street lamps, metres.
    """

    faces: FaceSet
    normal: torch.Tensor
    tangent: torch.Tensor
    uv: torch.Tensor
    detail_uv: torch.Tensor
    tint: torch.Tensor
    gloss: torch.Tensor
    texture: torch.Tensor
    detail: torch.Tensor
    texels: torch.Tensor
    table: torch.Tensor
    cloud_texture: int
    core: np.ndarray
    shadow_resolution: float
    lamps: torch.Tensor
    _views: dict = field(default_factory=dict)

    UP = np.array([0.0, 0.0, 1.0])

    @staticmethod
    def build(
        face_list: FaceList,
        sizes,
        texels,
        table,
        masks,
        cloud_texture: int,
        core: np.ndarray,
        shadow_resolution: float,
        device,
        lamps: np.ndarray,
    ) -> Scene:
        """Tensors on `device` from a face list and a frozen texture bank."""
        arrays = face_list.arrays(np.asarray(sizes, float))

        def real(name, dtype=torch.float32):
            return torch.from_numpy(np.ascontiguousarray(arrays[name])).to(device, dtype)

        faces = FaceSet(
            real("center", torch.float64),
            real("half_u", torch.float64),
            real("half_v", torch.float64),
            real("taper", torch.float64),
            real("mask", torch.int64),
            real("two_sided", torch.bool),
            masks.to(device),
        )
        normal = torch.linalg.cross(faces.half_u, faces.half_v)
        normal = (normal / normal.norm(dim=1, keepdim=True)).float()
        tangent = torch.stack([faces.half_u, faces.half_v], 1)
        tangent = (tangent / tangent.norm(dim=2, keepdim=True)).float()
        return Scene(
            faces,
            normal,
            tangent,
            real("uv").T.contiguous(),
            real("detail_uv").T.contiguous(),
            real("tint").T.contiguous(),
            real("gloss"),
            real("texture", torch.int64),
            real("detail", torch.int64),
            texels.to(device),
            table.to(device),
            cloud_texture,
            core,
            shadow_resolution,
            torch.from_numpy(lamps).to(device, torch.float64),
        )

    def depth_view(self, direction: np.ndarray, resolution: float) -> DepthView:
        """The scene from far along `direction` (3,), pixels of about `resolution` metres; kept."""
        key = (*np.round(direction, 6), resolution)
        if key not in self._views:
            if len(self._views) > 8:
                self._views.pop(next(iter(self._views)))
            self._views[key] = self._look_from(direction, resolution)
        return self._views[key]

    def _look_from(self, direction: np.ndarray, resolution: float) -> DepthView:
        device = self.faces.center.device
        z = -direction / np.linalg.norm(direction)
        x = np.cross(z, [0.0, 0.0, 1.0] if abs(z[2]) < 0.99 else [0.0, 1.0, 0.0])
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        t = -R @ (self.core.mean(0) - z * _FAR)
        corners = np.stack(np.meshgrid(*self.core.T, indexing="ij"), -1).reshape(-1, 3) @ R.T + t
        flat = corners[:, :2] / corners[:, 2:]
        low, high = flat.min(0), flat.max(0)
        step = max(resolution / _FAR, (high - low).max() / 3000)
        cols, rows = np.ceil((high - low) / step).astype(int) + 1
        xs = torch.arange(cols, device=device) * step + low[0]
        ys = torch.arange(rows, device=device) * step + low[1]
        rays = torch.stack(
            [
                xs.expand(rows, cols),
                ys[:, None].expand(rows, cols),
                torch.ones(rows, cols, device=device),
            ],
            -1,
        ).float()
        R, t = torch.from_numpy(R).to(device), torch.from_numpy(t).to(device)
        visible = rasterise(self.faces, rays, R, t, step)
        return DepthView(
            R, t, 1 / step, torch.tensor(-low / step, device=device), visible.inverse_depth
        )

"""Smooth silhouettes: pixels on an outline get a mix of the surfaces that meet there.

Textures are filtered when they are sampled, so only outlines need more than one ray. Each outline
pixel shoots a few extra rays at the faces seen in its neighbourhood and takes every face's colour
from the nearest pixel that shows it.
"""

from __future__ import annotations

import torch

from pixloc_ros.synthetic.raster import FaceSet, Visible, face_size, mask_opacity

_OFFSETS = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))
_SKY = 1e-6  # inverse depth given to the sky


def smooth(
    faces: FaceSet, visible: Visible, radiance: torch.Tensor, fan: torch.Tensor, spacing: float
) -> torch.Tensor:
    """Radiance (3,H,W) with outlines blended. fan (3,3,H*W): rays and their steps per pixel."""
    face = visible.face
    height, width = face.shape
    across = face[:, 1:] != face[:, :-1]
    along = face[1:] != face[:-1]
    outline = torch.zeros_like(face, dtype=torch.bool)
    outline[:, 1:] |= across
    outline[:, :-1] |= across
    outline[1:] |= along
    outline[:-1] |= along
    outline[0] = outline[-1] = False
    outline[:, 0] = outline[:, -1] = False
    pixel = torch.nonzero(outline.view(-1)).squeeze(1)
    if pixel.numel() == 0:
        return radiance
    steps = torch.tensor([0, -1, 1, -width, width], device=face.device)
    source = pixel[:, None] + steps  # (n,5)
    candidate = face.view(-1)[source]
    solid = candidate.clamp(min=0)
    M = visible.matrices.float().view(-1, 9).index_select(0, solid.view(-1)).view(-1, 15, 3)
    offsets = torch.tensor(_OFFSETS, device=face.device)
    d, dx, dy = fan.index_select(2, pixel).transpose(1, 2).unsqueeze(-1)
    probe = d + dx * offsets[:, 0] + dy * offsets[:, 1]  # (n,3,S)
    a, b, w = torch.bmm(M, probe).view(-1, 5, 3, len(_OFFSETS)).unbind(2)
    lean = faces.taper.float()[solid][..., None] / 2
    inside = torch.minimum(w - a.abs() - lean * (b + w), w - b.abs()) >= 0
    _cut(faces, solid, inside, a, b, w, spacing)
    key = torch.where(inside, w, torch.zeros_like(w))
    key.masked_fill_((candidate < 0)[..., None], _SKY)
    best, picked = key[:, 0] * (1 + 1e-5), source[:, :1].expand(-1, len(_OFFSETS))
    for k in range(1, 5):
        picked = torch.where(key[:, k] > best, source[:, k, None], picked)
        best = torch.maximum(best, key[:, k])
    flat = radiance.view(3, -1)
    mixed = flat.index_select(1, picked.reshape(-1)).view(3, -1, len(_OFFSETS)).mean(2)
    flat = flat.clone()
    flat[:, pixel] = mixed
    return flat.view(3, height, width)


def _cut(faces: FaceSet, solid, inside, a, b, w, spacing: float) -> None:
    """Apply cut-out masks to the hits `inside` (n,5,S), in place."""
    hit = inside & (faces.mask[solid] >= 0)[..., None]
    where = torch.nonzero(hit, as_tuple=True)
    if len(where[0]) == 0:
        return
    at = solid[where[0], where[1]]
    depth = w[where]
    opacity = mask_opacity(
        faces.masks,
        faces.mask[at],
        a[where] / depth,
        b[where] / depth,
        spacing / depth / face_size(faces)[at],
    )
    inside[where] = opacity > 0.5

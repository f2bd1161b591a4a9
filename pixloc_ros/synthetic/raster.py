"""Exact visibility of planar faces along arbitrary camera rays, z-buffered tile by tile.

For a face with points c + a U + b V (camera frame) and a ray d with d_z = 1 the equation
z d = c + a U + b V gives (a, b, 1)^T / z = M d with M = [U V c]^-1. So one 3x3 matrix per face
yields inverse depth and face coordinates of any ray, linearly: no projection model enters,
distorted cameras cost the same as pinholes (homogeneous rasterisation, Olano and Greer 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

TILE = 16
NEAR = 0.05


@dataclass(frozen=True)
class FaceSet:
    """Geometry for visibility in the map frame: center, half_u, half_v (F,3) float64, taper (F,),
    mask (F,) int64 (-1: none), two_sided (F,) bool, masks (L,n,S,S) cut-out opacities in [0,1],
    smoother from level to level."""

    center: torch.Tensor
    half_u: torch.Tensor
    half_v: torch.Tensor
    taper: torch.Tensor
    mask: torch.Tensor
    two_sided: torch.Tensor
    masks: torch.Tensor


@dataclass(frozen=True)
class Visible:
    """What each ray meets: face (H,W) int64 index or -1, inverse_depth (H,W), matrices (F,3,3)."""

    face: torch.Tensor
    inverse_depth: torch.Tensor
    matrices: torch.Tensor


def face_matrices(
    faces: FaceSet, R: torch.Tensor, t: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """M (F,3,3) float64 for the camera x_cam = R x_map + t, and which faces show their front."""
    u, v = faces.half_u @ R.T, faces.half_v @ R.T
    c = faces.center @ R.T + t
    normal = torch.linalg.cross(u, v)
    determinant = (normal * c).sum(1)
    scale = normal.norm(dim=1)
    shown = determinant < -1e-4 * scale
    shown |= faces.two_sided & (determinant > 1e-4 * scale)
    safe = torch.where(shown, determinant, torch.ones_like(determinant))
    matrices = torch.stack([torch.linalg.cross(v, c), torch.linalg.cross(c, u), normal], 1)
    return matrices / safe[:, None, None], shown


def _bounds(faces: FaceSet, R: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Box around each face in ray coordinates x/z, y/z: low, high (F,2); empty when behind."""
    signs = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=R.dtype, device=R.device)
    a = signs[:, 0] * (1 - faces.taper[:, None] * (signs[:, 1] + 1) / 2)
    corners = (
        faces.center[:, None]
        + a[..., None] * faces.half_u[:, None]
        + signs[:, 1:] * faces.half_v[:, None]
    ) @ R.T + t
    following = corners.roll(-1, 1)
    z0, z1 = corners[..., 2:], following[..., 2:]
    crossing = (z0 - NEAR) * (z1 - NEAR) < 0
    ratio = (NEAR - z0) / torch.where(crossing, z1 - z0, torch.ones_like(z0))
    cut = corners + ratio * (following - corners)
    points = torch.cat([corners, cut], 1)
    valid = torch.cat([z0 >= NEAR, crossing], 1)
    flat = points[..., :2] / points[..., 2:].clamp(min=NEAR)
    low = torch.where(valid, flat, torch.full_like(flat, torch.inf)).amin(1)
    high = torch.where(valid, flat, torch.full_like(flat, -torch.inf)).amax(1)
    return low, high


def rasterise(
    faces: FaceSet, rays: torch.Tensor, R: torch.Tensor, t: torch.Tensor, pixel_angle: float
) -> Visible:
    """Nearest face along each ray. rays (H,W,3) float32 with z = 1; R (3,3), t (3,) float64 map to
    camera; `pixel_angle` = ray spacing, which sets how soft cut-out masks are read."""
    height, width = rays.shape[:2]
    device = rays.device
    matrices, shown = face_matrices(faces, R, t)
    low, high = _bounds(faces, R, t)
    tiles = _tiles(rays)  # (T,3,P)
    tile_low, tile_high = tiles[:, :2].amin(2), tiles[:, :2].amax(2)
    frame_low, frame_high = tile_low.amin(0), tile_high.amax(0)
    seen = shown & (low <= frame_high).all(1) & (high >= frame_low).all(1)
    index = torch.nonzero(seen).squeeze(1)
    small = matrices[index].float()
    low, high = low[index].float(), high[index].float()
    taper, mask = faces.taper[index].float(), faces.mask[index]
    best = torch.zeros((tiles.shape[0], tiles.shape[2]), device=device)
    owner = torch.full(best.shape, -1, dtype=torch.int64, device=device)
    hit = torch.ones((len(tiles), len(index)), dtype=torch.bool, device=device)
    for axis in (0, 1):
        hit &= low[:, axis] <= tile_high[:, axis, None]
        hit &= high[:, axis] >= tile_low[:, axis, None]
    tile_of, face_of = torch.nonzero(hit, as_tuple=True)
    tile_of, face_of = _cull(tile_of, face_of, small, taper, mask >= 0, tile_low, tile_high)
    cutout = mask[face_of] >= 0
    _paint(tiles, best, owner, tile_of[~cutout], face_of[~cutout], small, taper, None)
    _paint(
        tiles,
        best,
        owner,
        tile_of[cutout],
        face_of[cutout],
        small,
        taper,
        _CutOut(faces.masks, mask, faces, index, pixel_angle),
    )
    owner = torch.where(owner >= 0, index[owner.clamp(min=0)] if len(index) else owner, owner)
    return Visible(_untile(owner, height, width), _untile(best, height, width), matrices)


def _cull(tile_of, face_of, matrices, taper, cutout, tile_low, tile_high):
    """Drop (tile, face) pairs that miss the tile, or lie behind a face that covers all of it."""
    center = (tile_low + tile_high) / 2
    half = (tile_high - tile_low) / 2 + 1e-7
    center, half = center[tile_of], half[tile_of]
    M = matrices[face_of]
    a, b, w = M.unbind(1)

    def extent(row):
        middle = row[:, 0] * center[:, 0] + row[:, 1] * center[:, 1] + row[:, 2]
        reach = row[:, 0].abs() * half[:, 0] + row[:, 1].abs() * half[:, 1]
        return middle - reach, middle + reach

    lean = (taper[face_of] / 2)[:, None] * (b + w)
    bounds = [extent(w - a - lean), extent(w + a - lean), extent(w - b), extent(w + b)]
    touches = torch.stack([high >= 0 for _, high in bounds]).all(0)
    covers = torch.stack([low >= 0 for low, _ in bounds]).all(0) & ~cutout[face_of]
    nearest_low, nearest_high = extent(w)
    floor = torch.zeros(len(tile_low), device=center.device)
    nearest_low = torch.where(covers, nearest_low, torch.zeros_like(nearest_low))
    floor.scatter_reduce_(0, tile_of, nearest_low, "amax")
    keep = touches & (nearest_high >= floor[tile_of] * (1 - 1e-6))
    return tile_of[keep], face_of[keep]


def _paint(tiles, best, owner, tile_of, face_of, matrices, taper, cut_out) -> None:
    """Z-buffer all pairs: the k-th pair of every tile at once, over the tiles that have one."""
    if len(tile_of) == 0:
        return
    counts = torch.bincount(tile_of, minlength=len(tiles))
    starts = counts.cumsum(0) - counts
    order = torch.argsort(counts, descending=True)
    ranks = torch.arange(int(counts.max()), device=counts.device)
    alive = (counts[:, None] > ranks).sum(0).tolist()
    tiles, near, who, first = tiles[order], best[order], owner[order], starts[order]
    for k, number in enumerate(alive):
        face = face_of[first[:number] + k]
        a, b, w = torch.bmm(matrices[face], tiles[:number]).unbind(1)
        inside = torch.minimum(w - a.abs() - (taper[face] / 2)[:, None] * (b + w), w - b.abs())
        depth = near[:number]
        visible = (inside >= 0) & (w > depth)
        if cut_out is not None:
            visible = cut_out(visible, face, a, b, w)
        near[:number] = torch.where(visible, w, depth)
        who[:number] = torch.where(visible, face[:, None], who[:number])
    best[order], owner[order] = near, who


class _CutOut:
    """Applies the mask textures of cut-out faces to a z-test."""

    def __init__(self, masks, mask_of, faces, index, pixel_angle):
        self.masks, self.mask_of = masks, mask_of
        self.size = face_size(faces)[index]
        self.pixel_angle = pixel_angle

    def __call__(self, visible, face, a, b, w):
        where = torch.nonzero(visible, as_tuple=True)
        if len(where[0]) == 0:
            return visible
        face = face[where[0]]
        w = w[where]
        opacity = mask_opacity(
            self.masks,
            self.mask_of[face],
            a[where] / w,
            b[where] / w,
            self.pixel_angle / w / self.size[face],
        )
        visible[where] = opacity > 0.5
        return visible


def face_size(faces: FaceSet) -> torch.Tensor:
    """Shorter edge of every face, (F,) float32 metres."""
    return 2 * torch.minimum(faces.half_u.norm(dim=1), faces.half_v.norm(dim=1)).float()


def mask_opacity(
    masks: torch.Tensor,
    mask: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    footprint: torch.Tensor,
) -> torch.Tensor:
    """Opacity of cut-out `mask` (n,) at face coordinates a, b; footprint = pixel / face size.

    `masks` (L,n,S,S) holds ever smoother versions, all of the same size.
    """
    levels, _, size, _ = masks.shape
    level = (footprint * size).clamp(min=1).log2().round().clamp(max=levels - 1).long()
    x = ((a + 1) * (size / 2)).long().clamp(0, size - 1)
    y = ((1 - b) * (size / 2)).long().clamp(0, size - 1)
    return masks[level, mask, y, x]


def _tiles(rays: torch.Tensor) -> torch.Tensor:
    """(H,W,3) -> (T,3,TILE*TILE), the border tiles filled up with copies of the last row/column."""
    height, width = rays.shape[:2]
    rows, cols = -(-height // TILE), -(-width // TILE)
    y = torch.arange(rows * TILE, device=rays.device).clamp(max=height - 1)
    x = torch.arange(cols * TILE, device=rays.device).clamp(max=width - 1)
    full = rays[y][:, x].view(rows, TILE, cols, TILE, 3)
    return full.permute(0, 2, 4, 1, 3).reshape(rows * cols, 3, TILE * TILE).contiguous()


def _untile(values: torch.Tensor, height: int, width: int) -> torch.Tensor:
    rows, cols = -(-height // TILE), -(-width // TILE)
    full = values.view(rows, cols, TILE, TILE).permute(0, 2, 1, 3)
    return full.reshape(rows * TILE, cols * TILE)[:height, :width]

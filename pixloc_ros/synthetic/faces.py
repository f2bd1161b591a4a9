"""Planar faces: the only geometric primitive of the synthetic world.

A face is the set of points c + a U + b V with |b| <= 1 and |a| <= 1 - taper (b+1)/2: a rectangle
(taper 0), a trapezoid or a triangle (taper 1); optionally cut out by a mask texture.
Its front is the side that U x V points to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skin:
    """How a face looks: base texture at `density` texels/m, times tint, times a detail texture.

    `fit` stretches the whole texture over the face instead (density and offset then unused).
    `gloss` in [0,1] scales the mirror of the sky where the texture's fourth channel says glass.
    `mask` >= 0 selects a cut-out mask and makes the face two-sided.
    """

    texture: int
    density: float = 100.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    detail: int = -1
    detail_density: float = 400.0
    fit: bool = False
    gloss: float = 1.0
    mask: int = -1


class FaceList:
    """Grows a list of faces; `arrays()` gives them as struct of arrays (float64, world frame)."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []

    def add(
        self,
        center,
        half_u,
        half_v,
        skin: Skin,
        taper: float = 0.0,
        offset=(0.0, 0.0),
        two_sided: bool = False,
    ) -> None:
        """One face from its centre and half edges (3,); `offset` shifts the texture; metres."""
        self._rows.append(
            (
                np.asarray(center, float),
                np.asarray(half_u, float),
                np.asarray(half_v, float),
                taper,
                skin,
                tuple(offset),
                two_sided,
            )
        )

    def add_box(
        self,
        center,
        half,
        yaw: float,
        skins,
        rng: np.random.Generator | None = None,
        taper: float = 0.0,
        skip=("bottom",),
    ) -> None:
        """A box turned by `yaw` about z; half sizes along its own x, y, z in metres.

        `skins` is one Skin or a dict side -> Skin with "default". front is +x, left is +y. With
        `taper` the four walls lean inwards like a truncated pyramid (roofs, car cabins).
        """
        hx, hy, hz = half
        c, s = np.cos(yaw), np.sin(yaw)
        ex, ey, ez = np.array([c, s, 0.0]), np.array([-s, c, 0.0]), np.array([0.0, 0.0, 1.0])
        center = np.asarray(center, float)
        lean = taper * min(hx, hy)
        offset = (0.0, 0.0) if rng is None else tuple(rng.uniform(0, 40, 2))
        walls = (
            ("front", ex, ey, hx, hy),
            ("back", -ex, -ey, hx, hy),
            ("left", ey, -ex, hy, hx),
            ("right", -ey, ex, hy, hx),
        )
        for side, out, along, reach, width in walls:
            if side in skip:
                continue
            middle = center + out * (reach - lean / 2)
            half_v = ez * hz - out * lean / 2
            self.add(
                middle, along * width, half_v, _pick(skins, side), taper=lean / width, offset=offset
            )
        if "top" not in skip:
            self.add(
                center + ez * hz,
                -ey * (hy - lean),
                ex * (hx - lean),
                _pick(skins, "top"),
                offset=offset,
            )
        if "bottom" not in skip:
            self.add(center - ez * hz, ey * hy, ex * hx, _pick(skins, "bottom"), offset=offset)

    def add_prism(
        self,
        base,
        radius: float,
        height: float,
        skin: Skin,
        sides: int = 6,
        cap: Skin | None = None,
        top_radius: float | None = None,
    ) -> None:
        """An upright regular prism or cone frustum (pole, trunk, bollard) on the point `base`."""
        base = np.asarray(base, float)
        top_radius = radius if top_radius is None else top_radius
        ez = np.array([0.0, 0.0, 1.0])
        half_angle = np.pi / sides
        for k in range(sides):
            angle = 2 * half_angle * k
            out = np.array([np.cos(angle), np.sin(angle), 0.0])
            along = np.array([-np.sin(angle), np.cos(angle), 0.0])
            low, high = radius * np.cos(half_angle), top_radius * np.cos(half_angle)
            width = radius * np.sin(half_angle)
            middle = base + ez * height / 2 + out * (low + high) / 2
            half_v = ez * height / 2 + out * (high - low) / 2
            self.add(
                middle,
                along * width,
                half_v,
                skin,
                taper=1.0 - top_radius / radius,
                offset=(2 * width * k, 0.0),
            )
        if cap is not None:
            self.add(base + ez * height, [0, -top_radius * 0.9, 0], [top_radius * 0.9, 0, 0], cap)

    def extend(self, other: FaceList) -> None:
        """Append all faces of another list."""
        self._rows.extend(other._rows)

    def arrays(self, texture_sizes: np.ndarray) -> dict[str, np.ndarray]:
        """Struct of arrays for the renderer. `texture_sizes` (n,2) is width, height in texels.

        uv (F,4) holds scale and offset of the normalised base texture coordinates as functions of
        a and b: u = uv0 a + uv2, v = uv1 b + uv3; detail_uv (F,4) the same for the detail texture.
        """
        rows = self._rows
        skins = [r[4] for r in rows]
        half_u = np.stack([r[1] for r in rows])
        half_v = np.stack([r[2] for r in rows])
        lengths = np.stack([np.linalg.norm(half_u, axis=1), np.linalg.norm(half_v, axis=1)], 1)
        offset = np.array([r[5] for r in rows])
        texture = np.array([s.texture for s in skins])
        detail = np.array([s.detail for s in skins])
        fit = np.array([s.fit for s in skins])[:, None]

        def affine(density, sizes):
            scale = lengths * density[:, None] / sizes
            shift = (offset + lengths) * density[:, None] / sizes
            return np.stack([scale[:, 0], -scale[:, 1], shift[:, 0], shift[:, 1]], 1)

        uv = affine(np.array([s.density for s in skins]), texture_sizes[texture])
        uv = np.where(fit, np.array([0.5, -0.5, 0.5, 0.5]), uv)
        return {
            "center": np.stack([r[0] for r in rows]),
            "half_u": half_u,
            "half_v": half_v,
            "taper": np.array([r[3] for r in rows]),
            "texture": texture,
            "uv": uv,
            "detail": detail,
            "detail_uv": affine(
                np.array([s.detail_density for s in skins]), texture_sizes[np.maximum(detail, 0)]
            ),
            "tint": np.array([s.tint for s in skins]),
            "gloss": np.array([s.gloss for s in skins]),
            "mask": np.array([s.mask for s in skins]),
            "two_sided": np.array([r[6] or s.mask >= 0 for r, s in zip(rows, skins)]),
        }


def _pick(skins, side: str) -> Skin:
    if isinstance(skins, Skin):
        return skins
    return skins.get(side, skins["default"])

"""A batch of cameras in torch: projection with analytic Jacobian, rays, resizing, cropping."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.distortion import (
    NUM_COEFFICIENTS,
    distort,
    max_valid_radius2,
    undistort,
)

MIN_DEPTH = 1e-3  # metres


@dataclass(frozen=True, eq=False)
class Camera:
    """Cameras of one distortion model; batch dimensions (...) broadcast against those of points.

    Pixel (0, 0) is the centre of the top-left pixel; the camera frame is optical (z forward,
    x right, y down). size (..., 2) width and height in pixels (float: resizing does not round),
    f (..., 2) focal lengths, c (..., 2) principal point, distortion (..., D) as `distortion.py`
    lists it, max_radius2 (...) squared normalised radius where the distortion folds over.
    """

    model: str
    size: Tensor
    f: Tensor
    c: Tensor
    distortion: Tensor
    max_radius2: Tensor

    @classmethod
    def build(
        cls,
        model: str,
        size: Sequence[float],
        f: Sequence[float],
        c: Sequence[float],
        distortion: Sequence[float] = (),
        dtype: torch.dtype = torch.float32,
    ) -> Camera:
        """One camera (no batch dimensions) from plain numbers.

        Raises DataError for an unknown model, a wrong number of coefficients or impossible values.
        """
        if model not in NUM_COEFFICIENTS:
            raise DataError(f"unknown camera model '{model}' (known: {_names(NUM_COEFFICIENTS)})")
        if not len(size) == len(f) == len(c) == 2:
            raise DataError(f"camera model '{model}': size, f and c have two values each")
        if len(distortion) != NUM_COEFFICIENTS[model]:
            raise DataError(
                f"camera model '{model}' has {NUM_COEFFICIENTS[model]} distortion "
                f"coefficients, got {len(distortion)}"
            )
        if not all(math.isfinite(v) for v in (*size, *f, *c, *distortion)):
            raise DataError(f"camera model '{model}': a parameter is not finite")
        if min(*size, *f) <= 0:
            raise DataError(
                f"the size {tuple(size)} and the focal lengths {tuple(f)} of a camera "
                "must be positive (is the camera calibrated?)"
            )
        limit = max_valid_radius2(model, distortion)
        numbers = (size, f, c, distortion, limit)
        return cls(model, *(torch.tensor(v, dtype=dtype) for v in numbers))

    @classmethod
    def pinhole(
        cls,
        w: float,
        h: float,
        fx: float,
        fy: float,
        cx: float,
        cy: float,
        dtype: torch.dtype = torch.float32,
    ) -> Camera:
        return cls.build("pinhole", (w, h), (fx, fy), (cx, cy), dtype=dtype)

    @classmethod
    def from_colmap(
        cls,
        model: str,
        w: float,
        h: float,
        params: Sequence[float],
        dtype: torch.dtype = torch.float32,
    ) -> Camera:
        """From a COLMAP camera; its principal point loses COLMAP's half pixel.

        Raises DataError for a model that is not supported or a wrong number of parameters.
        """
        if model not in _COLMAP:
            raise DataError(
                f"COLMAP camera model '{model}' is not supported (known: {_names(_COLMAP)})"
            )
        names = _COLMAP[model]
        if len(params) != len(names):
            raise DataError(
                f"COLMAP camera model '{model}' has the parameters {_names(names)}, "
                f"got {len(params)} values"
            )
        p = dict(zip(names, map(float, params)))
        f = (p["f"], p["f"]) if "f" in p else (p["fx"], p["fy"])
        c = (p["cx"] - 0.5, p["cy"] - 0.5)
        if model in _COLMAP_FISHEYES:
            k = [p.get(name, 0.0) for name in ("k1", "k2", "k3", "k4")]
            return cls.build("equidistant", (w, h), f, c, k, dtype)
        return cls._opencv((w, h), f, c, [p.get(name, 0.0) for name in _RATIONAL], dtype)

    @classmethod
    def from_ros(
        cls,
        distortion_model: str,
        w: float,
        h: float,
        k: Sequence[float],
        d: Sequence[float],
        dtype: torch.dtype = torch.float32,
    ) -> Camera:
        """From the fields of a sensor_msgs/CameraInfo: K (9, row-major) and D.

        Raises DataError for a model that is not supported or a wrong number of coefficients.
        """
        if len(k) != 9:
            raise DataError(f"the camera matrix K has 9 values, got {len(k)}")
        size, f, c, d = (w, h), (k[0], k[4]), (k[2], k[5]), [float(v) for v in d]
        if distortion_model == "equidistant":
            return cls.build("equidistant", size, f, c, d, dtype)
        if distortion_model not in _ROS:
            raise DataError(
                f"distortion model '{distortion_model}' is not supported "
                f"(known: {_names(_ROS)}, equidistant)"
            )
        if any(d) and len(d) not in _ROS[distortion_model]:
            counts = " or ".join(map(str, _ROS[distortion_model]))
            raise DataError(
                f"distortion model '{distortion_model}' has {counts} coefficients, got {len(d)}"
            )
        return cls._opencv(size, f, c, (d + 14 * [0.0])[:14], dtype)

    @classmethod
    def _opencv(cls, size, f, c, k, dtype) -> Camera:
        """OpenCV's 8 or 14 coefficients in the simplest model that holds them."""
        if not any(k):
            return cls.build("pinhole", size, f, c, dtype=dtype)
        if not any(k[4:]):
            return cls.build("radtan", size, f, c, k[:4], dtype)
        if not any(k[8:]):
            return cls.build("rational", size, f, c, k[:8], dtype)
        return cls.build("prism", size, f, c, k, dtype)

    @staticmethod
    def stack(cameras: Sequence[Camera], dim: int = 0) -> Camera:
        """Cameras of equal batch shape along a new batch dimension `dim` (>= 0).

        All but equidistant cameras may be mixed: each is written in the richest model among them.
        Raises DataError when equidistant cameras are mixed with others.
        """
        models = {camera.model for camera in cameras}
        if "equidistant" in models and len(models) > 1:
            raise DataError("equidistant (fisheye) cameras cannot be stacked with other models")
        model = max(models, key=NUM_COEFFICIENTS.__getitem__)
        pads = [NUM_COEFFICIENTS[model] - c.distortion.shape[-1] for c in cameras]
        distortion = [
            torch.nn.functional.pad(c.distortion, (0, pad)) for c, pad in zip(cameras, pads)
        ]
        return Camera(
            model,
            torch.stack([c.size for c in cameras], dim),
            torch.stack([c.f for c in cameras], dim),
            torch.stack([c.c for c in cameras], dim),
            torch.stack(distortion, dim),
            torch.stack([c.max_radius2 for c in cameras], dim),
        )

    @property
    def shape(self) -> torch.Size:
        """The batch shape."""
        return self.f.shape[:-1]

    @property
    def device(self) -> torch.device:
        return self.f.device

    @property
    def dtype(self) -> torch.dtype:
        return self.f.dtype

    def to(self, *args, **kwargs) -> Camera:
        """Device and/or dtype, as for tensors."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def expand(self, *batch: int) -> Camera:
        n = len(self.shape)
        return self._map(lambda tensor: tensor.expand(*batch, *tensor.shape[n:]))

    def __getitem__(self, index) -> Camera:
        """Index the batch dimensions (no ellipsis)."""
        return self._map(lambda tensor: tensor[index])

    def _map(self, function) -> Camera:
        return Camera(
            self.model,
            function(self.size),
            function(self.f),
            function(self.c),
            function(self.distortion),
            function(self.max_radius2),
        )

    def scale(self, sx: float, sy: float | None = None) -> Camera:
        """The camera of the image resized by the factors sx, sy (sy = sx by default).

        c' = (c + 0.5) s - 0.5; the size is not rounded.
        """
        # scalars, not a tensor: nothing has to travel to the device
        s = torch.ones_like(self.f) * sx
        if sy is not None:
            s[..., 1] = sy
        return replace(self, size=self.size * s, f=self.f * s, c=(self.c + 0.5) * s - 0.5)

    def crop(self, left_top: Sequence[float], size: Sequence[float]) -> Camera:
        """The camera of the window with the corner (left, top) and the size (width, height)."""
        corner = self.c.new_tensor(left_top)
        return replace(
            self, size=self.size.new_tensor(size).expand_as(self.size), c=self.c - corner
        )

    def project(self, p_cam: Tensor) -> tuple[Tensor, Tensor]:
        """Points (..., N, 3) in the camera frame -> pixels (..., N, 2), validity (..., N).

        Valid: z > 1 mm, within the radius where the distortion is one-to-one, and
        0 <= pixel <= size - 1. Pixels of other points are finite but have no meaning.
        """
        p2d, valid, _ = self._project(p_cam, jacobian=False)
        return p2d, valid

    def project_with_jacobian(self, p_cam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `project`, and d(pixel)/d(point), (..., N, 2, 3), right for valid points."""
        p2d, valid, J = self._project(p_cam, jacobian=True)
        assert J is not None
        return p2d, valid, J

    def _project(self, p_cam: Tensor, jacobian: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        x, y, z = p_cam.unbind(-1)
        iz = z.clamp(min=MIN_DEPTH).reciprocal()
        x, y = x * iz, y * iz
        valid = z > MIN_DEPTH
        xd, yd, slope = x, y, None
        if self.model != "pinhole":
            # points past the fold are drawn onto its circle, so that all numbers stay moderate
            limit, radius2 = self.max_radius2[..., None], x * x + y * y
            valid = valid & (radius2 < limit)
            with torch.no_grad():
                shrink = (limit / radius2.clamp(min=1e-12)).sqrt().clamp(max=1)
            x, y = x * shrink, y * shrink
            xd, yd, slope = distort(self.model, self.distortion, x, y, jacobian)
        fx, fy = self.f[..., None, :].unbind(-1)
        cx, cy = self.c[..., None, :].unbind(-1)
        right, bottom = (self.size[..., None, :] - 1).unbind(-1)
        u, v = torch.addcmul(cx, xd, fx), torch.addcmul(cy, yd, fy)
        valid = valid & (u >= 0) & (v >= 0) & (u <= right) & (v <= bottom)
        J = _jacobian(fx * iz, fy * iz, x, y, slope) if jacobian else None
        return torch.stack([u, v], dim=-1), valid, J

    def rays(self, p2d: Tensor) -> Tensor:
        """Pixels (..., N, 2) -> directions (..., N, 3) with z = 1 in the camera frame.

        A pixel that no ray reaches (outside the image circle of the lens) gets the outermost one.
        """
        xd, yd = ((p2d - self.c[..., None, :]) / self.f[..., None, :]).unbind(-1)
        x, y = undistort(self.model, self.distortion, self.max_radius2, xd, yd)
        return torch.stack([x, y, torch.ones_like(x)], dim=-1)

    def to_dict(self) -> dict[str, Any]:
        """One camera (no batch dimensions) as plain numbers for JSON or YAML."""
        return {
            "model": self.model,
            **{name: _numbers(getattr(self, name)) for name in ("size", "f", "c", "distortion")},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> Camera:
        """The inverse of `to_dict`. Raises DataError when a key is missing or a value is wrong."""
        try:
            values = {name: data[name] for name in ("model", "size", "f", "c", "distortion")}
            return cls.build(**values, dtype=dtype)
        except KeyError as error:
            raise DataError(f"a camera needs the key {error} (it has: {_names(data)})") from None
        except TypeError as error:
            raise DataError(f"a camera cannot be read from {dict(data)}: {error}") from None


_RATIONAL = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_COLMAP = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", *_RATIONAL),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
_COLMAP_FISHEYES = ("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "OPENCV_FISHEYE")
# number of coefficients that each ROS model may have
_ROS = {"": (0,), "plumb_bob": (0, 4, 5), "rational_polynomial": (8, 12, 14)}


def _jacobian(fx: Tensor, fy: Tensor, x: Tensor, y: Tensor, slope) -> Tensor:
    """diag(f) [[a, b], [c, d]] [[1, 0, -x], [0, 1, -y]], f already over z, (..., N, 2, 3)."""
    if slope is None:
        o = torch.zeros_like(fx)
        rows = [fx, o, -fx * x, o, fy, -fy * y]
    else:
        a, b, c, d = slope
        rows = [fx * a, fx * b, -fx * (a * x + b * y), fy * c, fy * d, -fy * (c * x + d * y)]
    return torch.stack(rows, dim=-1).unflatten(-1, (2, 3))


def _names(names) -> str:
    return ", ".join(names)


def _numbers(tensor: Tensor) -> list[float]:
    """The shortest decimals that give the same values back in the dtype of the tensor."""
    return [float(str(value)) for value in tensor.detach().cpu().numpy()]

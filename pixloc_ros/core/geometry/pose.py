"""A batch of rigid transforms in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pixloc_ros.core.geometry.so3 import rotate


@dataclass(frozen=True, eq=False)
class Pose:
    """T_a_b, p_a = R p_b + t: rotations R (..., 3, 3), translations t (..., 3) in metres.

    Batches broadcast against each other. All operations are differentiable and stay on the device.
    """

    R: Tensor
    t: Tensor

    @classmethod
    def identity(
        cls,
        batch: tuple[int, ...] = (),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Pose:
        R = torch.eye(3, device=device, dtype=dtype).expand(*batch, 3, 3)
        return cls(R, torch.zeros(*batch, 3, device=device, dtype=dtype))

    @classmethod
    def from_matrix(
        cls,
        T: Tensor | np.ndarray,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Pose:
        """From (..., 4, 4) or (..., 3, 4) matrices, numpy or torch, of their dtype unless given."""
        T = torch.as_tensor(T).to(device=device, dtype=dtype)
        return cls(T[..., :3, :3], T[..., :3, 3])

    @staticmethod
    def stack(poses: Sequence[Pose], dim: int = 0) -> Pose:
        """Poses of equal batch shape along a new batch dimension `dim` (>= 0)."""
        return Pose(torch.stack([p.R for p in poses], dim), torch.stack([p.t for p in poses], dim))

    @staticmethod
    def where(mask: Tensor, a: Pose, b: Pose) -> Pose:
        """`a` where the boolean mask (...) is true, `b` elsewhere."""
        R = torch.where(mask[..., None, None], a.R, b.R)
        return Pose(R, torch.where(mask[..., None], a.t, b.t))

    @property
    def shape(self) -> torch.Size:
        """The batch shape."""
        return self.t.shape[:-1]

    @property
    def device(self) -> torch.device:
        return self.t.device

    @property
    def dtype(self) -> torch.dtype:
        return self.t.dtype

    def matrix(self) -> Tensor:
        """(..., 4, 4) homogeneous matrices."""
        top = torch.cat([self.R, self.t[..., None]], dim=-1)
        bottom = torch.zeros_like(top[..., :1, :])
        bottom[..., 3] = 1
        return torch.cat([top, bottom], dim=-2)

    def inv(self) -> Pose:
        R = self.R.mT
        return Pose(R, -_rotate(R, self.t))

    def __matmul__(self, other: Pose) -> Pose:
        """T_a_b @ T_b_c = T_a_c."""
        return Pose(self.R @ other.R, _rotate(self.R, other.t) + self.t)

    def transform(self, points: Tensor) -> Tensor:
        """(..., N, 3) points of frame b -> the same points in frame a."""
        return points @ self.R.mT + self.t[..., None, :]

    def retract(self, delta: Tensor) -> Pose:
        """Apply the left increment (..., 6) = (translation, rotation) of frame a.

        R' = exp(w) R, t' = exp(w) t + dt: the translation is not multiplied by the left Jacobian of
        SE(3), as in the official implementation.
        """
        dt, w = delta.split(3, dim=-1)
        turned = rotate(w, torch.cat([self.R, self.t[..., None]], dim=-1))
        return Pose(turned[..., :3], turned[..., 3] + dt)

    @staticmethod
    def J_transform(points: Tensor) -> Tensor:
        """d(point)/d(increment) = [I | -hat(p)], (..., N, 3, 6), of transformed points (..., N, 3).

        Callers that go on to pixels need no product with it: J @ J_transform = [J | p x J] per row.
        """
        x, y, z = points.unbind(-1)
        o, i = torch.zeros_like(x), torch.ones_like(x)
        rows = [i, o, o, o, z, -y, o, i, o, -z, o, x, o, o, i, y, -x, o]
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 6))

    def magnitude(self) -> tuple[Tensor, Tensor]:
        """Rotation angle in radians and length of the translation in metres, (...) each.

        The angle comes from ||R - I||_F = 2 sqrt(2) sin(angle / 2), exact for small angles where
        the arc cosine of the trace is not.
        """
        chord = torch.linalg.norm(
            self.R - torch.eye(3, device=self.device, dtype=self.dtype), dim=(-2, -1)
        )
        angle = 2 * torch.asin((chord / 8**0.5).clamp(max=1))
        return angle, torch.linalg.norm(self.t, dim=-1)

    def to(self, *args, **kwargs) -> Pose:
        """Device and/or dtype, as for tensors."""
        return Pose(self.R.to(*args, **kwargs), self.t.to(*args, **kwargs))

    def detach(self) -> Pose:
        return Pose(self.R.detach(), self.t.detach())

    def expand(self, *batch: int) -> Pose:
        return Pose(self.R.expand(*batch, 3, 3), self.t.expand(*batch, 3))

    def __getitem__(self, index) -> Pose:
        """Index the batch dimensions (no ellipsis)."""
        return Pose(self.R[index], self.t[index])


def _rotate(R: Tensor, t: Tensor) -> Tensor:
    return (R @ t[..., None])[..., 0]

"""The damped normal equations of one step."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_DAMPING = 1e-6  # smallest amount added to a diagonal entry


def damped_step(hessian: Tensor, gradient: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt step -(H + D)^-1 g, D = diag(max(damping * diag(H), 1e-6)).

    hessian (..., 6, 6), gradient (..., 6), damping (6) multiplies the diagonal (Marquardt's
    scaling; PixLoc, section 3.1). Returns the step (..., 6) and a mask (...) of the systems that
    could be solved; where it is False (not finite, or not positive definite) the step is zero.
    Never raises on the numbers, never waits for the device, differentiable.
    """
    added = (damping * torch.diagonal(hessian, dim1=-2, dim2=-1)).clamp_min(MIN_DAMPING)
    system = hessian + torch.diag_embed(added)
    finite = torch.isfinite(system.sum((-2, -1)) + gradient.sum(-1))  # one stray NaN shows in sums
    identity = torch.eye(hessian.shape[-1], dtype=system.dtype, device=system.device)

    def replace(bad: Tensor, matrix: Tensor) -> Tensor:
        return torch.where(bad[..., None, None], identity, matrix)

    system = replace(~finite, system)
    # Find the indefinite systems first, so that no gradient runs through a broken factor.
    solved = finite & (torch.linalg.cholesky_ex(system.detach()).info == 0)
    factor = torch.linalg.cholesky_ex(replace(~solved, system)).L
    gradient = torch.where(solved[..., None], gradient, torch.zeros_like(gradient))
    return -torch.cholesky_solve(gradient[..., None], factor)[..., 0], solved

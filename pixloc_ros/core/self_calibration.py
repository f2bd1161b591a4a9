"""What the image says of its own camera: focal length and principal point, aligned with the pose.

A wrong focal length or principal point moves every pose alike, which the fit of a frame hardly
shows. Left free beside the pose, they go where the points want them: points at different distances
and places in the image tell a camera from a pose, as in bundle adjustment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pixloc_ros.core.alignment import AlignerConfig, Problem
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.alignment.solver import damped_step
from pixloc_ros.core.config import require_positive
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.recording import Recorded


@dataclass(frozen=True)
class SelfCalibrationConfig:
    """points: how many of the frame's points take part, the best of the map. steps: taken on each
    of the two finest levels. damping: of the solver. std: what a camera is believed before its
    image is seen, one standard deviation as a share of the focal length.
    """

    points: int = 512
    steps: int = 6
    damping: float = 1e-3
    std: float = 0.05

    def __post_init__(self) -> None:
        require_positive(self, "points", "std")


def self_calibrate(
    problem: Problem, T_rig_map: Pose, aligner: AlignerConfig, config: SelfCalibrationConfig
) -> tuple[Tensor, Tensor]:
    """How much longer the focal length is than said, and how far right and below the principal
    point lies, from the pose T_rig_map (1) on: (K, 3) as shares of the focal length for the K
    cameras, and their standard deviations (K, 3). Not finite where the image cannot tell.
    """
    problem = problem.part(slice(0, 2), config.points)
    own = torch.eye(problem.points.shape[1], device=problem.points.device)
    shift = own.new_zeros(len(own), 3)
    information = own.new_zeros(6 + shift.numel())
    information[6:] = (aligner.feature_sigma / config.std) ** 2
    damping = torch.full_like(information, config.damping)
    for level in range(len(problem.query) - 1, -1, -1):
        residuals = LevelResiduals.prepare(
            problem.points.masked_fill(~problem.mask[..., None], 0),
            problem.mask,
            problem.reference[level],
            problem.query[level],
            problem.cameras,
            problem.T_cam_rig,
            aligner,
        )
        for _ in range(config.steps):
            T_rig_map, shift = _take_step(T_rig_map, shift, residuals, own, information, damping)
    return shift, _deviation(T_rig_map, shift, residuals, own, information)


@Recorded
def _take_step(
    T: Pose,
    shift: Tensor,
    residuals: LevelResiduals,
    own: Tensor,
    information: Tensor,
    damping: Tensor,
) -> tuple[Pose, Tensor]:
    """own (K, K): the identity, whose size a recording would keep. information, damping (6 + 3 K):
    of what is known beforehand, zero for the pose, and of the solver."""
    hessian, gradients = _system(T, shift, residuals, own)
    prior_gradient = information * torch.cat((torch.zeros_like(information[:6]), shift.flatten()))
    step, _ = damped_step(
        hessian + torch.diag(information), gradients.sum(0) + prior_gradient, damping
    )
    return T.retract(step[None, :6]), shift + step[6:].view_as(shift)


@Recorded
def _deviation(
    T: Pose, shift: Tensor, residuals: LevelResiduals, own: Tensor, information: Tensor
) -> Tensor:
    """(K, 3) from the sandwich covariance, as `core/covariance.py` has it for the pose alone."""
    hessian, gradients = _system(T, shift, residuals, own)
    sigma2 = residuals.config.feature_sigma**2
    inverse = torch.linalg.inv_ex((hessian + torch.diag(information)).double()).inverse
    products = (gradients.mT @ gradients + sigma2 * torch.diag(information)).double()
    variance = (inverse @ products @ inverse).diagonal()[6:]
    return variance.sqrt().view_as(shift).to(shift.dtype)


def _system(
    T: Pose, shift: Tensor, residuals: LevelResiduals, own: Tensor
) -> tuple[Tensor, Tensor]:
    """Hessian (6 + 3 K, 6 + 3 K) and the gradients of all points (K N, 6 + 3 K) in the pose and in
    the cameras' shift: p = f exp(s0) d + c + f (s1, s2) for the distorted ray d."""
    cameras = residuals.cameras
    moved = replace(
        cameras, f=cameras.f * shift[:, :1].exp(), c=cameras.c + cameras.f * shift[:, 1:]
    )
    residuals = replace(residuals, cameras=moved)
    evaluation = residuals.evaluate(T)
    p_cam = residuals.T_cam_rig.transform(T[:, None].transform(residuals.points))
    p2d, _ = moved.project(p_cam)
    J_camera = torch.cat(
        (
            (p2d - moved.c[..., None, :])[..., None],
            torch.diag_embed(cameras.f)[..., None, :, :].expand(*p2d.shape, 2),
        ),
        -1,
    )[0]
    of_each = own[:, None, None, :, None] * J_camera[..., None, :]
    J = torch.cat((evaluation.J_pixel[0], of_each.flatten(-2)), -1)
    J, gram, weight = J.flatten(0, 1), evaluation.gram[0].flatten(0, 1), evaluation.weight.flatten()
    weighted = weight[:, None, None] * gram[:, 1:]
    hessian = J.flatten(0, 1).mT @ (weighted[..., 1:] @ J).flatten(0, 1)
    return hessian, (J.mT @ weighted[..., :1])[..., 0]

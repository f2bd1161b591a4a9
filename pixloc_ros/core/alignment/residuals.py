"""Feature residuals of one level and their normal equations in the pose.

For a point P with reference feature f (PixLoc, section 3.1):

    p_rig = T_rig_map P,  p_cam = T_cam_rig p_rig,  p = project(p_cam)
    r = F(p) - f,  w = rho'(||r||^2) * valid * confidence_query(p) * confidence_reference
    J = G J_p,  G = dF/dp (C, 2),  J_p = dp/dp_cam R_cam_rig [I | -hat(p_rig)]  (2, 6)
    g = sum w J^T r,  H = sum w J^T J

The C channels enter only through the 3 x 3 products of r and the two columns of G, so J itself,
(N, C, 6), is never formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixloc_ros.core.alignment import interpolation, robust
from pixloc_ros.core.alignment.interpolation import FlatMap
from pixloc_ros.core.alignment.types import AlignerConfig, QueryLevel, ReferenceLevel
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The points at one pose, (B, K, N) unless said otherwise.

    squared: ||r||^2. confidence: query times reference, zero where not valid. weight: robust
    weight times confidence. J_pixel (B, K, N, 2, 6): of the projection. gram (B, K, N, 3, 3):
    products of [r, dF/dx, dF/dy].
    """

    valid: Tensor
    squared: Tensor
    confidence: Tensor
    weight: Tensor
    J_pixel: Tensor
    gram: Tensor

    def num_valid(self) -> Tensor:
        """(B)"""
        return self.valid.sum((-2, -1))

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """H (B, 6, 6) and g (B, 6), summed over the points of all cameras."""
        weighted = self.weight[..., None, None] * self.gram[..., 1:, :]
        right = torch.cat((weighted[..., 1:] @ self.J_pixel, weighted[..., :1]), -1)
        both = self.J_pixel.flatten(-4, -2).mT @ right.flatten(-4, -2)
        return both[..., :6], both[..., 6]

    def gradients(self) -> Tensor:
        """(B, K N, 6): J^T r of every point, without its weight."""
        return (self.J_pixel.mT @ self.gram[..., 1:, :1])[..., 0].flatten(-3, -2)

    def gradient_products(self) -> Tensor:
        """(B, 6, 6): sum over the points of g g^T, g = w J^T r the gradient of one point."""
        g = self.weight.flatten(-2)[..., None] * self.gradients()
        return g.mT @ g


@dataclass(frozen=True, eq=False)
class LevelResiduals:
    """The residuals of one level as a function of the pose.

    points (B', K, N, 3) in the map frame, mask (B', K, N), features (B', K, N, C) and confidence
    (B', K, N) of the reference, query: its maps, cameras (B', K) of the level's pixels.
    """

    points: Tensor
    mask: Tensor
    features: Tensor
    confidence: Tensor
    query: FlatMap
    cameras: Camera
    T_cam_rig: Pose
    config: AlignerConfig

    @classmethod
    def prepare(
        cls,
        points: Tensor,
        mask: Tensor,
        reference: ReferenceLevel,
        query: QueryLevel,
        cameras: Camera,
        T_cam_rig: Pose,
        config: AlignerConfig,
    ) -> LevelResiduals:
        """Do once what does not depend on the pose. cameras: of the network's input image."""
        return cls(
            points,
            mask & (reference.confidence > 0),
            reference.features.to(points.dtype),
            reference.confidence.to(points.dtype),
            interpolation.flatten(query.features, query.confidence),
            cameras.scale(1 / query.stride),
            T_cam_rig,
            config,
        )

    def evaluate(self, T_rig_map: Pose) -> Evaluation:
        """At the poses T_rig_map (B)."""
        config = self.config
        p_rig = T_rig_map[:, None].transform(self.points)
        p_cam = self.T_cam_rig.transform(p_rig)
        p2d, visible, J_camera = self.cameras.project_with_jacobian(p_cam)
        border = interpolation.inside(self.query, p2d, config.pad)
        valid = self.mask & visible & border

        sampled = interpolation.sample(self.query, p2d, normalize=True)
        residual = sampled.value - self.features
        stacked = torch.cat((residual[..., None, :], sampled.gradient), -2)
        gram = stacked @ stacked.mT
        squared = gram[..., 0, 0]
        confidence = sampled.confidence * self.confidence * valid
        weight = confidence * robust.weight(squared, config.robust_alpha, config.robust_scale)

        J_rig = (J_camera.flatten(-3, -2) @ self.T_cam_rig.R).view_as(J_camera)
        turn = torch.linalg.cross(p_rig[..., None, :], J_rig)  # m^T (-hat(p)) = (p x m)^T
        return Evaluation(valid, squared, confidence, weight, torch.cat((J_rig, turn), -1), gram)

    def cost(self, evaluation: Evaluation) -> Tensor:
        """(B): confidence-weighted mean of the robust loss, NaN where nothing is valid."""
        config, confidence = self.config, evaluation.confidence
        loss = robust.loss(evaluation.squared, config.robust_alpha, config.robust_scale)
        return (confidence * loss).sum((-2, -1)) / confidence.sum((-2, -1))

    def weight_curvature(self, evaluation: Evaluation) -> Tensor:
        """(B, 6, 6): sum of 2 c rho''(||r||^2) J^T r r^T J, what H lacks of the second derivative
        of the robust cost because weights change with the pose (c: confidence)."""
        config, gradients = self.config, evaluation.gradients()
        second = robust.second_derivative(
            evaluation.squared, config.robust_alpha, config.robust_scale
        )
        factor = (evaluation.confidence * second).flatten(-2)[..., None]
        return 2 * gradients.mT @ (factor * gradients)

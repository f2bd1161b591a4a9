"""What goes into an alignment and what comes out.

Leading dims: B poses (hypotheses, or samples of a training batch), B' = 1 or B, K cameras of the
rig, N points, C channels. Levels are listed fine to coarse.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose


class QueryLevel(NamedTuple):
    """Maps of the query image as the network gives them: features (B', K, C, H, W), not
    normalised, and confidence (B', K, 1, H, W). stride: input pixels per pixel of the level."""

    features: Tensor
    confidence: Tensor
    stride: int


class ReferenceLevel(NamedTuple):
    """Features (B', K, N, C) of the points, L2-normalised, and their confidence (B', K, N).

    A point of confidence zero has no feature on this level and does not count there.
    """

    features: Tensor
    confidence: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """The images of a rig of K cameras against points of the map: all but the poses.

    points (B', K, N, 3): metres in the map frame; mask (B', K, N): which of them count.
    reference, query: one entry per level, fine to coarse. cameras (B', K): of the images that the
    network was given. T_cam_rig (B', K). damping (L, 6): lambda of each level (section 3.2).
    With B' = 1 all poses share the maps and the points, nothing is copied.
    """

    points: Tensor
    mask: Tensor
    reference: list[ReferenceLevel]
    query: list[QueryLevel]
    cameras: Camera
    T_cam_rig: Pose
    damping: Tensor

    def halves(self) -> Problem:
        """Two problems (2) that share no point: those of even and of odd number."""

        def split(values: Tensor) -> Tensor:
            count = values.shape[2] // 2 * 2
            return torch.cat((values[:, :, :count:2], values[:, :, 1:count:2]))

        return replace(
            self,
            points=split(self.points),
            mask=split(self.mask),
            reference=[ReferenceLevel(*(split(part) for part in r)) for r in self.reference],
        )

    def part(self, levels: slice, points: int) -> Problem:
        """The same on some of the levels, with the first `points` points of each camera.

        The map gives points in the order of their worth, so the first ones cover the image.
        """
        return replace(
            self,
            points=self.points[:, :, :points],
            mask=self.mask[:, :, :points],
            reference=[
                ReferenceLevel(level.features[:, :, :points], level.confidence[:, :, :points])
                for level in self.reference[levels]
            ],
            query=self.query[levels],
            damping=self.damping[levels],
        )


class PosePrior(NamedTuple):
    """A Gaussian prior T_rig_map (B) with the inverse covariance `information` (B', 6, 6).

    The error e is the left increment from the prior to the pose, T = prior.retract(e), so the
    information is in the prior's tangent: (m, rad) of the rig frame, physical units.
    """

    T_rig_map: Pose
    information: Tensor

    def expand(self, count: int) -> PosePrior:
        """The same prior for `count` poses of a batch."""
        return self._replace(T_rig_map=self.T_rig_map.expand(count))


@dataclass(frozen=True)
class AlignerConfig:
    """Settings of the alignment.

    iterations: most steps per level, fine to coarse.
    pad: points must stay this many pixels of the level away from the border of its map.
    min_points: fewer valid points than this, and the pose has failed.
    robust_alpha, robust_scale: Barron's loss on the feature residual (0: Cauchy; 0.1: unit
        vectors 0.14 apart weigh half).
    translation_tolerance (m), rotation_tolerance (rad): a step smaller than both, times the stride
        of the level, ends the level for that pose; 0 never does. A coarse level only has to bring
        the pose within reach of the next one.
    feature_sigma: standard deviation of the residual along the feature gradient, which is what
        puts features and a prior in metres and radians on one scale: the prior's information is
        multiplied by its square. Without a prior it has no effect.
    early_exit: leave the loop once every pose has converged or failed (on the CPU, where looking
        costs nothing).
    """

    iterations: tuple[int, ...] = (8, 8, 12)
    pad: int = 2
    min_points: int = 10
    robust_alpha: float = 0.0
    robust_scale: float = 0.1
    translation_tolerance: float = 1e-3
    rotation_tolerance: float = 1e-4
    feature_sigma: float = 0.1
    early_exit: bool = True

    def __post_init__(self):
        if not self.iterations or min(self.iterations) < 0:
            raise ValueError(f"iterations must be one count per level, got {self.iterations}")
        if self.robust_scale <= 0 or self.feature_sigma <= 0:
            raise ValueError("robust_scale and feature_sigma must be positive")


@dataclass(frozen=True, eq=False)
class Alignment:
    """The aligned poses and what the finest level looks like from them.

    T_rig_map (B): the result. levels: the pose after each level, fine to coarse.
    failed (B): at some level fewer than `min_points` were valid, or the numbers were not usable;
        such a level leaves the pose at its last good value.
    converged (B): the last step of the finest level was below the tolerances.

    At the final pose, without gradients:
    cost (B): robust cost averaged over the valid points with their confidences as weights.
    num_valid (B): number of valid points, all cameras together.
    hessian (B, 6, 6): sum of w J^T J over the points, neither damping nor prior.
    curvature (B, 6, 6): hessian plus the part that comes from the change of the robust weights;
        smaller, and not positive definite where outliers rule.
    gradient_products (B, 6, 6): sum of g g^T over the points, g = w J^T r.
    step_left (B, 6): the undamped step that the normal equations, prior included, ask for from
        here: how far the pose is from where it would come to rest (m, rad of the rig frame).
    image_step (B, 6): the same without the prior: how far the image would move the pose.
    prior_information (B, 6, 6) or None: the prior's information carried to the tangent of the
        result, in units of the cost (times feature_sigma^2).
    residuals ||r||, weights (robust weight times confidences), valid: (B, K, N) each.
    feature_sigma: as in the configuration.
    """

    T_rig_map: Pose
    levels: list[Pose]
    failed: Tensor
    converged: Tensor
    cost: Tensor
    num_valid: Tensor
    hessian: Tensor
    curvature: Tensor
    gradient_products: Tensor
    step_left: Tensor
    image_step: Tensor
    prior_information: Tensor | None
    residuals: Tensor
    weights: Tensor
    valid: Tensor
    feature_sigma: float

    @property
    def score(self) -> Tensor:
        """(B): how much of the map agrees with the image, the sum of the robust weights.

        A point out of view adds nothing, so looking away is never cheap; -1 where failed.
        """
        total = self.weights.sum(dim=(1, 2))
        return torch.where(self.failed, torch.full_like(total, -1.0), total)

    def __getitem__(self, index: Tensor | slice) -> Alignment:
        """The poses of the batch that the index selects."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["levels"] = [pose[index] for pose in self.levels]
        for name, value in values.items():
            if isinstance(value, (Tensor, Pose)):
                values[name] = value[index]
        return Alignment(**values)

"""The images of a robot's cameras at one instant, as one problem for the solver.

The frame of the rig is that of its first camera. With one camera, which is the usual case, nothing
here costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from pixloc_ros.core.alignment import Alignment, Problem, QueryLevel, ReferenceLevel
from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig, VisiblePoints
from pixloc_ros.core.frame import Frame, PointView
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.network import FeaturePyramid


@dataclass(frozen=True)
class Features:
    """What the network sees in one image. scale: factors (w, h) by which the image was shrunk for
    it, as `Camera.scale` takes them. began: steady clock (s) when the image came in, and
    network_ms: what the network took from then on."""

    pyramid: FeaturePyramid
    scale: tuple[float, float]
    began: float
    network_ms: float


class Rig:
    """Features and frames of K images, in the same order. device: where the solver computes."""

    def __init__(
        self, features: Sequence[Features], frames: Sequence[Frame], device: torch.device
    ) -> None:
        self.features, self.frames, self.device = features, frames, device
        self.cameras = [f.camera.scale(*seen.scale) for f, seen in zip(frames, features)]
        self.T_base_rig = frames[0].T_base_cam
        T_rig_base = transforms.inverse(self.T_base_rig)
        T_rig_cam = np.stack([T_rig_base @ frame.T_base_cam for frame in frames])
        self._T_cam_rig = Pose.from_matrix(self.tensor(transforms.inverse(T_rig_cam)))

    def tensor(self, array: np.ndarray) -> Tensor:
        """As float32 on the device."""
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def visible_points(
        self, feature_map: FeatureMap, T_map_base: np.ndarray, selection: SelectionConfig
    ) -> list[VisiblePoints] | None:
        """The map points that each image should see from T_map_base (4, 4).

        They share one origin and the budget. An image that sees none has empty ones; None where
        no image sees any.
        """
        selection = replace(selection, point_budget=selection.point_budget // len(self.frames))
        found = [
            feature_map.visible_points(T_map_base @ frame.T_base_cam, camera, selection)
            for frame, camera in zip(self.frames, self.cameras)
        ]
        first = next((points for points in found if points is not None), None)
        if first is None:
            return None
        return [first.first(0) if p is None else p.counted_from(first.origin) for p in found]

    def problem(self, points: list[VisiblePoints], damping: Tensor) -> Problem:
        """The images against these points, for poses T_rig_map counted from the points' origin."""
        return Problem(
            points=_stacked([p.points for p in points]),
            mask=_stacked([p.mask for p in points]),
            reference=[
                ReferenceLevel(_stacked(features), _stacked(confidence))
                for features, confidence in zip(
                    zip(*(p.features for p in points)), zip(*(p.confidence for p in points))
                )
            ],
            query=[
                QueryLevel(
                    _common_size([level.features for level in levels])[None],
                    _common_size([level.confidence for level in levels])[None],
                    levels[0].stride,
                )
                for levels in zip(*(seen.pyramid for seen in self.features))
            ],
            cameras=Camera.stack([camera.to(self.device) for camera in self.cameras])[None],
            T_cam_rig=self._T_cam_rig[None],
            damping=damping,
        )

    def views(
        self, points: list[VisiblePoints], aligned: Alignment, row: int
    ) -> tuple[PointView, ...]:
        """The points as they fall into each image, at pose `row` of the alignment."""
        views = []
        for k, (frame, seen) in enumerate(zip(self.frames, points)):
            T_cam_map = self._T_cam_rig[k] @ aligned.T_rig_map[row]
            pixels, _ = frame.camera.to(self.device).project(T_cam_map.transform(seen.points))
            count = len(seen.points)
            views.append(
                PointView(
                    pixels.cpu().numpy(),
                    aligned.residuals[row, k, :count].cpu().numpy(),
                    seen.confidence[0].cpu().numpy(),
                    aligned.valid[row, k, :count].cpu().numpy(),
                )
            )
        return tuple(views)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """(N_k, ...) of each image -> (1, K, N, ...), filled up with zeros."""
    return pad_sequence(list(parts), batch_first=True)[None]


def _common_size(maps: list[Tensor]) -> Tensor:
    """Maps (1, C, h, w) of each image -> (K, C, H, W), smaller ones continued at their edge."""
    if len(maps) == 1:
        return maps[0]
    height, width = (max(one.shape[axis] for one in maps) for axis in (-2, -1))
    grown = (
        F.pad(one, (0, width - one.shape[-1], 0, height - one.shape[-2]), mode="replicate")
        for one in maps
    )
    return torch.cat(list(grown))

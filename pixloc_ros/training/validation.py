"""Pairs localized as frames are: the reference view is a map of one keyframe, the query a frame."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from pixloc_ros.core.alignment import AlignerConfig, sample_reference
from pixloc_ros.core.feature_map import SelectionConfig, VisiblePoints
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry import Camera, Pose, transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import Checkpoint, PixLocNet
from pixloc_ros.training.two_view import PairBatch

#: A starting pose is never said to be nearer than that (m, rad).
NEAREST = np.array([0.01] * 3 + [0.002] * 3)


class PairMap:
    """What `Localizer` asks of a map, answered with the points of one pair's reference view, in
    whose camera frame they are (metres)."""

    def __init__(self, net: PixLocNet, pair: PairBatch, pad: int) -> None:
        pixels, mask = pair.camera_reference.project(pair.points)
        sampled = [sample_reference(level, pixels, pad)[0] for level in net(pair.reference)]
        self._points = VisiblePoints(
            origin=np.zeros(3),
            points=pair.points[0],
            mask=mask[0],
            features=[level.features[0] for level in sampled],
            confidence=[level.confidence[0] for level in sampled],
            point_ids=np.arange(pair.points.shape[1]),
            keyframes=(0,),
        )
        self.path, self.problems = Path("no folder"), list[str]()
        self.info = SimpleNamespace(resize=max(pair.query.shape[2:]))

    def visible_points(
        self, T_map_cam: np.ndarray, camera: Camera, config: SelectionConfig
    ) -> VisiblePoints:
        """All of the pair's points, wherever the camera is believed to be."""
        return self._points


@torch.no_grad()
def localize_pair(net: PixLocNet, pair: PairBatch, aligner: AlignerConfig) -> Pose:
    """T_query_ref (1) of a pair (a batch of one, metres), searched for as a frame is from a prior
    that says how far it is off."""
    checkpoint = Checkpoint(net, "in training", net.config, aligner, "in training", {})
    localizer = Localizer(checkpoint, PairMap(net, pair, aligner.pad), device=pair.points.device)
    image = (pair.query[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    frame = Frame(0, np.ascontiguousarray(image), pair.camera_query[0].to("cpu"), np.eye(4))
    start, truth = (_matrix(pose.inv()) for pose in (pair.T_init, pair.T_query_ref))
    metres, radians = transforms.pose_error(start, truth)
    std = np.maximum(np.repeat([metres, radians], 3) / np.sqrt(3), NEAREST)
    fix = localizer.localize(localizer.look(frame.image), frame, start, np.diag(std**2))
    found = start if fix.failure else fix.T_map_base
    return Pose.from_matrix(_tensor(transforms.inverse(found), pair.points)[None])


def _matrix(pose: Pose) -> np.ndarray:
    return transforms.orthonormal(pose.matrix()[0].cpu().double().numpy())


def _tensor(T: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(T, dtype=like.dtype, device=like.device)

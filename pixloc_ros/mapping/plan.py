"""From an SfM model to what the map will hold: pure geometry, before the network runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pixloc_ros.core.errors import ConfigError, MapError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.mapping.model import SfmModel

#: up axis of the model -> the axis that becomes the map's x (forward)
_FORWARD = {"z": "x", "-z": "x", "-y": "z", "y": "-z", "x": "z", "-x": "-z"}
_AXES = {
    sign + name: scale * np.eye(3)[index]
    for index, name in enumerate("xyz")
    for sign, scale in (("", 1.0), ("-", -1.0))
}


@dataclass(frozen=True)
class BuildOptions:
    """How a feature map is made.

    resize: longer side (px) of the images given to the network; larger images are shrunk. The
    tracker shrinks its images in the same way. min_track_length: fewest images that must have
    observed a point. max_error: largest mean reprojection error (px) of a point. up: the axis of
    the model that points up ("z" for a model in ROS axes, "-y" for one in the axes of its first
    camera). scale: metres per unit of the model; None takes one and warns. T_map_world: (4, 4)
    rows, a further transform of the turned and scaled model, e.g. into an existing map frame.
    max_points_per_keyframe, min_points_per_keyframe: observations kept of a keyframe, at most;
    keyframes with fewer are left out. tile_size: side of the map's tiles (m).
    """

    resize: int = 1024
    min_track_length: int = 2
    max_error: float = 3.0
    up: Literal["x", "y", "z", "-x", "-y", "-z"] = "z"
    scale: float | None = None
    T_map_world: tuple[tuple[float, ...], ...] | None = None
    max_points_per_keyframe: int = 800
    min_points_per_keyframe: int = 20
    tile_size: float = 20.0

    def __post_init__(self) -> None:
        if self.up not in _FORWARD:
            raise ConfigError(f"up: '{self.up}' is no axis (known: {', '.join(_FORWARD)})")
        if self.resize < 64 or self.tile_size <= 0 or (self.scale is not None and self.scale <= 0):
            raise ConfigError("resize must be at least 64 px, tile_size and scale positive")


@dataclass(frozen=True)
class Keyframe:
    """One image of the map to be: its camera and pose, and the rows of the points it observed."""

    name: str
    camera: Camera
    T_map_cam: np.ndarray
    rows: np.ndarray
    cell: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """Keyframes ordered by cell, and the points (P, ...) of the model in the map frame.

    `view` (P, 3) is the mean unit direction from a point to its observers.
    """

    keyframes: list[Keyframe]
    points: np.ndarray
    point_ids: np.ndarray
    errors: np.ndarray
    track_length: np.ndarray
    view: np.ndarray


def plan_map(model: SfmModel, options: BuildOptions) -> Plan:
    """Turn the model into the map frame and choose its keyframes and points."""
    scale = options.scale or 1.0
    T = map_from_world(options)
    T_map_cam = model.T_world_cam.copy()
    T_map_cam[:, :3, 3] *= scale
    T_map_cam = T @ T_map_cam
    points = (model.points * scale) @ T[:3, :3].T + T[:3, 3]
    track_length = model.track_length
    good = (track_length >= options.min_track_length) & (model.errors <= options.max_error)
    kept = good[model.observation_point]
    image, point = model.observation_image[kept], model.observation_point[kept]
    starts = np.searchsorted(image, np.arange(len(model.names) + 1))
    cells = np.floor(T_map_cam[:, :2, 3] / options.tile_size).astype(np.int64)
    keyframes = [
        Keyframe(
            name=model.names[i],
            camera=model.cameras[model.camera_of[i]],
            T_map_cam=T_map_cam[i],
            rows=np.unique(point[starts[i] : starts[i + 1]]),
            cell=(int(cells[i, 0]), int(cells[i, 1])),
        )
        for i in np.lexsort((np.arange(len(cells)), cells[:, 1], cells[:, 0]))
    ]
    keyframes = [k for k in keyframes if len(k.rows) >= options.min_points_per_keyframe]
    if not keyframes:
        raise MapError(
            f"no image observes {options.min_points_per_keyframe} points with track length "
            f">= {options.min_track_length} and error <= {options.max_error} px: the model is too "
            "sparse; use more overlapping images or relax the limits"
        )
    return Plan(
        keyframes=keyframes,
        points=points,
        point_ids=model.point_ids,
        errors=model.errors,
        track_length=track_length,
        view=_mean_view(points, T_map_cam[image, :3, 3], point),
    )


def map_from_world(options: BuildOptions) -> np.ndarray:
    """(4, 4): from the model's frame, in metres, to the map frame (z up)."""
    up, forward = _AXES[options.up], _AXES[_FORWARD[options.up]]
    T_up_world = transforms.from_Rt(np.stack([forward, np.cross(up, forward), up]), np.zeros(3))
    if options.T_map_world is None:
        return T_up_world
    T = np.asarray(options.T_map_world, np.float64)
    R = T[:3, :3] if T.shape == (4, 4) else np.zeros((3, 3))
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
        raise ConfigError("T_map_world: not a rigid 4x4 transform; put the scale into `scale`")
    return T @ T_up_world


def _mean_view(points: np.ndarray, observer: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Mean unit direction from the points (P, 3) to their observers; zero where there is none."""
    direction = observer - points[point]
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
    sums = np.stack(
        [np.bincount(point, direction[:, i], minlength=len(points)) for i in range(3)], axis=1
    )
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)

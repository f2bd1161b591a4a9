"""Images with known poses: what a map is made from when there is no COLMAP model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera


@dataclass(frozen=True)
class PosedImages:
    """N images of one camera with their poses `T_map_cam` (N, 4, 4), metres.

    `names` are unique; `load(i)` returns image i as uint8 (H, W, 3) RGB or (H, W) gray.
    """

    names: tuple[str, ...]
    camera: Camera
    T_map_cam: np.ndarray
    load: Callable[[int], np.ndarray]

    def __post_init__(self) -> None:
        if self.T_map_cam.shape != (len(self.names), 4, 4):
            raise DataError(f"{len(self.names)} images but poses of shape {self.T_map_cam.shape}")
        if len(set(self.names)) != len(self.names):
            raise DataError("image names are not unique")

    def __len__(self) -> int:
        return len(self.names)


def spaced(T_map_cam: np.ndarray, metres: float, radians: float = 0.35) -> np.ndarray:
    """Indices of the frames of a path that are `metres` or `radians` away from the last one taken.

    T_map_cam (N, 4, 4) in the order of the drive; the first frame is always taken.
    """
    taken = [0]
    for i in range(1, len(T_map_cam)):
        distance, angle = transforms.pose_error(T_map_cam[i], T_map_cam[taken[-1]])
        if distance >= metres or angle >= radians:
            taken.append(i)
    return np.array(taken)

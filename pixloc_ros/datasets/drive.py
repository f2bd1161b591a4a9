"""A recorded drive: images with stamps, a camera on a body, and what is known of its motion.

Every reader returns this one type and everything that consumes recordings takes it. Poses are
float64 (4, 4) matrices; `T_a_b` maps points of frame b to frame a. Times are int64 nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.mapping.posed_images import PosedImages

#: Camera optical axes (x right, y down, z forward) in body axes (x forward, y left, z up), REP-103.
T_BODY_OPTICAL = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)


@dataclass(frozen=True)
class Odometry:
    """Body poses in a frame that drifts: `stamps_ns` (M,) increasing, `T_odom_base` (M, 4, 4)."""

    stamps_ns: np.ndarray
    T_odom_base: np.ndarray

    def __post_init__(self) -> None:
        _check_track("odometry", self.stamps_ns, self.T_odom_base)

    def __len__(self) -> int:
        return len(self.stamps_ns)


@dataclass(frozen=True)
class Drive:
    """Images along a path, in stamp order.

    `names` (N) are file names relative to `image_dir` (None when the images are not files);
    `load(i)` returns image i as uint8 (H, W, 3) RGB or (H, W) gray. `T_base_cam` (4, 4) mounts the
    camera's optical frame on the body. `T_map_base` (N, 4, 4) is the ground truth, or None.
    """

    name: str
    names: tuple[str, ...]
    stamps_ns: np.ndarray
    camera: Camera
    T_base_cam: np.ndarray
    load: Callable[[int], np.ndarray]
    T_map_base: np.ndarray | None = None
    odometry: Odometry | None = None
    image_dir: Path | None = None

    def __post_init__(self) -> None:
        if len(self.names) != len(self.stamps_ns):
            raise DataError(
                f"drive '{self.name}': {len(self.names)} images but {len(self.stamps_ns)} stamps"
            )
        if len(self.names) == 0:
            raise DataError(f"drive '{self.name}' has no images")
        _check_track(f"drive '{self.name}'", self.stamps_ns, self.T_map_base)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> np.ndarray:
        """Image `index` as uint8 (H, W, 3) RGB or (H, W) gray."""
        return self.load(index)

    @property
    def T_map_cam(self) -> np.ndarray:
        """Ground truth of the camera's optical frame, (N, 4, 4). DataError without ground truth."""
        if self.T_map_base is None:
            raise DataError(f"drive '{self.name}' has no ground-truth poses")
        return self.T_map_base @ self.T_base_cam

    def posed_images(self) -> PosedImages:
        """The images with their ground-truth poses, to make a map from."""
        return PosedImages(self.names, self.camera, self.T_map_cam, self.load)

    def subset(self, indices: Sequence[int] | slice, name: str | None = None) -> Drive:
        """The frames `indices` of this drive (the odometry stays whole)."""
        if not isinstance(indices, slice):
            indices = np.asarray(indices, np.int64)
        indices = np.arange(len(self))[indices]
        load = self.load
        return replace(
            self,
            name=name or self.name,
            names=tuple(self.names[i] for i in indices),
            stamps_ns=self.stamps_ns[indices],
            load=lambda i: load(int(indices[i])),
            T_map_base=None if self.T_map_base is None else self.T_map_base[indices],
        )


def _check_track(what: str, stamps_ns: np.ndarray, poses: np.ndarray | None) -> None:
    if np.any(np.diff(stamps_ns) <= 0):
        raise DataError(f"{what}: stamps do not increase; sort the frames and drop duplicates")
    if poses is None:
        return
    if poses.shape != (len(stamps_ns), 4, 4):
        raise DataError(f"{what}: {len(stamps_ns)} stamps but poses of shape {poses.shape}")
    if not np.isfinite(poses).all():
        raise DataError(f"{what}: a pose holds a number that is not finite")

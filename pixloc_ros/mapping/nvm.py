"""NVM models of VisualSFM in, as COLMAP models.

An NVM file lists cameras `name focal qw qx qy qz x y z radial 0` (rotation world to camera, and the
camera's centre) and points `x y z r g b count` with `image feature u v` for each observation. Its
intrinsics are too few for a calibrated camera, so they come from elsewhere. Whether u, v count from
the corner of the image or from its middle depends on who wrote the file; the points tell.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import torch

from pixloc_ros.core.errors import MapError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.progress import Progress
from pixloc_ros.mapping.colmap import to_colmap

#: Points that decide where pixels are counted from.
TRIAL = 500


def import_nvm(
    path: Path,
    cameras: Mapping[str, Camera],
    camera_of: Callable[[str], str],
    name_of: Callable[[str], str],
    out_dir: Path,
    progress: Progress | None = None,
) -> Path:
    """Write the NVM model at `path` as a COLMAP model (binary) into `out_dir`.

    cameras: intrinsics by key; camera_of: key of an image's name; name_of: what an image is called
    on disk. Errors of the points are those of their observations, which an NVM file does not keep.
    Raises MapError, with the line, when the file is not NVM_V3 or ends early.
    """
    lines = _Lines(path)
    if lines.next()[:1] != ["NVM_V3"]:
        raise MapError(f"{path}: not an NVM_V3 file")
    reconstruction = pycolmap.Reconstruction()
    ids = {key: number for number, key in enumerate(cameras, 1)}
    for key, camera in cameras.items():
        reconstruction.add_camera_with_trivial_rig(to_colmap(camera, ids[key]))
    names, T_cam_world, used = [], [], []
    for _ in range(lines.count("images")):
        row = lines.next()
        names.append(name_of(row[0]))
        key = camera_of(names[-1])
        if key not in cameras:
            raise MapError(f"{lines.place}: no intrinsics for camera '{key}'")
        used.append(key)
        T_cam_world.append(_pose(lines.numbers(row[2:9], 7)))
    points = _read_points(lines, len(names), progress)
    T_cam_world = np.array(T_cam_world)
    if _counts_from_the_middle(points, T_cam_world, [cameras[key] for key in used]):
        middles = np.array([(cameras[key].c + 0.5).tolist() for key in used])
        points.uv[:] += middles[points.image].astype(np.float32)
    order = np.argsort(points.image, kind="stable")
    starts = np.searchsorted(points.image[order], np.arange(len(names) + 1))
    row_in_image = np.empty(len(order), np.int64)
    row_in_image[order] = np.arange(len(order)) - starts[points.image[order]]
    for i, name in enumerate(names):
        image = pycolmap.Image(name=name, camera_id=ids[used[i]], image_id=i + 1)
        seen = points.uv[order[starts[i] : starts[i + 1]]].astype(np.float64)
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(uv) for uv in seen])
        reconstruction.add_image_with_trivial_frame(image, pycolmap.Rigid3d(T_cam_world[i][:3]))
    for number, xyz in enumerate(points.xyz):
        track = pycolmap.Track()
        for k in range(points.first[number], points.first[number + 1]):
            track.add_element(int(points.image[k]) + 1, int(row_in_image[k]))
        reconstruction.add_point3D(xyz, track)
    reconstruction.update_point_3d_errors()
    out_dir.mkdir(parents=True, exist_ok=True)
    reconstruction.write_binary(str(out_dir))
    return out_dir


@dataclass(frozen=True)
class _Points:
    """`xyz` (P, 3); of observation k, grouped by point (first[p] : first[p + 1]): the row of its
    image and its pixel `uv`, float32: a big model has tens of millions of them."""

    xyz: np.ndarray
    first: np.ndarray
    image: np.ndarray
    uv: np.ndarray


def _read_points(lines: _Lines, images: int, progress: Progress | None) -> _Points:
    xyz, first, image, uv = array("d"), array("q", [0]), array("i"), array("f")
    for _ in lines.counted("points", progress):
        row = lines.next()
        xyz.extend(lines.numbers(row[:3], 3))
        seen = lines.numbers(row[7:], 4 * int(lines.numbers(row[6:7], 1)[0])).reshape(-1, 4)
        if not ((seen[:, 0] >= 0) & (seen[:, 0] < images)).all():
            raise MapError(f"{lines.place}: an observation in an image that is not listed")
        image.extend(seen[:, 0].astype(int).tolist())
        uv.extend(seen[:, 2:].ravel().tolist())
        first.append(len(image))
    return _Points(
        np.array(xyz).reshape(-1, 3),
        np.array(first),
        np.array(image, np.int64),
        np.array(uv, np.float32).reshape(-1, 2),
    )


def _pose(values: np.ndarray) -> np.ndarray:
    """qw qx qy qz and centre -> T_cam_world (4, 4)."""
    T = transforms.from_quaternion(values[[1, 2, 3, 0]], np.zeros(3))
    T[:3, 3] = -T[:3, :3] @ values[4:]
    return T


def _counts_from_the_middle(
    points: _Points, T_cam_world: np.ndarray, cameras: list[Camera]
) -> bool:
    corner, middle = [], []
    for number in range(min(TRIAL, len(points.xyz))):
        for k in range(points.first[number], points.first[number + 1]):
            i = points.image[k]
            p_cam = T_cam_world[i][:3, :3] @ points.xyz[number] + T_cam_world[i][:3, 3]
            pixel, _ = cameras[i].project(torch.from_numpy(p_cam[None]).float())
            offset = pixel[0].double().numpy() + 0.5 - points.uv[k]
            corner.append(np.linalg.norm(offset))
            middle.append(np.linalg.norm(offset - (cameras[i].c + 0.5).double().numpy()))
    return bool(corner) and np.median(middle) < np.median(corner)


class _Lines:
    """The lines of an NVM file that are not empty, split, one after the other."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise MapError(f"{path}: no such file")
        self._path, self._number = path, 0
        self._lines = self._read()

    def _read(self) -> Iterator[list[str]]:
        with self._path.open() as stream:
            for self._number, line in enumerate(stream, 1):
                if line.strip():
                    yield line.split()

    @property
    def place(self) -> str:
        return f"{self._path}, line {self._number}"

    def next(self) -> list[str]:
        row = next(self._lines, None)
        if row is None:
            raise MapError(f"{self.place}: the file ends here; copy it again")
        return row

    def numbers(self, texts: list[str], count: int) -> np.ndarray:
        try:
            values = np.array(texts, np.float64)
        except ValueError as error:
            raise MapError(f"{self.place}: {error}") from None
        if len(values) < count:
            raise MapError(f"{self.place}: expected {count} numbers, got {len(values)}")
        return values[:count]

    def count(self, what: str) -> int:
        (count,) = self.numbers(self.next()[:1], 1)
        if count <= 0:
            raise MapError(f"{self.place}: {count:g} {what}")
        return int(count)

    def counted(self, what: str, progress: Progress | None) -> Iterator[int]:
        total = self.count(what)
        for i in range(total):
            yield i
            if progress and (i % 1000 == 999 or i + 1 == total):
                progress(i + 1, total, what)

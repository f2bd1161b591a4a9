"""Cameras of the RobotCar: Bayer mosaics, undistortion tables, intrinsics and mounting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.robotcar.frames import T_VEHICLE_BASE, read_components


@dataclass(frozen=True)
class Sensor:
    """Where one of the six cameras is found.

    folder: of its images in a drive; stamps: its .timestamps file; model: its file in models/;
    extrinsics: its file in extrinsics/; bayer: the four colours of the mosaic's top left corner.
    """

    folder: str
    stamps: str
    model: str
    extrinsics: str
    bayer: str


SENSORS = {
    "stereo_left": Sensor("stereo/left", "stereo", "stereo_wide_left", "stereo", "gbrg"),
    "stereo_centre": Sensor("stereo/centre", "stereo", "stereo_narrow_left", "stereo", "gbrg"),
    "stereo_right": Sensor("stereo/right", "stereo", "stereo_wide_right", "stereo", "gbrg"),
    "mono_left": Sensor("mono_left", "mono_left", "mono_left", "mono_left", "rggb"),
    "mono_right": Sensor("mono_right", "mono_right", "mono_right", "mono_right", "rggb"),
    "mono_rear": Sensor("mono_rear", "mono_rear", "mono_rear", "mono_rear", "rggb"),
}

_DEMOSAIC = {"gbrg": cv2.COLOR_BayerGBRG2RGB, "rggb": cv2.COLOR_BayerRGGB2RGB}


def demosaic(mosaic: np.ndarray, bayer: str) -> np.ndarray:
    """Bayer mosaic uint8 (H, W) -> RGB (H, W, 3), bilinear as in the SDK."""
    return cv2.cvtColor(mosaic, _DEMOSAIC[bayer])


def mosaic_of(rgb: np.ndarray, bayer: str) -> np.ndarray:
    """What a sensor with this mosaic sees of an RGB image (H, W, 3): uint8 (H, W)."""
    channels = ["rgb".index(colour) for colour in bayer]
    mosaic = np.empty(rgb.shape[:2], rgb.dtype)
    for k, channel in enumerate(channels):
        mosaic[k // 2 :: 2, k % 2 :: 2] = rgb[k // 2 :: 2, k % 2 :: 2, channel]
    return mosaic


class CameraModel:
    """A camera as the SDK describes it, and its undistortion.

    `camera` is the pinhole camera (pixels) of the undistorted images; `T_base_cam` (4, 4) mounts
    their optical frame on base_link. The table *_distortion_lut.bin is read at the first image: for
    each pixel of the undistorted image, row by row, float64 u of the distorted image, then all the
    v. Pixel (0, 0) is the centre of the top left one, as the table counts from 0 at that pixel.
    """

    def __init__(self, name: str, calibration: Path, size: tuple[int, int]) -> None:
        """size: width, height of the images. Raises DataError for a bad calibration file."""
        self.name, self.sensor = name, SENSORS[name]
        models = calibration / "models"
        f, c, T_camera_image = _read_intrinsics(models / f"{self.sensor.model}.txt")
        if name == "stereo_centre":
            T_camera_image = _centre_lens(models) @ T_camera_image
        T_camera_vehicle = read_components(
            calibration / "extrinsics" / f"{self.sensor.extrinsics}.txt"
        )
        self.camera = Camera.pinhole(*size, *f, *c)
        self.T_base_cam = T_VEHICLE_BASE @ transforms.inverse(T_camera_vehicle) @ T_camera_image
        self._table = models / f"{self.sensor.model}_distortion_lut.bin"
        self._size = size
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def image(self, path: Path) -> np.ndarray:
        """The image file, demosaiced and undistorted: uint8 RGB (H, W, 3).

        Raises DataError, with what to do, when the file or the table cannot be used.
        """
        return self.undistort(demosaic(read_mosaic(path, self._size), self.sensor.bayer))

    def undistort(self, image: np.ndarray) -> np.ndarray:
        """Bilinear look-up; pixels that the lens did not see are black."""
        if self._maps is None:
            self._maps = _fixed_point(*read_table(self._table, self._size))
        return cv2.remap(image, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def read_mosaic(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """A raw image of the dataset, uint8 (H, W); DataError if it is none or not of `size`."""
    mosaic = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mosaic is None:
        what = "cannot be decoded; extract it again, or delete it to leave this frame out"
        raise DataError(f"{path}: {what if path.is_file() else 'missing'}")
    if mosaic.ndim != 2 or mosaic.dtype != np.uint8:
        raise DataError(
            f"{path}: not a Bayer mosaic of 8 bits but {mosaic.dtype} "
            f"{mosaic.shape}; use the images as published"
        )
    if size is not None and mosaic.shape[::-1] != size:
        raise DataError(
            f"{path}: {mosaic.shape[1]}x{mosaic.shape[0]} px, but the drive's first "
            f"image has {size[0]}x{size[1]}"
        )
    return mosaic


def read_table(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An undistortion table -> u (H, W), v (H, W), float32; DataError if it is of another size."""
    width, height = size
    try:
        table = np.fromfile(path, np.float64)
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; the folder models of the public robotcar-dataset-sdk "
            "has it (16 to 20 MB)"
        ) from None
    if table.size != 2 * width * height:
        raise DataError(
            f"{path}: a table of {table.size // 2} pixels, but the images have "
            f"{width}x{height}; is the file whole, and of this camera?"
        )
    u, v = table.astype(np.float32).reshape(2, height, width)
    return u, v


def write_table(path: Path, u: np.ndarray, v: np.ndarray) -> None:
    """The inverse of `read_table`."""
    np.stack([u, v]).astype(np.float64).tofile(path)


def _fixed_point(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The table in OpenCV's quick form (1/32 pixel); what lies outside the image stays black."""
    height, width = u.shape
    outside = ~((u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1))
    u, v = np.where(outside, -2, u), np.where(outside, -2, v)
    return cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)


def _read_intrinsics(path: Path) -> tuple[tuple, tuple, np.ndarray]:
    """models/*.txt -> focal lengths, principal point (pixels), T_camera_image (4, 4)."""
    try:
        rows = [[float(v) for v in line.split()] for line in path.read_text().splitlines() if line]
        (fx, fy, cx, cy), T = rows[0], np.array(rows[1:5])
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; the folder models of the public robotcar-dataset-sdk has it"
        ) from None
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: not a camera model of the SDK: {error}") from error
    R = T[:3, :3] if T.shape == (4, 4) else np.zeros((3, 3))
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4):
        raise DataError(f"{path}: lines 2 to 5 are no rigid transform (4x4)")
    return (fx, fy), (cx, cy), T


def _centre_lens(models: Path) -> np.ndarray:
    """T_left_centre (4, 4) of the stereo camera's lenses.

    The narrow pair (centre, right) counts from the centre lens, the wide one (left, right) from the
    left lens, and the right lens is the same; extrinsics/stereo.txt mounts the left one.
    """
    *_, wide = _read_intrinsics(models / "stereo_wide_right.txt")
    *_, narrow = _read_intrinsics(models / "stereo_narrow_right.txt")
    return wide @ transforms.inverse(narrow)

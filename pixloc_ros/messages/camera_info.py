"""The camera of an image, from sensor_msgs/CameraInfo."""

from __future__ import annotations

import math

import torch

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.camera import Camera

# Focal lengths by the longer side of the image: 0.02 is a pinhole that sees 176 degrees, 1000 a
# telescope. What lies outside is a unit gone wrong (metres), not a lens.
FOCAL_RANGE = (0.02, 1000.0)
# The principal point may lie this many image sizes outside the image (shifted lenses).
PRINCIPAL_MARGIN = 1.0
# A quarter of the image's shorter side from its centre, a lens sees a ray that is at most this much
# further out, or further in, than without distortion. Fisheyes by angle; real ones are within 1.2.
BENDING = 3.0


def camera_of(info, width: int, height: int, rectified: bool = False) -> Camera:
    """The camera of an image of that size (pixels).

    Takes K and the distortion D, or P alone for rectified images; then the region of interest and
    binning, as CameraInfo defines them. An image of another size but the same shape (resized on its
    way) is scaled to.

    DataError, naming the field: not calibrated, a distortion model nobody knows, numbers that no
    camera has, a region of interest that is not on the chip, or another aspect ratio.
    """
    name = "P" if rectified else "K"
    if rectified:
        p = _finite(info.p, "P")
        k, model, distortion = [*p[0:3], *p[4:7], *p[8:11]], "", []
    else:
        k, model = _finite(info.k, "K"), info.distortion_model
        distortion = _finite(info.d, "D")
    if not (k[0] > 0 and k[4] > 0):
        raise DataError(
            f"camera_info is not calibrated ({name} holds no focal length); calibrate the camera "
            "or publish its calibration"
        )
    full = info.width or width, info.height or height
    _check_matrix(name, k, full)
    try:
        camera = Camera.from_ros(model, *full, k, distortion)
    except DataError as error:
        raise DataError(f"camera_info: {error}") from error
    _check_distortion(camera, distortion)
    camera, full = _region(camera, info, full)
    return _resized(camera, info, full, (width, height))


def source_of(info) -> tuple:
    """What `camera_of` reads of a message, to compare it with that of another one."""
    roi = info.roi
    return (
        (info.width, info.height, info.distortion_model),
        (tuple(info.k), tuple(info.d), tuple(info.p)),
        (info.binning_x, info.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def _finite(values, name: str) -> list[float]:
    numbers = [float(v) for v in values]
    if not all(map(math.isfinite, numbers)):
        raise DataError(f"camera_info: {name} holds NaN or infinity; calibrate the camera again")
    return numbers


def _check_matrix(name: str, k: list[float], size: tuple[int, int]) -> None:
    low, high = (limit * max(size) for limit in FOCAL_RANGE)
    for focal in (k[0], k[4]):
        if not low <= focal <= high:
            raise DataError(
                f"camera_info: {name} states a focal length of {focal:g} px, which no camera of "
                f"{size[0]}x{size[1]} pixels has (is it in another unit?)"
            )
    for centre, pixels in zip((k[2], k[5]), size):
        if not -PRINCIPAL_MARGIN <= centre / pixels <= 1 + PRINCIPAL_MARGIN:
            raise DataError(
                f"camera_info: {name} states the principal point ({k[2]:g}, {k[5]:g}), far outside "
                f"the image of {size[0]}x{size[1]} pixels"
            )


def _check_distortion(camera: Camera, distortion: list[float]) -> None:
    """Rays of pixels around the centre must lead back to them, and not be bent beyond measure."""
    if camera.model == "pinhole":
        return
    directions = camera.c.new_tensor([[1, 0], [-1, 0], [0, 1], [0, -1]])
    pixels = camera.c + directions * camera.size.min() / 4
    rays = camera.rays(pixels)
    back, _ = camera.project(rays)
    straight = ((pixels - camera.c) / camera.f).norm(dim=-1)
    found = rays[:, :2].norm(dim=-1)
    bending = (torch.atan(found) if camera.model == "equidistant" else found) / straight
    one_to_one = (back - pixels).abs().max() < 0.5  # NaN is not
    if not (one_to_one and bending.min() > 1 / BENDING and bending.max() < BENDING):
        raise DataError(
            f"camera_info: D = ({', '.join(f'{v:g}' for v in distortion)}) is the distortion of no "
            "lens: it folds or bends the middle of the image; calibrate the camera again"
        )


def _region(camera: Camera, info, full: tuple[int, int]) -> tuple[Camera, tuple[int, int]]:
    """The camera of the region of interest, in pixels before binning, and its size."""
    roi = info.roi
    size = roi.width, roi.height
    if not any(size):
        return camera, full
    place = f"{roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset})"
    if not all(size):
        raise DataError(f"camera_info: roi is empty ({place}); 0x0 would be the whole image")
    chip = info.width or math.inf, info.height or math.inf
    if roi.x_offset + roi.width > chip[0] or roi.y_offset + roi.height > chip[1]:
        raise DataError(
            f"camera_info: roi, {place}, does not lie on the chip of {info.width}x{info.height} "
            "pixels (roi counts in pixels before binning)"
        )
    return camera.crop((roi.x_offset, roi.y_offset), size), size


def _resized(camera: Camera, info, full: tuple[int, int], size: tuple[int, int]) -> Camera:
    """From a size before binning to that of the image."""
    binning = info.binning_x or 1, info.binning_y or 1
    if all(abs(f / b - s) < 1 for f, b, s in zip(full, binning, size)):
        # An odd size loses a row or column to binning; what remains is scaled by the binning still.
        camera = camera if binning == (1, 1) else camera.scale(1 / binning[0], 1 / binning[1])
        return camera if full == size else camera.crop((0, 0), size)
    x, y = size[0] / full[0], size[1] / full[1]
    if abs(x / y - 1.0) > 0.01:
        raise DataError(
            f"the image is {size[0]}x{size[1]}, but camera_info speaks of {full[0]}x{full[1]}: "
            "they do not belong together (wrong topic, or cropped without a region of interest?)"
        )
    return camera.scale(x, y)

"""Are the files of a binary COLMAP model complete? COLMAP itself would read without end."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pycolmap

from pixloc_ros.core.errors import MapError

_POSE = 7 * 8
_SENSOR = 4 + 4


def check_binary(folder: Path) -> None:
    """MapError for the first file of the model that is longer or shorter than its records say."""
    for name, step in _STEPS.items():
        path = folder / name
        if not path.is_file():
            continue  # rigs and frames are new; whether the others are there is checked elsewhere
        content = path.read_bytes()
        try:
            (count,) = struct.unpack_from("<Q", content)
            end = 8
            for _ in range(count):
                end = step(content, end)
                if end > len(content):
                    break
        except (struct.error, ValueError, TypeError):
            end = -1
        if end != len(content):
            raise MapError(f"{path}: truncated or corrupt; copy or export the model again")


def _camera(content: bytes, at: int) -> int:
    (model,) = struct.unpack_from("<i", content, at + 4)
    example = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(model), 1.0, 1, 1)
    return at + 8 + 16 + 8 * len(example.params)


def _image(content: bytes, at: int) -> int:
    at = content.index(b"\0", at + 4 + _POSE + 4) + 1
    (points,) = struct.unpack_from("<Q", content, at)
    return at + 8 + 24 * points


def _point(content: bytes, at: int) -> int:
    (track,) = struct.unpack_from("<Q", content, at + 8 + 24 + 3 + 8)
    return at + 51 + 8 * track


def _rig(content: bytes, at: int) -> int:
    (sensors,) = struct.unpack_from("<I", content, at + 4)
    at += 8 + (_SENSOR if sensors else 0)
    for _ in range(sensors - 1):
        (has_pose,) = struct.unpack_from("<B", content, at + _SENSOR)
        at += _SENSOR + 1 + (_POSE if has_pose else 0)
    return at


def _frame(content: bytes, at: int) -> int:
    (data,) = struct.unpack_from("<I", content, at + 8 + _POSE)
    return at + 8 + _POSE + 4 + (_SENSOR + 8) * data


_STEPS: dict[str, Callable[[bytes, int], int]] = {
    "cameras.bin": _camera,
    "rigs.bin": _rig,
    "frames.bin": _frame,
    "images.bin": _image,
    "points3D.bin": _point,
}

"""A small RobotCar from the synthetic street: drives in the raw layout, and a calibration of it.

The images are Bayer mosaics seen through lenses that distort, the tables have the dataset's
columns, and yaw counts from true north as an inertial unit's does. Everything of a drive is exact
except measurements of motion: odometry drifts, INS is a metre off, GPS two.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import torch

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.dead_reckoning import interpolate_poses
from pixloc_ros.datasets.robotcar import frames, utm
from pixloc_ros.datasets.robotcar.camera import (
    SENSORS,
    CameraModel,
    mosaic_of,
    write_table,
)
from pixloc_ros.datasets.synthetic import drive_of
from pixloc_ros.messages.poses import from_xyz_rpy, to_xyz_rpy
from pixloc_ros.synthetic.drive import DriveOptions, Session, make_drive

ZONE = 30
#: Where the street lies in the map frame of the default origin, and how it is turned.
T_MAP_STREET = transforms.exp(np.array([100.0, 500.0, 0.0, 0.0, 0.0, 0.6]))
#: base_link (at the left lens) on the synthetic car, whose body frame is under the rear axle.
T_BODY_BASE = transforms.exp(np.array([1.25, 0.0, 1.6, 0.0, 0.0, 0.0]))
EXTRINSICS = {
    "stereo": (0, 0, 0, 0, 0, 0),
    "mono_left": (-0.06, 1.58, 0.26, 0.19, -0.21, 1.25),
    "mono_right": (-0.22, -1.62, 0.30, -0.18, -0.22, -1.24),
    "mono_rear": (-1.94, 0.08, 0.31, -0.01, -0.21, 3.12),
    "ins": (-1.62, 0.11, 1.15, -0.012, 0.035, 0.006),
}
#: Metres right of the lens that the models of a pair count from.
LENSES = {"stereo_narrow_right": 0.12, "stereo_wide_right": 0.24}
IMAGE_AXES = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)
#: When the two drives began; their folders are named after it.
STARTS = {"map": datetime(2024, 6, 1, 10, 0, 0), "query": datetime(2024, 6, 1, 18, 30, 0)}
DRIVE_NAME = "%Y-%m-%d-%H-%M-%S"
NANOSECONDS_PER_INS_ROW, INS_ROWS_PER_FIX = 20_000_000, 10


@dataclass(frozen=True)
class RigOptions:
    """stereo_size, mono_size: width, height of the images (pixels). cameras: the ones to write."""

    stereo_size: tuple[int, int] = (640, 480)
    mono_size: tuple[int, int] = (512, 512)
    cameras: tuple[str, ...] = ("stereo_left",)

    def size(self, model: str) -> tuple[int, int]:
        return self.stereo_size if model.startswith("stereo") else self.mono_size


def write_dataset(
    root: Path, seed: int, query_frames: int, rig: RigOptions, progress: Progress | None = None
) -> dict[str, Path]:
    """A mapping and a later drive through the street of this seed; their folders by session.

    Raises DataError where one of them is there already.
    """
    sessions = make_drive(seed, DriveOptions(query_frames=query_frames))
    if not (root / "models").is_dir():
        write_calibration(root, rig)
    return {
        name: write_raw_drive(root, sessions[name], start, rig, progress)
        for name, start in STARTS.items()
    }


def write_calibration(folder: Path, options: RigOptions) -> None:
    """`models/` and `extrinsics/` of a rig like the RobotCar's."""
    (folder / "models").mkdir(parents=True)
    (folder / "extrinsics").mkdir()
    for name, values in EXTRINSICS.items():
        (folder / "extrinsics" / f"{name}.txt").write_text(" ".join(map(str, values)) + "\n")
    used = {sensor.model for sensor in SENSORS.values()} | LENSES.keys()
    for model in sorted(used):
        camera = _undistorted(model, options.size(model))
        T = IMAGE_AXES.copy()
        T[1, 3] = LENSES.get(model, 0.0)
        rows = [[*camera.f.tolist(), *camera.c.tolist()], *T]
        text = "\n".join(" ".join(f"{v:.6f}" for v in row) for row in rows)
        (folder / "models" / f"{model}.txt").write_text(text + "\n")
    for name in options.cameras:
        model = SENSORS[name].model
        u, v = _table(model, options.size(model))
        write_table(folder / "models" / f"{model}_distortion_lut.bin", u, v)


def write_raw_drive(
    root: Path,
    session: Session,
    start: datetime,
    options: RigOptions,
    progress: Progress | None = None,
) -> Path:
    """Write a session as the drive that began at `start`; returns its folder under `root`.

    `root` holds the calibration (`write_calibration`). Raises DataError if the drive is there.
    """
    folder = root / start.strftime(DRIVE_NAME)
    if folder.exists():
        raise DataError(f"{folder}: there already; choose another folder")
    shift_ns = round(start.replace(tzinfo=timezone.utc).timestamp()) * 10**9
    shift_ns -= int(session.stamps_ns[0])
    base = replace(
        session,
        T_map_base=session.T_map_base @ T_BODY_BASE,
        T_odom_base=transforms.inverse(T_BODY_BASE) @ session.T_odom_base @ T_BODY_BASE,
    )
    partial = folder.with_name(folder.name + ".partial")
    for name in options.cameras:
        _write_images(partial, name, base, root, options, shift_ns, progress)
    _write_tables(partial, base, shift_ns)
    partial.rename(folder)
    return folder


def _write_images(
    folder: Path,
    name: str,
    session: Session,
    calibration: Path,
    options: RigOptions,
    shift_ns: int,
    progress: Progress | None,
) -> None:
    sensor = SENSORS[name]
    size = options.size(sensor.model)
    mount = CameraModel(name, calibration, size).T_base_cam
    drive = drive_of(replace(session, camera=_distorted(sensor.model, size), T_base_cam=mount))
    target = folder / sensor.folder
    target.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, stamp_ns in enumerate(session.stamps_ns + shift_ns):
        stamp = int(stamp_ns) // 1000
        mosaic = mosaic_of(drive.image(i), sensor.bayer)
        if not cv2.imwrite(str(target / f"{stamp}.png"), mosaic):
            raise DataError(f"{target / f'{stamp}.png'}: could not be written; is the disk full?")
        lines.append(f"{stamp} 1\n")
        if progress:
            progress(i + 1, len(session), f"{session.name} {name}")
    (folder / f"{sensor.stamps}.timestamps").write_text("".join(lines))


def _write_tables(folder: Path, session: Session, shift_ns: int) -> None:
    ticks = np.arange(session.stamps_ns[0], session.stamps_ns[-1] + 1, NANOSECONDS_PER_INS_ROW)
    truth = T_MAP_STREET @ interpolate_poses(session.stamps_ns, session.T_map_base, ticks)
    T_vehicle_ins = from_xyz_rpy(np.array(EXTRINSICS["ins"], float))
    exact = frames.ins_in_world(truth, T_vehicle_ins, frames.Origin())
    rng = np.random.default_rng([session.seed, 5])
    off = exact.copy()
    off[:, :3, 3] += rng.normal(0, 0.6, 3)
    stamps = (ticks + shift_ns) // 1000
    _write(folder / "rtk.csv", _ROW, _ins_rows(stamps, exact))
    rows = ((r[0], "INS_SOLUTION_GOOD", *r[1:]) for r in _ins_rows(stamps, off))
    _write(folder / "gps" / "ins.csv", (_ROW[0], "ins_status", *_ROW[1:]), rows)
    few = slice(None, None, INS_ROWS_PER_FIX)
    _write(folder / "gps" / "gps.csv", _FIX, _gps_rows(stamps[few], exact[few], rng))
    odometry = interpolate_poses(session.odometry_stamps_ns, session.T_odom_base, session.stamps_ns)
    images = (session.stamps_ns + shift_ns) // 1000
    _write(folder / "vo" / "vo.csv", _VO, _vo_rows(images, odometry))


_ROW = (
    "timestamp",
    "latitude",
    "longitude",
    "altitude",
    "northing",
    "easting",
    "down",
    "utm_zone",
    "velocity_north",
    "velocity_east",
    "velocity_down",
    "roll",
    "pitch",
    "yaw",
)
_FIX = (
    "timestamp",
    "num_satellites",
    "latitude",
    "longitude",
    "altitude",
    "latitude_sigma",
    "longitude_sigma",
    "altitude_sigma",
    "northing",
    "easting",
    "down",
    "utm_zone",
)
_VO = ("source_timestamp", "destination_timestamp", "x", "y", "z", "roll", "pitch", "yaw")


def _ins_rows(stamps: np.ndarray, T_world_ins: np.ndarray) -> Iterable[tuple]:
    components = to_xyz_rpy(T_world_ins)
    seconds = stamps * 1e-6
    velocity = np.gradient(components[:, :3], seconds, axis=0)
    for stamp, (n, e, d, roll, pitch, yaw), v in zip(stamps, components, velocity):
        latitude, longitude = utm.from_utm(n, e, ZONE)
        yaw += utm.convergence(latitude, longitude, ZONE)
        yield (
            stamp,
            *_degrees(latitude, longitude),
            f"{-d:.4f}",
            f"{n:.6f}",
            f"{e:.6f}",
            f"{d:.6f}",
            f"{ZONE}U",
            *(f"{x:.6f}" for x in v),
            *(f"{x:.9f}" for x in (roll, pitch, yaw)),
        )


def _gps_rows(stamps: np.ndarray, T_world_ins: np.ndarray, rng) -> Iterable[tuple]:
    sigmas = np.array([2.0, 2.0, 4.0])
    for stamp, T in zip(stamps, T_world_ins):
        n, e, d = T[:3, 3] + rng.normal(0, 1, 3) * sigmas
        yield (
            stamp,
            9,
            *_degrees(*utm.from_utm(n, e, ZONE)),
            f"{-d:.4f}",
            *sigmas,
            *(f"{x:.4f}" for x in (n, e, d)),
            f"{ZONE}U",
        )


def _vo_rows(stamps: np.ndarray, T_odom_base: np.ndarray) -> Iterable[tuple]:
    T = frames.T_VEHICLE_BASE
    for i in range(1, len(stamps)):
        step = transforms.inverse(T_odom_base[i - 1]) @ T_odom_base[i]
        values = to_xyz_rpy(T @ step @ transforms.inverse(T))
        yield stamps[i], stamps[i - 1], *(f"{v:.9f}" for v in values)


def _degrees(latitude: float, longitude: float) -> tuple[str, str]:
    return f"{np.rad2deg(latitude):.9f}", f"{np.rad2deg(longitude):.9f}"


def _write(path: Path, columns: Sequence[str], rows: Iterable[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _undistorted(model: str, size: tuple[int, int]) -> Camera:
    """The pinhole camera of the undistorted images."""
    width, height = size
    focal = (0.77 if model.startswith("stereo") else 0.39) * width
    return Camera.pinhole(*size, focal, focal, 0.503 * width, 0.51 * height, torch.float64)


def _distorted(model: str, size: tuple[int, int]) -> Camera:
    """The lens in front of the sensor: a barrel for the stereo camera, a fisheye for the others."""
    width, height = size
    centre = (0.497 * width, 0.505 * height)
    if model.startswith("stereo"):
        f, name, d = 0.76 * width, "radtan", (-0.22, 0.07, 4e-4, -3e-4)
    else:
        f, name, d = 0.5 * width, "equidistant", (0.01, -0.004, 0.0, 0.0)
    return Camera.build(name, size, (f, f), centre, d, torch.float64)


def _table(model: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """u, v (H, W) of the distorted image for each pixel of the undistorted one."""
    width, height = size
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([u, v], -1).double().view(-1, 2)
    seen, _ = _distorted(model, size).project(_undistorted(model, size).rays(pixels))
    u, v = seen.view(height, width, 2).unbind(-1)
    return u.numpy(), v.numpy()

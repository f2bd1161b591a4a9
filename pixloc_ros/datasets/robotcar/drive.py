"""A raw drive of the RobotCar: its images, motion and ground truth, streamed or as a Drive.

As the archives of one drive extract, with whatever sensors were downloaded:

    2014-11-28-12-07-13/
        stereo.timestamps  stereo/{left,centre,right}/<stamp>.png
        mono_left.timestamps  mono_left/<stamp>.png      (and mono_right, mono_rear)
        vo/vo.csv  gps/gps.csv  gps/ins.csv
        rtk.csv            or ../rtk/<drive>/rtk.csv, as the RTK archive extracts

and beside it (or in the folder that ROBOTCAR_SDK names) the public SDK's `models/` and
`extrinsics/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.bag import MAX_TRUTH_GAP_NS
from pixloc_ros.datasets.dead_reckoning import covered, interpolate_poses
from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.datasets.robotcar import frames, heading, tables
from pixloc_ros.datasets.robotcar.camera import SENSORS, CameraModel, read_mosaic
from pixloc_ros.messages.poses import from_xyz_rpy

Track = Iterator[tuple[int, np.ndarray]]


@dataclass(frozen=True)
class Frame:
    """An image of the drive that is there: its stamp and its file."""

    stamp_ns: int
    path: Path


class RobotCar:
    """One drive's folder. Nothing is read before it is asked for, and tables only row by row.

    calibration: folder with `models/` and `extrinsics/`; None looks beside the drive. Poses are in
    the map frame of `origin`.
    """

    def __init__(
        self,
        path: str | Path,
        calibration: str | Path | None = None,
        origin: frames.Origin = frames.Origin(),
    ) -> None:
        self.path, self.origin = Path(path), origin
        if not is_robotcar(self.path):
            raise DataError(
                f"{self.path}: no RobotCar drive (no stereo.timestamps or mono_*.timestamps); give "
                "the folder that is named after the drive's date and time"
            )
        self._calibration = None if calibration is None else Path(calibration)
        self.model = lru_cache(maxsize=None)(self._model)
        self._heading = lru_cache(maxsize=None)(self._grid_correction)

    @property
    def calibration(self) -> Path:
        """The folder with `models/` and `extrinsics/`; DataError if there is none."""
        if self._calibration is not None:
            places = [self._calibration]
        else:
            near = [self.path, self.path.resolve().parent]
            places = [p / name for p in near for name in (".", "robotcar-dataset-sdk")]
            if os.environ.get("ROBOTCAR_SDK"):
                places.insert(0, Path(os.environ["ROBOTCAR_SDK"]))
        for place in places:
            if (place / "models").is_dir() and (place / "extrinsics").is_dir():
                return place
        raise DataError(
            f"{places[0]}: no folders models/ and extrinsics/; put a checkout of the public "
            "robotcar-dataset-sdk beside the drive, or let ROBOTCAR_SDK name it"
        )

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that have stamps and a folder of images."""
        return tuple(
            name
            for name, sensor in SENSORS.items()
            if self._stamps(name).is_file() and (self.path / sensor.folder).is_dir()
        )

    def frames(self, camera: str) -> Iterator[Frame]:
        """The images of a camera in order; stamps without an image are gaps and left out."""
        folder = self._folder(camera)
        for stamp, _ in tables.read_stamps(self._stamps(camera)):
            path = folder / f"{stamp}.png"
            if path.is_file():
                yield Frame(stamp * 1000, path)

    def stamps(self, camera: str) -> Iterator[int]:
        """Stamps in ns of all images that the camera took, here or not."""
        self._folder(camera)
        return (stamp * 1000 for stamp, _ in tables.read_stamps(self._stamps(camera)))

    def truth_source(self) -> str | None:
        """ "rtk" where there is rtk.csv, else "ins" where there is gps/ins.csv."""
        return next((s for s in ("rtk", "ins") if self._poses_file(s).is_file()), None)

    def odometry_source(self) -> str | None:
        """ "vo" where there is vo/vo.csv, else "ins" where there is gps/ins.csv."""
        return next((s for s in ("vo", "ins") if self._poses_file(s).is_file()), None)

    def truth(self, source: str) -> Track:
        """(stamp in ns, T_map_base) of every row of source "rtk" or "ins"."""
        turn = self.heading_correction(source)
        T_vehicle_ins = self.T_vehicle_ins
        for row in tables.read_ins(self._poses_file(source)):
            components = row.components.copy()
            components[5] += turn
            T_world_ins = from_xyz_rpy(components)
            yield row.stamp_ns, frames.base_in_map(T_world_ins, T_vehicle_ins, self.origin)

    def heading_correction(self, source: str) -> float:
        """Radians added to the yaw of "rtk" or "ins"; see `heading.grid_correction`."""
        return self._heading(source)

    def odometry(self, source: str) -> Track:
        """(stamp in ns, T_odom_base) from "vo" or "ins", beginning at the identity.

        Where rows of vo.csv are missing the vehicle is taken to keep its speed.
        """
        if source == "vo":
            return chain(tables.read_vo(self._poses_file("vo")))
        return _from_start(self.truth("ins"))

    def fixes(self) -> Iterator[tables.Fix]:
        """GPS positions; none where there is no gps/gps.csv."""
        path = self.path / "gps" / "gps.csv"
        return tables.read_gps(path) if path.is_file() else iter(())

    @property
    def T_vehicle_ins(self) -> np.ndarray:
        return frames.read_components(self.calibration / "extrinsics" / "ins.txt")

    def _model(self, camera: str) -> CameraModel:
        first = next(self.frames(camera), None)
        if first is None:
            raise DataError(
                f"{self._folder(camera)}: none of the images is there; extract the archives "
                f"{camera} of this drive into {self.path.resolve().parent}"
            )
        return CameraModel(camera, self.calibration, read_mosaic(first.path).shape[::-1])

    def _grid_correction(self, source: str) -> float:
        rows = tables.read_ins(self._poses_file(source))
        return heading.grid_correction(rows, self.T_vehicle_ins)

    def _folder(self, camera: str) -> Path:
        if camera not in SENSORS:
            raise DataError(f"the RobotCar has no camera '{camera}'; it has {', '.join(SENSORS)}")
        if camera not in self.cameras:
            there = ", ".join(self.cameras) or "none"
            raise DataError(
                f"{self.path}: no images of {camera} (there: {there}); extract its "
                f"archives into {self.path.resolve().parent}"
            )
        return self.path / SENSORS[camera].folder

    def _stamps(self, camera: str) -> Path:
        return self.path / f"{SENSORS[camera].stamps}.timestamps"

    def _poses_file(self, source: str) -> Path:
        if source == "rtk":
            drive = self.path.resolve()
            published = drive.parent / "rtk" / drive.name / "rtk.csv"
            return published if published.is_file() else self.path / "rtk.csv"
        return self.path / {"vo": "vo/vo.csv", "ins": "gps/ins.csv"}[source]


def is_robotcar(path: Path) -> bool:
    """Whether a folder looks like a raw drive."""
    return any((path / f"{sensor.stamps}.timestamps").is_file() for sensor in SENSORS.values())


def read_robotcar(
    path: str | Path,
    camera: str | None = None,
    calibration: str | Path | None = None,
    origin: frames.Origin = frames.Origin(),
) -> Drive:
    """One camera of a raw drive (the first that is there by default), undistorted.

    Ground truth is rtk.csv or else gps/ins.csv, interpolated at the images; images without any are
    left out. Odometry is vo/vo.csv or else gps/ins.csv. A drive with neither truth has no
    `T_map_base`.
    """
    drive = RobotCar(path, calibration, origin)
    camera = camera or next(iter(drive.cameras), "stereo_left")
    model = drive.model(camera)
    images = list(drive.frames(camera))
    stamps_ns = np.array([frame.stamp_ns for frame in images], np.int64)
    T_map_base = None
    if (source := drive.truth_source()) is not None:
        truth_ns, truth = _collect(drive.truth(source), f"{source}.csv of {drive.path}")
        kept = covered(truth_ns, stamps_ns, MAX_TRUTH_GAP_NS)
        if not kept.any():
            raise DataError(f"{drive.path}: {source}.csv covers none of the images of {camera}")
        stamps_ns, images = stamps_ns[kept], [images[i] for i in np.flatnonzero(kept)]
        T_map_base = interpolate_poses(truth_ns, truth, stamps_ns)
    odometry = None
    if (source := drive.odometry_source()) is not None:
        odometry = Odometry(*_collect(drive.odometry(source), f"{source}.csv of {drive.path}"))
    return Drive(
        name=f"{drive.path.resolve().name}:{camera}",
        names=tuple(frame.path.name for frame in images),
        stamps_ns=stamps_ns,
        camera=model.camera,
        T_base_cam=model.T_base_cam,
        load=lambda i: model.image(images[i].path),
        T_map_base=T_map_base,
        odometry=odometry,
    )


def chain(motions: Iterator[tables.Motion]) -> Track:
    """Relative motions of the vehicle -> (stamp in ns, T_odom_base) from the identity on."""
    T, last_ns, speed = np.eye(4), None, np.zeros(6)
    for motion in motions:
        earlier_ns, later_ns = sorted((motion.source_ns, motion.destination_ns))
        step = frames.base_motion(motion.T_destination_source)
        if motion.source_ns < motion.destination_ns:
            step = transforms.inverse(step)
        if last_ns is None:
            yield earlier_ns, T
        elif earlier_ns > last_ns:
            T = T @ transforms.exp(speed * (earlier_ns - last_ns))
        elif later_ns <= last_ns:
            continue
        T, last_ns = T @ step, later_ns
        speed = transforms.log(step) / max(later_ns - earlier_ns, 1)
        yield later_ns, T


def _from_start(poses: Track) -> Track:
    T_start_map = None
    for stamp_ns, T in poses:
        if T_start_map is None:
            T_start_map = transforms.inverse(T)
        yield stamp_ns, T_start_map @ T


def _collect(track: Track, what: str) -> tuple[np.ndarray, np.ndarray]:
    stamps, poses = [], []
    for stamp_ns, T in track:
        stamps.append(stamp_ns)
        poses.append(T)
    if not stamps:
        raise DataError(f"{what}: no row that can be used")
    return np.array(stamps, np.int64), np.stack(poses)

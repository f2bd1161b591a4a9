"""The drives that `demo` and `benchmark` know by name: where they come from, and their limits.

A scenario is made once into a folder (images, model, map) and found there the next time.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.network import Checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.bag_topics import BagTopics
from pixloc_ros.datasets.dead_reckoning import with_simulated_odometry
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.folder import read_drive, write_drive
from pixloc_ros.datasets.place import read_place
from pixloc_ros.datasets.robotcar.bag import topics_of, write_robotcar_bag
from pixloc_ros.datasets.robotcar.drive import RobotCar, read_robotcar
from pixloc_ros.datasets.robotcar.generate import DRIVE_NAME, STARTS, RigOptions, write_dataset
from pixloc_ros.datasets.synthetic import drive_of
from pixloc_ros.evaluation.metrics import Metrics, evaluate_track
from pixloc_ros.evaluation.trajectory import Track
from pixloc_ros.finding import Places
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.landmarks import add_places
from pixloc_ros.mapping.plan import BuildOptions
from pixloc_ros.mapping.triangulate import triangulate
from pixloc_ros.synthetic.drive import make_drive

#: The street, its furniture and the noise of the embedded drive.
SYNTHETIC_SEED = 7
#: Frames 0, 5, 10, ... of the KITTI clips are the map, the others are localized.
KITTI_EVERY = 5
#: Of the synthetic RobotCar.
ROBOTCAR_FRAMES, ROBOTCAR_CAMERA = 60, "stereo_left"


@dataclass(frozen=True)
class Limits:
    """What a run must keep to be called localized. Metres, degrees, shares. tracking: of the frames
    after the start; starting: of all frames, how many it may take."""

    position_median_m: float
    position_p95_m: float
    rotation_median_deg: float
    rotation_p95_deg: float
    tracking: float = 1.0
    starting: float = 0.1

    def violations(self, metrics: Metrics) -> list[str]:
        """What a run does not keep, in words; a figure that is NaN is not kept."""
        found = []
        if not metrics.starting <= self.starting:
            found.append(f"starting {100 * metrics.starting:.1f} % > {100 * self.starting:.1f} %")
        tracking = round(metrics.tracking / max(1 - metrics.starting, 1e-9), 9)
        if not tracking >= self.tracking:
            found.append(f"tracking {100 * tracking:.1f} % < {100 * self.tracking:.1f} %")
        for name, unit in (
            ("position_median", "m"),
            ("position_p95", "m"),
            ("rotation_median", "deg"),
            ("rotation_p95", "deg"),
        ):
            value, limit = (getattr(x, f"{name}_{unit}") for x in (metrics, self))
            if not value <= limit:
                found.append(f"{name.replace('_', ' ')} {value:.3g} {unit} > {limit:g} {unit}")
        return found


#: First frames of the KITTI clips whose ground truth is wrong (robustness benchmark, notes).
WRONG_TRUTH = {"kitti00_clip": 15, "kitti06_clip": 10}
#: Mosaic, lens and JPEG cost a little sharpness.
ROBOTCAR_LIMITS = Limits(0.03, 0.1, 0.08, 0.3)


@dataclass(frozen=True)
class Recording:
    """A bag, the topics of it to localize by, and whether its images are compressed."""

    bag: Path
    topics: BagTopics
    compressed: bool


@dataclass(frozen=True)
class Prepared:
    """A scenario ready to run: the map, the drive to localize in it, and the map's own sources.

    recording: the bag that the drive was read from; None: one is yet to be written. doubtful: so
    many of its first frames have a ground truth that is known to be wrong; their errors are shown
    but the limits are not for them.
    """

    drive: Drive
    map_dir: Path
    model_dir: Path
    image_dir: Path
    limits: Limits
    recording: Recording | None = None
    doubtful: int = 0

    def judged(self, drive: Drive, track: Track, metrics: Metrics) -> Metrics:
        """The figures that the limits are for, of a track over the drive (as it was played) that
        has these over all frames."""
        if not self.doubtful:
            return metrics
        rest = drive.subset(range(self.doubtful, len(drive)))
        return replace(
            evaluate_track(track, rest), tracking=metrics.tracking, starting=metrics.starting
        )


def prepare(name: str, folder: Path, checkpoint: Checkpoint, progress: Progress) -> Prepared:
    """Make or find the scenario ``name`` in ``folder``: synthetic, robotcar, kitti00, kitti06 or
    street_a:SESSION.

    Raises ``DataError`` for another name, or when the shared data is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base, _, session = name.partition(":")
    if base == "synthetic":
        return _synthetic(folder, checkpoint, progress)
    if base == "robotcar":
        return _robotcar(folder, checkpoint, progress)
    if base in ("kitti00", "kitti06"):
        return _kitti(shared_data(f"{base}_clip"), folder, checkpoint, progress)
    if base == "street_a" and session:
        return _street(shared_data(base), session, folder, checkpoint, progress)
    raise DataError(
        f"there is no drive '{name}'; known are synthetic, robotcar, kitti00, kitti06, "
        "street_a:query_noon, street_a:query_evening and street_a:query_overcast"
    )


def shared_data(name: str) -> Path:
    """A data set in the folder `shared` beside the repository, or in that of PIXLOC_SHARED."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("PIXLOC_SHARED", beside)) / "data" / name
    if not path.is_dir():
        raise DataError(f"{path}: not there; set PIXLOC_SHARED to the folder that holds data/")
    return path


def _synthetic(folder: Path, checkpoint: Checkpoint, progress: Progress) -> Prepared:
    sessions = {}
    for name, session in make_drive(SYNTHETIC_SEED).items():
        path = folder / "drive" / name
        if not (path / "stamps.csv").is_file():
            fresh = path.with_name(name + ".partial")
            shutil.rmtree(fresh, ignore_errors=True)
            write_drive(fresh, drive_of(session), progress=_named(progress, f"render {name}"))
            fresh.rename(path)
        sessions[name] = read_drive(path)
    mapping = sessions["map"]
    model = _model(mapping, folder, progress)
    map_dir = _map(model, mapping.image_dir, folder, checkpoint, progress)
    limits = Limits(0.03, 0.12, 0.08, 0.3, tracking=0.98)
    query = replace(sessions["query"], name="synthetic street")
    return Prepared(query, map_dir, model, mapping.image_dir, limits)


def _robotcar(folder: Path, checkpoint: Checkpoint, progress: Progress) -> Prepared:
    """The chain of a raw RobotCar drive, with the synthetic street in its layout."""
    raw = folder / "raw"
    if not raw.is_dir():
        fresh = folder / "raw.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        write_dataset(fresh, SYNTHETIC_SEED, ROBOTCAR_FRAMES, RigOptions(), progress)
        fresh.rename(raw)
    mapping, query = (raw / start.strftime(DRIVE_NAME) for start in STARTS.values())
    bag = folder / "recorded"
    if not bag.is_dir():
        write_robotcar_bag(RobotCar(query), bag, progress=progress)
    recording = Recording(bag, topics_of(ROBOTCAR_CAMERA), compressed=True)
    images = folder / "images"
    if not (images / "stamps.csv").is_file():
        write_drive(
            images,
            read_robotcar(mapping, ROBOTCAR_CAMERA),
            suffix=".png",
            progress=_named(progress, "undistort map"),
        )
    undistorted = read_drive(images)
    model = _model(undistorted, folder, progress)
    map_dir = _map(model, images, folder, checkpoint, progress)
    drive = replace(read_place(f"{bag}:{ROBOTCAR_CAMERA}"), name="synthetic RobotCar")
    return Prepared(drive, map_dir, model, images, ROBOTCAR_LIMITS, recording)


def _named(progress: Progress, what: str) -> Progress:
    return lambda done, total, _: progress(done, total, what)


def _kitti(data: Path, folder: Path, checkpoint: Checkpoint, progress: Progress) -> Prepared:
    drive = read_drive(data)
    frames = np.arange(len(drive))
    mapping = drive.subset(frames[::KITTI_EVERY])
    queries = frames[frames % KITTI_EVERY != 0]
    query = with_simulated_odometry(drive).subset(queries)
    model = _model(mapping, folder, progress)
    map_dir = _map(model, drive.image_dir, folder, checkpoint, progress)
    # The clip's first frames are up to 0.9 deg wrong against each other, in the map as well; the
    # localizer doubts a few of them.
    doubtful = int(np.sum(queries < WRONG_TRUTH[data.name]))
    limits = Limits(0.02, 0.10, 0.06, 0.2, tracking=0.95)
    return Prepared(query, map_dir, model, drive.image_dir, limits, doubtful=doubtful)


def _street(
    data: Path, session: str, folder: Path, checkpoint: Checkpoint, progress: Progress
) -> Prepared:
    model = data / "sparse"
    map_dir = _map(model, data, folder, checkpoint, progress)
    query = replace(read_drive(data, session), name=f"street_a:{session}")
    return Prepared(query, map_dir, model, data, Limits(0.05, 0.15, 0.1, 0.4))


def _model(mapping: Drive, folder: Path, progress: Progress) -> Path:
    model = folder / "model"
    if not model.is_dir():
        triangulate(mapping.posed_images(), model, progress)
    return model


def _map(
    model: Path, images: Path, folder: Path, checkpoint: Checkpoint, progress: Progress
) -> Path:
    """The map of this checkpoint, built unless it is there already."""
    map_dir = folder / "map"
    try:
        Places(FeatureMap.open(map_dir, identity=checkpoint.identity))
    except MapError:
        options = BuildOptions(scale=1.0)
        sfm = read_model(model)
        build_map(sfm, images, checkpoint, map_dir, options, progress)
        add_places(map_dir, sfm, images, progress=progress)
    return map_dir

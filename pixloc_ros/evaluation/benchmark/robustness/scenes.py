"""The scenes of the benchmark: queries with true poses, and the model their map is made from."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.feature_map import format as fmt
from pixloc_ros.core.network import Checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.folder import read_drive, write_drive
from pixloc_ros.datasets.synthetic import drive_of
from pixloc_ros.finding import Places
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.landmarks import add_places
from pixloc_ros.mapping.plan import BuildOptions
from pixloc_ros.mapping.triangulate import triangulate
from pixloc_ros.synthetic.drive import DriveOptions, make_drive

SCENES = (
    "kitti06_clip",
    "kitti00_clip",
    "street_a:query_noon",
    "street_a:query_evening",
    "street_a:query_overcast",
    "herzjesus",
)
KITTI_EVERY = 5
CACHE_MB = 512
#: Width of the houses of a terrace.
HOUSE_M = 8.0
NOTES = {
    "kitti06_clip": "The ground truth of the first ten frames is off by 0.15 to 0.7 deg (there "
    "SIFT + PnP and aligned features agree with each other, not with it). Queries among them are "
    "counted like all others: 2 of 20, so that 90 % is the ceiling at 0.1 m 0.25 deg.",
    "kitti00_clip": "The ground truth of the first 15 frames is off by up to 0.9 deg; queries "
    "among them are counted like all others.",
}


@dataclass(frozen=True)
class Scene:
    """`queries` with ground truth; the COLMAP model of the references lies in the same frame."""

    name: str
    queries: Drive
    model_dir: Path
    image_dir: Path

    @property
    def note(self) -> str:
        return NOTES.get(self.name, "")

    @property
    def terrace(self) -> bool:
        """Whether its houses are equal, every `HOUSE_M`."""
        return self.name.startswith("terrace_")

    def sample(self, count: int) -> Scene:
        """The scene with `count` of its queries, evenly over the drive; 0 keeps all."""
        total = len(self.queries)
        if not 0 < count < total:
            return self
        rows = np.floor((np.arange(count) + 0.5) * total / count).astype(int)
        return Scene(self.name, self.queries.subset(rows), self.model_dir, self.image_dir)


def open_scene(name: str, data: Path, out: Path, progress: Progress) -> Scene:
    """The scene from the shared data folder; its model is triangulated into `out` once.

    rendered_N is the street of seed N, rendered into `out`: noon in the map, evening in the query;
    terrace_N is the same with equal houses.
    """
    base, _, session = name.partition(":")
    if re.fullmatch(r"(rendered|terrace)_\d+", name):
        return _rendered(name, out, progress)
    if name not in SCENES:
        raise DataError(f"there is no scene '{name}'; known are {', '.join(SCENES)}")
    root = data / base
    if base == "street_a":
        return Scene(name, read_drive(root, session), root / "sparse", root)
    if base == "herzjesus":
        references, queries = read_drive(root, "map"), read_drive(root, "query")
    else:
        drive = read_drive(root)
        frames = np.arange(len(drive))
        references = drive.subset(frames[::KITTI_EVERY])
        queries = drive.subset(frames[frames % KITTI_EVERY != 0])
    return Scene(name, queries, _model(references, out / base / "model", progress), root)


def _rendered(name: str, out: Path, progress: Progress) -> Scene:
    drives = {}
    kind, _, seed = name.partition("_")
    options = DriveOptions(terrace=HOUSE_M if kind == "terrace" else None)
    for session, rendered in make_drive(int(seed), options).items():
        folder = out / name / session
        if not folder.is_dir():
            partial = folder.with_name(f"{session}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            write_drive(partial, drive_of(rendered), progress=progress)
            partial.rename(folder)
        drives[session] = read_drive(folder)
    model = _model(drives["map"], out / name / "model", progress)
    return Scene(name, drives["query"], model, drives["map"].image_dir)


def _model(references: Drive, folder: Path, progress: Progress) -> Path:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        triangulate(references.posed_images(), folder, progress)
    return folder


def open_map(
    scene: Scene, checkpoint: Checkpoint, method: str, out: Path, progress: Progress
) -> FeatureMap:
    """The scene's map with the features of this network, built unless it is there already."""
    folder = out / scene.name.partition(":")[0] / f"map_{method}"
    try:
        return FeatureMap.open(folder, checkpoint.identity, cache_mb=CACHE_MB)
    except MapError:
        options = BuildOptions(scale=1.0)
        folder.parent.mkdir(parents=True, exist_ok=True)
        build_map(
            read_model(scene.model_dir), scene.image_dir, checkpoint, folder, options, progress
        )
        return FeatureMap.open(folder, checkpoint.identity, cache_mb=CACHE_MB)


def with_places(scene: Scene, feature_map: FeatureMap, progress: Progress) -> FeatureMap:
    """The scene's map, with places; they are added unless they are there already."""
    try:
        Places(feature_map)
    except MapError:
        add_places(
            feature_map.path, read_model(scene.model_dir), scene.image_dir, progress=progress
        )
    return feature_map


def thinned(full: FeatureMap, keep_every: int) -> FeatureMap:
    """The same map with the features of one in `keep_every` references, in the order of names.

    The points keep the positions that all references together gave them.
    """
    keyframes = fmt.read_keyframes(full.path, full.info)
    rows = np.sort(np.argsort(keyframes["name"])[::keep_every])
    new_row = np.full(len(keyframes) + 1, -1, np.int32)  # the last entry is for row -1, "none"
    new_row[rows] = np.arange(len(rows))
    keyframes = keyframes[rows]
    keyframes["covisible"] = new_row[keyframes["covisible"]]
    return FeatureMap(full.path, full.info, keyframes, full.device, CACHE_MB)

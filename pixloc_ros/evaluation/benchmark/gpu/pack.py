"""What a run on a bare machine needs, as one folder of a few dozen megabytes.

    pack.json               version, settings
    scenes/640x480/         a drive with its model: model.npz, map/ and query/ as drive folders
    views/world_NNN.npz     training views: JPEG, depth in half precision
    start/                  the untrained small network, its encoder from ImageNet, as a checkpoint

Images are rendered where the pack is made, which takes no time of the other machine.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.network import save_checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.folder import read_drive, write_drive
from pixloc_ros.datasets.synthetic import drive_of
from pixloc_ros.mapping.model import SfmModel
from pixloc_ros.synthetic.drive import DriveOptions, make_drive
from pixloc_ros.synthetic.exact_model import exact_model
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.network import starting_network
from pixloc_ros.training.sources import SyntheticData
from pixloc_ros.training.views import ViewConfig, Views, load_world, save_world

VERSION = 1
LIMIT_MB = 60
SEED = 7
QUALITY = 90  # of the JPEG files
FOCAL = 0.67  # of the image width


@dataclass(frozen=True)
class PackOptions:
    """sizes: (width, height) px of the scenes' images. frames: to localize in each. spacing: metres
    between the images of the map. data: of the training; its worlds are rendered and packed."""

    sizes: tuple[tuple[int, int], ...] = ((640, 480), (1024, 320))
    frames: int = 48
    spacing: float = 2.0
    data: SyntheticData = field(
        default_factory=lambda: SyntheticData(
            views=ViewConfig(worlds=4, places=10), validation_worlds=1
        )
    )


@dataclass(frozen=True)
class Scene:
    """A map to be built (model and its images), and the drive to localize in it."""

    name: str
    model: SfmModel
    image_dir: Path
    queries: Drive


@dataclass(frozen=True)
class Pack:
    """A folder that `write_pack` wrote. Raises DataError if missing or of another version."""

    folder: Path
    options: PackOptions

    @classmethod
    def open(cls, folder: Path) -> Pack:
        file = folder / "pack.json"
        if not file.is_file():
            raise DataError(f"{file}: missing; make the pack first (make gpu-pack)")
        about = json.loads(file.read_text())
        if about["version"] != VERSION:
            raise DataError(f"{file}: version {about['version']}, not {VERSION}; make it again")
        return cls(folder, from_dict(PackOptions, about["options"], str(file)))

    @property
    def start(self) -> Path:
        """Checkpoint that training starts from."""
        return self.folder / "start"

    def scenes(self) -> list[Scene]:
        """The scenes, with the images to localize in memory: reading is not what is measured."""
        return [self._scene(_name(size)) for size in self.options.sizes]

    def unpack_views(self, cache: Path) -> None:
        """Write the training views as `SyntheticData` wants them in its cache."""
        for path in sorted((self.folder / "views").glob("world_*.npz")):
            save_world(cache, int(path.stem.split("_")[1]), _read_views(path))

    def _scene(self, name: str) -> Scene:
        folder = self.folder / "scenes" / name
        queries = read_drive(folder / "query")
        images = [queries.image(i) for i in range(len(queries))]
        model = SfmModel.load(folder / "model.npz")
        return Scene(name, model, folder / "map", replace(queries, load=images.__getitem__))


def write_pack(folder: Path, options: PackOptions, cache: Path, progress: Progress) -> int:
    """Render and write everything; returns the size in bytes.

    cache: folder of rendered training views, filled where it lacks any. The pack appears when it is
    complete. Raises DataError if `folder` holds something else, or the pack is larger than it may
    be.
    """
    if folder.exists() and not (folder / "pack.json").is_file():
        raise DataError(f"{folder}: exists and is no pack; name another folder")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for size in options.sizes:
        write_scene(partial / "scenes" / _name(size), scene_options(size, options), progress)
    options.data.prepare(cache, 0, progress)
    (partial / "views").mkdir()
    for seed in options.data.seeds():
        places = load_world(options.data.views, seed, cache)
        _write_views(partial / "views" / f"world_{seed:08d}.npz", places)
    config = TrainConfig("gpu", data=options.data)
    save_checkpoint(starting_network(config, cache), partial / "start", config.aligner, {})
    about = {"version": VERSION, "options": to_dict(options)}
    (partial / "pack.json").write_text(json.dumps(about, indent=1) + "\n")
    size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    if size > LIMIT_MB * 2**20:
        raise DataError(
            f"{partial}: {size / 2**20:.0f} MiB, more than {LIMIT_MB}; take fewer frames or worlds"
        )
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return size


def scene_options(size: tuple[int, int], options: PackOptions) -> DriveOptions:
    """The drive of a scene."""
    return DriveOptions(
        query_frames=options.frames,
        spacing=options.spacing,
        size=size,
        focal=FOCAL * size[0],
        query_light="noon",
    )


def write_scene(folder: Path, options: DriveOptions, progress: Progress) -> None:
    """Render both runs of a drive, and the model of the first from its exact depth."""
    sessions = make_drive(SEED, options)
    mapping, renderings = sessions["map"], []
    for i in range(len(mapping)):
        renderings.append(mapping.render(i))
        progress(i + 1, len(mapping), f"{folder.name}: map")
    images = [rendering.to_uint8() for rendering in renderings]
    drive = replace(drive_of(mapping), load=images.__getitem__)
    write_drive(folder / "map", drive, quality=QUALITY)
    names = read_drive(folder / "map").names
    depths = [rendering.depth.numpy() for rendering in renderings]
    exact_model(names, mapping.camera, drive.T_map_cam, images, depths).save(folder / "model.npz")
    write_drive(
        folder / "query",
        drive_of(sessions["query"]),
        quality=QUALITY,
        progress=lambda done, total, _: progress(done, total, f"{folder.name}: queries"),
    )


def _name(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _write_views(path: Path, places: list[Views]) -> None:
    files = [
        cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        for place in places
        for image in place.image
    ]
    np.savez_compressed(
        path,
        jpeg=np.concatenate(files),
        ends=np.cumsum([len(file) for file in files]),
        depth=np.stack([place.depth for place in places]).astype(np.float16),
        T_map_cam=np.stack([place.T_map_cam for place in places]),
        focal=np.stack([place.focal for place in places]),
    )


def _read_views(path: Path) -> list[Views]:
    with np.load(path, allow_pickle=False) as stored:
        files = np.split(stored["jpeg"], stored["ends"][:-1])
        depth, poses, focal = (stored[name] for name in ("depth", "T_map_cam", "focal"))
    images = np.stack([cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1] for file in files])
    images = images.reshape(*depth.shape, 3)
    return [Views(*place) for place in zip(images, depth.astype(np.float32), poses, focal)]

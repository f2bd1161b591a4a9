"""A street of a few small frames, its model and map: made once, enough for every executable."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.datasets.folder import read_drive, write_drive
from pixloc_ros.datasets.synthetic import drive_of
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.plan import BuildOptions
from pixloc_ros.mapping.triangulate import triangulate
from pixloc_ros.synthetic.drive import DriveOptions, make_drive


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> SimpleNamespace:
    """drive: "folder:session" to localize; map, model, images: of the mapping session."""
    folder: Path = tmp_path_factory.mktemp("street")
    options = DriveOptions(
        query_frames=8, rate_hz=5.0, size=(416, 256), focal=280.0, query_light="noon"
    )
    for name, session in make_drive(3, options).items():
        write_drive(folder / name, drive_of(session))
    mapping = read_drive(folder, "map")
    model = triangulate(mapping.posed_images(), folder / "model")
    build_map(
        read_model(model),
        mapping.image_dir,
        load_checkpoint("small"),
        folder / "street_map",
        BuildOptions(scale=1.0),
    )
    return SimpleNamespace(
        drive=f"{folder}:query", map=folder / "street_map", model=model, images=mapping.image_dir
    )

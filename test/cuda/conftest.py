"""The device, and a small rendered street with its map; nothing that a bare GPU machine lacks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "training"))  # its walls

import pretended


def pytest_configure(config):
    if config.getoption("--device") == "pretended":
        pretended.start()


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cuda)


@pytest.fixture(scope="session")
def device(request) -> torch.device:
    """The device that is compared with the CPU."""
    name = request.config.getoption("--device")
    if name == "pretended":
        return pretended.DEVICE
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no GPU (--device cpu or pretended tries them without)")
    return torch.device(name)


@pytest.fixture(scope="session")
def street(device, tmp_path_factory) -> Path:
    """model.npz, map/ and query/ of a street, and `built`, its map made on the CPU."""
    from pixloc_ros.core.network import load_checkpoint
    from pixloc_ros.evaluation.benchmark.gpu.pack import write_scene
    from pixloc_ros.mapping.build import build_map
    from pixloc_ros.mapping.model import SfmModel
    from pixloc_ros.mapping.plan import BuildOptions
    from pixloc_ros.synthetic.drive import DriveOptions

    folder = tmp_path_factory.mktemp("street")
    options = DriveOptions(4, spacing=3.0, size=(320, 200), focal=215.0, query_light="noon")
    write_scene(folder, options, lambda *_: None)
    model = SfmModel.load(folder / "model.npz")
    checkpoint = load_checkpoint("small")
    build_map(model, folder / "map", checkpoint, folder / "built", BuildOptions(scale=1.0))
    return folder

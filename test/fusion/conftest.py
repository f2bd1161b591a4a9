"""What the localizer left behind of a live run through the embedded street; data/ has a README."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pixloc_ros.datasets.bag import write_bag
from pixloc_ros.datasets.folder import read_drive

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def live_rate() -> float:
    """At which the bag was played, so that two busy cores kept up."""
    return 0.12


@pytest.fixture(scope="session")
def bag(tmp_path_factory) -> Path:
    """The drive's bag with a single pixel for each image: the filter has no use for them."""
    folder = tmp_path_factory.mktemp("embedded")
    shutil.copytree(DATA / "drive", folder / "drive")
    for line in (folder / "drive" / "stamps.csv").read_text().splitlines()[1:]:
        cv2.imwrite(str(folder / "drive" / line.split(",")[0]), np.zeros((1, 1), np.uint8))
    return write_bag(read_drive(folder / "drive"), folder / "bag")

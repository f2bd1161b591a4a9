"""Lets the tests of this folder import their walls, and the layouts of public data sets."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "datasets"))

import walls


@pytest.fixture
def config(monkeypatch):
    """A training of a few small steps whose rendered worlds are walls."""
    monkeypatch.setattr(
        "pixloc_ros.training.pairs.load_world",
        lambda config, seed, folder: [walls.wall_views(seed)],
    )
    return walls.tiny_config()

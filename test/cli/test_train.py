"""The executable train: from a YAML file to a checkpoint."""

import pytest
import torch
import yaml

from pixloc_ros.cli import train
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.network import starting_network

TINY_VIEWS = {"worlds": 1, "places": 3, "views_per_place": 2, "width": 96, "height": 72,
              "min_focal": 70, "max_focal": 80, "street_length": 30}  # fmt: skip
TINY = {
    "name": "tiny", "steps": 2, "batch": 2, "workers": 0, "validate_every": 2,
    "validation_pairs": 2, "augment": {"clean": 1.0}, "aligner": {"iterations": [1, 1, 1]},
    "data": {"kind": "synthetic", "points": 64, "validation_worlds": 1, "views": TINY_VIEWS},
}  # fmt: skip


def test_a_run_leaves_a_checkpoint_that_loads(tmp_path, capsys):
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))
    arguments = ["--config", str(config), "--out", str(tmp_path / "run"), "--device", "cpu",
                 "--cache", str(tmp_path / "cache")]  # fmt: skip
    assert train.main(arguments) == 0
    assert "2/2" in capsys.readouterr().out
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert checkpoint.card["step"] == 2
    assert checkpoint.card["training"]["data"]["kind"] == "synthetic"
    assert 0 <= checkpoint.card["validation"]["recall_0.25m_2deg"] <= 1
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"state.pt", "train.csv", "validation.csv", "pictures"} <= left


@pytest.mark.parametrize("text, message", [
    ("name: x\ndata: {kind: synthetic, colour: red}", "unknown key 'colour'"),
    ("name: x\ndata: {kind: moon}", "data.kind: expected one of"),
    ("name: x\nnetwork: {architecture: small}\nstart: small", "leave out one"),
    ("name: [", "not a readable YAML file"),
])  # fmt: skip
def test_a_wrong_experiment_is_one_line(text, message, tmp_path, capsys):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    assert train.main(["--config", str(path), "--out", str(tmp_path / "run")]) == 1
    shown = capsys.readouterr().out.replace("\n", " ")
    assert message in shown and "Traceback" not in shown
    assert not (tmp_path / "run").exists()


def test_the_experiments_that_come_along_are_readable(request):
    paths = sorted((request.config.rootpath / "config").glob("train_*.yaml"))
    assert paths
    for path in paths:
        assert isinstance(train.read_config(path), TrainConfig)
    with pytest.raises(ConfigError, match="not a readable"):
        train.read_config(paths[0].parent)


def test_training_starts_from_the_checkpoint_it_is_told(tmp_path):
    net = starting_network(TrainConfig("test", start="small"), tmp_path)
    shipped = load_checkpoint("small", inference=False).net
    for name, tensor in shipped.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert not net.fused and all(p.requires_grad for p in net.parameters())

"""The executable train: from a YAML file to a checkpoint."""

import cv2
import numpy as np
import pytest
import torch
import yaml

from pixloc_ros.cli import train
from pixloc_ros.core.config import from_dict
from pixloc_ros.core.errors import CheckpointError, ConfigError
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.network import starting_network
from pixloc_ros.training.views import Views

TINY = {
    "name": "tiny",
    "steps": 2,
    "batch": 2,
    "workers": 0,
    "validate_every": 2,
    "validation_pairs": 2,
    "augment": {"unchanged": 1.0},
    "aligner": {"iterations": [1, 1, 1]},
    "data": {"kind": "synthetic", "points": 64, "validation_worlds": 1, "views": {"worlds": 2}},
}


def noise_wall(config, seed, folder) -> list[Views]:
    """Two views of a wall 6 m away, taken 0.2 m apart: a world without the renderer."""
    texture = np.random.default_rng(seed).integers(0, 255, (18, 26, 3), np.uint8)
    wide = cv2.resize(texture, (104, 72), interpolation=cv2.INTER_CUBIC)
    poses = np.stack([np.eye(4)] * 2)
    poses[1, 0, 3] = 8 / 60 * 6 / 4  # two pixels
    images = np.stack([wide[:, :96], wide[:, 2:98]])
    return [Views(images, np.full((2, 72, 96), 6.0, np.float32), poses, np.full(2, 60.0))]


def test_a_run_leaves_a_checkpoint_that_loads(tmp_path, capsys, monkeypatch):
    for module in ("pairs", "sources"):
        monkeypatch.setattr(f"pixloc_ros.training.{module}.load_world", noise_wall)
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))
    arguments = [
        "--config",
        str(config),
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
        "--cache",
        str(tmp_path / "cache"),
    ]
    assert train.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "streets: 3" in shown and "2/2" in shown
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert checkpoint.card["step"] == 2
    assert checkpoint.card["training"]["data"]["kind"] == "synthetic"
    assert 0 <= checkpoint.card["validation"]["recall_0.25m_2deg"] <= 1
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"state.pt", "train.csv", "validation.csv", "pictures"} <= left

    wider = {**TINY, "data": {**TINY["data"], "views": {"worlds": 2, "width": 100}}}
    config.write_text(yaml.safe_dump(wider))
    assert train.main(arguments) == 1
    assert "other settings of data.views (width)" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    "text, message",
    [
        ("name: x\ndata: {kind: synthetic, colour: red}", "unknown key 'colour'"),
        ("name: x\ndata: {kind: moon}", "data.kind: expected one of"),
        ("name: x\nnetwork: {architecture: small}\nstart: small", "leave out one"),
        ("name: [", "not a readable YAML file"),
    ],
)
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


@pytest.fixture(scope="module")
def torchvision_vgg16(tmp_path_factory):
    """A file as torchvision saves it: numbered through, with a classifier behind."""
    state, number, channels = {"classifier.0.bias": torch.zeros(3)}, 0, 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            state[f"features.{number}.weight"] = torch.randn(width, channels, 3, 3) * 0.01
            state[f"features.{number}.bias"] = torch.randn(width)
            number, channels = number + 2, width
        number += 1  # the pool
    path = tmp_path_factory.mktemp("torchvision") / "vgg16.pth"
    torch.save(state, path)
    return path


def test_a_vgg_starts_from_imagenet(torchvision_vgg16, tmp_path):
    settings = {
        "name": "vgg",
        "network": {"architecture": "vgg16", "dims": [8, 8, 8], "imagenet": str(torchvision_vgg16)},
    }
    config = from_dict(TrainConfig, settings)
    net = starting_network(config, tmp_path)
    state = torch.load(torchvision_vgg16, weights_only=True)
    for ours, theirs in (("0.0", 0), ("1.1", 5), ("2.5", 14), ("4.5", 28)):
        for kind in ("weight", "bias"):
            assert torch.equal(
                net.state_dict()[f"extractor.encoder.{ours}.{kind}"],
                state[f"features.{theirs}.{kind}"],
            )
    other = from_dict(
        TrainConfig,
        {**settings, "network": {"architecture": "vgg19", "imagenet": str(torchvision_vgg16)}},
    )
    with pytest.raises(CheckpointError, match="16 convolutions"):
        starting_network(other, tmp_path)
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    broken = from_dict(
        TrainConfig,
        {
            **settings,
            "network": {"architecture": "vgg16", "imagenet": str(tmp_path / "broken.pth")},
        },
    )
    with pytest.raises(CheckpointError, match="broken.pth"):
        starting_network(broken, tmp_path)

"""Exported networks are the trained ones, in every format."""

from dataclasses import replace

import pytest
import torch

from pixloc_ros.cli import export_checkpoint
from pixloc_ros.core.network import PixLocNet, load_checkpoint
from pixloc_ros.core.network.checkpoint import identity_of
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.loop import Trainer

CONFIG = TrainConfig("exported", encoder_rate=1.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Trainer]:
    """Training runs whose state was saved after seven steps, by architecture."""
    made = {}
    for architecture in ("small", "vgg16"):
        torch.manual_seed(1)
        folder = tmp_path_factory.mktemp(architecture)
        net = PixLocNet(architecture, dims=(8, 8, 8), pad=3)
        trainer = Trainer(net, replace(CONFIG, name=architecture), folder, folder)
        trainer.step = 7
        trainer.save()
        made[architecture] = trainer
    return made


def export(trainer, out, *options: str) -> int:
    return export_checkpoint.main([str(trainer.folder), str(out), *options])


def test_an_unfinished_run_becomes_a_checkpoint(runs, tmp_path):
    assert export(runs["small"], tmp_path / "half") == 0
    assert export(runs["small"], tmp_path / "full", "--full-precision") == 0
    full = load_checkpoint(tmp_path / "full", inference=False)
    assert full.identity == identity_of(runs["small"].net)
    assert full.card["step"] == 7 and full.card["training"]["name"] == "small"
    half = load_checkpoint(tmp_path / "half", inference=False)
    for name, tensor in half.net.state_dict().items():
        torch.testing.assert_close(tensor, full.net.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_a_run_becomes_an_official_file_and_that_a_folder(runs, tmp_path):
    file = tmp_path / "checkpoint_best.tar"
    assert export(runs["vgg16"], file, "--format", "official") == 0
    content = torch.load(file, weights_only=True)
    assert content["conf"]["model"]["extractor"]["encoder"] == "vgg16"
    assert torch.equal(
        content["model"]["extractor.encoder.0.0.weight"],
        runs["vgg16"].net.extractor.encoder[0][0].weight,
    )
    assert "optimizer.2.dampingnet.const" in content["model"]
    assert export_checkpoint.main([str(file), str(tmp_path / "back"), "--full-precision"]) == 0
    back = load_checkpoint(tmp_path / "back", inference=False)
    assert back.identity == identity_of(runs["vgg16"].net)
    assert (back.net.pad, back.net.dims) == (3, (8, 8, 8))


def test_torchscript_takes_any_size(runs, tmp_path):
    file = tmp_path / "extractor.pt"
    assert export(runs["small"], file, "--format", "torchscript") == 0
    image = torch.rand(2, 3, 75, 141)
    with torch.no_grad():
        found = torch.jit.load(file)(image)
        wanted = runs["small"].net.eval()(image)
    assert len(found) == 2 * len(wanted)
    for index, level in enumerate(wanted):
        torch.testing.assert_close(found[2 * index], level.features, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found[2 * index + 1], level.confidence, rtol=1e-3, atol=1e-4)


def test_what_cannot_be_exported_says_so(runs, tmp_path, capsys):
    assert export(runs["small"], tmp_path / "x.tar", "--format", "official") == 1
    assert "only vgg16 and vgg19" in capsys.readouterr().out
    (tmp_path / "state.pt").write_bytes(b"nothing")
    assert export_checkpoint.main([str(tmp_path), str(tmp_path / "out")]) == 1
    assert "not a readable training state" in capsys.readouterr().out.replace("\n", " ")

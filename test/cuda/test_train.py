"""On a GPU a training step does what it does on the CPU, and a cut run goes on."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
import walls

from pixloc_ros.training.loop import Trainer
from pixloc_ros.training.pairs import collate


@pytest.fixture
def config(monkeypatch):
    """A training of a few small steps whose rendered worlds are walls."""
    monkeypatch.setattr(
        "pixloc_ros.training.pairs.load_world",
        lambda config, seed, folder: [walls.wall_views(seed)],
    )
    return walls.tiny_config()


def one_step(config, device, folder):
    """Figures of one step, and the trainer after it."""
    trainer = Trainer(walls.fresh_net(), config, folder, folder, device)
    pairs = config.data.training_pairs(config.augment, config.seed, 2, folder)
    batch = type(pairs[0])(*(value.to(device) for value in collate([pairs[0], pairs[1]])))
    return trainer.train_step(batch), trainer


def weights(net) -> torch.Tensor:
    """All parameters and running statistics as one vector."""
    return torch.cat([value.float().flatten().cpu() for value in net.state_dict().values()])


# The loss of a network with random weights, unrolled through the solver, magnifies rounding.
@pytest.mark.parametrize(
    "precision, tolerance", [("fp32", 0.02), ("bf16", 0.1), ("fp16", 0.05)], ids=str
)
def test_a_step_agrees(config, device, tmp_path, precision, tolerance):
    if precision == "fp16" and device.type != "cuda":
        pytest.skip("fp16 is for GPUs")
    expected, _ = one_step(config, torch.device("cpu"), tmp_path / "cpu")
    config = replace(config, precision=precision)
    figures, trainer = one_step(config, device, tmp_path / "device")
    assert figures["skipped"] == 0
    assert figures["loss"] == pytest.approx(expected["loss"], rel=tolerance)
    assert figures["gradient_norm"] == pytest.approx(expected["gradient_norm"], rel=5 * tolerance)
    parameters = list(trainer.net.parameters())
    assert {p.device.type for p in parameters} == {device.type}
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in parameters)


def test_a_cut_run_goes_on(config, device, tmp_path):
    """The state reaches the disk and comes back to the device: step, weights, Adam's moments."""
    if device.type == "meta":
        pytest.skip("a pretended GPU keeps no files")
    config = replace(config, save_every=1, validate_every=2, picture_every=4)

    def run(folder, stop_after=None) -> Trainer:
        trainer = Trainer(walls.fresh_net(), config, folder, folder / "views", device)

        def report(step, figures):
            if step == stop_after:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            trainer.run(report)
        return trainer

    start = weights(walls.fresh_net())
    whole = weights(run(tmp_path / "whole").net)
    run(tmp_path / "cut", stop_after=2)
    resumed = run(tmp_path / "cut")
    assert resumed.step == config.steps
    assert all(p.device.type == device.type for p in resumed.net.state_dict().values())
    # Sums on a GPU come in any order, and Adam's first steps are as long for a gradient of noise.
    assert (weights(resumed.net) - whole).norm() < 0.1 * (whole - start).norm()
    lines = (tmp_path / "cut" / "train.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4"]

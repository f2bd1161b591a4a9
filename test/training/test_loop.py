"""Training is resumable to the step, leaves its logs in order, and survives broken numbers."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from walls import fresh_net

from pixloc_ros.core.alignment import coarse_to_fine
from pixloc_ros.core.errors import CheckpointError, ConfigError
from pixloc_ros.training.loop import Trainer
from pixloc_ros.training.pairs import collate


@pytest.fixture
def trainer(config, tmp_path) -> Trainer:
    return Trainer(fresh_net(), config, tmp_path, tmp_path)


@pytest.fixture
def batch(config, tmp_path):
    pairs = config.data.training_pairs(config.augment, config.seed, 2, tmp_path)
    return collate([pairs[0], pairs[1]])


def run(net, config, folder, stop_after=None):
    """Train; cut at `stop_after` steps, as if the machine went down."""
    trainer = Trainer(net, config, folder, folder / "views")

    def report(step, figures):
        if step == stop_after:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        trainer.run(report)
    return trainer


def snapshot(trainer) -> dict[str, torch.Tensor]:
    """All that a step may change: parameters, running statistics and Adam's moments."""
    found = {name: tensor.clone() for name, tensor in trainer.net.state_dict().items()}
    for index, moments in trainer._optimizer.state_dict()["state"].items():
        found.update({f"{index}.{name}": value.clone() for name, value in moments.items()})
    return found


def test_a_cut_run_goes_on_to_the_same_weights(config, tmp_path):
    config = replace(config, save_every=2)
    whole = run(fresh_net(), config, tmp_path / "whole").net.state_dict()
    run(fresh_net(), config, tmp_path / "cut", stop_after=3)  # its third step is lost
    resumed = run(fresh_net(), config, tmp_path / "cut")
    assert resumed.step == config.steps
    for name, tensor in resumed.net.state_dict().items():
        torch.testing.assert_close(tensor, whole[name], msg=name)
    rows = {}
    for folder in ("whole", "cut"):
        with (tmp_path / folder / "train.csv").open() as file:
            rows[folder] = [{**row, "seconds": None} for row in csv.DictReader(file)]
        assert (tmp_path / folder / "validation.csv").read_text().count("\n") == 2
    assert [row["step"] for row in rows["whole"]] == ["1", "2", "3", "4"]
    assert rows["cut"] == rows["whole"], "the step that was lost is logged once"


def test_another_configuration_does_not_resume(config, tmp_path):
    run(fresh_net(), config, tmp_path, stop_after=2)
    with pytest.raises(CheckpointError, match="another configuration"):
        Trainer(fresh_net(), replace(config, learning_rate=1.0), tmp_path, tmp_path)


def test_scalars_and_pictures_reach_tensorboard(config, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(fresh_net(), config, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    with (tmp_path / "train.csv").open() as file:
        logged = [float(row["loss"]) for row in csv.DictReader(file)]
    found = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert [step for step, _ in found] == [1, 2, 3, 4]
    np.testing.assert_allclose([loss for _, loss in found], logged, rtol=1e-4)
    scalars = set(events.Tags()["scalars"])
    assert {"validation/median_m", "validation/recall_0.1m_0.25deg"} <= scalars
    picture = cv2.imread(str(tmp_path / "pictures" / "step_0000004.jpg"))
    (image,) = events.Images("pair")
    assert (image.height, image.width) == picture.shape[:2]
    assert picture.std() > 20


def test_a_batch_with_nan_changes_nothing_and_is_counted(trainer, batch):
    trainer.train_step(batch)  # so that Adam has moments
    before = snapshot(trainer)
    assert any(name.endswith("exp_avg") for name in before)
    query = batch.query.clone()
    query[0, 0, 5, 5] = float("nan")
    figures = trainer.train_step(batch._replace(query=query))
    assert (figures["skipped"], trainer.skipped, trainer.step) == (1, 1, 2)
    after = snapshot(trainer)
    assert after.keys() == before.keys()
    for name in before:
        assert torch.equal(after[name], before[name]), name
    figures = trainer.train_step(batch)
    assert figures["skipped"] == 1 and np.isfinite(figures["loss"])
    assert any(
        not torch.equal(trainer.net.state_dict()[name], before[name])
        for name in trainer.net.state_dict()
    )


def test_a_gradient_that_is_not_finite_is_skipped_as_well(trainer, batch):
    trainer.net.extractor.adaptation[0][0].weight.register_hook(lambda g: g * float("inf"))
    before = snapshot(trainer)
    figures = trainer.train_step(batch)
    assert np.isfinite(figures["loss"]) and figures["skipped"] == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in snapshot(trainer).items())


def test_gradients_are_clipped_before_the_step(config, batch, tmp_path):
    """Plain gradient descent of rate 1 moves the weights by the gradient itself, so by the limit
    if it is clipped in time, and further if not."""
    limit = 1e-3
    trainer = Trainer(fresh_net(), replace(config, clip_norm=limit), tmp_path, tmp_path)
    trainer._optimizer = torch.optim.SGD(
        [p for p in trainer.net.parameters() if p.requires_grad], lr=1.0
    )
    trainer._base_rates = [1.0]
    before = [p.detach().clone() for p in trainer.net.parameters()]
    figures = trainer.train_step(batch)
    assert figures["gradient_norm"] > 2 * limit, "there is something to clip"
    moved = torch.cat(
        [(p.detach() - old).flatten() for p, old in zip(trainer.net.parameters(), before)]
    )
    assert float(moved.norm()) == pytest.approx(limit, rel=1e-2)


def test_bf16_runs_the_network_low_and_the_solver_high(config, batch, tmp_path, monkeypatch):
    net = fresh_net()
    trainer = Trainer(net, replace(config, precision="bf16"), tmp_path, tmp_path)
    seen = {}
    net.extractor.adaptation[0].register_forward_hook(
        lambda module, inputs, output: seen.update(network=output.dtype)
    )
    solve = coarse_to_fine.damped_step

    def spy(hessian, gradient, damping):
        seen["solver"] = hessian.dtype
        return solve(hessian, gradient, damping)

    monkeypatch.setattr(coarse_to_fine, "damped_step", spy)
    figures = trainer.train_step(batch)
    assert seen == {"network": torch.bfloat16, "solver": torch.float32}
    assert figures["skipped"] == 0
    full = Trainer(fresh_net(), config, tmp_path / "full", tmp_path).train_step(batch)
    assert figures["loss"] == pytest.approx(full["loss"], rel=0.05)
    assert all(p.dtype == torch.float32 for p in net.parameters())


def test_fp16_is_for_gpus(config, tmp_path):
    with pytest.raises(ConfigError, match="bf16"):
        Trainer(fresh_net(), replace(config, precision="fp16"), tmp_path, tmp_path)


def test_the_network_computes_in_channels_last_also_after_a_resume(config, batch, tmp_path):
    run(fresh_net(), config, tmp_path, stop_after=2)
    trainer = Trainer(fresh_net(), config, tmp_path, tmp_path)
    for level in trainer.net(batch.query):
        assert level.features.is_contiguous(memory_format=torch.channels_last)
        assert not level.features.is_contiguous()


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_norms_keep_their_statistics(config, batch, tmp_path, frozen):
    trainer = Trainer(fresh_net(), replace(config, freeze_norms=frozen), tmp_path, tmp_path)
    before = {name: buffer.clone() for name, buffer in trainer.net.named_buffers()}
    weights = [parameter.clone() for parameter in trainer.net.parameters()]
    trainer.train_step(batch)
    same = [torch.equal(buffer, before[name]) for name, buffer in trainer.net.named_buffers()]
    assert all(same) == frozen
    assert any(not torch.equal(a, b) for a, b in zip(weights, trainer.net.parameters()))

"""Rendered pairs are exact, training is resumable to the step and survives broken numbers."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network import PixLocNet
from pixloc_ros.training import loop
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.loop import TrainConfig, Trainer
from pixloc_ros.training.pairs import PairConfig, SyntheticPairs, collate
from pixloc_ros.training.views import ViewConfig, Views

WIDTH, HEIGHT, FOCAL = 96, 72, 70.0


def wall_views(seed: int) -> Views:
    """Three views of a textured wall 6 m ahead, made without the renderer: exact and quick."""
    rng = np.random.default_rng(seed)
    texture = torch.from_numpy(rng.random((1, 3, 20, 20), dtype=np.float32))
    texture = torch.nn.functional.interpolate(texture, (400, 400), mode="bicubic")[0].clamp(0, 1)
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    images, poses = [], []
    for shift in (0.0, 0.3, -0.4):
        x = (u - (WIDTH - 1) / 2) / FOCAL * 6 + shift
        y = (v - (HEIGHT - 1) / 2) / FOCAL * 6
        grid = torch.from_numpy(np.stack([x / 6, y / 6], -1)).float()[None]
        image = torch.nn.functional.grid_sample(texture[None], grid, align_corners=False)[0]
        images.append((image * 255).byte().permute(1, 2, 0).numpy())
        T = np.eye(4)
        T[0, 3] = shift
        poses.append(T)
    depth = np.full((3, HEIGHT, WIDTH), 6.0, np.float32)
    return Views(np.stack(images), depth, np.stack(poses), np.full(3, FOCAL))


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setattr("pixloc_ros.training.pairs.load_world",
                        lambda config, seed, folder: [wall_views(seed)])
    return TrainConfig(
        name="test", steps=4, batch=2, workers=0, warmup=1, save_every=1, validate_every=4,
        validation_pairs=2, aligner=AlignerConfig(iterations=(1, 1, 1)),
        pairs=PairConfig(points=64, views=ViewConfig(worlds=2, width=WIDTH, height=HEIGHT)))


def test_points_fall_on_the_same_texture_in_both_views(config, tmp_path):
    no_change = AugmentConfig(0, 0, 0, 0, 0, 0, 0)
    pairs = SyntheticPairs(config.pairs, no_change, seed=3, first_world=0, length=4,
                           folder=tmp_path)
    for pair in (pairs[i] for i in range(4)):
        in_reference, _ = pair.camera_reference.project(pair.points)
        in_query, seen = pair.camera_query.project(pair.T_query_ref.transform(pair.points))
        size = torch.tensor([WIDTH - 1, HEIGHT - 1])
        colours = [torch.nn.functional.grid_sample(image, (p / size * 2 - 1)[:, None],
                                                   align_corners=True)[0, :, 0]
                   for image, p in ((pair.reference, in_reference), (pair.query, in_query))]
        difference = (colours[0] - colours[1]).abs()[:, seen[0]]
        assert seen.float().mean() > 0.5
        assert difference.median() < 0.01


def test_a_pair_is_a_function_of_seed_and_index(config, tmp_path):
    make = lambda seed: SyntheticPairs(config.pairs, config.augment, seed, 0, 9, tmp_path)  # noqa: E731
    first, again, other = make(1)[5], make(1)[5], make(2)[5]
    assert torch.equal(first.query, again.query)
    assert torch.equal(first.T_init.t, again.T_init.t)
    assert not torch.equal(first.T_init.t, other.T_init.t)


def run(net, config, folder, stop_after=None):
    trainer = Trainer(net, config, folder, folder / "views")

    def report(step, figures):
        if step == stop_after:
            trainer.save()
            raise KeyboardInterrupt

    try:
        trainer.run(report)
    except KeyboardInterrupt:
        pass
    return trainer


def fresh_net():
    torch.manual_seed(0)
    return PixLocNet("small")


def test_a_cut_run_goes_on_to_the_same_weights(config, tmp_path):
    whole = run(fresh_net(), config, tmp_path / "whole").net.state_dict()
    run(fresh_net(), config, tmp_path / "cut", stop_after=2)
    resumed = run(fresh_net(), config, tmp_path / "cut")
    assert resumed.step == config.steps
    for name, tensor in resumed.net.state_dict().items():
        torch.testing.assert_close(tensor, whole[name], msg=name)
    assert (tmp_path / "whole" / "validation.csv").read_text().count("\n") == 2


def test_another_configuration_does_not_resume(config, tmp_path):
    run(fresh_net(), config, tmp_path, stop_after=1)
    with pytest.raises(CheckpointError, match="another configuration"):
        Trainer(fresh_net(), replace(config, learning_rate=1.0), tmp_path, tmp_path)


def test_a_step_that_is_not_finite_is_skipped_and_counted(config, tmp_path, monkeypatch):
    trainer = Trainer(fresh_net(), config, tmp_path, tmp_path)
    batch = collate([SyntheticPairs(config.pairs, config.augment, 1, 0, 2, tmp_path)[i]
                     for i in range(2)])
    before = {name: tensor.clone() for name, tensor in trainer.net.named_parameters()}
    honest = loop.alignment_loss

    def poisoned(*args):
        losses = honest(*args)
        return {**losses, "total": losses["total"] * float("nan")}

    monkeypatch.setattr(loop, "alignment_loss", poisoned)
    assert trainer.train_step(batch)["skipped"] == 1
    for name, tensor in trainer.net.named_parameters():
        assert torch.equal(tensor, before[name]), name


def test_gradients_are_clipped_before_the_step(config, tmp_path, monkeypatch):
    trainer = Trainer(fresh_net(), replace(config, clip_norm=1e-3), tmp_path, tmp_path)
    batch = collate([SyntheticPairs(config.pairs, config.augment, 1, 0, 2, tmp_path)[i]
                     for i in range(2)])
    seen = []
    step = trainer._optimizer.step
    monkeypatch.setattr(trainer._optimizer, "step", lambda: (seen.append(torch.nn.utils.
                        get_total_norm([p.grad for p in trainer.net.parameters()
                                        if p.grad is not None])), step()))
    figures = trainer.train_step(batch)
    assert figures["gradient_norm"] > 1e-3
    assert float(seen[0]) <= 1.001e-3

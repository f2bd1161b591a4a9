"""The training loop: resumable to the step, deterministic in its data, NaN-proof."""
from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.config import to_dict
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network import PixLocNet
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.loss import LossConfig, alignment_loss
from pixloc_ros.training.pairs import PairConfig, SyntheticPairs, collate
from pixloc_ros.training.two_view import PairBatch, align_pairs

FIRST_TRAINING_WORLD = 1000
FIRST_VALIDATION_WORLD = 900_000  # streets that training never sees


@dataclass(frozen=True)
class TrainConfig:
    """One experiment; YAML files under config/ hold these keys.

    start: checkpoint to go on from, a shipped name ("small"), folder or `.tar`; without one the
    network starts untrained, its encoder from ImageNet.
    steps: optimiser steps. batch: pairs a step. workers: processes that render ahead.
    learning_rate: Adam's, for decoder and heads; encoder_rate and damping_rate are factors on it
    (encoder_rate 0 keeps the encoder as it is and saves its backward pass).
    Rates rise linearly over `warmup` steps and fall to zero along a cosine.
    clip_norm: gradient norm limit, applied before the step.
    validate_every, save_every: in steps. validation_pairs from validation_worlds: streets that
    training never sees.
    """

    name: str
    start: str | None = None
    steps: int = 4000
    batch: int = 3
    workers: int = 1
    seed: int = 1
    learning_rate: float = 5e-4
    encoder_rate: float = 0.2
    damping_rate: float = 20.0
    warmup: int = 100
    clip_norm: float = 1.0
    validate_every: int = 250
    save_every: int = 100
    validation_pairs: int = 48
    validation_worlds: int = 3
    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


class Trainer:
    """Trains `net` in place; everything it needs to go on lies in `folder`.

    folder: gets state.pt (network, optimiser, step), train.csv and validation.csv. If it holds a
    state, training resumes there; CheckpointError if that is of another configuration.
    views: folder of rendered views, filled where it lacks any.
    """

    def __init__(self, net: PixLocNet, config: TrainConfig, folder: Path, views: Path,
                 device: torch.device | str = "cpu"):
        self.net = net.to(device)
        self.config = config
        self.folder = folder
        self.views = views
        self.device = torch.device(device)
        self.step = 0
        self.skipped = 0
        self._optimizer = torch.optim.Adam(parameter_groups(net, config))
        self._base_rates = [group["lr"] for group in self._optimizer.param_groups]
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self, report: Callable[[int, dict[str, float]], None]) -> None:
        """Train to the last step. report(step, figures) is called after each."""
        begin = time.monotonic()
        for batch in self._batches():
            figures = self.train_step(batch)
            figures["seconds"] = time.monotonic() - begin
            _append_row(self.folder / "train.csv", {"step": self.step, **figures})
            report(self.step, figures)
            last = self.step == self.config.steps
            if last or self.step % self.config.save_every == 0:
                self.save()
            if last or self.step % self.config.validate_every == 0:
                _append_row(self.folder / "validation.csv",
                            {"step": self.step, **self.validate()})

    def train_step(self, batch: PairBatch) -> dict[str, float]:
        """One optimiser step. A batch whose loss or gradient is not finite is skipped, counted."""
        for group, rate in zip(self._optimizer.param_groups, self._base_rates):
            group["lr"] = rate * self._rate_factor()
        self.net.train()
        self._optimizer.zero_grad(set_to_none=True)
        alignment, mask = align_pairs(self.net, batch, self.config.aligner)
        losses = self._losses(alignment.levels, mask, batch)
        loss = losses["total"].mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip_norm)
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            self._optimizer.step()
        else:
            self.skipped += 1
        self.step += 1
        return {"loss": float(loss.detach()), "gradient_norm": float(norm),
                "skipped": self.skipped, **_level_figures(losses)}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors on scenes that training never draws: pixels, medians, share that converged."""
        self.net.eval()
        views = replace(self.config.pairs.views, worlds=self.config.validation_worlds)
        pairs = SyntheticPairs(replace(self.config.pairs, views=views), self.config.augment, 0,
                               FIRST_VALIDATION_WORLD, self.config.validation_pairs, self.views)
        loader = DataLoader(pairs, batch_size=self.config.batch, collate_fn=collate,
                            num_workers=self.config.workers)
        all_losses, distances, angles = [], [], []
        for batch in loader:
            batch = to_device(batch, self.device)
            alignment, mask = align_pairs(self.net, batch, self.config.aligner)
            all_losses.append(self._losses(alignment.levels, mask, batch))
            angle, distance = (alignment.levels[0] @ batch.T_query_ref.inv()).magnitude()
            distances.append(distance)
            angles.append(torch.rad2deg(angle))
        distance, angle = torch.cat(distances), torch.cat(angles)
        losses = {key: torch.cat([losses[key] for losses in all_losses], dim=-1)
                  for key in all_losses[0]}
        close = (distance < 0.1) & (angle < 0.25)
        near = (distance < 0.25) & (angle < 2)
        return {"loss": float(losses["total"].mean()), **_level_figures(losses),
                "median_m": float(distance.median()), "median_deg": float(angle.median()),
                "recall_0.1m_0.25deg": float(close.float().mean()),
                "recall_0.25m_2deg": float(near.float().mean())}

    def save(self) -> None:
        """Write the state under a temporary name, then rename: a cut run leaves the last one."""
        temporary = self.folder / "state.pt.partial"
        torch.save({"step": self.step, "skipped": self.skipped, "model": self.net.state_dict(),
                    "optimizer": self._optimizer.state_dict(),
                    "config": to_dict(self.config)}, temporary)
        os.replace(temporary, self.folder / "state.pt")

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["config"] != to_dict(self.config):
            raise CheckpointError(f"{path} was made with another configuration; "
                                  "train into another folder, or remove this one to start over")
        self.net.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.skipped = state["step"], state["skipped"]

    def _batches(self) -> Iterator[PairBatch]:
        config = self.config
        pairs = SyntheticPairs(config.pairs, config.augment, config.seed, FIRST_TRAINING_WORLD,
                               config.steps * config.batch, self.views)
        remaining = range(self.step * config.batch, len(pairs))
        loader = DataLoader(pairs, batch_size=config.batch, sampler=remaining, collate_fn=collate,
                            num_workers=config.workers)
        for batch in loader:
            yield to_device(batch, self.device)

    def _losses(self, levels, mask: Tensor, batch: PairBatch) -> dict[str, Tensor]:
        return alignment_loss(levels, batch.T_init, batch.T_query_ref, batch.points, mask,
                              batch.camera_query, self.net.strides, self.config.loss)

    def _rate_factor(self) -> float:
        rise = min(1.0, (self.step + 1) / self.config.warmup)
        return rise * 0.5 * (1 + math.cos(math.pi * self.step / self.config.steps))


def parameter_groups(net: PixLocNet, config: TrainConfig) -> list[dict]:
    """Encoder, damping and the rest, each with its own learning rate; one of zero is frozen."""
    groups: dict[str, list] = {"encoder": [], "damping": [], "rest": []}
    for name, parameter in net.named_parameters():
        kind = ("encoder" if ".encoder." in name
                else "damping" if "dampingnet" in name else "rest")
        groups[kind].append(parameter)
    factors = {"encoder": config.encoder_rate, "damping": config.damping_rate, "rest": 1.0}
    for kind, parameters in groups.items():
        for parameter in parameters:
            parameter.requires_grad_(factors[kind] > 0)
    return [{"params": groups[kind], "lr": config.learning_rate * factors[kind]}
            for kind in groups if factors[kind] > 0]


def to_device(batch: PairBatch, device: torch.device) -> PairBatch:
    """All tensors of a batch on the device."""
    return PairBatch(*(value.to(device) for value in batch))


def _level_figures(losses: dict[str, Tensor]) -> dict[str, float]:
    figures = {"pixels_init": float(losses["init"].median())}
    for index, error in enumerate(losses["levels"]):
        figures[f"pixels_level{index}"] = float(error.detach().median())
    return figures


def _append_row(path: Path, row: dict) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value
                         for key, value in row.items()})

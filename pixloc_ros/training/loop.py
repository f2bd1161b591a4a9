"""The training loop: resumable to the step, deterministic in its data, safe from NaN."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pixloc_ros.core.config import to_dict
from pixloc_ros.core.errors import CheckpointError, ConfigError
from pixloc_ros.core.geometry import Pose
from pixloc_ros.core.network import PixLocNet
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.distributed import Processes, parallel
from pixloc_ros.training.log import TrainLog
from pixloc_ros.training.pairs import collate
from pixloc_ros.training.pictures import pair_picture
from pixloc_ros.training.two_view import PairBatch, TwoViewModel
from pixloc_ros.training.validation import localize_pair

PICTURED_PAIRS = 2  # of the validation pairs, the same ones all along


class Trainer:
    """Trains `net` in place; everything it needs to go on lies in `folder`.

    folder: gets state.pt (network, optimiser, step), train.csv, validation.csv, pictures/ and
    tensorboard/. If it holds a state, training resumes there; CheckpointError if that is of
    another configuration.
    cache: folder of what is made of the data once, filled where it lacks any.
    processes: of which this is one; all have to see the same `folder`, the first writes to it.
    """

    def __init__(
        self,
        net: PixLocNet,
        config: TrainConfig,
        folder: Path,
        cache: Path,
        device: torch.device | str = "cpu",
        processes: Processes = Processes(),
    ):
        self.net = net.to(device, memory_format=torch.channels_last)  # a tenth less time on a CPU
        self.config = config
        self.folder = folder
        self.cache = cache
        self.device = torch.device(device)
        self.processes = processes
        self.step = 0
        self.skipped = 0
        if config.precision == "fp16" and self.device.type == "cpu":
            raise ConfigError("precision: fp16 needs a GPU; take bf16 or fp32 on the CPU")
        self._optimizer = torch.optim.Adam(parameter_groups(net, config))
        self._base_rates = [group["lr"] for group in self._optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        self._model = TwoViewModel(net, config.aligner, config.loss, config.precision)
        self._parallel = parallel(self._model, processes)

    def run(self, report: Callable[[int, dict[str, float]], None]) -> None:
        """Train to the last step. report(step, figures) is called after each."""
        log = TrainLog(self.folder, self.step) if self.processes.leads else None
        begin = time.monotonic()
        for batch in self._batches():
            figures = self.train_step(batch)
            figures["seconds"] = time.monotonic() - begin
            if log:
                log.figures("train", self.step, figures)
                self._now_and_then(log)
            report(self.step, figures)
        if log:
            log.close()

    def train_step(self, batch: PairBatch) -> dict[str, float]:
        """One optimiser step; the figures are means over the processes, each of its own pairs.

        A batch whose loss or gradient is not finite, in whichever process, is skipped by all and
        counted: parameters, running statistics and optimiser state stay what they were.
        """
        for group, rate in zip(self._optimizer.param_groups, self._base_rates):
            group["lr"] = rate * self._rate_factor()
        self._parallel.train()
        if self.config.freeze_norms:
            for module in self.net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        buffers = [buffer.clone() for buffer in self.net.buffers()]
        self._optimizer.zero_grad(set_to_none=True)
        outcome = self._parallel(batch)
        loss = outcome.losses["total"].mean()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip_norm)
        if self.processes.all_true(torch.isfinite(loss) & torch.isfinite(norm)):
            self._scaler.step(self._optimizer)
        else:
            self.skipped += 1
            for buffer, before in zip(self.net.buffers(), buffers):
                buffer.copy_(before)
        self._scaler.update()
        self.step += 1
        figures = {
            "loss": float(loss.detach()),
            "gradient_norm": float(norm),
            **_level_figures(outcome.losses),
            **self._median_errors(*self._pose_errors(outcome.levels[0], batch)),
        }
        return {**self.processes.mean(figures, self.device), "skipped": self.skipped}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors on scenes that training never draws: pixels, medians, share that converged.

        Where lengths are metres, poses are those that the localizer finds, with its prior and its
        search; elsewhere those of a single start.
        """
        config = self.config
        self.net.eval()
        loader = DataLoader(
            self.validation_pairs(),
            batch_size=config.batch,
            collate_fn=collate,
            num_workers=config.workers,
        )
        all_losses, errors = [], []
        for batch in loader:
            batch = to_device(batch, self.device)
            outcome = self._model(batch)
            all_losses.append(outcome.losses)
            found = self._localized(batch) if config.data.unit == "m" else outcome.levels[0]
            errors.append(torch.stack(self._pose_errors(found, batch)))
        distance, angle = torch.cat(errors, dim=-1)
        losses = {
            key: torch.cat([losses[key] for losses in all_losses], dim=-1) for key in all_losses[0]
        }
        figures = {
            "loss": float(losses["total"].mean()),
            **_level_figures(losses),
            **self._median_errors(distance, angle),
        }
        if config.data.unit == "m":
            close = (distance < 0.1) & (angle < 0.25)
            near = (distance < 0.25) & (angle < 2)
            figures |= {
                "recall_0.1m_0.25deg": float(close.float().mean()),
                "recall_0.25m_2deg": float(near.float().mean()),
            }
        return figures

    def validation_pairs(self) -> Dataset:
        config = self.config
        return config.data.validation_pairs(config.augment, config.validation_pairs, self.cache)

    def save(self) -> None:
        """Write the state under a temporary name, then rename: a cut run leaves the last one."""
        temporary = self.folder / "state.pt.partial"
        torch.save(
            {
                "step": self.step,
                "skipped": self.skipped,
                "model": self.net.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "architecture": self.net.architecture,
                "network": self.net.config,
                "config": to_dict(self.config),
            },
            temporary,
        )
        os.replace(temporary, self.folder / "state.pt")

    def _now_and_then(self, log: TrainLog) -> None:
        config, last = self.config, self.step == self.config.steps
        if last or self.step % config.save_every == 0:
            self.save()
        if last or self.step % config.validate_every == 0:
            log.figures("validation", self.step, self.validate())
        if last or self.step % config.picture_every == 0:
            pairs = self.validation_pairs()
            shown = [pairs[i] for i in range(min(PICTURED_PAIRS, len(pairs)))]
            batch = to_device(collate(shown), self.device)
            log.picture(self.step, pair_picture(self.net, batch, config.aligner))

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            if state["config"] != to_dict(self.config):
                raise CheckpointError(
                    f"{path} was made with another configuration; "
                    "train into another folder, or remove this one to start over"
                )
            self.net.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._scaler.load_state_dict(state["scaler"])
            self.step, self.skipped = state["step"], state["skipped"]
        if not self.processes.same(self.step, self.device):
            raise CheckpointError(
                f"{path}: the processes do not see the same file; give a folder "
                "that all machines share"
            )

    def _batches(self) -> Iterator[PairBatch]:
        config = self.config
        pairs = config.data.training_pairs(
            config.augment, config.seed, config.steps * config.batch, self.cache
        )
        remaining = self.processes.share(config.batch, self.step, config.steps)
        loader = DataLoader(
            pairs, batch_sampler=remaining, collate_fn=collate, num_workers=config.workers
        )
        for batch in loader:
            yield to_device(batch, self.device)

    @torch.no_grad()
    def _pose_errors(self, found: Pose, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Translation (unit of the data) and rotation (deg) of poses (B) from the true ones."""
        angle, distance = (found @ batch.T_query_ref.inv()).magnitude()
        if self.config.data.unit == "baselines":
            distance = distance / batch.T_query_ref.magnitude()[1]
        return distance, torch.rad2deg(angle)

    def _localized(self, batch: PairBatch) -> Pose:
        """Poses (B) as the localizer finds them, pair by pair."""
        pairs = [
            PairBatch(*(part[i : i + 1] for part in batch)) for i in range(len(batch.reference))
        ]
        found = [localize_pair(self.net, pair, self.config.aligner) for pair in pairs]
        return Pose.stack([pose[0] for pose in found])

    def _median_errors(self, distance: Tensor, angle: Tensor) -> dict[str, float]:
        return {
            f"median_{self.config.data.unit}": float(distance.median()),
            "median_deg": float(angle.median()),
        }

    def _rate_factor(self) -> float:
        rise = min(1.0, (self.step + 1) / self.config.warmup)
        return rise * 0.5 * (1 + math.cos(math.pi * self.step / self.config.steps))


def parameter_groups(net: PixLocNet, config: TrainConfig) -> list[dict]:
    """Encoder, damping, confidence heads and the rest, each with its own learning rate; one of
    zero is frozen."""
    groups: dict[str, list] = {"encoder": [], "damping": [], "confidence": [], "rest": []}
    for name, parameter in net.named_parameters():
        kind = (
            "encoder"
            if ".encoder." in name
            else "damping"
            if "dampingnet" in name
            else "confidence"
            if ".uncertainty." in name
            else "rest"
        )
        groups[kind].append(parameter)
    factors = {
        "encoder": config.encoder_rate,
        "damping": config.damping_rate,
        "confidence": config.confidence_rate,
        "rest": 1.0,
    }
    for kind, parameters in groups.items():
        for parameter in parameters:
            parameter.requires_grad_(factors[kind] > 0)
    return [
        {"params": groups[kind], "lr": config.learning_rate * factors[kind]}
        for kind in groups
        if factors[kind] > 0
    ]


def to_device(batch: PairBatch, device: torch.device) -> PairBatch:
    """All tensors of a batch on the device."""
    return PairBatch(*(value.to(device) for value in batch))


def _level_figures(losses: dict[str, Tensor]) -> dict[str, float]:
    figures = {"pixels_init": float(losses["init"].median())}
    for index, error in enumerate(losses["levels"]):
        figures[f"pixels_level{index}"] = float(error.detach().median())
    return figures

"""Pairs a second: the training loop as it is, for as long as there is time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.evaluation.benchmark.gpu.pack import Pack
from pixloc_ros.evaluation.benchmark.gpu.row import Row
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.loop import Trainer
from pixloc_ros.training.network import starting_network

PRECISIONS = ("fp32", "bf16")
#: Steps that count for nothing: kernels are chosen, workers start.
WARM_UP = 3
NEVER = 10_000  # steps; the time is over before
CUDA_BATCH, CPU_BATCH = 32, 2


class _TimeIsUp(Exception):
    pass


def measure_training(
    pack: Pack, folder: Path, device: torch.device, seconds: float
) -> Iterator[Row]:
    """Train from the pack's start in each precision, half of the time each."""
    cache = folder / "views"
    pack.unpack_views(cache)
    end = time.monotonic() + seconds
    for turn, precision in enumerate(PRECISIONS):
        share = (end - time.monotonic()) / (len(PRECISIONS) - turn)
        try:
            yield _train(pack, folder / precision, cache, device, precision, share)
        except Exception as error:  # the other precision shall be measured
            yield Row("training", precision, note=f"{type(error).__name__}: {error}", failed=True)


def _train(
    pack: Pack, folder: Path, cache: Path, device: torch.device, precision: str, seconds: float
) -> Row:
    """One run; its last figures are those of pairs not trained on."""
    begin = time.monotonic()
    batch = CUDA_BATCH if device.type == "cuda" else CPU_BATCH
    config = TrainConfig(
        "gpu",
        start=str(pack.start),
        data=pack.options.data,
        steps=NEVER,
        batch=batch,
        workers=max(0, min(14, len(os.sched_getaffinity(0)) - 2)),
        precision=precision,
        validate_every=NEVER,
        validation_pairs=batch,
        save_every=NEVER,
        picture_every=NEVER,
    )
    config.data.prepare(cache, 0, lambda *_, **__: None)
    trainer = Trainer(starting_network(config, cache), config, folder, cache, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ends, losses = [], []

    def report(step: int, figures: dict[str, float]) -> None:
        ends.append(time.monotonic())
        losses.append(figures["loss"])
        if ends[-1] - begin > seconds and len(ends) > 1:
            raise _TimeIsUp

    with contextlib.suppress(_TimeIsUp):
        trainer.run(report)
    steps = np.diff(ends)
    steps = steps[min(WARM_UP, len(steps)) - 1 :]
    memory = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else np.nan
    held_out = trainer.validate()
    tenth = max(1, len(losses) // 10)
    return Row(
        "training",
        f"{precision}, batch {batch}, steps",
        f"{config.data.views.width}x{config.data.views.height}",
        median_ms=float(np.median(steps) * 1e3),
        p95_ms=float(np.percentile(steps, 95) * 1e3),
        rate=float(batch / steps.mean()),
        memory_mb=memory,
        error_m=held_out["median_m"],
        error_deg=held_out["median_deg"],
        note=f"pairs a second; {len(ends)} steps, loss {np.mean(losses[:tenth]):.2f} -> "
        f"{np.mean(losses[-tenth:]):.2f}, {trainer.skipped} skipped",
        failed=trainer.skipped == len(ends),
    )

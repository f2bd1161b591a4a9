"""Random numbers from one generator: the same generator state gives the same picture."""

from __future__ import annotations

import torch


def uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def symmetric(generator: torch.Generator, limit: float) -> float:
    return uniform(generator, -limit, limit)


def happens(generator: torch.Generator, share: float) -> bool:
    return uniform(generator) < share

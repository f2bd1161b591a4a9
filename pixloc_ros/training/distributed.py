"""Several processes that train one network, launched by torchrun.

Every process takes its share of each batch; gradients are averaged (DistributedDataParallel), and
so are the statistics of batch norms, so that a step equals that of one process with the whole
batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pixloc_ros.core.errors import ConfigError

# The first process may have to render or prepare data, or validate, while the others wait.
TIMEOUT = timedelta(hours=3)


@dataclass(frozen=True)
class Processes:
    """This process, `rank`, among `count`, and the `place` it has on its own machine."""

    rank: int = 0
    count: int = 1
    place: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files and prints."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.count > 1:
            dist.barrier()

    def all_true(self, flag: Tensor) -> bool:
        """Whether the flag, a tensor of one bool, is true in every process."""
        if self.count == 1:
            return bool(flag)
        votes = flag.to(torch.int32, copy=True)
        dist.all_reduce(votes, dist.ReduceOp.MIN)
        return bool(votes)

    def mean(self, figures: dict[str, float], device: torch.device) -> dict[str, float]:
        """Each figure averaged over the processes."""
        if self.count == 1:
            return figures
        values = torch.tensor(list(figures.values()), dtype=torch.float32, device=device)
        dist.all_reduce(values)
        return dict(zip(figures, (values / self.count).tolist()))

    def same(self, number: int, device: torch.device) -> bool:
        """Whether all processes hold the same number."""
        if self.count == 1:
            return True
        numbers = torch.tensor([number, -number], device=device)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return bool(numbers[0] == -numbers[1])

    def share(self, batch: int, first_step: int, last_step: int) -> list[list[int]]:
        """Indices of the pairs of this process for the steps first_step <= step < last_step.

        Step s takes the pairs s * batch ... (s + 1) * batch - 1 however many processes there are,
        so a run may be resumed by another number of them. Raises ConfigError if they cannot share
        the batch evenly.
        """
        if batch % self.count:
            raise ConfigError(
                f"batch: {batch} pairs cannot be shared evenly by {self.count} "
                f"processes; take a multiple of {self.count}"
            )
        size = batch // self.count
        starts = (step * batch + self.rank * size for step in range(first_step, last_step))
        return [list(range(start, start + size)) for start in starts]


@contextmanager
def join_processes(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """The processes that torchrun launched, or this one alone, and the device of this one.

    device: "cpu" or "cuda"; with torchrun each process of a machine takes the GPU of its number.
    """
    if not dist.is_torchelastic_launched():
        yield Processes(), torch.device(device)
        return
    place = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        own = torch.device("cuda", place)
        torch.cuda.set_device(own)
    else:
        own = torch.device(device)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), place), own
    finally:
        dist.destroy_process_group()


def parallel(model: nn.Module, processes: Processes) -> nn.Module:
    """The module to call in a training step; `model` itself where there is but one process."""
    if processes.count == 1:
        return model
    _share_norms(model)
    return DistributedDataParallel(model)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the equal batches of all processes; on any device, unlike torch's."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        mean = _mean_over_processes(values.mean((0, 2, 3)))
        centred = values - mean[:, None, None]
        variance = _mean_over_processes((centred * centred).mean((0, 2, 3)))
        with torch.no_grad():
            count = values[:, 0].numel() * dist.get_world_size()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _MeanOverProcesses(torch.autograd.Function):
    """Mean of a tensor over the processes. Each process's loss depends on all the tensors, so the
    gradients are summed over the processes on the way back."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        return _summed(x) / dist.get_world_size()

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:
        return _summed(gradient) / dist.get_world_size()


_mean_over_processes = _MeanOverProcesses.apply


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def _share_norms(model: nn.Module) -> None:
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d

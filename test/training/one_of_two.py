"""One process of the distributed test: torchrun starts two of this file."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from walls import fresh_net, tiny_config, wall_views

import pixloc_ros.training.pairs
from pixloc_ros.training.distributed import join_processes
from pixloc_ros.training.loop import Trainer


def main(folder: Path) -> None:
    pixloc_ros.training.pairs.load_world = lambda config, seed, cache: [wall_views(seed)]
    config = replace(tiny_config(), steps=2, clip_norm=1e9)
    with join_processes("cpu") as (processes, device):
        net = fresh_net(seed=processes.rank)  # all must go on from those of the first process
        trainer = Trainer(net, config, folder / "run", folder, device, processes)
        first, second = trainer._batches()
        loss = trainer.train_step(first)["loss"]
        gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
        weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        torch.save((loss, gradients, weights), folder / f"after_one_{processes.rank}.pt")

        if processes.rank == 1:  # a NaN in one process has to stop both
            second = second._replace(query=second.query * float("nan"))
        figures = trainer.train_step(second)
        unchanged = all(
            torch.equal(tensor, weights[name]) for name, tensor in net.state_dict().items()
        )
        torch.save((figures["skipped"], unchanged), folder / f"after_nan_{processes.rank}.pt")

        again = Trainer(fresh_net(), config, folder / "run", folder, device, processes)
        again.run(lambda step, figures: None)
        dist.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

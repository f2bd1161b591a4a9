"""train: train a network through the pose solver, as one YAML file describes it.

Several GPUs or machines: torchrun --nproc-per-node=2 -m pixloc_ros.cli.train --config ... --out ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pixloc_ros.cli.support import progress_bar, run_command


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("train", lambda console: train(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for state, logs and the checkpoint; an unfinished run in it is resumed",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("runs/cache"),
        help="folder for what is made of the data once (rendered views, prepared "
        "scenes); what is missing is made first",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    return parser.parse_args(argv)


def train(arguments: argparse.Namespace, console: Console) -> int:
    """Run or resume one experiment and write its checkpoint to `out`/checkpoint."""
    import torch

    from pixloc_ros.training.distributed import join_processes
    from pixloc_ros.training.export import save_trained
    from pixloc_ros.training.loop import Trainer
    from pixloc_ros.training.network import starting_network

    config = read_config(arguments.config)
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    with join_processes(device) as (processes, own_device):
        console.quiet = not processes.leads
        if processes.place == 0:  # one process of each machine makes what its cache lacks
            with progress_bar(console) as progress:
                config.data.prepare(arguments.cache, config.workers, progress)
        processes.wait()
        net = starting_network(config, arguments.cache)
        trainer = Trainer(net, config, arguments.out, arguments.cache, own_device, processes)
        console.print(
            f"{config.name}: step {trainer.step} of {config.steps}, {own_device.type}, "
            f"{processes.count} process(es); logs in {arguments.out}",
            soft_wrap=True,
        )
        with step_bar(console, trainer) as report:
            trainer.run(report)
        if processes.leads:
            validation = trainer.validate()
            save_trained(arguments.out, arguments.out / "checkpoint", validation)
            console.print({key: round(value, 4) for key, value in validation.items()})
    return 0


def read_config(path: Path):
    """The experiment of a YAML file."""
    import yaml

    from pixloc_ros.core.config import from_dict
    from pixloc_ros.core.errors import ConfigError
    from pixloc_ros.training.config import TrainConfig

    try:
        settings = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a readable YAML file ({error})") from error
    return from_dict(TrainConfig, settings, str(path))


class step_bar:
    """A bar with loss and errors; where the output is no terminal, a line every hundred steps."""

    def __init__(self, console: Console, trainer):
        columns = (
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self._console, self._total = console, trainer.config.steps
        self._unit = trainer.config.data.unit
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=self._total, completed=trainer.step)

    def __enter__(self):
        self._bar.start()
        return self._report

    def __exit__(self, *_):
        self._bar.stop()

    def _report(self, step: int, figures: dict[str, float]) -> None:
        text = (
            f"loss {figures['loss']:.2f}  px {figures['pixels_init']:.0f} -> "
            f"{figures['pixels_level0']:.2f}  "
            f"{figures[f'median_{self._unit}']:.3f} {self._unit}  "
            f"{figures['median_deg']:.2f} deg  skipped {figures['skipped']:.0f}"
        )
        self._bar.update(self._task, completed=step, description=text)
        if not self._console.is_terminal and (step % 100 == 0 or step == self._total):
            self._console.print(f"{step}/{self._total}  {text}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

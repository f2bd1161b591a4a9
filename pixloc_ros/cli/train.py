"""train: train a network through the pose solver, as one YAML file describes it."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.errors import PixlocError
from pixloc_ros.core.network import PixLocNet, load_checkpoint, save_checkpoint
from pixloc_ros.training.imagenet import initial_small
from pixloc_ros.training.loop import FIRST_TRAINING_WORLD, TrainConfig, Trainer
from pixloc_ros.training.views import load_world


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    console = Console()
    try:
        train(arguments.config, arguments.out, arguments.views, arguments.device, console)
    except PixlocError as error:
        console.print(f"[red]train: {error}")
        return 1
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from the last saved step")
        return 130
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for state, logs and the checkpoint; an unfinished run in it "
                             "is resumed")
    parser.add_argument("--views", type=Path, default=Path("runs/views"),
                        help="folder of rendered training views; missing ones are rendered first")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(argv)


def train(config_path: Path, out: Path, views: Path, device: str, console: Console) -> None:
    """Run or resume one experiment and write its checkpoint to `out`/checkpoint."""
    with config_path.open() as file:
        config = from_dict(TrainConfig, yaml.safe_load(file), str(config_path))
    console.print(f"rendered views: {views} (streets that are missing are rendered first)")
    net = starting_network(config, views)
    trainer = Trainer(net, config, out, views, device)
    columns = (TextColumn("{task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn(),
               TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=config.steps, completed=trainer.step)

        def report(step: int, figures: dict[str, float]) -> None:
            progress.update(task, completed=step, description=(
                f"loss {figures['loss']:.2f}  px {figures['pixels_init']:.0f} -> "
                f"{figures['pixels_level0']:.2f}  skipped {figures['skipped']:.0f}"))

        trainer.run(report)
    validation = trainer.validate()
    save_checkpoint(net, out / "checkpoint", card={
        "name": config.name, "training": to_dict(config), "skipped_steps": trainer.skipped,
        "validation": validation}, half_precision=True)
    console.print({key: round(value, 4) for key, value in validation.items()})


def starting_network(config: TrainConfig, views: Path) -> PixLocNet:
    """The network before the first step, unfused."""
    if config.start is not None:
        return load_checkpoint(config.start, inference=False).net
    street = load_world(config.pairs.views, FIRST_TRAINING_WORLD, views)
    images = torch.from_numpy(np.stack([place.image[0] for place in street[:4]]))
    return initial_small(images.permute(0, 3, 1, 2) / 255, config.seed)


if __name__ == "__main__":
    sys.exit(main())

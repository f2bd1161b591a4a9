"""What the executables share: drives by name, a progress bar, errors as one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pixloc_ros.cli.flags import settings_of
from pixloc_ros.core.config import from_dict
from pixloc_ros.core.errors import ConfigError, DataError, PixlocError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import Checkpoint, load_checkpoint
from pixloc_ros.core.process import Settings
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.bag_topics import BagInput
from pixloc_ros.datasets.dead_reckoning import with_simulated_odometry
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.place import read_place
from pixloc_ros.finding import Finder, Places
from pixloc_ros.messages.poses import from_xyz_rpy

#: What `make demo` leaves; commands that need a map and a drive take these unless others are named.
DEMO = Path("demo_output/synthetic")


def shipped(name: str) -> Path:
    """A file of config/, in the checkout or in share/ of where the package is installed."""
    above = Path(__file__).parents
    places = (above[2], *(folder / "share" / "pixloc_ros" for folder in above))
    return next((p / name for p in places if (p / name).is_file()), Path(name))


def open_drive(
    place: str,
    odometry: str = "recorded",
    skip_every: int = 0,
    seed: int = 0,
    given: BagInput = BagInput(),
) -> Drive:
    """The drive at ``place`` (see ``datasets.place``) with odometry.

    odometry: "recorded", or "simulated" from the ground truth. skip_every: leave out the frames
    0, n, 2n, ... (those a map was built from); 0 keeps all. given: see ``read_place``.
    """
    drive = read_place(place, given)
    if odometry == "simulated":
        drive = with_simulated_odometry(drive, seed=seed)
    elif drive.odometry is None:
        raise DataError(f"drive {place} has no odometry; use --odometry simulated")
    if skip_every:
        indices = np.arange(len(drive))
        drive = drive.subset(indices[indices % skip_every != 0])
    return drive


def open_map(
    map_path: Path, checkpoint: str, config: Path | None = None, device: str = "cpu"
) -> tuple[Checkpoint, FeatureMap, Settings]:
    """What a localizer and its tracker are made of; a map built with another checkpoint is refused.

    config: YAML file of ``Settings``.
    """
    content = yaml.safe_load(config.read_text()) if config else {}
    settings = from_dict(Settings, content or {}, str(config or ""))
    network = load_checkpoint(checkpoint, device)
    feature_map = FeatureMap.open(map_path, identity=network.identity, device=device)
    return network, feature_map, settings


def open_run(
    arguments: argparse.Namespace, use_prior: bool = True
) -> tuple[Drive, Localizer, Settings]:
    """What the arguments of `flags.run_parser` name. use_prior: False leaves the prior out of every
    fix, so that it owes nothing to odometry."""
    drive = open_drive(
        arguments.drive,
        arguments.odometry,
        arguments.skip_every,
        arguments.seed,
        settings_of(BagInput, arguments),
    )
    network, feature_map, settings = open_map(
        arguments.map, arguments.checkpoint, arguments.config, arguments.device
    )
    config = settings.localizer
    config = replace(config, use_prior=config.use_prior and use_prior)
    return drive, Localizer(network, feature_map, config, arguments.device), settings


def open_start(
    arguments: argparse.Namespace, drive: Drive, localizer: Localizer
) -> tuple[str | np.ndarray | None, Finder | None]:
    """Where a drive begins, and what finds that, as `run_drive` takes them."""
    if arguments.from_nothing:
        return None, Finder(Places(localizer.map), device=arguments.device)
    if arguments.start is not None:
        return start_of(arguments.start), None
    if drive.T_map_base is None:
        raise DataError(
            f"drive '{drive.name}' has no ground truth; say where it begins: --start x y yaw, "
            "or have it found: --from-nothing"
        )
    return "ground_truth", None


def start_of(numbers: list[float]) -> np.ndarray:
    """T_map_base (4, 4) of x, y, yaw or x, y, z, roll, pitch, yaw (m, rad)."""
    if len(numbers) == 3:
        x, y, yaw = numbers
        numbers = [x, y, 0.0, 0.0, 0.0, yaw]
    if len(numbers) != 6:
        raise ConfigError(
            f"--start has {len(numbers)} numbers; it takes x y yaw, or x y z roll pitch yaw"
        )
    return from_xyz_rpy(numbers)


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A ``progress(done, total, what)`` callable that shows one bar per ``what``.

    Where the output is no terminal, a line tells when each is complete.
    """
    columns = (
        TextColumn("{task.description:>24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, int] = {}
        told: set[str] = set()

        def progress(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)
            if done >= total and not console.is_terminal and what not in told:
                told.add(what)
                console.print(f"{what}: {total}")

        yield progress


def run_command(name: str, command: Callable[[Console], int]) -> int:
    """Run an executable's work; errors of the package become one line and exit status 1."""
    console = Console()
    try:
        return command(console)
    except PixlocError as error:
        console.print(f"[red]{name}: {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print(f"{name}: interrupted")
        return 130

"""make_drive: render a mapping and a query run through the synthetic street as image folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.flags import add_settings, settings_of
from pixloc_ros.cli.support import progress_bar, run_command
from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.folder import write_drive
from pixloc_ros.datasets.synthetic import drive_of
from pixloc_ros.synthetic.drive import DriveOptions, make_drive
from pixloc_ros.synthetic.lighting import PRESETS


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("make_drive", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make_drive", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets the sessions map/ and query/")
    parser.add_argument("--seed", type=int, default=0, help="of the street and the motion")
    add_settings(
        parser,
        DriveOptions(),
        query_frames={},
        rate_hz={},
        speed={"help": "m/s"},
        spacing={"help": "metres between images of the mapping run"},
        size={"metavar": ("WIDTH", "HEIGHT")},
        focal={"help": "pixels"},
        map_light={"choices": PRESETS},
        query_light={"choices": PRESETS},
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    options = settings_of(DriveOptions, arguments)
    with progress_bar(console) as progress:
        for name, session in make_drive(arguments.seed, options).items():
            folder = arguments.folder / name
            if folder.exists():
                raise DataError(f"{folder}: there already; choose another folder")
            write_drive(
                folder,
                drive_of(session),
                progress=lambda done, total, _, name=name: progress(done, total, name),
            )
            console.print(f"{folder}: {len(session)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())

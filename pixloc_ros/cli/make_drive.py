"""make_drive: render a mapping and a query run through the synthetic street as image folders."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from rich.console import Console

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
    default = DriveOptions()
    parser = argparse.ArgumentParser(prog="make_drive", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets the sessions map/ and query/")
    parser.add_argument("--seed", type=int, default=0, help="of the street and the motion")
    parser.add_argument("--query-frames", type=int, default=default.query_frames)
    parser.add_argument("--rate-hz", type=float, default=default.rate_hz)
    parser.add_argument("--speed", type=float, default=default.speed, help="m/s")
    parser.add_argument(
        "--spacing",
        type=float,
        default=default.spacing,
        help="metres between images of the mapping run",
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=default.size, metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--focal", type=float, default=default.focal, help="pixels")
    parser.add_argument("--map-light", choices=PRESETS, default=default.map_light)
    parser.add_argument("--query-light", choices=PRESETS, default=default.query_light)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    chosen = {
        f.name: getattr(arguments, f.name)
        for f in fields(DriveOptions)
        if hasattr(arguments, f.name)
    }
    options = DriveOptions(**{**chosen, "size": tuple(chosen["size"])})
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

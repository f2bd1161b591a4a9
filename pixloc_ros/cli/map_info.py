"""map_info: what is in a feature map, warnings, and a picture of it from above."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pixloc_ros.cli.support import run_command
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.mapping.inspect import MapSummary, draw, verify


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("map_info", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="map_info", description=__doc__)
    parser.add_argument("map", type=Path, help="folder written by build_map")
    parser.add_argument("--verify", action="store_true", help="read all tiles, check their sums")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw the map from above")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    feature_map = FeatureMap.open(arguments.map)
    print_summary(MapSummary(arguments.map, feature_map.info), console)
    if arguments.picture:
        draw(feature_map, arguments.picture)
        console.print(f"picture: {arguments.picture}")
    if arguments.verify:
        problems = verify(arguments.map, feature_map.info)
        for problem in problems:
            console.print(f"[red]{problem}")
        if problems:
            return 1
        console.print("all tiles are whole")
    return 0


def print_summary(summary: MapSummary, console: Console) -> None:
    """The map's figures as a table, and its warnings."""
    table = Table(title=str(summary.path), show_header=False, title_justify="left")
    for row in summary.rows():
        table.add_row(*row)
    console.print(table)
    for warning in summary.info.warnings:
        console.print(f"[yellow]warning: {warning}")


if __name__ == "__main__":
    sys.exit(main())

"""doctor: what is missing or does not fit on this machine, and how to fix it.

Looks at Python, torch and its GPU, the ROS packages, the transport of images, the checkpoint, the
map, and the topics of the running system. Needs none of them to start. Exit status 1 on errors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pixloc_ros.cli import _doctor_checks as checks
from pixloc_ros.cli import _doctor_ros as ros_checks
from pixloc_ros.cli._doctor_checks import Finding

COLORS = {"ok": "green", "warning": "yellow", "error": "red"}


def main(argv: list[str] | None = None) -> int:
    """Entry point of `ros2 run pixloc_ros doctor`."""
    arguments = parse(argv)
    findings = list(examine(arguments))
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    return int(any(finding.level == "error" for finding in findings))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="doctor", description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default="small", help="shipped name, folder or .tar")
    parser.add_argument("--map", type=Path, help="folder written by build_map")
    parser.add_argument(
        "--listen",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long to watch the running system; 0: not at all",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser.parse_args(argv)


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """All findings, in the order of a sensible repair."""
    plan: list[tuple[str, Callable]] = [
        ("Python", checks.python),
        ("numpy", checks.numpy),
        ("torch", checks.torch),
        ("OpenCV", checks.opencv),
        ("Python packages", checks.packages),
        ("checkpoint", partial(checks.checkpoint, arguments.checkpoint)),
    ]
    if arguments.map:
        plan.append(("map", partial(checks.feature_map, arguments.map, arguments.checkpoint)))
    plan += ros_checks.checks(arguments.listen)
    for name, check in plan:
        yield from checks.survive(name, check)


def show(findings: list[Finding]) -> None:
    """The findings as a table, or as plain lines where rich is missing."""
    counts = {level: sum(finding.level == level for finding in findings) for level in COLORS}
    verdict = f"{counts['error']} errors, {counts['warning']} warnings"
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except ImportError:
        for finding in findings:
            print(f"{finding.level:8}{finding.check}: {finding.detail}")
            if finding.remedy:
                print(f"        -> {finding.remedy}")
        print(verdict)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        text = escape(finding.detail)
        if finding.remedy:
            text += f"\n[bold]-> {escape(finding.remedy)}[/bold]"
        color = COLORS[finding.level]
        table.add_row(f"[{color}]{finding.level}[/{color}]", finding.check, text)
    console = Console()
    console.print(table)
    console.print(verdict)


if __name__ == "__main__":
    sys.exit(main())

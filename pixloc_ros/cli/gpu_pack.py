"""benchmark gpu-pack: render what `benchmark gpu` needs on a machine that has little but torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.gpu import PACK
from pixloc_ros.cli.support import progress_bar, run_command


def main(argv: list[str] | None = None) -> int:
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return run_command("benchmark gpu-pack", lambda console: run(arguments, console))


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark gpu-pack", description=__doc__)
    parser.add_argument("--out", type=Path, default=PACK, help="folder to write")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("runs/gpu_views"),
        help="folder of rendered training views; what it lacks is rendered",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    from pixloc_ros.evaluation.benchmark.gpu.pack import PackOptions, write_pack

    with progress_bar(console) as progress:
        size = write_pack(arguments.out, PackOptions(), arguments.cache, progress)
    console.print(f"{arguments.out}: {size / 2**20:.1f} MiB", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""benchmark gpu: tests, frames a second and training on a GPU, in a few minutes and one table.

Runs on a machine with torch, OpenCV, rich and pytest, from the folder of the repository:
python3 -m pixloc_ros.cli.gpu. It needs the pack that `benchmark gpu-pack` makes (docs/gpu.md).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.support import run_command
from pixloc_ros.core.errors import ConfigError

PACK = Path("gpu_pack")
WIDTH = 170  # of the table, also where there is no terminal


def main(argv: list[str] | None = None) -> int:
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return run_command("benchmark gpu", lambda console: run(arguments, console))


def parse(argv: list[str]) -> argparse.Namespace:
    from pixloc_ros.evaluation.benchmark.gpu.run import PARTS, Settings

    parser = argparse.ArgumentParser(
        prog="benchmark gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pack", type=Path, default=PACK, help="folder written by gpu-pack")
    parser.add_argument("--out", type=Path, default=Path("gpu_output"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--minutes", type=float, default=Settings.minutes, help="for everything together"
    )
    parser.add_argument(
        "--parts",
        default=",".join(PARTS),
        metavar="PART,...",
        help=f"some of {', '.join(PARTS)} (default: all)",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The whole run; status 1 if anything in it failed."""
    import torch

    from pixloc_ros.evaluation import report
    from pixloc_ros.evaluation.benchmark.gpu import row
    from pixloc_ros.evaluation.benchmark.gpu.run import PARTS, Settings
    from pixloc_ros.evaluation.benchmark.gpu.run import run as run_parts

    parts = tuple(arguments.parts.split(","))
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ConfigError(f"--parts: no part '{unknown[0]}' (known: {', '.join(PARTS)})")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("torch sees no GPU here; --device cpu runs everything on the CPU")
    settings = Settings(arguments.pack, arguments.out, arguments.device, arguments.minutes, parts)
    begin = time.monotonic()
    rows = run_parts(settings, console.print)
    about = {
        "device": torch.cuda.get_device_name()
        if arguments.device == "cuda"
        else platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "seconds": round(time.monotonic() - begin, 1),
    }
    report.write_json(arguments.out / "gpu.json", {**about, "rows": [r.to_dict() for r in rows]})
    failed = sum(r.failed for r in rows)
    title = f"{about['device']}, torch {about['torch']}, {about['seconds']:.0f} s"
    report.print_table(row.table(title, rows), Console(width=WIDTH))
    console.print(f"{failed} failed" if failed else "nothing failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

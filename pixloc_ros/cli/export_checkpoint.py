"""export_checkpoint: a trained network in another format, from a training run or any checkpoint.

folder       our own checkpoint folder (weights.safetensors, checkpoint.json)
official     a .tar that the published PixLoc code reads; vgg16 and vgg19 only
torchscript  the extractor alone, image -> features and confidence of every level, fine to coarse
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pixloc_ros.cli.support import run_command

FORMATS = ("folder", "official", "torchscript")


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    return run_command("export_checkpoint", lambda console: run(arguments, console))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="export_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        help="folder of a training run (its last saved state, finished "
        "or not), shipped name, checkpoint folder or .tar",
    )
    parser.add_argument("out", type=Path, help="folder, or file, to write")
    parser.add_argument("--format", choices=FORMATS, default="folder")
    parser.add_argument(
        "--full-precision",
        action="store_true",
        help="folder: store convolutions as fp32 instead of fp16",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    from pixloc_ros.core.network import export_official, save_checkpoint
    from pixloc_ros.training.export import export_torchscript, read_any

    net, aligner, card = read_any(arguments.source)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if arguments.format == "folder":
        identity = save_checkpoint(net, arguments.out, aligner, card, not arguments.full_precision)
        console.print(f"{arguments.out}: {net.architecture}, identity {identity[:12]}")
    elif arguments.format == "official":
        export_official(net, arguments.out)
        console.print(f"{arguments.out}: {net.architecture} in the published layout")
    else:
        export_torchscript(net, arguments.out)
        console.print(
            f"{arguments.out}: extractor, strides {net.strides}, channels {net.dims}",
            soft_wrap=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command `pixloc` over all executables, and the way into each of them.

`pixloc build-map ...` where pip installed the package, `ros2 run pixloc_ros build_map ...` where
colcon did. Nothing heavy is imported before it is known what to run.
"""

from __future__ import annotations

import ast
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixloc_ros import __version__

#: Executable -> module with its `main(argv)`; what each does is the first line of its docstring.
EXECUTABLES = {
    "build_map": "pixloc_ros.cli.build_map",
    "map_info": "pixloc_ros.cli.map_info",
    "evaluate": "pixloc_ros.cli.evaluate",
    "calibrate": "pixloc_ros.cli.calibrate",
    "localize_images": "pixloc_ros.cli.localize_images",
    "train": "pixloc_ros.cli.train",
    "export_checkpoint": "pixloc_ros.cli.export_checkpoint",
    "benchmark": "pixloc_ros.cli.benchmark",
    "make_drive": "pixloc_ros.cli.make_drive",
    "drive_to_bag": "pixloc_ros.cli.drive_to_bag",
    "fuse": "pixloc_ros.cli.fuse",
    "make_robotcar": "pixloc_ros.cli.make_robotcar",
    "robotcar_seasons": "pixloc_ros.cli.robotcar_seasons",
    "robotcar_to_bag": "pixloc_ros.cli.robotcar_to_bag",
    "demo": "pixloc_ros.cli.demo",
    "doctor": "pixloc_ros.cli.doctor",
    "localizer": "pixloc_ros.ros.localizer_node",
    "bag_player": "pixloc_ros.ros.bag_player",
    "pose_recorder": "pixloc_ros.ros.pose_recorder",
    "graph_probe": "pixloc_ros.ros.graph_probe",
}
#: What a command may lack, and how to get it.
REMEDIES = {
    "torch": "install the build for your GPU (or CPU) as pytorch.org says, e.g. pip install torch",
    "rclpy": "source your ROS 2 (/opt/ros/.../setup.bash), or make venv in a checkout, which "
    "installs it from wheels",
}
INTERRUPTED = 130


def main() -> int:
    """Entry point of `pixloc` and, by the name it is called by, of every executable."""
    name = Path(sys.argv[0]).name
    if name in EXECUTABLES:
        return run(name, sys.argv[1:])
    first = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if first in ("-h", "--help"):
        print(overview())
        return 0
    if first == "--version":
        print(__version__)
        return 0
    name = first.replace("-", "_")
    if name not in EXECUTABLES:
        known = ", ".join(map(spelled, EXECUTABLES))
        print(f"pixloc: there is no command '{first}'; known are {known}", file=sys.stderr)
        return 2
    return run(name, sys.argv[2:])


def run(name: str, arguments: list[str]) -> int:
    """Import an executable and run it; its exit status."""
    sys.argv = [name, *arguments]
    try:
        with ends_on_interrupt(name):
            module = importlib.import_module(EXECUTABLES[name])
        return module.main(arguments)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if "." in missing or missing == "pixloc_ros":
            raise  # not absent but broken
        remedy = REMEDIES.get(missing, f"pip install {missing}")
        print(f"{name}: the package {missing} is not installed; {remedy}", file=sys.stderr)
        return 1


@contextmanager
def ends_on_interrupt(name: str) -> Iterator[None]:
    """Ctrl-C ends the process at once: some packages survive an exception while they are imported,
    half loaded, and fail later for reasons that mislead."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a process in the background ignores it
        signal.signal(signal.SIGINT, lambda *_: _end(name))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(name: str) -> None:
    os.write(2, f"{name}: interrupted\n".encode())
    os._exit(INTERRUPTED)


def spelled(name: str) -> str:
    """An executable's name as a subcommand."""
    return name.replace("_", "-")


def overview() -> str:
    """What `pixloc --help` says."""
    width = max(map(len, EXECUTABLES)) + 2
    lines = [f"  {spelled(name):{width}}{purpose(name)}" for name in EXECUTABLES]
    return "\n".join(
        ("usage: pixloc COMMAND ...   (pixloc COMMAND --help lists its arguments)", "", *lines)
    )


def purpose(name: str) -> str:
    """The first sentence of an executable's docstring, read without importing it."""
    folder, module = EXECUTABLES[name].split(".")[1:]
    text = (Path(__file__).parents[1] / folder / f"{module}.py").read_text()
    paragraph = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    sentence = " ".join(paragraph.split()).split(". ")[0]
    return sentence.removeprefix(f"{name}: ").rstrip(".")

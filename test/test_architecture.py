"""The rooms of the package: what each may import. See docs/architecture.md."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pixloc_ros"

# from the ground floor upwards: a room imports from itself and from the rooms before it
ROOMS = [
    "core",
    "finding",
    "images",
    "mapping",
    "synthetic",
    "messages",
    "datasets",
    "training",
    "evaluation",
    "cli",
    "ros",
]

ROS_PACKAGES = {
    "rclpy",
    "tf2_ros",
    "tf2_py",
    "cv_bridge",
    "message_filters",
    "builtin_interfaces",
    "rcl_interfaces",
    "unique_identifier_msgs",
    "std_srvs",
    "sensor_msgs_py",
}
CORE_PACKAGES = {"numpy", "torch", "safetensors", "pixloc_ros"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room of a file; "" for the modules of the package itself."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import, wherever it stands in the file.

    `package` is the dotted name of the package that holds the file, for relative imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                anchor = ".".join(parents[: len(parents) - node.level + 1])
                base = f"{anchor}.{base}" if base else anchor
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def violations(source: str, room: str, package: str) -> list[str]:
    """What is wrong with the imports of one file of a room."""
    tree = ast.parse(source)
    found = []
    for line, name in imported(tree, package):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        ours = top == "pixloc_ros" and target in ROOMS
        if ours and (not room or ROOMS.index(target) > ROOMS.index(room)):
            found.append(f"line {line}: {room or 'the package'} imports {target} above it")
        if (top in ROS_PACKAGES or top.endswith("_msgs")) and room != "ros":
            found.append(f"line {line}: {room} imports {top}; only ros may")
        if top == "pycolmap" and room != "mapping":
            found.append(f"line {line}: {room} imports pycolmap; only mapping may")
        if room == "core" and (
            top not in CORE_PACKAGES | sys.stdlib_module_names or top == "logging"
        ):
            found.append(f"line {line}: core imports {top}")
    if room == "core":
        found += [f"line {line}: core prints" for line in prints(tree)]
    return found


def prints(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            yield node.lineno


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    assert violations(path.read_text(encoding="utf-8"), room_of(path), package) == []


def test_every_source_file_is_in_a_known_room():
    assert {room_of(path) for path in sources()} <= {"", *ROOMS}
    assert [path.name for path in sources() if not room_of(path)] == ["__init__.py"]


@pytest.mark.parametrize(
    "source, room, word",
    [
        ("from pixloc_ros.ros import worker", "core", "above"),
        ("from pixloc_ros import mapping", "core", "above"),
        ("from ...evaluation import metrics", "training", "above"),
        ("def f():\n    import pixloc_ros.cli.demo", "evaluation", "above"),
        ("from pixloc_ros.core import config", "", "above"),
        ("from sensor_msgs.msg import Image", "cli", "only ros"),
        ("import rclpy.node", "evaluation", "only ros"),
        ("import pycolmap", "datasets", "only mapping"),
        ("import cv2", "core", "core imports cv2"),
        ("import logging", "core", "core imports logging"),
        ("print(1)", "core", "prints"),
    ],
)
def test_the_rules_catch_offenders(source, room, word):
    assert any(word in found for found in violations(source, room, f"pixloc_ros.{room}.inner"))


@pytest.mark.parametrize(
    "source, room",
    [
        ("from pixloc_ros.core.geometry import Pose\nimport cv2", "mapping"),
        ("from . import camera\nfrom ..errors import DataError\nimport torch, math", "core"),
        ("import rclpy\nfrom pixloc_ros.evaluation import metrics", "ros"),
    ],
)
def test_the_rules_let_others_pass(source, room):
    assert violations(source, room, f"pixloc_ros.{room}.inner") == []


def test_importing_the_package_is_cheap():
    code = (
        "import sys, pixloc_ros; "
        "heavy = {'torch', 'numpy', 'rclpy', 'cv2', 'pycolmap'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"import pixloc_ros pulls in: {done.stderr}"


def test_the_node_needs_nothing_of_evaluation():
    pytest.importorskip("rclpy")
    code = (
        "import sys, pixloc_ros.ros.localizer_node; "
        "above = [m for m in sys.modules if m.startswith(('pixloc_ros.evaluation', "
        "'pixloc_ros.training', 'pixloc_ros.datasets', 'rosbags'))]; "
        "sys.exit(', '.join(above) or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"the node pulls in: {done.stderr}"

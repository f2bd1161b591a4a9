"""package.xml, setup.py and what the code really is and imports agree."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import pixloc_ros
from pixloc_ros.cli.pixloc import EXECUTABLES

# packages of ROS whose name in package.xml is another one than that of the import
RENAMED = {"tf2_ros": {"tf2_ros", "tf2_ros_py"}}


@pytest.fixture(scope="module")
def manifest(repository: Path) -> ElementTree.Element:
    return ElementTree.parse(repository / "package.xml").getroot()


def declared(repository: Path, command: str) -> dict:
    """What setup.py hands to setuptools when it is called for that command."""
    code = (
        "import setuptools, json, runpy, sys\n"
        "setuptools.setup = lambda **k: print(json.dumps(k))\n"
        f"sys.argv = ['setup.py', {command!r}]\n"
        "runpy.run_path('setup.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def scripts(repository: Path, command: str) -> dict[str, str]:
    """name -> module:function of the executables."""
    lines = declared(repository, command)["entry_points"]["console_scripts"]
    return dict(line.split(" = ") for line in lines)


def test_versions_agree(repository, manifest):
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split()[-1] == pixloc_ros.__version__ == manifest.findtext("version")


def test_licence_is_there(repository, manifest):
    licence = manifest.find("license")
    assert licence.text == "Apache-2.0"
    assert "Apache License" in (repository / licence.get("file")).read_text()


def test_pip_installs_one_command_and_colcon_one_for_each_executable(repository):
    assert set(scripts(repository, "bdist_wheel")) == {"pixloc"}
    for command in ("install", "develop"):
        installed = scripts(repository, command)
        assert set(installed) == set(EXECUTABLES) and "localizer" in installed
        assert set(installed.values()) == {"pixloc_ros.cli.pixloc:main"}


def test_every_executable_has_a_main():
    for name, module in EXECUTABLES.items():
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"{name}: there is no module {module}"
        tree = ast.parse(Path(spec.origin).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert "main" in functions, f"{name}: {module} has no main()"


def test_pip_is_told_of_everything_but_torch_and_ros(repository):
    needed = declared(repository, "bdist_wheel")["install_requires"]
    packages = {re.split(r"[<>=~ ;]", line)[0] for line in needed}
    assert {"numpy", "safetensors", "pycolmap", "rosbags", "rich"} <= packages
    assert not packages & {"torch", "rclpy"}


def test_imported_ros_packages_are_declared(repository, manifest):
    declared = {entry.text for entry in manifest.iter("exec_depend")}
    ros = {name for name in declared if not name.startswith("python3-")}
    files = [*(repository / "pixloc_ros").rglob("*.py"), *(repository / "launch").glob("*.py")]
    for path in files:
        for name in _imports(path):
            known = RENAMED.get(name, {name})
            if name.endswith("_msgs") or name in ros or name in RENAMED:
                assert known & declared, f"{path.name} imports {name}; package.xml lacks it"


def test_shipped_files_are_found(repository):
    files = [file for _, files in declared(repository, "install")["data_files"] for file in files]
    assert {"resource/pixloc_ros", "package.xml", "config/fastdds_profile.xml"} <= set(files)
    assert "launch/localize.launch.py" in files and "config/localize.yaml" in files
    assert not [name for name in files if "__pycache__" in name]


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names

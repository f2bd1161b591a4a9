"""package.xml, setup.py and what the code really is and imports agree."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import pixloc_ros

# packages of ROS whose name in package.xml is another one than that of the import
RENAMED = {"tf2_ros": {"tf2_ros", "tf2_ros_py"}}


@pytest.fixture(scope="module")
def manifest(repository: Path) -> ElementTree.Element:
    return ElementTree.parse(repository / "package.xml").getroot()


@pytest.fixture(scope="module")
def entry_points(repository: Path) -> dict[str, str]:
    """name -> module:function of the executables, as setup.py declares them."""
    code = (
        "import setuptools, json, runpy\n"
        "setuptools.setup = lambda **k: print(json.dumps(k['entry_points']['console_scripts']))\n"
        "runpy.run_path('setup.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    return dict(re.findall(r'"(\w+) = ([\w.:]+)"', done.stdout))


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


def test_every_executable_has_a_main(repository, entry_points):
    assert {"localizer", "bag_player", "build_map", "demo", "doctor"} <= set(entry_points)
    for name, target in entry_points.items():
        module, function = target.split(":")
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"{name}: there is no module {module}"
        tree = ast.parse(Path(spec.origin).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert function in functions, f"{name}: {module} has no {function}()"


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
    code = (
        "import setuptools, json, runpy\n"
        "setuptools.setup = lambda **k: print('\\n'.join(f for _, fs in k['data_files'] "
        "for f in fs))\n"
        "runpy.run_path('setup.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    files = done.stdout.split()
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

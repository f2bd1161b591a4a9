"""The package builds and tests with colcon, and what it installs works from there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("colcon_ros") is None, reason="no colcon-ros"),
]
# what `colcon test` runs here: enough to see that it finds and runs tests
SELECTION = ["test/core/test_config.py", "test/packaging/test_manifest.py"]


@pytest.fixture(scope="module")
def workspace(repository: Path, tmp_path_factory):
    """Runs colcon on the package with all output in a temporary workspace."""
    folder = tmp_path_factory.mktemp("workspace")

    def colcon(verb: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [
            sys.executable,
            "-m",
            "colcon",
            "--log-base",
            folder / "log",
            verb,
            "--paths",
            repository,
            "--build-base",
            folder / "build",
            "--install-base",
            folder / "install",
            *arguments,
        ]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)

    done = colcon("build", "--packages-select", "pixloc_ros")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, colcon


def test_build_installs_everything(workspace):
    installed = workspace[0] / "install" / "pixloc_ros"
    executables = {path.name for path in (installed / "lib" / "pixloc_ros").iterdir()}
    assert {"localizer", "bag_player", "build_map", "evaluate", "demo", "doctor"} <= executables
    share = installed / "share" / "pixloc_ros"
    for name in (
        "package.xml",
        "launch/localize.launch.py",
        "config/localize.yaml",
        "config/fastdds_profile.xml",
    ):
        assert (share / name).is_file(), name
    assert (installed / "share/ament_index/resource_index/packages/pixloc_ros").is_file()
    assert list(installed.glob("lib/python*/site-packages/pixloc_ros/weights/small/*.safetensors"))


def test_installed_executable_runs_from_the_workspace(workspace, tmp_path):
    """As `ros2 run` would: the sourced workspace, its script, its copy of the package."""
    folder = workspace[0]
    script = folder / "install" / "pixloc_ros" / "lib" / "pixloc_ros" / "graph_probe"
    line = (
        f". {folder}/install/local_setup.sh && {sys.executable} -c 'import pixloc_ros, "
        "ament_index_python as a; print(pixloc_ros.__file__); "
        'print(a.get_package_share_directory("pixloc_ros"))\' && '
        f"{sys.executable} {script} --seconds 0.1"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    package, share = done.stdout.splitlines()[:2]
    assert Path(package).is_relative_to(folder) and Path(share).is_relative_to(folder)


def test_colcon_test_runs_tests(workspace):
    folder, colcon = workspace
    done = colcon("test", "--return-code-on-test-failure", "--pytest-args", *SELECTION)
    assert done.returncode == 0, done.stdout + done.stderr
    results = list((folder / "build").rglob("pytest.xml"))
    assert results and 'failures="0"' in results[0].read_text()
    assert 'tests="0"' not in results[0].read_text()

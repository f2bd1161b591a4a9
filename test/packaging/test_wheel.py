"""What pip builds from a clone holds everything, and works far from the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from pixloc_ros import __version__

SOURCES = ("pixloc_ros", "config", "launch", "requirements", "resource")
FILES = ("setup.py", "setup.cfg", "package.xml", "LICENSE")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory) -> Path:
    """Built in a copy: setuptools leaves its traces beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / name, folder / "clone" / name, ignore=ignored)
    for name in FILES:
        shutil.copy(repository / name, folder / "clone")
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "clone")
    (path,) = folder.glob("*.whl")
    return path


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_holds_everything(wheel: Path, repository: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"pixloc_ros-{__version__}.dist-info"
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        entries = archive.read(f"{info}/entry_points.txt").decode().split("\n")
    assert [line for line in entries if "=" in line] == ["pixloc = pixloc_ros.cli.pixloc:main"]
    package = repository / "pixloc_ros"
    kept = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.relative_to(repository)) for path in kept} <= names
    data = {name.split("/data/share/pixloc_ros/")[-1] for name in names if "/data/" in name}
    for folder in ("config", "launch"):
        assert {f"{folder}/{path.name}" for path in (repository / folder).iterdir()} - {
            f"{folder}/__pycache__"
        } <= data
    assert "package.xml" in data
    needed = {line.split(">")[0].split(";")[0] for line in metadata.get_all("Requires-Dist")}
    assert {"numpy", "rosbags"} <= needed and "torch" not in needed
    assert set(metadata.get_all("Provides-Extra")) == {"places", "robotcar", "test", "train"}


def test_it_works_where_it_is_installed(wheel: Path, tmp_path: Path):
    """Its command, its weights and the files in share/, in a folder with nothing else."""
    prefix = tmp_path / "prefix"
    pip("install", "--no-deps", "--no-index", "--ignore-installed", "--prefix", prefix, wheel)
    (site,) = prefix.glob("lib/python*/site-packages")
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert [path.name for path in (prefix / "bin").iterdir()] == ["pixloc"]
    assert run(prefix / "bin" / "pixloc", "--version").strip() == __version__
    assert "build-map" in run(prefix / "bin" / "pixloc", "--help")
    code = (
        "from pixloc_ros.cli.support import shipped; from pixloc_ros.core.network import *; "
        "print(shipped('config/ekf.yaml')); print(load_checkpoint('small').name)"
    )
    config, name = run(sys.executable, "-c", code).splitlines()
    assert Path(config).is_relative_to(prefix) and Path(config).is_file() and name == "small"

"""tools/make_venv says clearly what a machine lacks; that it works is seen by running the tests."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture
def make_venv(repository, tmp_path):
    def run(python: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [repository / "tools" / "make_venv", python, tmp_path / "venv", "torch==0"],
            cwd=repository,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def fake_python(tmp_path):
    """A `python` that answers the questions in `failing` with no."""

    def write(failing: str) -> str:
        path = tmp_path / "python"
        path.write_text(f'#!/bin/sh\ncase "$*" in *{failing}*) exit 1;; esac\nexec python3 "$@"\n')
        path.chmod(0o755)
        return str(path)

    return write


def test_unknown_python(make_venv):
    done = make_venv("python9")
    assert done.returncode == 1 and "make venv PYTHON=" in done.stderr


def test_unfit_python(make_venv, fake_python):
    done = make_venv(fake_python("version_info"))
    assert done.returncode == 1 and "3.10 to 3.13" in done.stderr


def test_no_venv_module(make_venv, fake_python):
    done = make_venv(fake_python("ensurepip"))
    assert done.returncode == 1 and "apt install python3-venv" in done.stderr


def test_no_compiler(make_venv, tmp_path):
    broken = tmp_path / "bin" / "g++"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    path = f"{broken.parent}{os.pathsep}{os.environ['PATH']}"
    done = make_venv("python3", PATH=path, ROS_DISTRO="")
    assert done.returncode == 1 and "apt install build-essential" in done.stderr
    assert not (tmp_path / "venv").exists()

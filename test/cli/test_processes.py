"""Domains of processes that run side by side."""

import subprocess
import sys
from pathlib import Path

import pytest

from pixloc_ros.cli import processes

CHOOSE = """
import sys
from pixloc_ros.cli import processes
processes.random.SystemRandom.sample = lambda self, population, k: [1, 2, 3]
print(processes.free_domain(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Three domains, whose locks are in a folder of this test's own."""
    monkeypatch.setattr(processes, "_domain_locks", {})
    monkeypatch.setattr(processes.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(processes.random.SystemRandom, "sample", lambda *_: [1, 2, 3])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    for file in processes._domain_locks.values():
        file.close()


def test_two_runs_at_once_never_share_a_domain(few, monkeypatch):
    mine = processes.free_domain()
    other = subprocess.Popen(
        [sys.executable, "-c", CHOOSE],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    theirs = int(other.stdout.readline())
    assert theirs != mine, "chosen before anybody has taken its port"
    other.communicate("\n")
    assert other.returncode == 0
    monkeypatch.setattr(processes.random.SystemRandom, "sample", lambda *_: [theirs])
    assert processes.free_domain() == theirs, "free again when its process has ended"
    with pytest.raises(processes.LiveError, match="in use"):
        processes.free_domain()

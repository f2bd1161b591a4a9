"""pytest collects the tests where ROS's plugins are installed, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLUGINS = {"launch_testing": "launch_testing.pytest.hooks", "launch_ros": "launch_testing_ros"}


def test_the_plugins_of_launch_stay_out(repository: Path, tmp_path: Path):
    """They import each test file by its bare name; here they tell when they are loaded at all."""
    for name, module in PLUGINS.items():
        info = tmp_path / f"{name}_plugin-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"raise RuntimeError('{name} was loaded')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", Path(__file__)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "1 test collected" in done.stdout, done.stdout + done.stderr

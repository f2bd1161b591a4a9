"""One command over all executables: what it lists, what it runs, what it says when it cannot."""

import signal
import subprocess
import sys
import time

import pytest

from pixloc_ros import __version__
from pixloc_ros.cli.pixloc import EXECUTABLES, spelled

RUN = """
import sys
from pixloc_ros.cli.pixloc import main
sys.argv = sys.argv[1:]
sys.exit(main())
"""


def call(*words: str, code: str = RUN) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120
    )


def test_help_lists_every_command_with_what_it_does_and_imports_nothing_heavy():
    code = RUN.replace("sys.exit(main())", "main(); assert 'torch' not in sys.modules")
    done = call("pixloc", "--help", code=code)
    assert done.returncode == 0, done.stderr
    for name in EXECUTABLES:
        line = next(line for line in done.stdout.splitlines() if f"  {spelled(name)} " in line)
        assert len(line.split(None, 1)[1]) > 20
    assert call("pixloc", "--version").stdout.strip() == __version__


@pytest.mark.parametrize("words", [("pixloc", "map-info"), ("pixloc", "map_info"), ("map_info",)])
def test_a_command_runs_by_either_spelling_and_by_its_own_name(words):
    done = call(*words, "/no/such/map")
    assert done.returncode == 1 and "no such folder" in done.stdout
    usage = call(*words)
    assert usage.returncode == 2 and "usage: map_info" in usage.stderr


def test_an_unknown_command_is_named_with_those_there_are():
    done = call("pixloc", "fly")
    assert done.returncode == 2 and "'fly'" in done.stderr and "build-map" in done.stderr


@pytest.mark.parametrize("package, hint", [("torch", "pytorch.org"), ("rclpy", "setup.bash")])
def test_a_missing_package_is_named_with_the_remedy(package, hint):
    refuse = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    done = call("pixloc", "localizer", code=refuse + RUN)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"the package {package} is not installed" in done.stderr and hint in done.stderr


@pytest.mark.parametrize("name", ["train", "localizer"])
def test_an_interrupt_while_importing_ends_without_a_traceback(name):
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)" + RUN, name, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    time.sleep(0.3)  # torch alone takes longer
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, 130), errors
    assert "Traceback" not in errors

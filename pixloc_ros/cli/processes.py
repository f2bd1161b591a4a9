"""The localizer, a bag player and a recorder as separate processes, which always end."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import yaml

from pixloc_ros.core.errors import DataError, PixlocError
from pixloc_ros.core.progress import Progress
from pixloc_ros.evaluation.benchmark.memory import resident_mb
from pixloc_ros.evaluation.trajectory import Track, read_live

#: Seconds: to be ready, beyond the bag's own time, and to end after an interrupt.
READY_TIMEOUT, SLACK, END_TIMEOUT = 120.0, 30.0, 20.0
#: The node reports its state once a second; the last report must have arrived.
LAST_WORD = 1.6
#: Open files whose locks keep domains for this process.
_domain_locks: dict[int, TextIO] = {}


class LiveError(PixlocError):
    """A process of the live run failed; the message names its log."""


@dataclass(frozen=True)
class LiveRun:
    """What was published live, as the recorder heard it.

    processed, accepted, starting, dropped: frames by the node's own diagnostics. memory: (seconds,
    MB) of the node over the run.
    """

    track: Track
    rate_hz: float
    processed: int
    accepted: int
    starting: int
    dropped: int
    memory: tuple[list[float], list[float]]


def run_live(
    folder: Path,
    parameters: dict,
    bag: Path,
    bag_seconds: float,
    rate: float = 1.0,
    loop_seconds: float = 0.0,
    progress: Progress | None = None,
    remappings: Mapping[str, str] | None = None,
) -> LiveRun:
    """Localize a bag live over DDS; logs and recordings go to ``folder``.

    Args:
        parameters: of the node `localizer`, nested by dots in their names.
        remappings: of the node's topics, to names in the bag.
        rate: playing speed. loop_seconds: play the bag over and over for so long; 0: once.

    Raises ``LiveError``, naming the log, if a process fails. Whatever happens, none survives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("sent.csv", "live.tum", "poses.csv", "latency.csv", "summary.json"):
        (folder / stale).unlink(missing_ok=True)
    (folder / "localize.yaml").write_text(
        yaml.safe_dump({"localizer": {"ros__parameters": parameters}})
    )
    sent = folder / "sent.csv"
    with Children(folder) as children:
        localizer = children.start(
            "localizer_node",
            "--ros-args",
            "--params-file",
            folder / "localize.yaml",
            *(part for a, b in (remappings or {}).items() for part in ("-r", f"{a}:={b}")),
        )
        recorder = children.start("pose_recorder", folder, "--sent-log", sent)
        player = children.start(
            "bag_player",
            bag,
            "--rate",
            rate,
            "--clock",
            "--log",
            sent,
            "--wait-for-subscribers",
            READY_TIMEOUT,
            *(["--loop"] if loop_seconds else []),
        )
        children.wait_for_line(localizer, "active; images from", fatal="failed: ")
        memory = _watch(
            children,
            localizer,
            player,
            loop_seconds or bag_seconds / rate,
            bool(loop_seconds),
            progress,
        )
        time.sleep(LAST_WORD)
        children.end(recorder)
        children.end(localizer)
    return _read(folder, memory)


def free_domain() -> int:
    """A ROS domain that nobody on this machine uses, kept for this process until it ends.

    Its discovery port (DDSI-RTPS, 9.6.1.1) is free, and a locked file keeps others that ask here
    from choosing it before the first participant has taken the port.
    """
    for domain in random.SystemRandom().sample(range(1, 102), 101):
        if not _lock_domain(domain):
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7410 + 250 * domain))
                return domain
            except OSError:
                _domain_locks.pop(domain).close()
    raise LiveError("all ROS domains of this machine are in use; end some of its ROS programs")


def _lock_domain(domain: int) -> bool:
    path = Path(tempfile.gettempdir()) / f"pixloc_ros_domain_{domain}.lock"
    try:
        file = path.open("a")
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _domain_locks[domain] = file
    return True


class Children:
    """Processes in one ROS domain of their own; leaving the context ends them all."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._running: dict[subprocess.Popen, Path] = {}
        # Apart from other ROS graphs on this machine and network.
        self._environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(free_domain()),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONUNBUFFERED": "1",
        }

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_) -> None:
        for number in (signal.SIGINT, signal.SIGKILL):
            for process in self._running:
                if process.poll() is None:
                    process.send_signal(number)
            deadline = time.monotonic() + END_TIMEOUT
            for process in self._running:
                try:
                    process.wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    continue

    def start(self, module: str, *arguments: object) -> subprocess.Popen:
        """Start ``pixloc_ros.ros.<module>``; what it prints goes to ``<module>.log``."""
        log = self._folder / f"{module}.log"
        with log.open("wb") as stream:
            # A session of its own: Ctrl-C reaches us alone, and we end the children in order.
            process = subprocess.Popen(
                [sys.executable, "-m", f"pixloc_ros.ros.{module}", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._running[process] = log
        return process

    def wait_for_line(self, process: subprocess.Popen, text: str, fatal: str) -> None:
        """Wait until a child prints ``text``; ``LiveError`` if it prints ``fatal`` or is slow."""
        deadline = time.monotonic() + READY_TIMEOUT
        while text not in (printed := self._running[process].read_text(errors="replace")):
            self.check(process)
            if fatal in printed:
                self.fail(process, "could not start")
            if time.monotonic() > deadline:
                self.fail(process, f"was not ready within {READY_TIMEOUT:g} s")
            time.sleep(0.1)

    def check(self, process: subprocess.Popen) -> None:
        """``LiveError`` if a child that should be running has ended."""
        if process.poll() is not None:
            self.fail(process, f"ended with status {process.returncode}")

    def finish(self, process: subprocess.Popen) -> None:
        """Forget a child that ended by itself; ``LiveError`` unless with status 0."""
        if process.returncode != 0:
            self.fail(process, f"ended with status {process.returncode}")
        del self._running[process]

    def end(self, process: subprocess.Popen) -> None:
        """Interrupt a child and wait until it is done."""
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.fail(process, f"did not end within {END_TIMEOUT:g} s of an interrupt")
        self.finish(process)

    def fail(self, process: subprocess.Popen, what: str) -> None:
        """``LiveError`` with a child's name, what is wrong, its log and the log's last lines."""
        log = self._running[process]
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-4:]
        raise LiveError(f"{log.stem} {what}; log: {log}\n" + "\n".join(f"  {s}" for s in last))


def _watch(
    children: Children,
    localizer: subprocess.Popen,
    player: subprocess.Popen,
    seconds: float,
    looping: bool,
    progress: Progress | None,
) -> tuple[list[float], list[float]]:
    """Wait until the bag was played; the node's memory (seconds, MB) meanwhile."""
    times, megabytes, begin = [], [], time.monotonic()
    while player.poll() is None:
        children.check(localizer)
        now = time.monotonic() - begin
        if not times or now - times[-1] >= 1.0:
            times.append(now)
            megabytes.append(resident_mb(localizer.pid))
        if progress:
            progress(min(int(now), int(seconds)), int(seconds), "live, seconds")
        if looping and now > seconds:
            children.end(player)
            return times, megabytes
        if now > seconds + SLACK:
            children.fail(player, f"is not done after {now:.0f} s")
        time.sleep(0.1)
    children.finish(player)
    if progress:
        progress(int(seconds), int(seconds), "live, seconds")
    return times, megabytes


def _read(folder: Path, memory: tuple[list[float], list[float]]) -> LiveRun:
    summary = json.loads((folder / "summary.json").read_text())
    if not summary["poses"]:
        raise LiveError(f"no pose was published; see {folder / 'localizer_node.log'}")
    try:
        parts = {name: entry["last"]["values"] for name, entry in summary["diagnostics"].items()}
        counts = [
            int(parts["pose"]["frames"]),
            int(parts["pose"]["accepted"]),
            int(parts["pose"]["starting"]),
            int(parts["timing"]["dropped"]),
        ]
    except KeyError as error:
        raise DataError(f"{folder / 'summary.json'} lacks {error}") from error
    return LiveRun(read_live(folder), summary["rate_hz"] or 0.0, *counts, memory)

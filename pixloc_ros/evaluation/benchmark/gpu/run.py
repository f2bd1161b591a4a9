"""The parts of the run, each in a process of its own: one that fails or hangs leaves the others.

A part gets its share of the time that is left, and what it does not use goes to those after it.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pixloc_ros.evaluation.benchmark.gpu import row as rows
from pixloc_ros.evaluation.benchmark.gpu.frames import Bench, measure_scene, network
from pixloc_ros.evaluation.benchmark.gpu.learning import measure_training
from pixloc_ros.evaluation.benchmark.gpu.pack import Pack
from pixloc_ros.evaluation.benchmark.gpu.row import Row

TESTS = Path(__file__).resolve().parents[4] / "test" / "cuda"
#: Parts in their order, and the shares of the time that they ask for.
PARTS = {"tests": 1.5, "small": 1.2, "vgg19": 1.2, "training": 1.2}
#: Of its share a part plans to use this much: the rest is for what it cannot plan.
PLANNED = 0.75
#: No process is stopped sooner: on a busy machine its start alone takes many seconds.
LEAST_SECONDS = 50.0


@dataclass(frozen=True)
class Settings:
    """pack, out: folders. device: "cuda" or "cpu". minutes: for everything together. parts: of
    `PARTS`, those to run."""

    pack: Path
    out: Path
    device: str
    minutes: float = 4.0
    parts: tuple[str, ...] = tuple(PARTS)


def run(settings: Settings, tell: Callable[[str], None]) -> list[Row]:
    """Run the parts; `tell` gets a line before and after each. The rows of all of them."""
    end = time.monotonic() + 60 * settings.minutes
    settings.out.mkdir(parents=True, exist_ok=True)
    found = []
    for number, part in enumerate(settings.parts):
        left = end - time.monotonic()
        seconds = left * PARTS[part] / sum(PARTS[later] for later in settings.parts[number:])
        tell(f"{part}: {seconds:.0f} s of {left:.0f}")
        begin = time.monotonic()
        measured = _in_a_process(part, settings, seconds)
        tell(f"{part}: {len(measured)} rows in {time.monotonic() - begin:.0f} s")
        found += measured
    return found


def _in_a_process(part: str, settings: Settings, seconds: float) -> list[Row]:
    file = settings.out / f"{part}.jsonl"
    file.unlink(missing_ok=True)
    begin = time.monotonic()  # the same clock in all processes
    context = multiprocessing.get_context("spawn")  # a device in use must not be forked
    process = context.Process(target=_work, args=(part, settings, file, begin + seconds * PLANNED))
    process.start()
    limit = max(seconds, LEAST_SECONDS)
    process.join(limit)
    why = ""
    if process.is_alive():
        process.terminate()
        process.join(5)
        process.kill()
        why = f"not done after {limit:.0f} s"
    elif process.exitcode:
        why = f"its process ended with status {process.exitcode}"
    process.join()
    found = rows.read(file)
    return [*found, Row(part, "", note=why, failed=True)] if why else found


def _work(part: str, settings: Settings, file: Path, end: float) -> None:
    """One part, in its process: every row is written as soon as it is there."""
    device = torch.device(settings.device)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for row in _measure(part, settings, device, Path(scratch), end):
                rows.append(file, row)
    except Exception as error:
        traceback.print_exc()
        note = f"{type(error).__name__}: {error}"
        rows.append(file, Row(part, "", note=note, failed=True))


def _measure(
    part: str, settings: Settings, device: torch.device, scratch: Path, end: float
) -> Iterator[Row]:
    if part == "tests":
        yield _test(settings, end)
        return
    pack = Pack.open(settings.pack)
    if part == "training":
        yield from measure_training(pack, scratch, device, end - time.monotonic())
        return
    checkpoint, scenes = network(part), pack.scenes()
    for number, scene in enumerate(scenes):
        bench = Bench(part, checkpoint, scene, scratch / scene.name, device)
        yield from measure_scene(bench, (end - time.monotonic()) / (len(scenes) - number))


def _test(settings: Settings, end: float) -> Row:
    """The tests marked `cuda`, on the device of the run; their output is kept as tests.log."""
    begin = time.monotonic()
    report, log = (settings.out.absolute() / name for name in ("tests.xml", "tests.log"))
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", str(TESTS), "--device", settings.device]
    with log.open("w") as stream:
        status = subprocess.run(
            [*command, f"--junitxml={report}", "-p", "no:cacheprovider"],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=TESTS.parents[1],
            check=False,
            timeout=end - begin,
        ).returncode
    if not report.is_file():
        return Row("tests", "", note=f"pytest ended with status {status}: see {log}", failed=True)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    total, failed, skipped = (
        sum(int(suite.get(name)) for name in names)
        for names in (("tests",), ("failures", "errors"), ("skipped",))
    )
    names = [
        case.get("name")
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    note = f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped"
    note += f" in {time.monotonic() - begin:.0f} s"
    if names:
        note += f" ({', '.join(names)}): see {log}"
    return Row("tests", f"on {settings.device}", note=note, failed=bool(status))

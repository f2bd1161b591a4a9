"""Does memory grow? The resident set of a process over time, and its slope."""

from __future__ import annotations

import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.runner import run_drive


@dataclass(frozen=True)
class MemoryTrend:
    """Resident memory, the first fifth left out: least and most (MB), and slope by least squares.

    ``slope_mb_per_hour`` is per hour of wall-clock time. An allocator that gives tens of megabytes
    back and takes them again changes the slope by as much: a leak exceeds the range as well.
    """

    lowest_mb: float
    highest_mb: float
    slope_mb_per_hour: float
    samples: int

    def __str__(self) -> str:
        return (
            f"{self.lowest_mb:.0f} to {self.highest_mb:.0f} MB, {self.slope_mb_per_hour:+.1f} MB/h"
        )


def resident_mb(pid: int | None = None) -> float:
    """Resident set of a process in MB (of this one by default), from /proc."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def trend(seconds: list[float], megabytes: list[float]) -> MemoryTrend:
    """Fit the samples; start-up (allocator pools, first tiles) is not part of the slope."""
    first = len(seconds) // 5
    later, slope = megabytes[first:], np.nan
    if len(later) >= 2:
        slope = np.polyfit(seconds[first:], later, 1)[0] * 3600
    return MemoryTrend(min(later), max(later), float(slope), len(seconds))


def loop_drive(
    localizer: Localizer,
    tracker: Tracker,
    drive: Drive,
    loops: int,
    progress: Progress | None = None,
) -> MemoryTrend:
    """Run a drive over and over with one tracker and watch this process's memory."""
    seconds, megabytes, begin = [], [], time.monotonic()
    for loop in range(loops):
        run_drive(localizer, tracker, drive)
        gc.collect()
        seconds.append(time.monotonic() - begin)
        megabytes.append(resident_mb())
        if progress:
            progress(loop + 1, loops, "memory loops")
    return trend(seconds, megabytes)

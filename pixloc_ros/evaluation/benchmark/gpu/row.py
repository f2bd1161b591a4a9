"""One line of the table: what a part of the run measured, or why it could not."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from pixloc_ros.evaluation.report import Table

NONE = float("nan")


@dataclass(frozen=True)
class Row:
    """part: of the run. what: was measured, and on images of which size.

    median_ms, p95_ms: of one unit of work, which `rate` counts per second (frames, keyframes,
    pairs). network_ms, points_ms, align_ms: medians of the parts of a frame, each waited for.
    memory_mb: most of the device's memory that was in use. error_m, error_deg: median errors. NaN:
    not measured.
    """

    part: str
    what: str
    size: str = ""
    median_ms: float = NONE
    p95_ms: float = NONE
    rate: float = NONE
    network_ms: float = NONE
    points_ms: float = NONE
    align_ms: float = NONE
    memory_mb: float = NONE
    error_m: float = NONE
    error_deg: float = NONE
    note: str = ""
    failed: bool = False

    def to_dict(self) -> dict:
        """As JSON wants it: without what was not measured."""
        return {
            name: value
            for name, value in asdict(self).items()
            if not (isinstance(value, float) and math.isnan(value))
        }


def append(path: Path, row: Row) -> None:
    """One more line in a file of rows, which a process that dies later leaves behind."""
    with path.open("a") as stream:
        stream.write(json.dumps(row.to_dict()) + "\n")


def read(path: Path) -> list[Row]:
    """The rows of such a file; none if it is not there."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [Row(**json.loads(line)) for line in lines]


def table(title: str, rows: list[Row]) -> Table:
    """All rows under one header; failures say so in their last cell."""
    header = ("", "size", "", "median ms", "p95", "per s", "network", "points", "align")
    cells = tuple(
        (
            row.part,
            row.size,
            row.what,
            *(
                "" if math.isnan(value) else f"{value:.{digits}f}"
                for value, digits in (
                    (row.median_ms, 2),
                    (row.p95_ms, 2),
                    (row.rate, 1),
                    (row.network_ms, 2),
                    (row.points_ms, 2),
                    (row.align_ms, 2),
                    (row.memory_mb, 0),
                    (100 * row.error_m, 1),
                    (row.error_deg, 2),
                )
            ),
            ("FAILED: " if row.failed else "") + row.note,
        )
        for row in rows
    )
    return Table(title, (*header, "MB", "cm", "deg", ""), cells)

"""The time of recorded messages: their header stamps, or the log's where those are of no use."""

from __future__ import annotations

import logging

import numpy as np

log = logging.getLogger(__name__)


def usable_times(
    what: str, stamps_ns: np.ndarray, logs_ns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(rows (M,), times (M,)) of the messages to use, in the order of their times.

    stamps_ns, logs_ns (N,): header stamps, and when each message was recorded. A message whose
    stamp is 0 or that of a message before it is left out; where more than half would be, the driver
    sets no stamps, and the log's times stand for all of them. Either is said once, in a warning
    that begins with `what`.
    """
    rows = _first_of_each(stamps_ns)
    if 2 * len(rows) >= len(stamps_ns):
        if len(rows) < len(stamps_ns):
            count = len(stamps_ns) - len(rows)
            log.warning("%s: %d messages left out: their stamps are 0 or repeated", what, count)
        return rows, stamps_ns[rows]
    zero = float(np.mean(stamps_ns <= 0)) > 0.5
    log.warning(
        "%s: most header stamps are %s; the times of recording are used, which come later "
        "(let the driver set header.stamp)",
        what,
        "0" if zero else "equal",
    )
    rows = _first_of_each(logs_ns)
    return rows, logs_ns[rows]


def _first_of_each(times_ns: np.ndarray) -> np.ndarray:
    """Rows of the first message of each time above 0, in the order of the times."""
    times, rows = np.unique(times_ns, return_index=True)
    return rows[times > 0]

"""The thread that owns the device: newest job wins."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any

# In intervals at which jobs come: a job older than the first is left for its successor, and that
# is waited for until the second.
STALE, OVERDUE = 0.7, 1.25


class Worker:
    """Runs `work(job)` on a thread of its own and hands what it returns to `deliver`.

    One job waits at most: a newer one takes its place, because a pose of an old image helps nobody.
    For the same reason a job that grew old while the worker was busy is not begun when the next is
    due in a moment: the work would keep that one waiting for longer than it is ahead. (Not to take
    the next job at once can make results fresher: Sun et al., "Update or Wait", IEEE Transactions
    on Information Theory, 2017.)

    `deliver` is called on the worker's thread and must return at once. `work` must not raise; if it
    does all the same, the exception itself is delivered and the thread lives on.
    """

    def __init__(
        self,
        work: Callable[[Any], Any],
        deliver: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._work = work
        self._deliver = deliver
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: Any = None
        self._submitted: deque[float] = deque(maxlen=6)  # when jobs came, by the clock
        self._busy_since: float | None = None
        self._discarded = False  # the outcome of the current job
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="localizer_worker", daemon=True)
        self._thread.start()

    def submit(self, job: Any) -> bool:
        """Leave a job. True if it took the place of one that nobody had begun."""
        with self._changed:
            replaced = self._waiting is not None
            self._waiting = job
            self._submitted.append(self._clock())
            self._changed.notify()
        return replaced

    def discard(self) -> None:
        """Forget the waiting job, and what will become of the one that has begun."""
        with self._changed:
            self._waiting = None
            self._discarded = True

    def busy_for(self) -> float:
        """Seconds since the current job began, 0 when idle."""
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End the thread after its current job; False if that job did not end in time."""
        with self._changed:
            self._stopping = True
            self._waiting = None
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting is not None)
                self._await_successor()
                if self._stopping:
                    return
                if self._waiting is None:  # discarded meanwhile
                    continue
                job, self._waiting, self._discarded = self._waiting, None, False
                self._busy_since = self._clock()
            try:
                outcome = self._work(job)
            except Exception as error:  # whatever it is, the next frame gets its chance
                outcome = error
            self._busy_since = None
            with self._changed:
                if not self._discarded:
                    self._deliver(outcome)

    def _await_successor(self) -> None:
        """Be patient with the waiting job, holding the lock: another may take its place."""
        job = self._waiting
        self._changed.wait_for(
            lambda: self._stopping or self._waiting is not job,
            patience(list(self._submitted), self._clock()),
        )


def patience(submitted: list[float], now: float) -> float:
    """Seconds to wait for the successor of a job; 0 if it is to be begun at once.

    submitted: when that job and some before it came, oldest first, in seconds as `now`.
    """
    if len(submitted) < 2:
        return 0.0
    interval = median(after - before for before, after in itertools.pairwise(submitted))
    age = now - submitted[-1]
    return OVERDUE * interval - age if STALE * interval < age < OVERDUE * interval else 0.0

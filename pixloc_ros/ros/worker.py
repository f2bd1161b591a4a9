"""The thread that owns the device: newest job wins."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Worker:
    """Runs `work(job)` on a thread of its own and hands what it returns to `deliver`.

    One job waits at most: a newer one takes its place, because a pose of an old image helps nobody.
    `deliver` is called on the worker's thread. `work` must not raise; if it does all the same, the
    exception itself is delivered and the thread lives on.
    """

    def __init__(self, work: Callable[[Any], Any], deliver: Callable[[Any], None]):
        self._work = work
        self._deliver = deliver
        self._changed = threading.Condition()
        self._waiting: Any = None
        self._busy_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="localizer_worker", daemon=True)
        self._thread.start()

    def submit(self, job: Any) -> bool:
        """Leave a job. True if it took the place of one that nobody had begun."""
        with self._changed:
            replaced = self._waiting is not None
            self._waiting = job
            self._changed.notify()
        return replaced

    def discard(self) -> None:
        """Forget the waiting job; one that has begun is finished."""
        with self._changed:
            self._waiting = None

    def busy_for(self) -> float:
        """Seconds since the current job began, 0 when idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

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
                if self._stopping:
                    return
                job, self._waiting = self._waiting, None
                self._busy_since = time.monotonic()
            try:
                outcome = self._work(job)
            except Exception as error:  # whatever it is, the next frame gets its chance
                outcome = error
            self._busy_since = None
            self._deliver(outcome)

"""Frames of a session in order, on all cores: while one is used the next ones are rendered."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from pixloc_ros.synthetic.drive import Session


class RenderAhead:
    """Callable (index) -> (H,W,3) uint8 RGB, as `session.image`, quickest when called in order.

    One thread per core, each rendering a frame of its own with single-threaded tensor operations:
    the operations are too small to be worth splitting.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._workers = len(os.sched_getaffinity(0))
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[int, Future] = {}

    def __call__(self, index: int) -> np.ndarray:
        if self._pool is None:
            threads = torch.get_num_threads()
            self._pool = ThreadPoolExecutor(
                self._workers, "render", lambda: torch.set_num_threads(1)
            )
            first = self._pool.submit(self._session.image, index).result()
            torch.set_num_threads(threads)  # what the workers set holds for them alone
            return first
        wanted = range(index, min(index + 2 * self._workers, len(self._session)))
        for k in [k for k in self._pending if k not in wanted]:
            self._pending.pop(k).cancel()
        for k in wanted:
            if k not in self._pending:
                self._pending[k] = self._pool.submit(self._session.image, k)
        return self._pending.pop(index).result()

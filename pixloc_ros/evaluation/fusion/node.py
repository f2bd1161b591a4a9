"""What `ekf_node` does around its filter: queue, history of states, replay of late measurements."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass

import numpy as np

from pixloc_ros.evaluation.fusion.ekf import Ekf, Measurement, Verdict
from pixloc_ros.evaluation.fusion.inputs import Input, PoseMessage
from pixloc_ros.evaluation.fusion.settings import FilterSettings


@dataclass(frozen=True)
class Estimate:
    """State (15,) and covariance (15, 15) that hold at a stamp."""

    stamp_ns: int
    state: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Fused:
    """The latest outcome of a measurement (a replay decides again), and the estimate after it."""

    measurement: Measurement
    verdict: Verdict
    estimate: Estimate


class FilterNode:
    """One `ekf_node`: messages go in as they arrive, `update` is its timer.

    Measurements are worked off in the order of their stamps at the next update. One that is older
    than the filter reverts it, with smooth_lagged_data, to the newest state before that stamp, and
    everything since is processed again; without, it corrects the present state as if it were
    of the present.
    """

    def __init__(self, settings: FilterSettings):
        self.settings = settings
        self.fused: dict[int, Fused] = {}
        self._inputs = {s.name: Input(s, settings.two_d_mode) for s in settings.inputs}
        self._filter = Ekf(
            settings.process_noise, settings.initial_covariance, settings.noise_by_speed
        )
        self._numbers = itertools.count()
        self._queue: list[tuple[int, int, Measurement]] = []
        self._measurements: deque[tuple[int, int, Measurement]] = deque()
        self._states: deque[Estimate] = deque()
        self._published_ns = -1

    def receive(self, name: str, message: PoseMessage) -> None:
        """A message of the input `name` (odom0, pose0) has arrived."""
        for measurement in self._inputs[name].take(message):
            heapq.heappush(self._queue, (measurement.stamp_ns, next(self._numbers), measurement))

    def update(self, now_ns: int) -> Estimate | None:
        """One turn of the timer; what it publishes, or None where that would repeat a stamp."""
        self._integrate(now_ns)
        if not self._filter.initialized:
            return None
        horizon = self._filter.stamp_ns - round(self.settings.history_length * 1e9)
        while self._measurements and self._measurements[0][0] < horizon:
            self._measurements.popleft()
        while self._states and self._states[0].stamp_ns < horizon:
            self._states.popleft()
        if self._filter.stamp_ns <= self._published_ns and not self.settings.republish_corrected:
            return None
        self._published_ns = self._filter.stamp_ns
        return self._estimate()

    def _integrate(self, now_ns: int) -> None:
        to_now = self.settings.predict_to_current_time
        if self._queue:
            oldest_ns = self._queue[0][0]
            if self.settings.smooth_lagged_data and oldest_ns < self._filter.stamp_ns:
                self._revert(oldest_ns)
            while self._queue and self._queue[0][0] <= now_ns:
                self._process(heapq.heappop(self._queue))
        elif now_ns - self._filter.stamp_ns >= self.settings.sensor_timeout * 1e9:
            to_now = True
        if to_now and self._filter.initialized and now_ns > self._filter.stamp_ns:
            self._filter.predict(now_ns)

    def _process(self, entry: tuple[int, int, Measurement]) -> None:
        _stamp_ns, number, measurement = entry
        verdict = self._filter.process(measurement)
        self.fused[number] = Fused(measurement, verdict, self._estimate())
        if not self.settings.smooth_lagged_data:
            return
        self._measurements.append(entry)
        if not self._queue or self._queue[0][0] != self._filter.stamp_ns:
            self._states.append(self._estimate())

    def _revert(self, stamp_ns: int) -> None:
        """Go back to the newest state before a stamp, or the oldest there is, and queue what was
        measured since."""
        state = None
        while self._states and self._states[-1].stamp_ns >= stamp_ns:
            state = self._states.pop()
        if self._states:
            state = self._states[-1]
        if state is None:
            return
        self._filter.state, self._filter.covariance = state.state, state.covariance
        self._filter.stamp_ns = state.stamp_ns
        while self._measurements and self._measurements[-1][0] >= stamp_ns:
            entry = self._measurements.pop()
            if entry[0] >= state.stamp_ns:
                heapq.heappush(self._queue, entry)

    def _estimate(self) -> Estimate:
        return Estimate(self._filter.stamp_ns, self._filter.state, self._filter.covariance)

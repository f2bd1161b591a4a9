"""Where time begins anew (a bag that loops, a simulation that was reset); which stamps are bad."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

#: Stamps may lie this far (ns) behind the newest of their topic, before they are out of line.
BACKWARDS_NS = 500_000_000
#: And so far (ns) ahead, beyond the time that has passed meanwhile.
AHEAD_NS = 5_000_000_000
#: So many messages in a row, whose stamps follow each other, are believed against those before.
AGREED = 3
#: Messages of the old time may still arrive this long (s) after the new one has begun.
GRACE_S = 1.0


class Moment(Enum):
    """What a stamp says of time."""

    CURRENT = "current"
    BEGINNING = "beginning"  # time has jumped back
    STALE = "stale"  # sent before it jumped
    BAD = "bad"  # does not follow those before it; alone it says nothing


class Timeline:
    """Tells the stamps of one run of time from those of the run before it, and from bad ones.

    Clock, odometry and images all notice a jump, within milliseconds and in any order, and messages
    that were sent before it may come after it. One jump is one beginning, whoever notices it first.
    The clock is believed at once; of messages it takes several in a row that agree.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self.restart()

    def restart(self) -> None:
        """Forget all stamps; what comes next is current."""
        self._newest: dict[str, int] = {}
        self._heard: dict[str, float] = {}  # when the newest came
        self._odd: list[tuple[str, int]] = []  # out of line, in a row: source and stamp
        self._jump: tuple[int, int, float] | None = None  # last old stamp, first new one, when

    def is_new(self, stamp_ns: int) -> bool:
        """Whether a stamp that was bad belongs to the time that has begun since."""
        return self._jump is not None and abs(stamp_ns - self._jump[1]) < AHEAD_NS

    def stamp(self, source: str, stamp_ns: int) -> Moment:
        """A message of a source (a topic) came with this stamp."""
        if self._is_stale(stamp_ns):
            return Moment.STALE
        newest = self._newest.get(source, stamp_ns)
        if not self._is_in_line(source, stamp_ns):
            if not self._is_agreed(source, stamp_ns):
                return Moment.BAD
            if stamp_ns < newest:
                return self._begin(stamp_ns)
        self._odd = [odd for odd in self._odd if odd[0] != source]
        self._newest[source], self._heard[source] = max(stamp_ns, newest), self._steady()
        return Moment.CURRENT

    def clock(self, now_ns: int) -> Moment:
        """The clock jumped back, to now: a beginning unless messages of the new time came first."""
        if max(self._newest.values(), default=now_ns) > now_ns + BACKWARDS_NS:
            return self._begin(now_ns)
        return Moment.CURRENT

    def _begin(self, stamp_ns: int) -> Moment:
        self._jump = max(self._newest.values()), stamp_ns, self._steady()
        self._newest, self._heard, self._odd = {}, {}, []
        return Moment.BEGINNING

    def _is_in_line(self, source: str, stamp_ns: int) -> bool:
        if source not in self._newest:
            return stamp_ns > 0
        ahead_ns = stamp_ns - self._newest[source]
        passed_ns = (self._steady() - self._heard[source]) * 1e9
        return -BACKWARDS_NS <= ahead_ns <= AHEAD_NS + passed_ns

    def _is_agreed(self, source: str, stamp_ns: int) -> bool:
        """Whether this stamp and those out of line before it tell the same time."""
        follows = stamp_ns > max((s for name, s in self._odd if name == source), default=0)
        self._odd = [odd for odd in self._odd if follows and abs(odd[1] - stamp_ns) < AHEAD_NS] + [
            (source, stamp_ns)
        ]
        return len(self._odd) >= AGREED

    def _is_stale(self, stamp_ns: int) -> bool:
        if self._jump is None:
            return False
        last_old, first_new, jumped = self._jump
        newest = max(self._newest.values(), default=first_new)
        late = self._steady() - jumped < GRACE_S
        return late and abs(stamp_ns - last_old) < abs(stamp_ns - newest)

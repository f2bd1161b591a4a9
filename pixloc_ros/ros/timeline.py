"""Where time begins anew: a bag that loops, a simulation that was reset."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

#: Stamps may lie this far (ns) behind the newest of their topic before time counts as reset.
BACKWARDS_NS = 500_000_000
#: Messages of the old time may still arrive this long (s) after the new one has begun.
GRACE_S = 1.0


class Moment(Enum):
    """What a stamp says of time."""

    CURRENT = "current"
    BEGINNING = "beginning"  # time has jumped back
    STALE = "stale"  # sent before it jumped


class Timeline:
    """Tells the stamps of one run of time from those of the run before it.

    Clock, odometry and images all notice a jump, within milliseconds and in any order, and messages
    that were sent before it may come after it. One jump is one beginning, whoever notices it first.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self.restart()

    def restart(self) -> None:
        """Forget all stamps; what comes next is current."""
        self._newest: dict[str, int] = {}
        self._jump: tuple[int, int, float] | None = None  # last old stamp, first new one, when

    def stamp(self, source: str, stamp_ns: int) -> Moment:
        """A message of a source (a topic) came with this stamp."""
        if self._is_stale(stamp_ns):
            return Moment.STALE
        if stamp_ns < self._newest.get(source, stamp_ns) - BACKWARDS_NS:
            return self._begin(stamp_ns)
        self._newest[source] = max(stamp_ns, self._newest.get(source, stamp_ns))
        return Moment.CURRENT

    def clock(self, now_ns: int) -> Moment:
        """The clock jumped back, to now: a beginning unless messages of the new time came first."""
        if max(self._newest.values(), default=now_ns) > now_ns + BACKWARDS_NS:
            return self._begin(now_ns)
        return Moment.CURRENT

    def _begin(self, stamp_ns: int) -> Moment:
        self._jump = max(self._newest.values()), stamp_ns, self._steady()
        self._newest = {}
        return Moment.BEGINNING

    def _is_stale(self, stamp_ns: int) -> bool:
        if self._jump is None:
            return False
        last_old, first_new, jumped = self._jump
        newest = max(self._newest.values(), default=first_new)
        late = self._steady() - jumped < GRACE_S
        return late and abs(stamp_ns - last_old) < abs(stamp_ns - newest)

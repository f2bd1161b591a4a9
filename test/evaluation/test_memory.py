"""The trend of a process's memory."""

import pytest

from pixloc_ros.evaluation.benchmark.memory import trend


def test_a_leak_shows_and_the_start_does_not():
    seconds = [60.0 * i for i in range(10)]
    megabytes = [100.0, 300.0, *(500.0 + i for i in range(8))]
    found = trend(seconds, megabytes)
    assert (found.lowest_mb, found.highest_mb, found.samples) == (500.0, 507.0, 10)
    assert found.slope_mb_per_hour == pytest.approx(60.0)
    assert str(found) == "500 to 507 MB, +60.0 MB/h"

"""The mailbox: newest wins, faults are delivered, the thread ends."""
import threading

import pytest

pytest.importorskip("rclpy")

from pixloc_ros.ros.worker import Worker  # noqa: E402


def test_newest_job_wins_and_the_replaced_ones_are_counted(until):
    gate, done = threading.Event(), []
    worker = Worker(lambda job: (gate.wait(5), job)[1], done.append)
    assert worker.submit(0) is False
    assert until(lambda: worker.busy_for() > 0)
    assert [worker.submit(i) for i in range(1, 6)] == [False, True, True, True, True]
    gate.set()
    assert until(lambda: done == [0, 5])
    assert worker.stop()


def test_an_exception_is_delivered_and_the_next_job_runs(until):
    done = []
    worker = Worker(lambda job: 1 / job, done.append)
    worker.submit(0)
    assert until(lambda: len(done) == 1)
    worker.submit(2)
    assert until(lambda: len(done) == 2)
    assert isinstance(done[0], ZeroDivisionError) and done[1] == 0.5
    assert worker.stop()


def test_discarded_jobs_are_not_run(until):
    gate, done = threading.Event(), []
    worker = Worker(lambda job: (gate.wait(5), job)[1], done.append)
    worker.submit("running")
    assert until(lambda: worker.busy_for() > 0)
    worker.submit("waiting")
    worker.discard()
    gate.set()
    assert until(lambda: done == ["running"])
    assert worker.stop() and done == ["running"]

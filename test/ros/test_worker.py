"""The mailbox: newest wins, faults are delivered, the thread ends."""

import threading
import time

import pytest

pytest.importorskip("rclpy")

from pixloc_ros.ros.worker import Worker, patience


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


def test_discarded_jobs_are_not_run_and_those_begun_not_delivered(until):
    gate, begun, done = threading.Event(), [], []
    worker = Worker(lambda job: (begun.append(job), gate.wait(5), job)[2], done.append)
    worker.submit("running")
    assert until(lambda: begun)
    worker.submit("waiting")
    worker.discard()
    gate.set()
    worker.submit("after")
    assert until(lambda: done)
    assert worker.stop() and begun == ["running", "after"] and done == ["after"]


@pytest.mark.parametrize(
    "submitted, now, expected",
    [
        ([], 5.0, 0.0),  # nothing known of the intervals
        ([10.0], 10.9, 0.0),
        ([8.0, 9.0, 10.0], 10.0, 0.0),  # fresh
        ([8.0, 9.0, 10.0], 10.6, 0.0),  # half the way: begun
        ([8.0, 9.0, 10.0], 10.9, 0.35),  # the next is due in 0.1
        ([8.0, 9.0, 10.0], 11.1, 0.15),  # it is a little late
        ([8.0, 9.0, 10.0], 11.5, 0.0),  # it does not come
        ([1.0, 8.0, 9.0, 10.0], 10.9, 0.35),  # a gap long ago does not count
    ],
)
def test_patience_is_for_stale_jobs_whose_successor_is_due(submitted, now, expected):
    assert patience(submitted, now) == pytest.approx(expected)


def test_a_stale_job_is_left_for_its_successor(until):
    now, gate, begun, done = [0.0], threading.Event(), [], []
    worker = Worker(
        lambda job: (begun.append(job), gate.wait(5), job)[2], done.append, clock=lambda: now[0]
    )
    for job in range(3):
        now[0] = 1000.0 * job
        worker.submit(job)
        assert until(lambda: begun)
    now[0] = 2900.0
    gate.set()
    assert until(lambda: done == [0])
    time.sleep(0.05)  # enough to begin job 2, if it would
    worker.submit(3)
    assert until(lambda: len(done) == 2)
    assert worker.stop() and done == [0, 3]

"""A recording must give what the function gives, for every size, and only where it is allowed."""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from pixloc_ros.core import recording
from pixloc_ros.core.recording import Recorded


@dataclass(frozen=True, eq=False)
class Line:
    slope: Tensor
    name: str


class Both(NamedTuple):
    line: Line
    values: list[Tensor]
    power: int


class Counted:
    """Straight lines through many numbers; counts how often Python ran it."""

    def __init__(self):
        self.calls = 0

    def __call__(self, line: Line, x: Tensor, power: int) -> Both:
        self.calls += 1
        rows = x.expand(2, *x.shape).reshape(-1, x.shape[-1])
        return Both(line, [rows * line.slope**power, rows.sum(0)], power)


@pytest.fixture
def counted():
    return Counted()


@torch.no_grad()
def test_a_recording_serves_all_sizes_and_values(counted):
    recorded = Recorded(counted)
    for n, slope in ((3, 2.0), (7, -1.0), (1, 0.5)):
        line, x = Line(torch.tensor(slope), "a"), torch.rand(n, n + 1)
        got, expected = recorded(line, x, 2), Counted()(line, x, 2)
        assert (got.line.name, got.power, type(got.values)) == ("a", 2, list)
        torch.testing.assert_close(got.line.slope, line.slope)
        for a, b in zip(got.values, expected.values, strict=True):
            torch.testing.assert_close(a, b, atol=0, rtol=0)
    assert counted.calls == 1


@torch.no_grad()
@pytest.mark.parametrize("change", ["number", "name", "dtype", "dimensions"])
def test_another_form_is_recorded_anew(counted, change):
    recorded = Recorded(counted)
    line, x, power = Line(torch.tensor(2.0), "a"), torch.rand(2, 3), 2
    recorded(line, x, power)
    if change == "number":
        power = 3
    elif change == "name":
        line = Line(line.slope, "b")
    elif change == "dtype":
        x = x.double()
    else:
        x = x[None]
    got, expected = recorded(line, x, power), Counted()(line, x, power)
    assert counted.calls == 2 and got.line.name == line.name
    torch.testing.assert_close(got.values[0], expected.values[0], atol=0, rtol=0)


def test_gradients_flow_because_nothing_is_recorded(counted):
    recorded = Recorded(counted)
    slope = torch.tensor(2.0, requires_grad=True)
    for _ in range(2):
        recorded(Line(slope, "a"), torch.ones(2, 3), 1).values[0].sum().backward()
    assert counted.calls == 2 and slope.grad == 24


@torch.no_grad()
def test_the_oldest_recording_gives_way(counted, monkeypatch):
    monkeypatch.setattr(recording, "MOST_RECORDINGS", 2)
    recorded = Recorded(counted)
    for power in (1, 2, 3, 3, 2, 1):
        recorded(Line(torch.tensor(2.0), "a"), torch.ones(1, 1), power)
    assert counted.calls == 4


@torch.no_grad()
def test_a_copy_records_for_itself(counted):
    recorded = Recorded(counted)
    arguments = Line(torch.tensor(2.0), "a"), torch.ones(2, 2), 1
    recorded(*arguments)
    copied = copy.deepcopy(recorded)
    torch.testing.assert_close(copied(*arguments).values[0], recorded(*arguments).values[0])
    assert counted.calls == 1

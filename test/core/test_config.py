from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any, Literal

import pytest

from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.errors import ConfigError, PixlocError


class Mode(str, enum.Enum):
    FAST = "fast"
    EXACT = "exact"


@dataclasses.dataclass(frozen=True)
class Gate:
    metres: float = 1.0
    enabled: bool = True


@dataclasses.dataclass(frozen=True)
class Settings:
    name: str
    steps: tuple[int, ...] = (10, 20)
    size: tuple[float, float] = (1.0, 2.0)
    budget: int = 512
    gate: Gate = Gate()
    gates: list[Gate] = dataclasses.field(default_factory=list)
    named: dict[str, Gate] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    limit: float | None = None
    mode: Mode = Mode.FAST
    kind: Literal["a", "b"] = "a"
    path: Path = Path("x")
    extra: Any = None

    def __post_init__(self):
        if self.budget <= 0:
            raise ValueError("budget must be positive")


FULL = {
    "name": "n",
    "steps": [1, 2, 3],
    "size": [3, 4.5],
    "budget": 7,
    "gate": {"metres": 2, "enabled": False},
    "gates": [{"metres": 3.0}],
    "named": {"k": {"enabled": False}},
    "seed": 4,
    "limit": 2,
    "mode": "exact",
    "kind": "b",
    "path": "/map",
    "extra": {"free": [1]},
}


def test_builds_nested_dataclasses_with_the_annotated_types():
    s = from_dict(Settings, FULL)
    assert s.steps == (1, 2, 3) and s.size == (3.0, 4.5) and isinstance(s.size[0], float)
    assert s.gate == Gate(2.0, False) and isinstance(s.gate.metres, float)
    assert s.gates == [Gate(3.0)] and s.named == {"k": Gate(enabled=False)}
    assert s.mode is Mode.EXACT and s.path == Path("/map") and s.limit == 2.0
    assert s.extra == {"free": [1]}


def test_defaults_stay_for_what_is_left_out():
    assert from_dict(Settings, {"name": "n"}) == Settings("n")
    assert from_dict(Gate, None) == Gate()


def test_ready_made_dataclasses_and_members_pass_through():
    assert from_dict(Settings, {"name": "n", "gate": Gate(5.0), "mode": Mode.EXACT}) == Settings(
        "n", gate=Gate(5.0), mode=Mode.EXACT
    )


def test_round_trip_through_plain_values():
    import json

    s = from_dict(Settings, FULL)
    assert from_dict(Settings, json.loads(json.dumps(to_dict(s)))) == s


@pytest.mark.parametrize(
    "change, words",
    [
        ({"budgte": 1}, ["budgte", "file.yaml", "known keys", "budget"]),
        ({"gate": {"meters": 1}}, ["file.yaml.gate", "meters", "metres"]),
        ({"gate": 3}, ["file.yaml.gate", "mapping", "3"]),
        ({"budget": "7"}, ["file.yaml.budget", "whole number", "'7'"]),
        ({"budget": 7.0}, ["whole number"]),
        ({"budget": True}, ["whole number"]),
        ({"limit": "1e-3"}, ["a number"]),
        ({"gate": {"metres": True}}, ["a number"]),
        ({"gate": {"enabled": 1}}, ["file.yaml.gate.enabled", "true or false"]),
        ({"name": 3}, ["a string"]),
        ({"name": None}, ["nothing"]),
        ({"path": 3}, ["a path"]),
        ({"steps": 3}, ["a list"]),
        ({"steps": "123"}, ["a list"]),
        ({"steps": [1, "2"]}, ["file.yaml.steps[1]", "whole number"]),
        ({"size": [1]}, ["2 values", "1"]),
        ({"gates": [{}, {"x": 1}]}, ["file.yaml.gates[1]", "x"]),
        ({"named": {"k": 1}}, ["file.yaml.named.k"]),
        ({"named": [1]}, ["a mapping"]),
        ({"mode": "slow"}, ["'fast', 'exact'", "slow"]),
        ({"kind": "c"}, ["'a', 'b'"]),
        ({"seed": "x"}, ["whole number"]),
        ({"budget": 0}, ["file.yaml", "budget must be positive"]),
    ],
)
def test_errors_name_the_place_and_the_remedy(change, words):
    with pytest.raises(ConfigError) as error:
        from_dict(Settings, {**FULL, **change}, where="file.yaml")
    for word in words:
        assert word in str(error.value)
    assert isinstance(error.value, PixlocError)


def test_a_missing_required_key_and_a_wrong_root_are_errors():
    with pytest.raises(ConfigError, match="Settings: missing key 'name'"):
        from_dict(Settings, {})
    with pytest.raises(ConfigError, match="Settings: expected a mapping"):
        from_dict(Settings, [1])


def test_an_unsupported_annotation_is_a_programming_error():
    with pytest.raises(TypeError, match="not supported"):
        from_dict(dataclasses.make_dataclass("Odd", [("value", complex, 0j)]), {"value": 1})


@dataclasses.dataclass(frozen=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclasses.dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 1.0


@dataclasses.dataclass(frozen=True)
class Drawing:
    shape: Circle | Square = Circle()


def test_kind_chooses_among_dataclasses():
    drawing = from_dict(Drawing, {"shape": {"kind": "square", "side": 2}})
    assert drawing == Drawing(Square(side=2.0))
    assert from_dict(Drawing, to_dict(drawing)) == drawing
    assert from_dict(Drawing, {"shape": Square()}) == Drawing(Square())


@pytest.mark.parametrize(
    "shape, words",
    [
        ({"kind": "square", "radius": 2}, ["f.shape", "unknown key 'radius'", "side"]),
        ({"kind": "line"}, ["f.shape.kind", "'circle', 'square'"]),
        ({"side": 2}, ["f.shape", "missing key 'kind'"]),
        ("square", ["f.shape", "a mapping"]),
    ],
)
def test_a_wrong_kind_names_the_known_ones(shape, words):
    with pytest.raises(ConfigError) as error:
        from_dict(Drawing, {"shape": shape}, "f")
    for word in words:
        assert word in str(error.value)

"""Configuration: plain mappings (YAML, JSON, ROS parameters) to frozen dataclasses and back.

The dataclass is the only place where a setting, its type and its default are written. Supported
field types: bool, int, float, str, Path, Enum, Literal, nested dataclass, tuple, list, dict with
string keys, and any of these or None. In a union of dataclasses that each have a field `kind` with
a value of its own as the default, the mapping's `kind` says which one is meant.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pixloc_ros.core.errors import ConfigError

T = TypeVar("T")


def from_dict(cls: type[T], mapping: Mapping[str, Any] | None, where: str = "") -> T:
    """Build the dataclass `cls` from a mapping; what the mapping leaves out keeps its default.

    `where` is the place of the mapping (a file, a parent key) and only serves the error messages.
    None counts as an empty mapping (an empty section of a YAML file).
    Raises ConfigError for an unknown key, a missing required key, a wrong type, or a value that
    the dataclass itself refuses (a ValueError from its `__post_init__`).
    """
    place = where or cls.__name__
    mapping = {} if mapping is None else mapping
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{place}: expected a mapping of settings, got {_describe(mapping)}")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise ConfigError(f"{place}: unknown key '{key}' (known keys: {known})")
    hints = typing.get_type_hints(cls)
    values = {
        name: _convert(hints[name], value, f"{where}.{name}" if where else name)
        for name, value in mapping.items()
    }
    missing = [name for name, f in fields.items() if name not in values and _is_required(f)]
    if missing:
        raise ConfigError(f"{place}: missing key '{missing[0]}'")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error


def to_dict(obj: Any) -> dict[str, Any]:
    """The inverse of `from_dict`: plain dicts, lists, numbers, strings, ready for JSON or YAML."""
    return {f.name: _plain(getattr(obj, f.name)) for f in dataclasses.fields(obj) if f.init}


def require_positive(config: Any, *names: str) -> None:
    """For a `__post_init__`: ValueError for the first of these settings that is not above 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be positive")


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of the annotated type `kind`, or ConfigError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is typing.Literal:
        return _one_of(arguments, value, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_dict(kind, value, where)
    if (origin or kind) in (tuple, list):
        return _convert_sequence(origin or kind, arguments, value, where)
    if (origin or kind) in (dict, Mapping):
        return _convert_mapping(arguments, value, where)
    if issubclass(kind, enum.Enum):
        choices = [member.value for member in kind]
        return value if isinstance(value, kind) else kind(_one_of(choices, value, where))
    return _convert_scalar(kind, value, where)


def _convert_union(arguments: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    kinds = [kind for kind in arguments if kind is not type(None)]
    if len(kinds) > 1 and all(dataclasses.is_dataclass(kind) for kind in kinds):
        return _convert_tagged(kinds, value, where)
    for kind in kinds[:-1]:
        try:
            return _convert(kind, value, where)
        except ConfigError:
            continue
    return _convert(kinds[-1], value, where)


def _convert_tagged(kinds: Sequence[type], value: Any, where: str) -> Any:
    if isinstance(value, tuple(kinds)):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, got {_describe(value)}")
    if "kind" not in value:
        raise ConfigError(f"{where}: missing key 'kind'")
    by_kind = {kind.kind: kind for kind in kinds}  # type: ignore[attr-defined]
    chosen = _one_of(list(by_kind), value["kind"], f"{where}.kind")
    return from_dict(by_kind[chosen], value, where)


def _convert_sequence(container: type, arguments: tuple, value: Any, where: str) -> Any:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise ConfigError(f"{where}: expected a list, got {_describe(value)}")
    fixed = container is tuple and arguments and arguments[-1] is not Ellipsis
    if fixed and len(value) != len(arguments):
        raise ConfigError(f"{where}: expected {len(arguments)} values, got {len(value)}")
    kinds = arguments if fixed else [arguments[0] if arguments else Any] * len(value)
    items = [_convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value))]
    return container(items)


def _convert_mapping(arguments: tuple, value: Any, where: str) -> dict:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {_describe(value)}")
    kind = arguments[1] if arguments else Any
    return {key: _convert(kind, item, f"{where}.{key}") for key, item in value.items()}


def _convert_scalar(kind: type, value: Any, where: str) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number:
        if not math.isfinite(value):
            raise ConfigError(f"{where}: expected a finite number, got {value}")
        return float(value)
    if kind is int and is_number and isinstance(value, int):
        return value
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    names = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a string",
        Path: "a path",
    }
    if kind not in names:
        raise TypeError(f"{where}: settings of type {kind} are not supported")
    raise ConfigError(f"{where}: expected {names[kind]}, got {_describe(value)}")


def _one_of(choices: Sequence, value: Any, where: str) -> Any:
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{where}: expected one of {known}, got {_describe(value)}")
    return value


def _describe(value: Any) -> str:
    return "nothing" if value is None else f"{value!r} ({type(value).__name__})"

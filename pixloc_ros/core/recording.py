"""Functions recorded once as TorchScript, so that a CPU runs them without Python in between.

The solver takes some 250 small operations a step and the network a hundred a frame. On a CPU, eager
Python costs as much as the arithmetic, and every single operation gives up and retakes the
interpreter lock, for which the other threads of a node compete. A recording is one call.
"""

from __future__ import annotations

import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

MOST_RECORDINGS = 64


class Recorded:
    """Wraps a function of tensors that may sit in tuples, lists and dataclasses.

    Without gradients, on the CPU, the first call with arguments of a new form records, later ones
    replay for tensors of whatever size. The form is everything but the tensors' sizes and values:
    dtypes, dimensions, and all numbers and strings among the arguments. So the function must not
    branch on a size or a value of a tensor. With gradients or on a GPU it is simply called.
    """

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._recordings: dict[tuple, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        if torch.is_grad_enabled():
            return self._function(*arguments)
        tensors: list[Tensor] = []
        form = _take_apart(arguments, tensors)
        if any(tensor.device.type != "cpu" for tensor in tensors):
            return self._function(*arguments)
        if form not in self._recordings:
            if len(self._recordings) == MOST_RECORDINGS:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[form] = self._record(arguments, tensors)
        return self._recordings[form](tensors)

    def __deepcopy__(self, memo: dict) -> Recorded:
        return type(self)(copy.deepcopy(self._function, memo))  # a network's copy has own weights

    def _record(self, arguments: tuple, tensors: list[Tensor]) -> Callable[[list[Tensor]], Any]:
        result = None

        def flat(*values: Tensor) -> tuple[Tensor, ...]:
            nonlocal result
            found: list[Tensor] = []
            result = self._function(*_put_together(arguments, iter(values)))
            _take_apart(result, found)
            return tuple(found)

        with warnings.catch_warnings():
            # Of the coming end of TorchScript, and of constants, which here are constant.
            warnings.simplefilter("ignore")
            graph = torch.jit.trace(flat, tuple(tensors), check_trace=False)
        empty = torch.empty(0)
        template = _put_together(result, itertools.repeat(empty))
        return lambda values: _put_together(template, iter(graph(*values)))


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _take_apart(value: Any, tensors: list[Tensor]) -> Any:
    """Collect the tensors of a tree; returns its form, hashable."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.dtype, value.ndim
    if isinstance(value, (tuple, list)):
        return (type(value), *(_take_apart(item, tensors) for item in value))
    if is_dataclass(value) and not isinstance(value, type):
        return (
            type(value),
            *(_take_apart(getattr(value, name), tensors) for name in _field_names(type(value))),
        )
    return value


def _put_together(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same tree with other tensors, in the order in which `_take_apart` finds them."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, (tuple, list)):
        items = [_put_together(item, tensors) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(
            *(_put_together(getattr(value, name), tensors) for name in _field_names(type(value)))
        )
    return value

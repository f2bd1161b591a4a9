"""A GPU that is not there, for machines without one: `pytest test/cuda --device pretended`.

Its tensors say that they are on the device `meta`, compute on the CPU, and refuse what a GPU
refuses: an operation with a tensor of the host among its arguments, and numpy. So code that forgot
to move a tensor fails here as it would there. Not pretended: autocast, files of tensors.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

DEVICE = torch.device("meta")
#: Operations that take tensors of both: copies, and indices of the host into tensors of the device.
MIXING = {"copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_"}
#: What crossed between host and device since the last `crossings.clear()`: "upload", "download",
#: and "scalar", a number that Python asked for.
crossings: Counter[str] = Counter()


class Pretended(torch.Tensor):
    """A tensor of the device; `held` has its values on the host."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Pretended:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )
        tensor.held = held
        return tensor

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({self.held})"

    def numpy(self, **_: Any):
        raise TypeError("can't convert a tensor of the device to numpy: copy it to the host first")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    """All operations, also those that make tensors."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """Calls that never become an operation with the device in sight."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "_has_compatible_shallow_copy_type":
            return False  # modules get new parameters when they move
        if name in ("tensor", "as_tensor") and _is_ours(kwargs.get("device")):
            kwargs.pop("device")
            return func(*args, **kwargs).to(DEVICE)
        if name == "new_tensor" and isinstance(args[0], Pretended):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(DEVICE)
        if name == "to" and len(args) > 1 and isinstance(args[1], Pretended):
            return args[0].to(DEVICE, args[1].dtype)
        return func(*args, **kwargs)


def _run(func, args: tuple, kwargs: dict) -> Any:
    """One operation: on the held tensors, its result on the device that a GPU would leave it on."""
    name = func.overloadpacket.__name__
    ours: list[Pretended] = []
    hosts: list[torch.Tensor] = []

    def held(value: Any) -> Any:
        if isinstance(value, Pretended):
            ours.append(value)
            return value.held
        if isinstance(value, torch.Tensor):
            hosts.append(value)
        return value

    inner, named = tree_map(held, args), tree_map(held, dict(kwargs))
    on_device = bool(ours)
    if named.get("device") is not None:
        on_device = _is_ours(named["device"])
        named["device"] = torch.device("cpu")
    if ours and name not in MIXING and any(tensor.dim() for tensor in hosts):
        raise RuntimeError(f"{name}: tensors of the host and of the device among its arguments")
    if name == "index" and ours and not isinstance(args[0], Pretended):
        raise RuntimeError("index: indices of the device into a tensor of the host")
    result = func(*inner, **named)
    if ours and name == "_local_scalar_dense":
        crossings["scalar"] += 1
    if name in ("_to_copy", "copy_"):
        source = isinstance(args[0 if name == "_to_copy" else 1], Pretended)
        target = on_device if name == "_to_copy" else isinstance(args[0], Pretended)
        if source != target:
            crossings["upload" if target else "download"] += 1
    if result is None:
        return None
    if name.endswith("_") and not name.endswith("__"):
        return args[0]  # in place
    if not on_device:
        return result
    return tree_map(lambda v: Pretended(v) if isinstance(v, torch.Tensor) else v, result)


def _is_ours(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def start() -> torch.device:
    """Pretend from now on, in this process; before the package is imported. Returns the device."""
    autocast = torch.autocast
    torch.autocast = lambda kind, *rest, **named: (  # there is none for this device
        contextlib.nullcontext() if kind == DEVICE.type else autocast(kind, *rest, **named)
    )
    torch.inference_mode = _no_grad  # wrapped tensors cannot be inference tensors
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    _Calls().__enter__()
    _Operations().__enter__()
    from pixloc_ros.core import recording

    # as on a GPU: never recorded
    recording.Recorded.__call__ = lambda self, *arguments: self._function(*arguments)
    return DEVICE


def _no_grad(mode: Any = True) -> Any:
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else contextlib.nullcontext()

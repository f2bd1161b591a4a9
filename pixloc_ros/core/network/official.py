"""The file layout of the published checkpoints (cvg/pixloc), read without running code from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network.model import PixLocNet

DEFAULT_PAD = 4  # of the published code, where the configuration is silent
THEIR_NAMES = {"decoder": "decoder", "output_scales": "output_scales", "dims": "output_dim"}
ONLY_IN_VGG19 = "extractor.encoder.2.7.weight"


def read_official(path: Path) -> tuple[str, dict, dict[str, Tensor]]:
    """Return architecture, settings of `PixLocNet` and weights. Raises CheckpointError.

    The backbone comes from the stored configuration or, without one, from the weights.
    """
    content = _load(path)
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path}: holds no dictionary of weights under the key 'model', so it is not a"
            " published PixLoc checkpoint."
        )
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    try:
        architecture, settings = _settings(content.get("conf"), state)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration is malformed ({error!r})") from error
    if architecture not in ("vgg16", "vgg19"):
        raise CheckpointError(
            f"{path}: its encoder is {architecture}; this package reads vgg16 and vgg19 with max"
            " pooling."
        )
    return architecture, settings, state


def _settings(conf: dict | None, state: dict[str, Tensor]) -> tuple[str, dict]:
    """Architecture and settings of `PixLocNet`, from a configuration of any age."""
    model = (conf or {}).get("model", {})
    extractor, optimizer = model.get("extractor", {}), model.get("optimizer", {})
    architecture = extractor.get("encoder", "vgg19" if ONLY_IN_VGG19 in state else "vgg16")
    if extractor.get("do_average_pooling"):
        architecture += " with average pooling"
    interpolation = optimizer.get("interpolation", {})  # older files have optimizer.pad
    settings = {"pad": interpolation.get("pad", optimizer.get("pad", DEFAULT_PAD))}
    for name, theirs in THEIR_NAMES.items():
        if theirs in extractor:
            settings[name] = tuple(extractor[theirs])
    return architecture, settings


def official_aligner(net: PixLocNet) -> AlignerConfig:
    """The published solver at inference: up to 100 steps a level, the border of the configuration.

    It ends a level at steps below 5 mm and 0.05 deg on every stride; ours grow with the stride,
    so these hold on the coarsest level and the finer ones are as much stricter.
    """
    coarsest = max(net.strides)
    return AlignerConfig(
        iterations=(100,) * len(net.strides),
        pad=net.pad,
        translation_tolerance=5e-3 / coarsest,
        rotation_tolerance=math.radians(0.05) / coarsest,
    )


def official_content(net: PixLocNet) -> dict:
    """What a published file holds, for a vgg network: weights and the configuration for them."""
    config = net.config
    extractor = {
        "name": "unet",
        "encoder": net.architecture,
        **{theirs: config[ours] for ours, theirs in THEIR_NAMES.items()},
        "do_average_pooling": False,
        "compute_uncertainty": True,
        "checkpointed": True,
        "freeze_batch_normalization": False,
    }
    optimizer = {
        "name": "learned_optimizer",
        "num_iters": 15,
        "interpolation": {"mode": "linear", "pad": net.pad},
        "loss_fn": "scaled_barron(0, 0.1)",
        "jacobi_scaling": False,
        "damping": {"type": "constant", "log_range": [-6, 5]},
    }
    model = {
        "name": "two_view_refiner",
        "success_thresh": 3,
        "normalize_features": True,
        "duplicate_optimizer_per_scale": True,
        "extractor": extractor,
        "optimizer": optimizer,
    }
    return {
        "model": {name: tensor.detach().cpu() for name, tensor in net.state_dict().items()},
        "conf": {"data": {}, "model": model, "train": {}},
        "epoch": 0,
        "losses": {},
        "eval": {},
    }


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an arbitrary file may fail in any way
        reason = str(error).strip().split("\n")[0][:200]
        raise CheckpointError(
            f"{path}: not readable as a published PixLoc checkpoint ({reason}). It is another kind"
            " of file, damaged, or holds objects other than tensors and numbers."
        ) from error


def _numpy_scalars() -> list:
    """What unpickling a numpy number calls, under the names that numpy 1 and numpy 2 write."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")}
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *kinds,
    ]

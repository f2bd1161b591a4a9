"""Checkpoints in and out: the published layout (`.tar`) and our own folder.

Own layout, a folder: `weights.safetensors` (convolutions may be stored in half precision) and
`checkpoint.json` with format_version, architecture, config, aligner, identity and card.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network.model import PixLocNet
from pixloc_ros.core.network.official import official_aligner, official_content, read_official
from pixloc_ros.core.trust import FILE as TRUST_FILE
from pixloc_ros.core.trust import TrustModel, read_trust

FORMAT_VERSION = 1
SHIPPED = Path(__file__).parents[2] / "weights"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded network and where it comes from.

    identity: hexadecimal SHA-256 of the architecture and all weights, the same for a published
        file and for our export of it; a feature map records it.
    config: settings the network was built with (strides, dims, pad, widths).
    aligner: settings of the alignment that these features and damping are meant for.
    trust: model of the probability that a fix made with it is right; None where nobody fitted one.
    card: free-form description (data, training, figures); empty for published files.
    """

    net: PixLocNet
    identity: str
    config: dict
    aligner: AlignerConfig
    name: str
    card: dict
    trust: TrustModel | None = None


def load_checkpoint(
    path_or_name: str | Path, device: str | torch.device = "cpu", inference: bool = True
) -> Checkpoint:
    """Load a published `.tar`, an own folder, or a shipped network by its name ("small").

    The network comes in eval mode; with `inference` its batch norms are folded away as well,
    which neither changes the identity nor allows to train or save it.
    Raises CheckpointError, which names the file, when there is nothing there to use.
    """
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and path_or_name in shipped_names():
        path = SHIPPED / path_or_name
    if path.is_dir():
        net, aligner, card, stored_identity = _read_folder(path)
        name = path.name
    elif path.is_file():
        net, card, stored_identity = _build(path, *read_official(path)), {}, None
        aligner = official_aligner(net)
        name = "/".join(path.absolute().parts[-2:])
    else:
        raise CheckpointError(
            f"{path}: no such checkpoint. Give a folder, a published .tar file or a shipped name"
            f" ({', '.join(shipped_names())})."
        )
    identity = identity_of(net)
    if stored_identity not in (None, identity):
        raise CheckpointError(
            f"{path}: the weights are not those that checkpoint.json describes (identity"
            f" {identity[:12]}, expected {str(stored_identity)[:12]}). Copy the folder again."
        )
    config = net.config
    net.fuse() if inference else net.eval()
    trust = read_trust(path, identity)
    return Checkpoint(net.to(device), identity, config, aligner, name, card, trust)


def save_checkpoint(
    net: PixLocNet,
    folder: str | Path,
    aligner: AlignerConfig,
    card: dict,
    half_precision: bool = False,
) -> str:
    """Write a network to `folder` and return the identity of what is stored.

    aligner: settings of the alignment that it shall be used with.

    With `half_precision`, convolutions are rounded to fp16 (half the size); the identity is that
    of the rounded weights. Files are written under a temporary name and renamed.
    """
    if net.fused:
        raise ValueError("a fused network cannot be saved; load it with inference=False")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in _weights(net).items()}
    if half_precision:
        state = {k: v.half() if v.ndim > 1 else v for k, v in state.items()}
    identity = _identity(net.architecture, state)
    description = {
        "format_version": FORMAT_VERSION,
        "architecture": net.architecture,
        "config": net.config,
        "aligner": to_dict(aligner),
        "identity": identity,
        "card": card,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".partial-{os.getpid()}"
    partial.write_bytes(save(state))
    os.replace(partial, folder / "weights.safetensors")
    (folder / TRUST_FILE).unlink(missing_ok=True)  # it belonged to the weights that were there
    partial.write_text(json.dumps(description, indent=2) + "\n")
    os.replace(partial, folder / "checkpoint.json")
    return identity


def export_official(net: PixLocNet, path: str | Path) -> None:
    """Write a vgg16 or vgg19 network as the published code reads it. Raises CheckpointError."""
    if net.architecture == "small":
        raise CheckpointError("only vgg16 and vgg19 networks exist in the published layout")
    if net.fused:
        raise ValueError("a fused network cannot be saved; load it with inference=False")
    partial = Path(f"{path}.partial-{os.getpid()}")
    torch.save(official_content(net), partial)
    os.replace(partial, path)


def identity_of(net: PixLocNet) -> str:
    """Hexadecimal SHA-256 over architecture, names, shapes and fp32 values of all weights."""
    return _identity(net.architecture, _weights(net))


def shipped_names() -> list[str]:
    """Names of the networks that come with the package."""
    return sorted(file.parent.name for file in SHIPPED.glob("*/checkpoint.json"))


def _identity(architecture: str, state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(architecture.encode())
    for name in sorted(state):
        values = state[name].detach().cpu().float().contiguous().numpy()
        digest.update(f"{name}{values.shape}".encode())
        digest.update(values.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _weights(net: PixLocNet) -> dict[str, Tensor]:
    """All tensors but the step counters of batch norm, which have no effect."""
    state = net.state_dict()
    return {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}


def _read_folder(folder: Path) -> tuple[PixLocNet, AlignerConfig, dict, str]:
    file = folder / "checkpoint.json"
    if not file.is_file():
        raise CheckpointError(
            f"{folder}: holds no checkpoint.json, so it is not a checkpoint of this package. For a"
            " published checkpoint give its .tar file."
        )
    try:
        description = json.loads(file.read_text())
        version, identity = description["format_version"], description["identity"]
        architecture, config = description["architecture"], dict(description["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: not a checkpoint description ({error!r})") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{file}: format version {version}, this package reads {FORMAT_VERSION}. Use the"
            " release that wrote it, or save it again."
        )
    try:
        state = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder / 'weights.safetensors'}: missing or damaged ({error}). Copy it again."
        ) from error
    net = _build(folder, architecture, config, state)
    # Folders written before the settings were kept have none: those of their time.
    settings = description.get("aligner", {"iterations": [8, 8, 12][-len(net.strides) :]})
    aligner = from_dict(AlignerConfig, settings, f"{file}: aligner")
    return net, aligner, description.get("card", {}), identity


def _build(path: Path, architecture: str, config: dict, state: dict[str, Tensor]) -> PixLocNet:
    """A network of this architecture with these weights, all of them and no others."""
    try:
        net = PixLocNet(architecture, **{k: v for k, v in config.items() if k != "strides"})
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path}: no network has its configuration ({error})") from error
    expected = _weights(net)
    state = {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}
    problems = {
        "missing": [k for k in expected if k not in state],
        "unknown": [k for k in state if k not in expected],
        "of wrong shape": [
            k for k in expected if k in state and state[k].shape != expected[k].shape
        ],
        "not finite": [k for k in state if not torch.isfinite(state[k]).all()],
    }
    if any(problems.values()):
        lines = [_first(keys, what) for what, keys in problems.items() if keys]
        raise CheckpointError(
            f"{path}: does not fit the architecture {architecture}: {'; '.join(lines)}. Give a"
            " checkpoint of that architecture, or copy the file again if it is damaged."
        )
    net.load_state_dict(state, strict=False)
    return net


def _first(keys: list[str], what: str) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{len(keys)} tensors {what} ({', '.join(keys[:3])}{more})"

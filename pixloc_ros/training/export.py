"""Trained networks out: our checkpoint folder, the published `.tar`, TorchScript."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.config import from_dict
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network import PixLocNet, load_checkpoint, save_checkpoint

STATE = "state.pt"


def save_trained(run: Path, folder: Path, validation: dict[str, float]) -> str:
    """The network of a training run as a checkpoint folder in half precision; its identity."""
    net, aligner, card = read_trained(run / STATE)
    card = {**card, "validation": validation}
    return save_checkpoint(net, folder, aligner, card, half_precision=True)


def read_any(source: str) -> tuple[PixLocNet, AlignerConfig, dict]:
    """Network, unfused, alignment settings and card: of a training run (its folder or state), or of
    any checkpoint."""
    path = Path(source)
    if path.is_dir() and (path / STATE).is_file():
        return read_trained(path / STATE)
    if path.is_file() and path.name == STATE:
        return read_trained(path)
    checkpoint = load_checkpoint(source, inference=False)
    return checkpoint.net, checkpoint.aligner, checkpoint.card


def read_trained(path: Path) -> tuple[PixLocNet, AlignerConfig, dict]:
    """Network, alignment settings and card of a training state, at whatever step it was written."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        settings = {key: value for key, value in state["network"].items() if key != "strides"}
        net = PixLocNet(state["architecture"], **settings).eval()
        net.load_state_dict(state["model"])
        aligner = from_dict(AlignerConfig, state["config"]["aligner"])
    except Exception as error:  # an arbitrary file may fail in any way
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise CheckpointError(f"{path}: not a readable training state ({reason[0]})") from error
    card = {
        "name": state["config"]["name"],
        "training": state["config"],
        "step": state["step"],
        "skipped_steps": state["skipped"],
    }
    return net, aligner, card


class _PlainExtractor(nn.Module):
    """Image (B, 3, H, W) -> features and confidence of each level, fine to coarse, as a tuple."""

    def __init__(self, net: PixLocNet):
        super().__init__()
        self.extractor = net.extractor

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            part for level in self.extractor(image) for part in (level.features, level.confidence)
        )


def export_torchscript(net: PixLocNet, path: Path) -> None:
    """The extractor, batch norms folded, as a TorchScript file for images of any size."""
    extractor = _PlainExtractor(net.fuse())
    with torch.no_grad():
        traced = torch.jit.trace(extractor, torch.rand(1, 3, 96, 128), check_trace=False)
    partial = path.with_name(path.name + ".partial")
    traced.save(partial)
    partial.replace(path)

"""The network with its learned damping: everything a checkpoint holds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pixloc_ros.core.network.pyramid import FeaturePyramid, PyramidExtractor
from pixloc_ros.core.network.small_unet import SmallUNet
from pixloc_ros.core.network.vgg_unet import VggUNet
from pixloc_ros.core.recording import Recorded

ARCHITECTURES = ("small", "vgg16", "vgg19")
LOG_DAMPING_RANGE = (-6.0, 5.0)


class Damping(nn.Module):
    """Learned damping of one level: six logits, in the order translation, rotation."""

    def __init__(self):
        super().__init__()
        self.const = nn.Parameter(torch.zeros(6))

    def forward(self) -> Tensor:
        """Lambda (6,) in 1e-6 ... 1e5, eq. 8 of the paper; 10^-0.5 where the logit is zero."""
        low, high = LOG_DAMPING_RANGE
        return 10.0 ** (low + (high - low) * torch.sigmoid(self.const))


class LevelOptimizer(nn.Module):
    """Holds the damping of a level under the name that published checkpoints use."""

    def __init__(self):
        super().__init__()
        self.dampingnet = Damping()


class PixLocNet(nn.Module):
    """Dense features with confidences at several strides, and a damping vector per level.

    architecture: one of `ARCHITECTURES`.
    pad: pixels of a level along its border where features are not to be used.
    widths: keyword arguments of the extractor where they differ from its defaults.

    Levels run fine to coarse everywhere. Keys of `state_dict` equal those of the published
    checkpoints for vgg16 and vgg19.
    """

    def __init__(self, architecture: str, pad: int = 2, **widths: tuple[int, ...]):
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture {architecture!r}, known: {ARCHITECTURES}")
        self.architecture, self.pad = architecture, int(pad)
        if architecture == "small":
            self.extractor: PyramidExtractor = SmallUNet(**widths)
        else:
            self.extractor = VggUNet(architecture, **widths)
        self.optimizer = nn.ModuleList(LevelOptimizer() for _ in self.strides)
        self.fused = False
        self._recorded = Recorded(self.extractor)

    @property
    def strides(self) -> tuple[int, ...]:
        return self.extractor.strides

    @property
    def dims(self) -> tuple[int, ...]:
        return self.extractor.dims

    @property
    def config(self) -> dict:
        """Settings as a checkpoint stores them: plain numbers and lists."""
        widths = {name: list(values) for name, values in self.extractor.widths.items()}
        return {"strides": list(self.strides), **widths, "pad": self.pad}

    def forward(self, image: Tensor) -> FeaturePyramid:
        """Features of an image (B, 3, H, W): RGB in [0, 1], any size of at least 32 pixels."""
        return self._recorded(image) if self.fused else self.extractor(image)

    def damping(self) -> Tensor:
        """Damping factors (L, 6), translation before rotation."""
        levels: list[LevelOptimizer] = list(self.optimizer)  # type: ignore[arg-type]
        return torch.stack([level.dampingnet() for level in levels])

    def fuse(self) -> PixLocNet:
        """Fold batch norms into their convolutions, in place: faster, for inference only."""
        self.eval().requires_grad_(False)
        for module in [m for m in self.modules() if isinstance(m, nn.Sequential)]:
            for i in range(len(module) - 1):
                convolution, norm = module[i], module[i + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[i] = fuse_conv_bn_eval(convolution, norm)
                    module[i + 1] = nn.Identity()
        self.fused = True
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

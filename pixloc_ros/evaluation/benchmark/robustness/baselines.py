"""Baselines that were not trained for this, with the interface of our network."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.network import Checkpoint, FeaturePyramid
from pixloc_ros.core.network.checkpoint import identity_of
from pixloc_ros.core.network.model import LOG_DAMPING_RANGE, PixLocNet
from pixloc_ros.core.network.pyramid import FeatureLevel
from pixloc_ros.core.network.small_unet import MEAN, STAGES, STD, TAPPED_STAGES, LiteEncoder
from pixloc_ros.training.imagenet import imagenet_encoder_weights

#: Damping of the untrained rows, of the size that training finds. With the 0.3 that
#: untrained logits stand for, the few steps of a search do not converge: gray values then reach 20
#: instead of 60 % from priors of 3 m / 8 deg, and the row would measure damping, not features.
UNTRAINED_DAMPING = 1e-3
LUMA = (0.299, 0.587, 0.114)


class Untrained(nn.Module):
    """Base of the baselines: confidence one everywhere, the same damping in all directions."""

    pad = 2
    strides: tuple[int, ...]
    dims: tuple[int, ...]

    def maps(self, image: Tensor) -> list[Tensor]:
        """Features (B, C, h, w) of each level, fine to coarse, of images (B, 3, H, W)."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> FeaturePyramid:
        return [
            FeatureLevel(features, torch.ones_like(features[:, :1]), stride)
            for features, stride in zip(self.maps(image), self.strides)
        ]

    def damping(self) -> Tensor:
        return torch.full((len(self.strides), 6), UNTRAINED_DAMPING)


class GrayGradients(Untrained):
    """Gray value and its two derivatives at strides 1, 4, 16, each scaled to unit variance."""

    strides, dims = (1, 4, 16), (3, 3, 3)

    def __init__(self) -> None:
        super().__init__()
        self.luma = nn.Parameter(torch.tensor(LUMA).view(1, 3, 1, 1))

    def maps(self, image: Tensor) -> list[Tensor]:
        gray = F.conv2d(image, self.luma)
        return [self._level(F.avg_pool2d(gray, stride)) for stride in self.strides]

    @staticmethod
    def _level(gray: Tensor) -> Tensor:
        padded = F.pad(gray, (1, 1, 1, 1), mode="replicate")
        dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        slope = torch.cat([dx, dy], 1)
        gray = gray - gray.mean()
        return torch.cat([gray / (gray.std() + 1e-6), slope / (slope.std() + 1e-6)], 1)


class ImagenetEncoder(Untrained):
    """EfficientNet-lite0 as it was trained for ImageNet: its maps at strides 2, 4 and 16."""

    strides = (2, 4, 16)
    dims = tuple(STAGES[TAPPED_STAGES[i]][-1] for i in (0, 1, 3))

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LiteEncoder()
        self.encoder.load_state_dict(imagenet_encoder_weights())

    def maps(self, image: Tensor) -> list[Tensor]:
        mean, std = (image.new_tensor(value).view(3, 1, 1) for value in (MEAN, STD))
        stride2, stride4, _, stride16 = self.encoder((image - mean) / std)
        return [stride2, stride4, stride16]


def untrained(net: Untrained, name: str) -> Checkpoint:
    """A baseline as the checkpoint that maps and trackers take."""
    digest = hashlib.sha256(name.encode())
    for key, value in net.state_dict().items():
        digest.update(key.encode() + value.float().numpy().tobytes())
    net.eval().requires_grad_(False)
    aligner = AlignerConfig(pad=net.pad)
    return Checkpoint(net, digest.hexdigest(), {}, aligner, name, {})


@torch.no_grad()
def random_like(checkpoint: Checkpoint, images: Tensor, seed: int = 0) -> Checkpoint:
    """A network of the checkpoint's architecture and widths with random weights.

    He initialisation, the damping of the other baselines; the batch norms get the statistics of
    `images` (B, 3, H, W), as after the first steps of a training, since features would vanish
    without.
    """
    torch.manual_seed(seed)
    widths = {key: value for key, value in checkpoint.config.items() if key != "strides"}
    net = PixLocNet(checkpoint.net.architecture, **widths).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
    net(images)
    low, high = LOG_DAMPING_RANGE
    share = (math.log10(UNTRAINED_DAMPING) - low) / (high - low)
    for level in net.optimizer:
        level.dampingnet.const.fill_(math.log(share / (1 - share)))
    identity = identity_of(net)
    return Checkpoint(net.fuse(), identity, checkpoint.config, checkpoint.aligner, "random", {})

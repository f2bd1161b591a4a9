"""The network for real-time use: EfficientNet-lite0 to stride 16 and a light decoder to stride 2.

The encoder is EfficientNet-lite0 (Tan and Le, ICML 2019, and its "lite" release: ReLU6, no
squeeze-excitation) without its last stages, so that ImageNet weights fit.

Where a stride-2 convolution looks: its output i is centred either at input 2i or at 2i + 1
("phase" 0 or 1), while the pixel convention of the pyramid wants 2i + 0.5. The TensorFlow
original takes phase 1 everywhere, which adds up to 7.5 input pixels at stride 16. A phase only
picks the sampling grid, the same weights fit both; the phases here keep the levels in use within
(+0.5, -0.5, +1.5) input pixels at strides (2, 4, 16). Reference and query share the offset, so
it matters only through a change of scale between them, and training absorbs what is left.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pixloc_ros.core.network.pyramid import DecoderBlock, PyramidExtractor

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
STEM_WIDTH = 32
STAGES = (  # repeats, kernel, stride, expansion, width
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
)
TAPPED_STAGES = (0, 1, 2, 4)  # whose outputs are the maps of strides 2, 4, 8, 16
PHASES = (1, 0, 0, 1)  # of the convolutions that reach strides 2, 4, 8, 16
NORM_EPS = 1e-3


class HalvingConv(nn.Conv2d):
    """Stride-2 convolution, (h, w) -> (h // 2, w // 2), output i centred at input 2i + phase."""

    def __init__(self, channels: int, width: int, kernel: int, phase: int, groups: int = 1):
        super().__init__(channels, width, kernel, 2, kernel // 2 - phase, groups=groups, bias=False)
        self.phase = phase

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2] // 2, x.shape[-1] // 2
        if self.phase:
            x = F.pad(x, (0, 1, 0, 1))
        return super().forward(x)[..., :height, :width]


class InvertedResidual(nn.Module):
    """MBConv of the lite variant: expand 1x1, depthwise, project 1x1, and a shortcut."""

    def __init__(self, channels: int, width: int, kernel: int, expansion: int, phase: int | None):
        super().__init__()
        inner = channels * expansion
        if phase is None:
            depthwise = nn.Conv2d(
                inner, inner, kernel, padding=kernel // 2, groups=inner, bias=False
            )
        else:
            depthwise = HalvingConv(inner, inner, kernel, phase, groups=inner)
        layers = []
        if expansion > 1:
            layers += _norm_act(nn.Conv2d(channels, inner, 1, bias=False))
        layers += _norm_act(depthwise)
        layers += _norm_act(nn.Conv2d(inner, width, 1, bias=False))[:2]
        self.layers = nn.Sequential(*layers)
        self.shortcut = phase is None and channels == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.shortcut else self.layers(x)


def _norm_act(convolution: nn.Conv2d) -> list[nn.Module]:
    norm = nn.BatchNorm2d(convolution.out_channels, eps=NORM_EPS, momentum=0.01)
    return [convolution, norm, nn.ReLU6(inplace=True)]


class LiteEncoder(nn.Module):
    """EfficientNet-lite0 up to stride 16: maps of 16, 24, 40, 112 channels at strides 2 to 16."""

    def __init__(self):
        super().__init__()
        phases = iter(PHASES)
        self.stem = nn.Sequential(*_norm_act(HalvingConv(3, STEM_WIDTH, 3, next(phases))))
        self.stages = nn.ModuleList()
        channels = STEM_WIDTH
        for repeats, kernel, stride, expansion, width in STAGES:
            blocks = []
            for i in range(repeats):
                phase = next(phases) if stride == 2 and i == 0 else None
                blocks.append(InvertedResidual(channels, width, kernel, expansion, phase))
                channels = width
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in TAPPED_STAGES:
                maps.append(x)
        return maps


class SmallUNet(PyramidExtractor):
    """Levels at strides 2, 4 and 16: the finer two from the decoder, the coarse one before it.

    A context block (3x3) condenses the encoder's last map; its output feeds the coarse heads and
    the decoder. `decoder` gives the widths at strides 16, 8, 4, 2, `dims` those of the features;
    without their entries for stride 2 the network ends at stride 4 and has two levels. Sizes round
    down, as in the VGG networks. The encoder's batch norms always use their stored statistics.
    """

    def __init__(
        self,
        decoder: tuple[int, ...] = (64, 48, 32, 16),
        dims: tuple[int, ...] = (16, 32, 64),
    ):
        super().__init__(MEAN, STD)
        if len(decoder) not in (3, 4) or len(dims) != len(decoder) - 1:
            raise ValueError(
                "the small network takes four decoder widths and three dims, or three "
                f"and two without a level at stride 2; got {decoder} and {dims}"
            )
        self.widths = {"decoder": decoder, "dims": dims}
        context, *widths = decoder
        self.encoder = LiteEncoder()
        *skips, deepest = (STAGES[i][-1] for i in TAPPED_STAGES)
        self.context = nn.Sequential(
            nn.Conv2d(deepest, context, 3, padding=1, bias=False),
            nn.BatchNorm2d(context),
            nn.ReLU(inplace=True),
        )
        self.decoder = nn.ModuleList()
        channels = context
        for width, skip_channels in zip(widths, reversed(skips)):
            self.decoder.append(DecoderBlock(channels, skip_channels, width))
            channels = width
        self.add_heads((*widths[:0:-1], context), dims, (2, 4, 16)[-len(dims) :])

    def maps(self, image: Tensor) -> list[Tensor]:
        *skips, deepest = self.encoder(image)
        coarse = self.context(deepest)
        x, fine = coarse, []
        for block in self.decoder:
            x = block(x, skips.pop())
            fine.append(x)
        return [*fine[:0:-1], coarse]

    def train(self, mode: bool = True) -> SmallUNet:
        super().train(mode)
        self.encoder.eval()
        return self

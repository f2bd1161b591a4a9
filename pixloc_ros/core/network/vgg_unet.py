"""The network of the paper: a VGG encoder with a U-Net decoder (Sarlin et al., CVPR 2021, sec. 4).

Module names follow the published checkpoints, so that those load without renaming.
"""

from __future__ import annotations

from torch import Tensor, nn

from pixloc_ros.core.network.pyramid import DecoderBlock, PyramidExtractor

BLOCK_WIDTHS = (64, 128, 256, 512, 512)  # strides 1, 2, 4, 8, 16
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # per block
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VggUNet(PyramidExtractor):
    """VGG16 or VGG19 without batch norm to stride 16, and a decoder back to stride 1.

    Blocks 1 to 4 start with a 2x2 max-pool; nothing follows conv5. Pooling rounds down, so the
    map of stride 1 is smaller than the image by up to 15 pixels at the right and bottom. The
    head of stride 16 reads the encoder, the finer ones read the decoder. A stride is two to the
    power of its scale.
    """

    def __init__(
        self,
        encoder: str,
        decoder: tuple[int, ...] = (64, 64, 64, 32),
        output_scales: tuple[int, ...] = (0, 2, 4),
        dims: tuple[int, ...] = (32, 128, 128),
    ):
        super().__init__(MEAN, STD)
        self.widths = {"decoder": decoder, "output_scales": output_scales, "dims": dims}
        self.encoder = nn.ModuleList()
        channels = 3
        for i, (width, convolutions) in enumerate(zip(BLOCK_WIDTHS, CONVOLUTIONS[encoder])):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if i > 0 else []
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            self.encoder.append(nn.Sequential(*layers))
        self.decoder = nn.ModuleList()
        for width, skip_channels in zip(decoder, reversed(BLOCK_WIDTHS[:-1])):
            self.decoder.append(DecoderBlock(channels, skip_channels, width))
            channels = width
        widths = (*reversed(decoder), BLOCK_WIDTHS[-1])
        self.add_heads(
            tuple(widths[scale] for scale in output_scales),
            dims,
            tuple(2**scale for scale in output_scales),
        )

    def maps(self, image: Tensor) -> list[Tensor]:
        skips, x = [], image
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        by_scale = [skips.pop()]
        for block in self.decoder:
            by_scale.append(block(by_scale[-1], skips.pop()))
        by_scale.reverse()
        return [by_scale[scale] for scale in self.widths["output_scales"]]

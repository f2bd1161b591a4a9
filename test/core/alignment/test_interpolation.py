"""Sampling of feature maps against the reference values and torch's own grid sampling."""

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import QueryLevel, interpolation, sample_reference


@pytest.fixture(scope="module")
def arrays(oracle):
    return oracle("interpolation_solver")


def bilinear(maps, p2d):
    """Zero-padded bilinear interpolation of maps (C, H, W) at p2d (N, 2) -> (N, C)."""
    size = p2d.new_tensor([maps.shape[-1], maps.shape[-2]])
    grid = (2 * p2d / (size - 1) - 1)[None, None]
    sampled = torch.nn.functional.grid_sample(
        maps[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return sampled[0, :, 0].T


def test_values_and_gradients_match_the_reference(arrays):
    maps = torch.from_numpy(arrays["tensor"])
    level = interpolation.flatten(maps, maps[:1])
    samples = interpolation.sample(level, torch.from_numpy(arrays["pts"]), normalize=False)
    torch.testing.assert_close(
        samples.value, torch.from_numpy(arrays["linear/values"]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        samples.gradient.mT, torch.from_numpy(arrays["linear/gradients"]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(samples.confidence, samples.value[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("pad", [1, 2, 3, 4])
def test_border_mask_matches_the_reference(arrays, pad):
    height, width = arrays["tensor"].shape[1:]
    pts = arrays["pts"]
    level = interpolation.flatten(torch.zeros(1, height, width), torch.zeros(1, height, width))
    mask = interpolation.inside(level, torch.from_numpy(pts), pad).numpy()
    expected = arrays[f"linear/pad{pad}/mask"]
    # Points on the limit itself may fall either way in single precision.
    limit = np.abs(np.stack([pts - pad, pts - ([width - 1 - pad, height - 1 - pad])])).min((0, 2))
    np.testing.assert_array_equal(mask[limit > 1e-4], expected[limit > 1e-4])


def test_normalising_the_gathered_pixels_is_normalising_the_map():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(7, 9, 12, generator=generator, dtype=torch.float64)
    maps[:, 4, 5] = 0  # a pixel without direction stays zero
    p2d = torch.rand(400, 2, generator=generator, dtype=torch.float64) * 18 - 3
    dense = torch.nn.functional.normalize(maps, dim=0)
    level = interpolation.flatten(maps, maps[:1])
    samples = interpolation.sample(level, p2d, normalize=True)
    step = torch.eye(2, dtype=torch.float64)
    gradient = torch.stack([bilinear(dense, p2d + d) - bilinear(dense, p2d - d) for d in step], 1)
    torch.testing.assert_close(samples.value, bilinear(dense, p2d))
    torch.testing.assert_close(samples.gradient, gradient / 2)


def test_autograd_through_maps_and_positions():
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(3, 6, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    p2d = (torch.rand(9, 2, generator=generator, dtype=torch.float64) * 8 - 1).requires_grad_()

    def run(maps, p2d):
        return interpolation.sample(interpolation.flatten(maps, maps[:1]), p2d, normalize=True)

    assert torch.autograd.gradcheck(run, (maps, p2d))


def test_maps_of_a_batch_are_kept_apart_and_shared_maps_are_shared():
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(2, 3, 4, 6, 8, generator=generator)
    p2d = torch.rand(2, 3, 10, 2, generator=generator) * 6
    batched = interpolation.sample(interpolation.flatten(maps, maps[:, :, :1]), p2d, False)
    for b in range(2):
        shared = interpolation.sample(
            interpolation.flatten(maps[b : b + 1], maps[b : b + 1, :, :1]), p2d, False
        )
        torch.testing.assert_close(shared.value[b], batched.value[b])
        for k in range(3):
            torch.testing.assert_close(batched.value[b, k], bilinear(maps[b, k], p2d[b, k]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_give_single_precision_samples(dtype):
    maps = torch.randn(8, 6, 7, generator=torch.Generator().manual_seed(3)).to(dtype)
    level = interpolation.flatten(maps, maps[:1])
    p2d = torch.rand(20, 2) * 5
    samples = interpolation.sample(level, p2d, normalize=False)
    assert samples.value.dtype == samples.confidence.dtype == torch.float32
    torch.testing.assert_close(samples.value, bilinear(maps.float(), p2d), atol=1e-5, rtol=1e-5)


def test_channels_last_maps_are_not_copied():
    maps = torch.rand(1, 8, 6, 7).to(memory_format=torch.channels_last)[None]
    level = interpolation.flatten(maps, maps[:, :, :1])
    assert level.features.data_ptr() == maps.data_ptr()


def test_positions_that_are_no_numbers_do_not_read_outside():
    maps = torch.rand(2, 5, 6)
    p2d = torch.tensor([[float("nan"), 2.0], [float("inf"), -float("inf")], [1e30, -1e30]])
    level = interpolation.flatten(maps, maps[:1])
    samples = interpolation.sample(level, p2d, normalize=False)
    assert (samples.value[1:] == 0).all()
    assert not interpolation.inside(level, p2d, 0).any()


def test_reference_features_are_interpolated_then_normalised():
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(2, 5, 10, 12, generator=generator)
    confidence = torch.rand(2, 1, 10, 12, generator=generator)
    pixels = torch.rand(2, 30, 2, generator=generator) * 12 - 1
    reference, mask = sample_reference(
        QueryLevel(features, confidence, 4), (pixels + 0.5) * 4 - 0.5, pad=1
    )
    for b in range(2):
        expected = torch.nn.functional.normalize(bilinear(features[b], pixels[b]), dim=-1)
        torch.testing.assert_close(reference.features[b], expected, atol=1e-5, rtol=1e-5)
        expected = bilinear(confidence[b], pixels[b])[:, 0] * mask[b]
        torch.testing.assert_close(reference.confidence[b], expected, atol=1e-5, rtol=1e-5)
    x, y = pixels.unbind(-1)
    assert torch.equal(mask, (x >= 1) & (x <= 10) & (y >= 1) & (y <= 8))

"""Every change of a picture does what its name says, in its measure, and nothing at zero."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch

from pixloc_ros.training.augment import AugmentConfig, augment, augment_pair, lens, light
from pixloc_ros.training.augment.occlude import occlude

HEIGHT, WIDTH = 96, 128


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def picture() -> torch.Tensor:
    """Colourful, detailed, about as bright as a photo by day."""
    coarse = torch.rand((1, 3, 6, 8), generator=seeded(1))
    smooth = torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")[0]
    return 0.2 + 0.5 * smooth + 0.2 * torch.rand((3, HEIGHT, WIDTH), generator=seeded(2))


@pytest.fixture
def depth() -> torch.Tensor:
    """A ground that falls away to the horizon, sky above it."""
    rows = torch.linspace(-1, 1, HEIGHT)
    return torch.where(rows > 0, 1.6 / rows.clamp(min=1e-3), torch.inf)[:, None].repeat(1, WIDTH)


def detail(image: torch.Tensor) -> tuple[float, float]:
    """Mean change from pixel to pixel along rows, and along columns."""
    return float(image.diff(dim=-1).abs().mean()), float(image.diff(dim=-2).abs().mean())


def test_nothing_happens_at_zero(picture, depth):
    for seed in range(5):
        same, hidden = augment(picture, depth, AugmentConfig.none(), seeded(seed))
        torch.testing.assert_close(same, picture)
        assert not hidden.any()


@pytest.mark.parametrize(
    "name",
    [
        "gamma",
        "gain",
        "cast",
        "field",
        "noise",
        "blur",
        "shadows",
        "night",
        "haze",
        "motion",
        "defocus",
        "jpeg",
        "occlusion",
    ],
)
def test_each_setting_alone_changes_the_picture(picture, depth, name):
    sizes = {
        "motion": {"motion_length": 0.05},
        "defocus": {"defocus_radius": 0.02},
        "occlusion": {"occluded": 0.3},
        "blur": {"blur": 3.0},
    }
    config = AugmentConfig.none(**{name: 1.0, **sizes.get(name, {})})
    changed = torch.stack([augment(picture, depth, config, seeded(seed))[0] for seed in range(4)])
    assert (changed - picture).abs().mean() > 2e-3
    assert torch.equal(changed[3], augment(picture, depth, config, seeded(3))[0])
    assert not torch.equal(changed[3], changed[2])
    assert changed.min() >= 0 and changed.max() <= 1


def test_every_setting_is_tested_or_belongs_to_the_pair():
    alone = {
        "gamma",
        "gain",
        "cast",
        "field",
        "noise",
        "blur",
        "shadows",
        "night",
        "haze",
        "motion",
        "defocus",
        "jpeg",
        "occlusion",
    }
    rest = {
        "motion_length",
        "level",
        "defocus_radius",
        "occluded",
        "reference",
        "gray",
        "unchanged",
    }
    assert {field.name for field in fields(AugmentConfig)} == alone | rest


def test_level_motion_takes_detail_along_the_rows(picture, depth):
    rows_suffer = {}
    for level in (0.0, 1.0):
        config = AugmentConfig.none(motion=1.0, motion_length=0.1, level=level)
        ratios = np.array(
            [detail(augment(picture, depth, config, seeded(seed))[0]) for seed in range(6)]
        ) / detail(picture)
        rows_suffer[level] = ratios[:, 0] < ratios[:, 1]
    assert rows_suffer[1.0].all() and not rows_suffer[0.0].all()


def test_motion_blur_takes_detail_along_its_direction_only(picture):
    along, across = detail(picture)
    blurred_along, blurred_across = detail(lens.motion_blur(picture, 9.0, 0.0))
    assert blurred_along < 0.3 * along
    assert blurred_across > 0.25 * across > 0.5 * blurred_along


@pytest.mark.parametrize(
    "blur",
    [
        lambda x: lens.motion_blur(x, 11.0, 0.7),
        lambda x: lens.defocus(x, 4.0),
        lambda x: lens.gaussian(x, 2.0),
    ],
)
def test_a_blurred_point_stays_where_it_is_and_keeps_its_light(blur):
    point = torch.zeros(3, 41, 41)
    point[:, 20, 20] = 1
    blurred = blur(point)
    steps = torch.arange(41.0)
    torch.testing.assert_close(blurred.sum((1, 2)), torch.ones(3))
    assert abs(float((blurred[0].sum(0) * steps).sum()) - 20) < 1e-3
    assert abs(float((blurred[0].sum(1) * steps).sum()) - 20) < 1e-3
    assert blurred.max() < 0.2


def test_a_line_of_motion_is_as_long_as_asked():
    point = torch.zeros(3, 41, 41)
    point[:, 20, 20] = 1
    lit = torch.nonzero(lens.motion_blur(point, 12.0, math.pi / 2)[0] > 0.02)
    assert len(lit[:, 1].unique()) == 1
    assert 11 <= len(lit) <= 13


def test_occluders_cover_the_share_and_their_mask_is_all_they_touch(picture):
    shares = []
    for seed in range(40):
        changed, mask = occlude(picture, 0.3, seeded(seed))
        touched = (changed != picture).any(0)
        assert not (touched & ~mask).any()
        shares.append(float(mask.float().mean()))
    assert 0.15 < sum(shares) / len(shares) <= 0.3  # they overlap, and reach over the border
    assert max(shares) < 0.35


def test_haze_hides_what_is_far_and_spares_what_is_near(picture, depth):
    hazy = light.haze(picture, depth, seeded())
    near, far = depth < 2, torch.isinf(depth)
    assert (hazy - picture)[:, near].abs().mean() < 0.1
    assert hazy[:, far].std(dim=1).max() < 1e-6


def test_night_is_dark_but_for_lamps(picture, depth):
    darker, lamps = 0, 0
    for seed in range(20):
        dark, glare = light.night(picture, depth, seeded(seed))
        darker += float(dark.mean()) < 0.6 * float(picture.mean())
        lamps += float(glare.max()) > 0.5
    assert darker >= 14
    assert 8 <= lamps < 20


def test_a_dark_picture_does_not_get_a_second_night(picture, depth):
    config = AugmentConfig.none(night=1.0)
    dark = picture * 0.2
    torch.testing.assert_close(augment(dark, depth, config, seeded())[0], dark)


def test_shadows_take_light_only_and_have_edges(picture):
    even = torch.full_like(picture, 0.5)
    shaded = torch.stack([light.shadows(even, seeded(seed)) for seed in range(10)])
    assert shaded.max() <= 0.5 + 1e-6
    assert (shaded < 0.4).float().mean() > 0.1
    assert shaded.diff(dim=-1).abs().max() > 0.05


def test_pairs_are_gray_together_unchanged_together_and_hide_points_of_the_reference(
    picture, depth
):
    def pair(**changes):
        return augment_pair(
            picture, picture, (depth, depth), AugmentConfig.none(**changes), seeded()
        )

    for view in pair(gray=1.0)[:2]:
        assert torch.equal(view[0], view[1]) and torch.equal(view[1], view[2])
    reference, query, hidden = pair(unchanged=1.0, occlusion=1.0, occluded=0.3, reference=1.0)
    assert torch.equal(reference, picture) and torch.equal(query, picture) and not hidden.any()
    reference, query, hidden = pair(occlusion=1.0, occluded=0.3, reference=0.0)
    assert torch.equal(reference, picture) and not torch.equal(query, picture) and not hidden.any()
    reference, _, hidden = pair(occlusion=1.0, occluded=0.3, reference=1.0)
    assert hidden.any() and torch.equal(reference[:, ~hidden], picture[:, ~hidden])

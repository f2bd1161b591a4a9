"""Rendered pairs are exact, and their starts as far off as asked."""

from dataclasses import replace

import torch

from pixloc_ros.training import pairs
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.pairs import PairConfig, SyntheticPairs, overlap


def test_points_fall_on_the_same_texture_in_both_views(config, tmp_path):
    no_change = AugmentConfig.none()
    pairs = SyntheticPairs(config.data, no_change, seed=3, first_world=0, length=4, folder=tmp_path)
    for pair in (pairs[i] for i in range(4)):
        in_reference, _ = pair.camera_reference.project(pair.points)
        in_query, seen = pair.camera_query.project(pair.T_query_ref.transform(pair.points))
        size = pair.camera_query.size[0] - 1
        colours = [
            torch.nn.functional.grid_sample(image, (p / size * 2 - 1)[:, None], align_corners=True)[
                0, :, 0
            ]
            for image, p in ((pair.reference, in_reference), (pair.query, in_query))
        ]
        difference = (colours[0] - colours[1]).abs()[:, seen[0]]
        assert seen.float().mean() > 0.5
        assert difference.median() < 0.01


def test_a_pair_is_a_function_of_seed_and_index(config, tmp_path):
    make = lambda seed: SyntheticPairs(config.data, config.augment, seed, 0, 9, tmp_path)  # noqa: E731
    first, again, other = make(1)[5], make(1)[5], make(2)[5]
    assert torch.equal(first.query, again.query)
    assert torch.equal(first.T_init.t, again.T_init.t)
    assert not torch.equal(first.T_init.t, other.T_init.t)


def test_starts_are_off_by_up_to_the_limits_and_mostly_by_little(config, tmp_path):
    data = replace(config.data, points=8, max_translation=4.0, max_rotation_deg=10.0, power=2.0)
    dataset = SyntheticPairs(data, config.augment, 1, 0, 80, tmp_path)
    errors = [
        (pair.T_init @ pair.T_query_ref.inv()).magnitude()
        for pair in (dataset[i] for i in range(80))
    ]
    angle, distance = (torch.cat(part) for part in zip(*errors))
    assert 2.5 < distance.max() <= 4.0 + 1e-4
    assert 6 < torch.rad2deg(angle).max() <= 10.0 + 1e-3
    assert distance.median() < 1.2 and torch.rad2deg(angle).median() < 3
    assert torch.corrcoef(torch.stack([distance, angle]))[0, 1] > 0.6  # both far, or neither


def test_no_point_lies_behind_what_hides_the_reference(config, tmp_path):
    hides = AugmentConfig.none(occlusion=1.0, occluded=0.3, reference=1.0)
    data = replace(config.data, textured=0.0)
    for index in range(3):
        pair = SyntheticPairs(data, hides, 1, 0, 9, tmp_path)[index]
        plain = SyntheticPairs(data, AugmentConfig.none(unchanged=1.0), 1, 0, 9, tmp_path)[index]
        touched = ((pair.reference - plain.reference).abs() > 1e-3).any(1)
        assert touched.float().mean() > 0.01
        pixels = pair.camera_reference.project(pair.points)[0][0].round().long()
        assert not touched[0, pixels[:, 1], pixels[:, 0]].any()


def test_overlap_is_the_share_of_the_wall_that_stays_in_the_picture(config):
    (views,) = pairs.load_world(config.data.views, 0, None)
    assert overlap(views, 0, 0, PairConfig()) == 1.0
    shift = 70.0 / 6 * 0.7  # pixels between the views 0.3 m to one and 0.4 m to the other side
    assert abs(overlap(views, 1, 2, PairConfig()) - (1 - shift / 96)) < 16 / 96
    views.T_map_cam[1, 0, 3] = 60.0
    assert overlap(views, 0, 1, PairConfig()) == 0.0

"""Rendered pairs are exact."""
import torch

from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.pairs import SyntheticPairs


def test_points_fall_on_the_same_texture_in_both_views(config, tmp_path):
    no_change = AugmentConfig.none()
    pairs = SyntheticPairs(config.data, no_change, seed=3, first_world=0, length=4,
                           folder=tmp_path)
    for pair in (pairs[i] for i in range(4)):
        in_reference, _ = pair.camera_reference.project(pair.points)
        in_query, seen = pair.camera_query.project(pair.T_query_ref.transform(pair.points))
        size = pair.camera_query.size[0] - 1
        colours = [torch.nn.functional.grid_sample(image, (p / size * 2 - 1)[:, None],
                                                   align_corners=True)[0, :, 0]
                   for image, p in ((pair.reference, in_reference), (pair.query, in_query))]
        difference = (colours[0] - colours[1]).abs()[:, seen[0]]
        assert seen.float().mean() > 0.5
        assert difference.median() < 0.01


def test_a_pair_is_a_function_of_seed_and_index(config, tmp_path):
    make = lambda seed: SyntheticPairs(config.data, config.augment, seed, 0, 9, tmp_path)  # noqa: E731
    first, again, other = make(1)[5], make(1)[5], make(2)[5]
    assert torch.equal(first.query, again.query)
    assert torch.equal(first.T_init.t, again.T_init.t)
    assert not torch.equal(first.T_init.t, other.T_init.t)

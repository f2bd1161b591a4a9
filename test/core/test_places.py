"""How many starting poses a search takes, and where they lie."""

import numpy as np
import pytest
import torch

from pixloc_ros.core.places import SearchConfig, draw


@pytest.mark.parametrize(
    "width, expected", [(0.5, 1), (1.0, 1), (1.001, 17), (1.5, 36), (2.0, 48), (9.0, 48)]
)
def test_starting_poses_grow_with_the_uncertainty_up_to_a_limit(width, expected):
    assert SearchConfig().starts(width) == expected


def test_the_width_of_a_prior_is_its_worst_axis():
    config = SearchConfig(std_m=0.5, std_deg=3.0)
    std = np.array([0.1, 0.75, 0.1, *np.radians([1.0, 1.0, 2.0])])
    assert config.width(np.diag(std**2)) == pytest.approx(1.5)
    std[5] = np.radians(6.0)
    assert config.width(np.diag(std**2)) == pytest.approx(2.0)


def test_draws_begin_at_the_start_and_have_the_covariance():
    std = torch.tensor([1.0, 2.0, 0.5, 0.1, 0.05, 0.2])
    increments = draw(512, torch.diag(std**2), spread=4.0)
    assert (increments[0] == 0).all()
    assert torch.allclose(increments.std(0), std, rtol=0.1)

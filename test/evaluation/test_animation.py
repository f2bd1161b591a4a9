"""The moving picture of a run."""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pixloc_ros.core.tracker import TrackState
from pixloc_ros.evaluation.animation import GRAYS, WIDTH, frames_to_show, tracking_gif
from pixloc_ros.evaluation.runner import RunResult, run_drive


@pytest.fixture
def run(make_drive, noisy_tracker) -> RunResult:
    """Five frames, all with their points; the third was aligned but the tracker is lost."""
    drive = make_drive(5)
    run = run_drive(*noisy_tracker(drive), drive, with_view=range(5))
    lost = replace(run.results[2], state=TrackState.LOST, T_map_base=None, covariance=None)
    return replace(run, results=(*run.results[:2], lost, *run.results[3:]))


def frames(gif: bytes) -> list[np.ndarray]:
    picture = Image.open(io.BytesIO(gif))
    shown = []
    for i in range(picture.n_frames):
        picture.seek(i)
        shown.append(np.asarray(picture.convert("RGB")).astype(int))
    return shown


def test_it_moves_in_few_colours_that_stay_the_same(run):
    shown = frames(tracking_gif(run, np.random.default_rng(0).uniform(-5, 5, (300, 3))))
    assert len(shown) == 5 and all(frame.shape[1] == WIDTH for frame in shown)
    image, panel = np.split(np.stack(shown), [480], axis=1)
    red, green, blue = np.moveaxis(image, -1, 0)
    assert (red - blue > 100).any() and (green - blue > 100).any(), "points by residual"
    assert all((a != b).any() for a, b in pairwise(panel)), "the way grows"
    colours = np.unique(np.stack(shown).reshape(-1, 3), axis=0)
    assert GRAYS / 2 < len(colours) <= 64


def test_a_drive_without_ground_truth_has_its_own(run):
    unknown = replace(run, drive=replace(run.drive, T_map_base=None))
    assert len(frames(tracking_gif(unknown, np.zeros((0, 3))))) == 5


def test_frames_are_at_even_distances():
    assert list(frames_to_show(4)) == [0, 1, 2, 3]
    assert len(frames_to_show(100)) == 50 and frames_to_show(7381).step == 148

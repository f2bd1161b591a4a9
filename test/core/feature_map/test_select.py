"""The choice of keyframes and points."""

from __future__ import annotations

import numpy as np
from fake_map import pose

from pixloc_ros.core.feature_map.select import KeyframeIndex, SelectionConfig, spread


def index_of(poses):
    return KeyframeIndex(np.array(poses)[:, :3], np.full((len(poses), 8), -1))


def test_near_finds_all_keyframes_within_reach():
    random = np.random.default_rng(0)
    position = random.uniform(-300, 300, (500, 2))
    index = index_of([pose(x, y) for x, y in position])
    for query in random.uniform(-300, 300, (20, 2)):
        for distance in (12.0, 30.0, 75.0):
            within = np.flatnonzero(np.linalg.norm(position - query, axis=1) <= distance)
            assert set(within) <= set(index.near(np.array([*query, 0.0]), distance))


def test_rank_prefers_the_near_and_those_that_look_the_same_way():
    index = index_of([pose(0), pose(6), pose(2), pose(3, yaw=2.8), pose(2.5, yaw=0.9), pose(80)])
    assert index.rank(pose(2.6), SelectionConfig()).tolist() == [2, 0, 1, 4]
    assert index.rank(pose(2.6, yaw=2.6), SelectionConfig(max_keyframes=1)).tolist() == [3]
    assert index.rank(pose(200), SelectionConfig()).tolist() == []


def test_rank_prefers_keyframes_covisible_with_the_best():
    poses = np.array([pose(0), pose(3.0), pose(-3.5)])
    covisible = np.full((3, 8), -1)
    covisible[0, 0] = 2  # a wall stands between 0 and 1
    assert KeyframeIndex(poses[:, :3], covisible).rank(
        pose(0), SelectionConfig(max_keyframes=2)
    ).tolist() == [
        0,
        2,
    ]


def test_spread_takes_the_best_of_every_cell_first():
    p2d = np.array([[10, 10], [11, 11], [12, 12], [300, 200], [301, 201]], float)
    score = np.array([0.1, 0.9, 0.5, 0.2, 0.3])
    size = np.array([320, 240])
    assert spread(p2d, score, size, 2).tolist() == [1, 4]
    assert sorted(spread(p2d, score, size, 4)) == [1, 2, 3, 4]
    assert spread(p2d, score, size, 9).tolist() == [1, 4, 2, 3, 0]
    reserve = np.array([False, True, False, False, False])
    assert sorted(spread(p2d, score, size, 4, reserve)) == [0, 2, 3, 4]


def test_spread_of_a_cluster_and_a_background():
    random = np.random.default_rng(1)
    cluster = random.uniform(100, 110, (900, 2))
    background = random.uniform(0, 1, (100, 2)) * [320, 240]
    p2d = np.concatenate([cluster, background])
    chosen = spread(p2d, random.random(1000), np.array([320, 240]), 100)
    assert (chosen >= 900).sum() >= 65

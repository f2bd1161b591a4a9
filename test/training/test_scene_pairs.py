"""Pairs of recorded data are exact, whatever the data set, and train a network."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import posed_wall
import pytest
import torch
import yaml
from walls import fresh_net

from pixloc_ros.cli.train import read_config
from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.config import to_dict
from pixloc_ros.core.errors import ConfigError, DataError
from pixloc_ros.core.geometry import Pose
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.config import TrainConfig
from pixloc_ros.training.loop import Trainer
from pixloc_ros.training.scene_pairs import ScenePairConfig, fit, initial_pose
from pixloc_ros.training.sources import CmuData, ColmapData, ColmapModel, MegaDepthData

CLEAN = AugmentConfig.none()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict:
    """One configuration of each kind over small data in the layout of the real one."""
    folder = tmp_path_factory.mktemp("data")
    posed_wall.megadepth(folder / "megadepth", "0001")
    for name in ("train", "valid"):
        (folder / "megadepth" / f"{name}_scenes.txt").write_text("0001\n")
    posed_wall.cmu(folder / "CMU", folder / "hloc", 7)
    scene = folder / "megadepth" / "Undistorted_SfM" / "0001"
    common = {"crop": 224, "points": 100, "min_overlap": 0.2}
    return {
        "megadepth": MegaDepthData(root=folder / "megadepth", **common),
        "cmu": CmuData(
            root=folder / "CMU",
            models=folder / "hloc",
            training_slices=(7,),
            validation_slices=(7,),
            **common,
        ),
        "colmap": ColmapData(
            models=(ColmapModel(scene / "sparse", scene / "images"),),
            validation_share=0.45,
            **common,
        ),
    }


@pytest.mark.parametrize("kind", ["megadepth", "cmu", "colmap"])
def test_points_fall_on_the_same_texture_in_both_crops(data, kind, tmp_path):
    pairs = data[kind].training_pairs(CLEAN, 1, 6, tmp_path)
    shared = 0
    for pair in (pairs[i] for i in range(6)):
        assert pair.reference.shape == pair.query.shape == (1, 3, 224, 224)
        assert pair.points.shape == (1, 100, 3)
        in_reference, there = pair.camera_reference.project(pair.points)
        in_query, seen = pair.camera_query.project(pair.T_query_ref.transform(pair.points))
        seen = (seen & there)[0]
        colours = [
            torch.nn.functional.grid_sample(image, (p / 223 * 2 - 1)[:, None], align_corners=True)[
                0, :, 0
            ][:, seen]
            for image, p in ((pair.reference, in_reference), (pair.query, in_query))
        ]
        shared += int(seen.sum())
        if seen.any():
            assert (colours[0] - colours[1]).abs().median() < 0.03
    assert shared > 60


def test_points_are_observed_ones_and_padding_is_behind_the_camera(data, tmp_path):
    config = replace(data["colmap"], points=600)
    pair = config.training_pairs(CLEAN, 1, 1, tmp_path)[0]
    padding = pair.points[0, :, 2] == -1
    assert 0 < padding.sum() < 600 - 32
    assert not pair.camera_reference.project(pair.points)[1][0][padding].any()
    real = pair.points[0][~padding]
    assert pair.camera_reference[0].project(real)[1].all()
    assert len(torch.unique(real, dim=0)) == len(real)


def test_a_pair_is_a_function_of_seed_and_index(data, tmp_path):
    def pair(seed, index):
        return data["cmu"].training_pairs(AugmentConfig(), seed, 9, tmp_path)[index]

    first, again = pair(1, 5), pair(1, 5)
    assert torch.equal(first.query, again.query) and torch.equal(first.points, again.points)
    assert not torch.equal(first.query, pair(2, 5).query)
    assert not torch.equal(first.query, pair(1, 6).query)


def test_starting_poses():
    T = Pose.identity((1,)).retract(torch.tensor([[1.0, 2.0, -1.0, 0.1, -0.4, 0.2]]))
    T = T.matrix()[0].double().numpy()
    rng = np.random.default_rng(0)
    assert np.array_equal(initial_pose(T, ScenePairConfig(), rng), np.eye(4))
    config = ScenePairConfig(initial="interpolated", interval=(0.75, 1.0))
    shares = []
    for _ in range(50):
        start = initial_pose(T, config, rng)
        share = np.linalg.norm(start[:3, 3]) / np.linalg.norm(T[:3, 3])
        np.testing.assert_allclose(start[:3, 3], share * T[:3, 3], atol=1e-9)
        angle = np.arccos((np.trace(start[:3, :3]) - 1) / 2)
        assert angle == pytest.approx(share * np.linalg.norm([0.1, -0.4, 0.2]), rel=1e-5)
        shares.append(share)
    assert 0.75 <= min(shares) < 0.8 and 0.95 < max(shares) <= 1.0
    config = ScenePairConfig(initial="disturbed", max_translation=0.5, max_rotation_deg=3.0)
    off = [
        np.linalg.norm((initial_pose(T, config, rng) @ np.linalg.inv(T))[:3, 3]) for _ in range(50)
    ]
    assert 0.2 < max(off) <= 0.5


def test_crops_are_random_and_inside():
    rng = np.random.default_rng(0)
    for width, height in ((640, 480), (480, 640), (300, 301), (1024, 400)):
        spots = set()
        for _ in range(40):
            (w, h), (left, top) = fit(width, height, 256, rng)
            assert min(w, h) == 256 and abs(w / h - width / height) < 0.01
            assert 0 <= left <= w - 256 and 0 <= top <= h - 256
            spots.add((left, top))
        assert len(spots) > 1


def test_validation_images_of_a_colmap_model_are_never_trained_on(data, tmp_path):
    config = data["colmap"]
    used = []
    for validation in (False, True):
        (opened,) = config.scenes(validation, tmp_path)
        scene = opened()
        assert len(scene.pairs) > 0
        used.append({scene.images[i].name for i in np.unique(scene.pairs)})
    assert used[0].isdisjoint(used[1])


@pytest.mark.parametrize("workers", [0, 1])
def test_scenes_are_prepared_ahead(data, tmp_path, workers):
    told = []
    data["cmu"].prepare(tmp_path, workers, lambda *state, what: told.append((*state, what)))
    assert told == [(1, 2, "scenes"), (2, 2, "scenes")]
    assert (tmp_path / "cmu" / "slice7" / "scene.json").is_file()


def test_no_pair_is_an_error_that_says_what_to_widen(data, tmp_path):
    config = replace(data["cmu"], max_baseline=0.01)
    with pytest.raises(DataError, match="max_baseline"):
        config.training_pairs(CLEAN, 1, 6, tmp_path)
    with pytest.raises(ConfigError, match="at least one entry under models"):
        path = tmp_path / "empty.yaml"
        path.write_text("name: x\ndata: {kind: colmap}\n")
        read_config(path)


@pytest.mark.parametrize(
    "kind, columns",
    [
        ("megadepth", {"median_baselines", "median_deg"}),
        ("colmap", {"median_m", "median_deg", "recall_0.1m_0.25deg"}),
    ],
)
def test_a_step_of_training_on_recorded_data(data, kind, columns, tmp_path):
    small = replace(data[kind], crop=96)
    config = TrainConfig(
        name="recorded",
        data=small,
        steps=1,
        batch=2,
        workers=0,
        validation_pairs=2,
        aligner=AlignerConfig(iterations=(1, 1, 1)),
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(config)))
    assert read_config(path) == config
    trainer = Trainer(fresh_net(), config, tmp_path / "run", tmp_path / "cache")
    trainer.run(lambda step, figures: None)
    assert trainer.skipped == 0
    with (tmp_path / "run" / "validation.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert columns <= set(row)
    assert ("median_m" in row) == (kind != "megadepth")

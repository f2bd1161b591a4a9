"""Opening maps, refusing bad ones, and what the visible points are."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_map import CAMERA, DIMS, feature, make_map, pose, project

from pixloc_ros.core.errors import MapError
from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig
from pixloc_ros.core.feature_map import format as fmt


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_map(tmp_path_factory.mktemp("maps") / "line", np.arange(0, 60, 2.0))


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "map")


def test_open_tells_what_is_in_the_map(folder):
    feature_map = FeatureMap.open(folder, identity="abc123")
    assert feature_map.info.num_keyframes == 30 and len(feature_map.info.tiles) == 3
    np.testing.assert_allclose(feature_map.keyframe_poses()[4], pose(8.0))
    assert feature_map.keyframe_names()[4] == "4.jpg"
    cloud = feature_map.point_cloud(100)
    assert 30 <= len(cloud) <= 110 and np.isfinite(cloud).all()
    assert len(feature_map.point_cloud(10**6)) == feature_map.info.num_points


def edit_info(copy, **changes):
    content = json.loads((copy / "map.json").read_text())
    (copy / "map.json").write_text(json.dumps({**content, **changes}))


def first_tile(copy):
    return sorted((copy / "tiles").iterdir())[0]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda m: (m / "map.json").unlink(), "map.json: missing.*build one with build_map"),
        (lambda m: (m / "map.json").write_text("{"), "map.json: damaged"),
        (lambda m: edit_info(m, version=99), "format version 99, this package reads version 1"),
        (lambda m: edit_info(m, strides="x"), "map.json.*strides"),
        (lambda m: edit_info(m, novelty=1), "unknown key 'novelty'"),
        (lambda m: (m / "keyframes.npy").unlink(), "keyframes.npy: missing"),
        (lambda m: (m / "keyframes.npy").write_bytes(b"x"), "keyframes.npy: damaged"),
        (lambda m: first_tile(m).unlink(), "safetensors: missing"),
        (lambda m: first_tile(m).write_bytes(first_tile(m).read_bytes()[:-9]), "truncated"),
    ],
)
def test_a_bad_map_is_refused_with_the_reason(copy, spoil, message):
    spoil(copy)
    with pytest.raises(MapError, match=message):
        FeatureMap.open(copy)


def test_another_checkpoint_is_refused(folder, tmp_path):
    with pytest.raises(MapError, match="built with checkpoint 'fake'.*build the map again"):
        FeatureMap.open(folder, identity="other")
    with pytest.raises(MapError, match="no such folder"):
        FeatureMap.open(tmp_path / "nowhere")


def test_a_damaged_tile_is_reported_not_raised(copy):
    path = copy / "tiles" / "0_0.safetensors"
    content = bytearray(path.read_bytes())
    content[-50] ^= 255
    path.write_bytes(content)
    feature_map = FeatureMap.open(copy)
    assert feature_map.visible_points(pose(1.0), CAMERA, SelectionConfig(max_keyframes=2)) is None
    assert feature_map.visible_points(pose(1.0), CAMERA, SelectionConfig(max_keyframes=2)) is None
    assert len(feature_map.problems) == 1 and "0_0.safetensors" in feature_map.problems[0]
    assert feature_map.visible_points(pose(50.0), CAMERA) is not None


def test_visible_points_are_in_view_with_the_best_keyframes_features(folder):
    feature_map = FeatureMap.open(folder)
    T = pose(21.0, 0.5, 0.2, 0.1)
    found = feature_map.visible_points(T, CAMERA, SelectionConfig(point_budget=10_000))
    points = found.points.double().numpy() + found.origin
    p2d, _ = project(points, T)
    assert (p2d >= -0.16 * 320).all() and (p2d[:, 0] <= 1.16 * 320).all()
    assert found.keyframes[0] in (10, 11) and len(found.keyframes) == 4
    assert len(np.unique(found.point_ids)) == len(found.point_ids) == len(points)
    assert found.mask.all() and found.points.dtype == torch.float32
    best = found.keyframes[0]
    own = feature(found.point_ids, best, 0).float()
    same = (own - found.features[0]).abs().max(1).values < 1e-3
    count = feature_map.keyframe_counts()[best]
    assert 0.5 * count < int(same.sum()) <= count
    others = found.point_ids[~same.numpy()]
    assert len(others) > 0
    for level, dim in enumerate(DIMS):
        assert found.features[level].shape == (len(points), dim)
        assert found.features[level].dtype == torch.float32
        torch.testing.assert_close(
            found.features[level].norm(dim=1), torch.ones(len(points)), atol=2e-3, rtol=0
        )
        assert ((found.confidence[level] > 0) & (found.confidence[level] < 1)).all()


def test_the_budget_is_kept_and_spread_over_the_image(folder):
    feature_map = FeatureMap.open(folder)
    T = pose(21.0)
    everything = feature_map.visible_points(T, CAMERA, SelectionConfig(point_budget=10_000))
    some = feature_map.visible_points(T, CAMERA, SelectionConfig(point_budget=40))
    assert len(some.points) == 40 < len(everything.points)
    p2d, inside = project(some.points.double().numpy() + some.origin, T)
    assert inside.all()
    quadrants = (p2d[:, 0] > 160) * 2 + (p2d[:, 1] > 120)
    assert np.bincount(quadrants, minlength=4).min() >= 4


@pytest.mark.parametrize(
    "T", [pose(500.0), pose(20.0, yaw=np.pi), pose(20.0, 0, 100.0), np.full((4, 4), np.nan)]
)
def test_nothing_in_view_is_none(folder, T):
    assert FeatureMap.open(folder).visible_points(T, CAMERA) is None


def test_points_stay_exact_far_from_the_origin(tmp_path):
    near = FeatureMap.open(make_map(tmp_path / "near", np.arange(0, 20, 2.0)))
    far = FeatureMap.open(make_map(tmp_path / "far", np.arange(0, 20, 2.0), origin=400_000.0))
    a = near.visible_points(pose(5.0), CAMERA, SelectionConfig(point_budget=10_000))
    b = far.visible_points(pose(400_005.0, 400_000.0), CAMERA, SelectionConfig(point_budget=10_000))
    assert np.array_equal(a.point_ids, b.point_ids)
    absolute = b.points.double().numpy() + b.origin - [400_000, 400_000, 0]
    np.testing.assert_allclose(absolute, a.points.double().numpy() + a.origin, atol=2e-5)


def test_memory_is_bounded_by_the_cache(folder):
    tile = max(t.bytes for t in FeatureMap.open(folder).info.tiles)
    feature_map = FeatureMap.open(folder, cache_mb=1.5 * tile / 1e6)
    for x in np.linspace(0, 58, 30):
        assert (
            feature_map.visible_points(pose(x), CAMERA, SelectionConfig(max_keyframes=1))
            is not None
        )
        assert feature_map.cached_bytes <= 1.5 * tile
    assert feature_map.problems == []


def big_map(folder, template, kilometres):
    """A map of sparse tile files that have only their size; opening reads no tile."""
    info = fmt.read_info(template)
    keyframes = np.load(template / "keyframes.npy")
    count = int(kilometres * 1000 / 2)
    table = np.repeat(keyframes[:1], count)
    table["T_map_cam"] = [pose(2.0 * i)[:3] for i in range(count)]
    table["tile"] = np.arange(count) // 10
    folder.mkdir()
    (folder / "tiles").mkdir()
    np.save(folder / "keyframes.npy", table)
    tiles = []
    for i in range(count // 10):
        tile = replace(info.tiles[0], name=f"{i}_0.safetensors", cell=(i, 0), bytes=4_000_000)
        with (folder / "tiles" / tile.name).open("wb") as stream:
            stream.truncate(tile.bytes)
        tiles.append(tile)
    sha256 = fmt.file_sha256(folder / "keyframes.npy")
    fmt.write_info(
        folder, replace(info, tiles=tuple(tiles), num_keyframes=count, keyframes_sha256=sha256)
    )
    return folder


def test_a_map_of_ten_kilometres_opens_at_once(folder, tmp_path):
    path = big_map(tmp_path / "big", folder, 10)
    start = time.process_time()  # the machine may be busy with other things
    feature_map = FeatureMap.open(path)
    assert time.process_time() - start < 1.0
    assert feature_map.info.num_keyframes == 5000


def test_the_search_for_keyframes_does_not_grow_with_the_map(folder, tmp_path):
    def keyframes_looked_at(kilometres):
        feature_map = FeatureMap.open(big_map(tmp_path / f"{kilometres}", folder, kilometres))
        return len(feature_map._index.near(np.array([500.0, 0.0, 0.0]), 30.0))

    assert keyframes_looked_at(2) == keyframes_looked_at(10) <= 46

"""Building feature maps: what is in them, resuming, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import corridor
import cv2
import numpy as np
import pytest
import torch

from pixloc_ros.cli import build_map as build_map_cli
from pixloc_ros.cli import map_info
from pixloc_ros.core.alignment import sample_reference
from pixloc_ros.core.errors import ConfigError, DataError, MapError
from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.covisibility import covisible
from pixloc_ros.mapping.inspect import MapSummary
from pixloc_ros.mapping.plan import BuildOptions, map_from_world, plan_map
from pixloc_ros.mapping.triangulate import triangulate

OPTIONS = BuildOptions(resize=240, scale=1.0, tile_size=2.0)


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint("small")


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return corridor.drive(tmp_path_factory.mktemp("build") / "images", frames=5)


@pytest.fixture(scope="module")
def model_dir(drive, tmp_path_factory):
    return triangulate(drive.posed_images(), tmp_path_factory.mktemp("build") / "model")


@pytest.fixture(scope="module")
def built(drive, model_dir, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("build") / "map"
    return build_map(read_model(model_dir), drive.image_dir, checkpoint, folder, OPTIONS)


def test_the_map_holds_the_features_at_the_projections(built, drive, model_dir, checkpoint):
    feature_map = FeatureMap.open(built.path, identity=checkpoint.identity)
    row = 2
    name = feature_map.keyframe_names()[row]
    T = feature_map.keyframe_poses()[row]
    np.testing.assert_allclose(T, drive.T_map_cam[drive.names.index(name)], atol=1e-9)
    found = feature_map.visible_points(
        T, drive.camera, SelectionConfig(point_budget=10_000, max_keyframes=1)
    )
    model = read_model(model_dir)
    points = model.points[np.searchsorted(model.point_ids, found.point_ids)]
    np.testing.assert_allclose(found.points.numpy() + found.origin, points, atol=1e-5)
    tensor, scale = prepare_image(drive.image(drive.names.index(name)), OPTIONS.resize)
    assert max(tensor.shape[-2:]) == 240
    T_cam_map = transforms.inverse(T)
    p_cam = points @ T_cam_map[:3, :3].T + T_cam_map[:3, 3]
    p2d, valid = drive.camera.scale(*scale).project(torch.from_numpy(p_cam).float())
    assert valid.all()
    with torch.inference_mode():
        pyramid = checkpoint.net(tensor)
        for level, (features, confidence) in enumerate(zip(found.features, found.confidence)):
            expected, inside = sample_reference(pyramid[level], p2d[None], checkpoint.net.pad)
            assert inside.all()
            torch.testing.assert_close(features, expected.features[0], atol=2e-3, rtol=0)
            torch.testing.assert_close(confidence, expected.confidence[0], atol=1e-3, rtol=0)


def test_the_summary_says_what_there_is(built, checkpoint):
    info = built.info
    assert info.num_keyframes == 5 and info.resize == 240 and info.gravity_aligned
    assert info.checkpoint == checkpoint.identity and len(info.tiles) >= 2
    assert sum(tile.keyframes for tile in info.tiles) == 5
    assert sum(tile.observations for tile in info.tiles) == info.num_observations
    statistics = info.statistics
    assert statistics["track_length_mean"] >= 2 and statistics["reprojection_error_mean"] < 1
    assert statistics["keyframe_spacing_p50"] == pytest.approx(0.5, abs=0.2)
    assert statistics["up_cosine"] > 0.999
    assert 1 < statistics["triangulation_angle_p50"] < 90
    assert {"keyframes", "points", "size on disk"} <= {name for name, _ in built.rows()}
    assert MapSummary(built.path, FeatureMap.open(built.path).info) == built
    assert not built.path.with_name("map.partial").exists()


def test_neighbouring_keyframes_are_covisible(built):
    keyframes = np.load(built.path / "keyframes.npy")
    order = np.argsort(keyframes["T_map_cam"][:, 0, 3])
    for i, row in enumerate(order):
        best = int(np.flatnonzero(order == keyframes["covisible"][row][0])[0])
        assert abs(best - i) <= 2


def test_an_interrupted_build_continues(drive, model_dir, checkpoint, tmp_path):
    calls = []
    net = checkpoint.net
    hook = net.register_forward_pre_hook(lambda *_: calls.append(1))

    def interrupt(done, total, what):
        if done == 3:
            raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            build_map(
                read_model(model_dir),
                drive.image_dir,
                checkpoint,
                tmp_path / "m",
                OPTIONS,
                interrupt,
            )
        assert not (tmp_path / "m").exists() and len(calls) == 3
        build_map(read_model(model_dir), drive.image_dir, checkpoint, tmp_path / "m", OPTIONS)
        assert len(calls) == 5
        # another option makes other features: nothing old is taken, and the old map is replaced
        with pytest.raises(KeyboardInterrupt):
            build_map(
                read_model(model_dir),
                drive.image_dir,
                checkpoint,
                tmp_path / "m",
                OPTIONS,
                interrupt,
            )
        other = replace(OPTIONS, resize=200)
        build_map(read_model(model_dir), drive.image_dir, checkpoint, tmp_path / "m", other)
        assert len(calls) == 5 + 3 + 5
    finally:
        hook.remove()
    assert FeatureMap.open(tmp_path / "m").info.resize == 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def test_a_changed_image_is_processed_again(drive, model_dir, checkpoint, tmp_path):
    images = shutil.copytree(drive.image_dir, tmp_path / "images")

    def interrupt(done, total, what):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_map(read_model(model_dir), images, checkpoint, tmp_path / "m", OPTIONS, interrupt)
    name = read_model(model_dir).names[0]
    cv2.imwrite(str(images / name), np.full((240, 320), 77, np.uint8))
    calls = []
    hook = checkpoint.net.register_forward_pre_hook(lambda *_: calls.append(1))
    build_map(read_model(model_dir), images, checkpoint, tmp_path / "m", OPTIONS)
    hook.remove()
    assert len(calls) == 2


def test_few_points_per_keyframe_are_spread(drive, model_dir, checkpoint, tmp_path):
    options = replace(OPTIONS, max_points_per_keyframe=40)
    summary = build_map(read_model(model_dir), drive.image_dir, checkpoint, tmp_path / "m", options)
    assert summary.info.num_observations == 5 * 40
    assert any("few points" in warning for warning in summary.info.warnings)
    feature_map = FeatureMap.open(summary.path)
    T = feature_map.keyframe_poses()[1]
    found = feature_map.visible_points(T, drive.camera, SelectionConfig(max_keyframes=1))
    p_cam = (found.points.numpy() + found.origin - T[:3, 3]) @ T[:3, :3]
    assert np.ptp(p_cam[:, 0] / p_cam[:, 2]) > 1.0


def test_bad_images_are_refused(drive, model_dir, checkpoint, tmp_path):
    images = shutil.copytree(drive.image_dir, tmp_path / "images")
    name = drive.names[2]
    cv2.imwrite(str(images / name), np.zeros((120, 160), np.uint8))
    with pytest.raises(DataError, match=f"{name}: 160x120 px, but the model's camera says 320x240"):
        build_map(read_model(model_dir), images, checkpoint, tmp_path / "m", OPTIONS)
    (images / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match=f"{name}: image cannot be decoded"):
        build_map(read_model(model_dir), images, checkpoint, tmp_path / "m", OPTIONS)
    (images / name).unlink()
    with pytest.raises(DataError, match=f"{name}: image is missing .1 of 5"):
        build_map(read_model(model_dir), images, checkpoint, tmp_path / "m", OPTIONS)


def test_a_folder_that_is_no_map_is_not_overwritten(drive, model_dir, checkpoint, tmp_path):
    (tmp_path / "precious").mkdir()
    with pytest.raises(MapError, match="exists and is no feature map"):
        build_map(
            read_model(model_dir), drive.image_dir, checkpoint, tmp_path / "precious", OPTIONS
        )


def test_a_model_too_sparse_is_refused(drive, model_dir, checkpoint, tmp_path):
    options = replace(OPTIONS, min_track_length=100)
    with pytest.raises(MapError, match="too sparse"):
        build_map(read_model(model_dir), drive.image_dir, checkpoint, tmp_path / "m", options)


@pytest.mark.parametrize("up", ["z", "-z", "y", "-y", "x", "-x"])
def test_the_up_axis_becomes_z(up):
    T = map_from_world(BuildOptions(up=up))
    axis = np.eye(3)["xyz".index(up[-1])] * (-1 if up[0] == "-" else 1)
    np.testing.assert_allclose(T[:3, :3] @ axis, [0, 0, 1], atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)


def test_a_camera_world_looks_along_x():
    T = map_from_world(BuildOptions(up="-y"))
    np.testing.assert_allclose(T[:3, :3] @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_scale_and_transform_move_points_and_poses_together(model_dir):
    model = read_model(model_dir)
    T = transforms.exp(np.array([5.0, -3, 2, 0.1, 0.2, 0.3]))
    options = BuildOptions(scale=2.0, T_map_world=tuple(map(tuple, T.tolist())), tile_size=2.0)
    plain, moved = plan_map(model, BuildOptions(tile_size=2.0)), plan_map(model, options)
    by_name = {keyframe.name: keyframe for keyframe in plain.keyframes}
    for keyframe in moved.keyframes:
        before = by_name[keyframe.name]

        def direction(plan, frame):
            p = (plan.points[frame.rows] - frame.T_map_cam[:3, 3]) @ frame.T_map_cam[:3, :3]
            return p[:, :2] / p[:, 2:]

        np.testing.assert_allclose(direction(moved, keyframe), direction(plain, before), atol=1e-9)
    np.testing.assert_allclose(moved.points, (2 * plain.points) @ T[:3, :3].T + T[:3, 3], atol=1e-9)
    with pytest.raises(ConfigError, match="not a rigid"):
        map_from_world(BuildOptions(T_map_world=((2.0, 0, 0, 0),) * 4))
    with pytest.raises(ConfigError, match="no axis"):
        BuildOptions(up="north")


def test_warnings_of_what_will_hurt(drive, model_dir, checkpoint, tmp_path):
    options = replace(OPTIONS, scale=None, up="x")
    info = build_map(
        read_model(model_dir), drive.image_dir, checkpoint, tmp_path / "m", options
    ).info
    assert not info.gravity_aligned
    assert any("no metric scale" in warning for warning in info.warnings)
    assert any("gravity is not along" in warning for warning in info.warnings)


def test_covisible_against_counting():
    random = np.random.default_rng(0)
    seen = random.random((9, 60)) < 0.3
    image, point = np.nonzero(seen)
    table = covisible(image, point, 9, 4)
    shared = (seen[:, None] & seen[None]).sum(-1)
    np.fill_diagonal(shared, 0)
    for i in range(9):
        expected = np.sort(shared[i])[::-1][:4]
        assert shared[i, table[i]].tolist() == expected.tolist() and i not in table[i]
    assert (covisible(np.array([0, 1]), np.array([0, 1]), 3, 4) == -1).all()


def test_the_executables(drive, checkpoint, tmp_path, capsys):
    out = tmp_path / "map"
    assert (
        build_map_cli.main(
            [
                "--drive",
                str(drive.image_dir),
                "--out",
                str(out),
                "--spacing",
                "0.4",
                "--tile-size",
                "2",
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "points per keyframe" in text and "COLMAP model" in text
    assert map_info.main([str(out), "--verify", "--picture", str(tmp_path / "a.png")]) == 0
    assert "all tiles are whole" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    tile = sorted((out / "tiles").iterdir())[0]
    content = bytearray(tile.read_bytes())
    content[-20] ^= 255
    tile.write_bytes(content)
    assert map_info.main([str(out), "--verify"]) == 1
    assert tile.name in capsys.readouterr().out.replace("\n", "")
    assert build_map_cli.main(["--model", str(tmp_path), "--out", str(out)]) == 1
    assert "--images" in capsys.readouterr().out

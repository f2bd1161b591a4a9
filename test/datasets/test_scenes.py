"""Scenes of MegaDepth, CMU and any COLMAP model: poses, points and pairs are those of the data."""

from __future__ import annotations

import shutil

import numpy as np
import posed_wall
import pytest
import torch

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.geometry import Pose, transforms
from pixloc_ros.datasets import cmu, scene
from pixloc_ros.datasets.colmap_scene import read_colmap
from pixloc_ros.datasets.megadepth import read_megadepth, read_split, turned_camera
from pixloc_ros.images.files import read_image


@pytest.fixture(scope="module")
def megadepth(tmp_path_factory):
    root = tmp_path_factory.mktemp("megadepth")
    return root, *posed_wall.megadepth(root, "0001")


@pytest.fixture(scope="module")
def slice7(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cmu")
    return folder, *posed_wall.cmu(folder / "CMU", folder / "hloc", 7)


def check_pictures(made: scene.PosedScene) -> None:
    """Each point has the colour of the wall where the scene says that an image shows it."""
    points = torch.from_numpy(np.asarray(made.points))
    wanted = posed_wall.colour_at(points)
    for i, path in enumerate(made.images):
        image = np.rot90(read_image(path), int(made.turns[i])).astype(np.float32) / 255
        camera = made.cameras[made.camera_of[i]]
        assert image.shape[1::-1] == tuple(camera.size.int().tolist())
        T = Pose.from_matrix(made.T_cam_world[i][None])
        p2d, seen = camera.to(torch.float64).project(T.transform(points[None]))
        x, y = p2d[0][seen[0]].round().long().T.numpy()
        assert seen.sum() > 40
        difference = np.abs(image[y, x] - wanted[seen[0]].numpy())
        assert np.median(difference) < 0.03, path


def test_shared_points_are_counted_as_sets_are():
    rng = np.random.default_rng(0)
    observed = [np.sort(rng.choice(60, rng.integers(0, 40), replace=False)) for _ in range(12)]
    pairs, common = scene.shared_points(observed, 60)
    found = {tuple(pair): count for pair, count in zip(pairs.tolist(), common.tolist())}
    for i, first in enumerate(observed):
        for j, second in enumerate(observed):
            shared = len(set(first.tolist()) & set(second.tolist())) if i != j else 0
            assert found.get((i, j), 0) == shared


def test_megadepth_turns_photos_upright(megadepth):
    root, photos, observed = megadepth
    made = read_megadepth(root, "0001")
    assert [path.name for path in made.images] == [photo.name for photo in photos]
    # rolled clockwise by 88 deg, a camera shows the world turned counterclockwise
    assert made.turns.tolist() == [0, 0, 0, 3, 1, 2, 0]
    assert (made.T_cam_world[:, 1, 1] > 0.99).all(), "down in the world is down in the picture"
    check_pictures(made)
    for i, rows in enumerate(observed):
        assert set(made.observed_by(i).tolist()) == rows


def test_megadepth_pairs_share_points_and_are_large_enough(megadepth):
    root, _, observed = megadepth
    made = read_megadepth(root, "0001")
    found = {tuple(pair): share for pair, share in zip(made.pairs.tolist(), made.overlap)}
    for i in range(7):
        for j in range(7):
            common = len(observed[i] & observed[j])
            if i == j or 6 in (i, j) or common < 50:
                assert (i, j) not in found
            else:
                assert found[i, j] == pytest.approx(common / len(observed[i]))
    assert len(found) > 20
    centre = transforms.inverse(made.T_cam_world)[:, :3, 3]
    expected = [np.linalg.norm(centre[i] - centre[j]) for i, j in made.pairs]
    np.testing.assert_allclose(made.baseline, expected)


def test_megadepth_wants_undistorted_cameras():
    with pytest.raises(DataError, match="undistorted"):
        turned_camera(cmu.Camera.from_colmap("SIMPLE_RADIAL", 640, 480, (500, 320, 240, 0.1)), 1)


def test_splits_are_text_files(tmp_path):
    (tmp_path / "train.txt").write_text("0001\n0005\n")
    assert read_split(tmp_path / "train.txt") == ("0001", "0005")
    with pytest.raises(DataError, match="none.txt"):
        read_split(tmp_path / "none.txt")


def test_cmu_queries_pair_with_what_their_closest_reference_shares(slice7):
    folder, references, queries, observed = slice7
    made = cmu.read_cmu(folder / "CMU", folder / "hloc", 7)
    assert [path.name for path in made.images] == [photo.name for photo in references + queries]
    assert made.images[0].parent.name == "database" and made.images[5].parent.name == "query"
    for T, photo in zip(made.T_cam_world, references + queries):
        np.testing.assert_allclose(T, photo.T_cam_world, atol=1e-9)
    assert [made.camera_of[i] for i in range(9)] == [0, 1, 0, 1, 0, 0, 1, 0, 1]
    check_pictures(made)
    found = {tuple(pair): share for pair, share in zip(made.pairs.tolist(), made.overlap)}
    expected = {}
    for query, closest in ((5, 0), (6, 3)):  # the other two have no reference near
        for reference in set(range(5)) - {closest}:
            common = len(observed[reference] & observed[closest])
            if common >= 50:
                expected[reference, query] = common / len(observed[closest])
    assert found == pytest.approx(expected) and len(found) > 4
    assert all(len(made.observed_by(query)) == 0 for query in range(5, 9))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            lambda f: (f / "CMU/intrinsics.txt").write_text("c0 OPENCV 1024\n"),
            "intrinsics.txt, line 1",
        ),
        (
            lambda f: (f / "CMU/slice7/camera-poses/monday.txt").write_text("a.jpg 1 0 0\n"),
            "monday.txt, line 1: not 'name qw",
        ),
        (lambda f: shutil.rmtree(f / "CMU/slice7/camera-poses"), "no pose files"),
        (lambda f: next((f / "CMU/slice7/query").iterdir()).unlink(), "image missing"),
        (lambda f: shutil.rmtree(f / "hloc"), "no such model folder"),
    ],
)
def test_cmu_errors_name_the_file(slice7, tmp_path, spoil, message):
    shutil.copytree(slice7[0], tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises((DataError, MapError), match=message):
        cmu.read_cmu(tmp_path / "copy" / "CMU", tmp_path / "copy" / "hloc", 7)


def test_any_colmap_model_in_metres(megadepth):
    root, _, _observed = megadepth
    folder = root / "Undistorted_SfM" / "0001"
    plain = read_colmap(folder / "sparse", folder / "images")
    check_pictures(plain)
    doubled = read_colmap(folder / "sparse", folder / "images", scale=2.0)
    np.testing.assert_allclose(doubled.points, 2 * plain.points)
    np.testing.assert_allclose(doubled.baseline, 2 * plain.baseline)
    np.testing.assert_array_equal(doubled.overlap, plain.overlap)
    with pytest.raises(DataError, match="a.jpg: image missing, and 6 more of 7"):
        read_colmap(folder / "sparse", folder)


def test_a_scene_is_prepared_once_and_again_when_its_source_changes(megadepth, tmp_path):
    root, _, _ = megadepth
    source = tmp_path / "model"
    source.mkdir()
    made = []

    def make():
        made.append(read_megadepth(root, "0001"))
        return made[-1]

    first = scene.prepared(tmp_path / "cache" / "0001", source, make)
    again = scene.prepared(tmp_path / "cache" / "0001", source, make)
    assert len(made) == 1
    for opened in (first, again):
        assert opened.images == made[0].images
        for name in (
            "camera_of",
            "turns",
            "T_cam_world",
            "points",
            "observed",
            "start",
            "pairs",
            "overlap",
            "baseline",
        ):
            np.testing.assert_array_equal(getattr(opened, name), getattr(made[0], name))
        for ours, theirs in zip(opened.cameras, made[0].cameras):
            assert ours.to_dict() == theirs.to_dict()
    (source / "images.bin").write_text("new")
    scene.prepared(tmp_path / "cache" / "0001", source, make)
    assert len(made) == 2

"""SIFT, guided matching, triangulation and PnP on a corridor drawn exactly."""

from __future__ import annotations

import corridor
import numpy as np
import pytest

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.mapping import sift
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.posed_images import PosedImages, spaced
from pixloc_ros.mapping.sift_pnp import SiftPnp
from pixloc_ros.mapping.triangulate import TriangulateOptions, select_pairs, triangulate


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return corridor.drive(tmp_path_factory.mktemp("corridor") / "images")


@pytest.fixture(scope="module")
def model_dir(drive, tmp_path_factory):
    steps = []
    folder = triangulate(
        drive.posed_images(),
        tmp_path_factory.mktemp("sfm") / "model",
        lambda *step: steps.append(step),
    )
    assert {what for _, _, what in steps} == {"features", "matching", "triangulation"}
    assert steps[-1][:2] == (1, 1)
    assert not folder.with_name("model.partial").exists()
    return folder


def test_key_points_sit_where_the_pixels_are():
    """A shift by whole pixels shifts the key points by as much: no offset, no quarter pixel."""
    image, _ = corridor.render(corridor.pose(0))
    a, b = sift.extract(image), sift.extract(image[7:, 5:])
    matches = sift.match(a.descriptors, b.descriptors)
    offset = a.xy[matches[:, 0]] - b.xy[matches[:, 1]]
    assert len(matches) > 100
    np.testing.assert_allclose(np.median(offset, axis=0), [5, 7], atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(a.descriptors, axis=1), 1, atol=1e-5)


def test_key_points_of_a_flipped_image_are_flipped():
    """Pixel (0, 0) is the centre of the first pixel: mirrored, it becomes (w - 1, 0)."""
    image, _ = corridor.render(corridor.pose(0))
    a, b = sift.extract(image), sift.extract(image[::-1, ::-1])
    matches = sift.match(a.descriptors, b.descriptors)
    total = a.xy[matches[:, 0]] + b.xy[matches[:, 1]]
    assert len(matches) > 100
    np.testing.assert_allclose(
        np.median(total, axis=0), [corridor.WIDTH - 1, corridor.HEIGHT - 1], atol=0.05
    )


def test_rays_that_see_one_point_could_meet():
    random = np.random.default_rng(0)
    T_b_a = transforms.exp(np.array([0.3, -0.2, -1.0, 0.1, -0.05, 0.02]))
    p_a = random.uniform([-4, -3, 3], [4, 3, 30], (200, 3))
    p_b = p_a @ T_b_a[:3, :3].T + T_b_a[:3, 3]
    pairs = sift.could_meet(p_a / p_a[:, 2:], p_b / p_b[:, 2:], T_b_a, 1e-5)
    found = {tuple(pair) for pair in pairs.tolist()}
    assert {(i, i) for i in range(200)} <= found
    assert len(found) < 300


def test_rays_that_meet_behind_a_camera_could_not():
    T_b_a = transforms.exp(np.array([-1.0, 0, 0, 0, 0, 0]))  # b is 1 m to the right of a
    ray = np.array([[0.0, 0, 1]])
    left, right = np.array([[-0.2, 0, 1]]), np.array([[0.2, 0, 1]])
    assert len(sift.could_meet(ray, left, T_b_a, 1e-3)) == 1  # 5 m ahead
    assert len(sift.could_meet(ray, ray, T_b_a, 1e-3)) == 1  # far away
    assert len(sift.could_meet(ray, right, T_b_a, 1e-3)) == 0  # 5 m behind


def test_guided_matching_tells_repeated_structure_apart():
    random = np.random.default_rng(0)
    a = random.normal(size=(20, 128))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = np.concatenate([a, a])  # everything is there twice
    assert len(sift.match(a, b)) == 0
    rows = np.arange(20)
    allowed = np.concatenate([np.stack([rows, rows], 1), np.stack([rows, (rows + 21) % 40], 1)])
    matches = sift.match_guided(a, b, allowed)
    assert np.array_equal(matches, np.stack([rows, rows], 1))
    assert sift.match_guided(a, b, np.zeros((0, 2), np.int64)).shape == (0, 2)


def test_an_image_without_texture_has_no_key_points():
    found = sift.extract(np.full((240, 320), 90, np.uint8))
    assert found.xy.shape == (0, 2) and found.descriptors.shape == (0, 128)


def test_spaced_keeps_a_distance():
    poses = np.stack([corridor.pose(0.3 * i) for i in range(10)])
    assert spaced(poses, 1.0).tolist() == [0, 4, 8]
    poses = np.stack([corridor.pose(0, yaw=0.2 * i) for i in range(5)])
    assert spaced(poses, 1.0).tolist() == [0, 2, 4]


def test_pairs_are_near_look_the_same_way_and_do_not_grow_with_the_drive():
    poses = [corridor.pose(2.0 * i) for i in range(60)] + [corridor.pose(4.5, yaw=np.pi)]
    pairs = select_pairs(np.stack(poses), TriangulateOptions(pairs_per_image=6))
    assert all(a < b and 2 * (b - a) <= 30 for a, b in pairs)
    assert not any(b == 60 for _, b in pairs)
    assert (0, 1) in pairs and len(pairs) <= 60 * 6


def test_triangulated_points_lie_on_the_walls(model_dir, drive):
    model = read_model(model_dir)
    np.testing.assert_allclose(model.T_world_cam, drive.T_map_cam, atol=1e-9)
    assert model.cameras[0].to_dict() == drive.camera.to_dict()
    good = model.track_length >= 3
    off = np.min([abs(model.points[:, a] - p) for a, p in corridor.PLANES], axis=0)[good]
    assert good.sum() > 400 and model.errors[good].mean() < 0.6
    assert np.median(off) < 0.03 and np.percentile(off, 90) < 0.2


def test_observations_are_in_our_pixels(model_dir, drive):
    """The half pixel: without removing it the residuals would be 0.5 px on average."""
    model = read_model(model_dir)
    T = transforms.inverse(model.T_world_cam)[model.observation_image]
    p = np.einsum("nij,nj->ni", T[:, :3, :3], model.points[model.observation_point]) + T[:, :3, 3]
    p2d = p[:, :2] / p[:, 2:] * corridor.FOCAL + [
        (corridor.WIDTH - 1) / 2,
        (corridor.HEIGHT - 1) / 2,
    ]
    assert abs(np.median(p2d - model.observation_xy, axis=0)).max() < 0.05


def test_sift_and_pnp_finds_the_pose(model_dir, drive):
    way = SiftPnp(read_model(model_dir), drive.image_dir)
    truth = corridor.pose(1.2, 0.1, 0.05)
    found = way.localize(corridor.render(truth)[0], drive.camera, corridor.pose(1.6))
    metres, radians = transforms.pose_error(found, truth)
    assert metres < 0.03 and radians < 0.004
    blank = np.zeros((corridor.HEIGHT, corridor.WIDTH), np.uint8)
    assert way.localize(blank, drive.camera, truth) is None
    assert way.localize(blank, drive.camera, corridor.pose(1.2, yaw=3.0)) is None


def test_interrupted_triangulation_continues(drive, tmp_path):
    posed = drive.subset([0, 1, 2]).posed_images()
    loaded = []

    def load(index):
        loaded.append(index)
        return drive.image(index)

    counted = PosedImages(posed.names, posed.camera, posed.T_map_cam, load)

    def interrupt(done, total, what):
        if what == "matching":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        triangulate(counted, tmp_path / "model", interrupt)
    assert not (tmp_path / "model").exists()
    triangulate(counted, tmp_path / "model")
    assert sorted(loaded) == [0, 1, 2]
    assert len(read_model(tmp_path / "model").points) > 50


def test_what_cannot_be_triangulated_is_refused(drive, tmp_path):
    posed = drive.posed_images()
    apart = posed.T_map_cam.copy()
    apart[:, 0, 3] *= 1000
    with pytest.raises(MapError, match="check the poses and their unit"):
        triangulate(PosedImages(posed.names, posed.camera, apart, posed.load), tmp_path / "a")
    small = PosedImages(posed.names, posed.camera, posed.T_map_cam, lambda i: posed.load(i)[:100])
    with pytest.raises(DataError, match="320x100 px, but the camera says 320x240"):
        triangulate(small, tmp_path / "b")
    (tmp_path / "c").mkdir()
    with pytest.raises(MapError, match="choose another folder"):
        triangulate(posed, tmp_path / "c")
    with pytest.raises(DataError, match="not unique"):
        PosedImages(("a", "a"), posed.camera, posed.T_map_cam[:2], posed.load)

"""COLMAP models: binary and text, camera models, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pycolmap
import pytest
import torch

from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.geometry import Camera, transforms
from pixloc_ros.mapping.colmap import read_model, to_colmap

# T_cam_world
POSES = transforms.exp(np.array([[0.1, 0.2, 3, 0.1, 0, 0], [-0.5, 0.1, 3, 0, 0.1, 0]]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two images of 30 points, as binary and as text."""
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (30, 3))
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        camera_id=7,
        model="OPENCV",
        width=640,
        height=480,
        params=[500, 510, 320, 240, -0.1, 0.01, 0.001, 0.002],
    )
    model.add_camera_with_trivial_rig(camera)
    for index, T in enumerate(POSES):
        p = points @ T[:3, :3].T + T[:3, 3]
        pixels = np.array([camera.img_from_cam(v) for v in p])
        image = pycolmap.Image(
            name=f"{'ba'[index]}.jpg", keypoints=pixels, camera_id=7, image_id=index + 3
        )
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(T[:3]))
    for number, xyz in enumerate(points):
        track = pycolmap.Track()
        track.add_element(3, number)
        track.add_element(4, number)
        model.add_point3D(xyz, track, np.zeros(3, np.uint8))
    root = tmp_path_factory.mktemp("colmap")
    for name, write in (("bin", model.write_binary), ("txt", model.write_text)):
        (root / name).mkdir()
        write(str(root / name))
    return root


@pytest.mark.parametrize("kind", ["bin", "txt"])
def test_a_model_is_read_in_our_conventions(folder, kind):
    model = read_model(folder / kind)
    assert model.names == ("a.jpg", "b.jpg")  # by name, not by id
    np.testing.assert_allclose(transforms.inverse(model.T_world_cam), POSES[::-1], atol=1e-9)
    camera = model.cameras[0]
    assert camera.model == "radtan" and camera.c.tolist() == [319.5, 239.5]
    assert len(model.points) == 30 and (model.track_length == 2).all()
    assert np.all(np.diff(model.observation_image) >= 0)
    # the observations are the projections, half a pixel of COLMAP taken off
    T = POSES[::-1][model.observation_image]
    p = np.einsum("nij,nj->ni", T[:, :3, :3], model.points[model.observation_point]) + T[:, :3, 3]
    p2d, valid = camera.project(torch.from_numpy(p).float())
    assert valid.all()
    np.testing.assert_allclose(p2d.numpy(), model.observation_xy, atol=2e-3)
    back = to_colmap(camera)
    np.testing.assert_allclose(back.params, [500, 510, 320, 240, -0.1, 0.01, 0.001, 0.002])


@pytest.mark.parametrize(
    "name, params",
    [
        ("SIMPLE_RADIAL_FISHEYE", [300, 320, 240, 0.05]),
        ("RADIAL_FISHEYE", [300, 320, 240, 0.05, -0.02]),
        ("OPENCV_FISHEYE", [300, 310, 320, 240, 0.05, -0.02, 0.01, -0.003]),
    ],
)
def test_fisheyes_see_what_those_of_colmap_see(name, params):
    theirs = pycolmap.Camera(camera_id=1, model=name, width=640, height=480, params=params)
    ours = Camera.from_colmap(name, 640, 480, params, dtype=torch.float64)
    points = np.random.default_rng(0).uniform([-1, -0.8, 0.8], [1, 0.8, 3], (40, 3))
    pixels = np.array([theirs.img_from_cam(point) for point in points]) - 0.5
    np.testing.assert_allclose(ours.project(torch.from_numpy(points))[0], pixels, atol=1e-9)


def test_a_camera_that_colmap_has_no_model_for_is_refused():
    k = [500, 0, 320, 0, 500, 240, 0, 0, 1]
    camera = Camera.from_ros("rational_polynomial", 640, 480, k, 8 * [0.0] + 4 * [0.001])
    with pytest.raises(DataError, match="thin prism.*rectified"):
        to_colmap(camera)


def test_a_model_without_rigs_is_read(folder, tmp_path):
    """Models of COLMAP before 3.12 have neither rigs nor frames."""
    copy = shutil.copytree(folder / "bin", tmp_path / "old")
    (copy / "rigs.bin").unlink()
    (copy / "frames.bin").unlink()
    model = read_model(copy)
    np.testing.assert_allclose(transforms.inverse(model.T_world_cam), POSES[::-1], atol=1e-9)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (shutil.rmtree, "no such model folder"),
        (lambda f: [p.unlink() for p in f.iterdir()], "no COLMAP model here"),
        (lambda f: (f / "images.bin").unlink(), "images.bin: missing"),
        (lambda f: (f / "points3D.bin").write_bytes(b"abc"), "points3D.bin: truncated or corrupt"),
        (lambda f: (f / "cameras.bin").write_bytes(b""), "cameras.bin: truncated or corrupt"),
        *[
            (
                lambda f, n=name: (f / n).write_bytes((f / n).read_bytes()[:-20]),
                f"{name}: truncated or corrupt",
            )
            for name in ("cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin")
        ],
    ],
)
def test_a_corrupt_model_is_refused(folder, tmp_path, spoil, message):
    copy = shutil.copytree(folder / "bin", tmp_path / "copy")
    spoil(copy)
    with pytest.raises(MapError, match=message):
        read_model(copy)


def test_a_corrupt_text_model_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder / "txt", tmp_path / "copy")
    (copy / "cameras.txt").write_text("7 OPENCV 640 x\n")
    with pytest.raises(MapError, match="not a readable COLMAP model"):
        read_model(copy)


def test_a_model_without_points_or_poses_is_refused(tmp_path):
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(
        pycolmap.Camera(camera_id=1, model="PINHOLE", width=64, height=48, params=[50, 50, 32, 24])
    )
    model.write_binary(str(tmp_path))
    with pytest.raises(MapError, match="images.bin: no image with a pose"):
        read_model(tmp_path)
    image = pycolmap.Image(name="a.jpg", camera_id=1, image_id=1)
    model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.eye(4)[:3]))
    model.write_binary(str(tmp_path))
    with pytest.raises(MapError, match="points3D.bin: no 3-D points; triangulate"):
        read_model(tmp_path)


def test_a_camera_model_we_lack_is_named(tmp_path):
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        camera_id=1, model="FOV", width=64, height=48, params=[50, 50, 32, 24, 0.5]
    )
    model.add_camera_with_trivial_rig(camera)
    model.write_binary(str(tmp_path))
    with pytest.raises(MapError, match="cameras.bin: COLMAP camera model 'FOV' is not supported"):
        read_model(tmp_path)


def test_the_rendered_streets_model(shared):
    model = read_model(shared / "data" / "street_a" / "sparse")
    assert len(model.names) == 64 and len(model.points) == 8962
    assert len(model.observation_point) == 47307
    assert model.track_length.mean() == pytest.approx(5.28, abs=0.01)
    assert model.errors.mean() == pytest.approx(0.438, abs=0.001)
    assert model.cameras[0].c.tolist() == [319.5, 239.5]

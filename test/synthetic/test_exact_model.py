"""The exact model of a rendered drive: points on surfaces, observed where they are seen."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from pixloc_ros.core.errors import MapError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.mapping.model import SfmModel
from pixloc_ros.synthetic.drive import DriveOptions, make_drive
from pixloc_ros.synthetic.exact_model import APART, exact_model

OPTIONS = DriveOptions(query_frames=2, spacing=3.0, size=(240, 160), focal=160.0)


@pytest.fixture(scope="module")
def rendered():
    """camera, poses, images and depths of a mapping run."""
    session = make_drive(5, OPTIONS)["map"]
    frames = [session.render(i) for i in range(len(session))]
    images, depths = [f.to_uint8() for f in frames], [f.depth.numpy() for f in frames]
    return session.camera, session.T_map_base @ session.T_base_cam, images, depths


@pytest.fixture(scope="module")
def model(rendered) -> SfmModel:
    return exact_model([f"{i}.jpg" for i in range(len(rendered[1]))], *rendered)


def test_observations_are_the_projections_of_visible_points(rendered, model):
    camera, poses, _, depths = rendered
    assert len(model.observation_point) > 500 and (model.track_length >= 2).mean() > 0.5
    T = transforms.inverse(poses)[model.observation_image]
    points = model.points[model.observation_point]
    p_cam = np.einsum("nij,nj->ni", T[:, :3, :3], points) + T[:, :3, 3]
    pixels, inside = camera.project(torch.from_numpy(p_cam).float())
    assert inside.all()
    np.testing.assert_allclose(pixels.numpy(), model.observation_xy, atol=1e-3)
    for i, depth in enumerate(depths):
        rows = model.observation_image == i
        u, v = np.rint(model.observation_xy[rows]).astype(int).T
        assert np.abs(depth[v, u] / p_cam[rows, 2] - 1).max() < 0.011, "nothing hidden is observed"


def test_points_keep_their_distance_where_they_were_found(model):
    xy = model.observation_xy[model.observation_image == 0]
    own = xy[np.abs(xy - np.rint(xy)).max(1) < 1e-3]  # found here: at whole pixels
    distance = np.linalg.norm(own[:, None] - own[None], axis=-1) + 1e3 * np.eye(len(own))
    assert len(own) > 30 and distance.min() >= APART


def test_a_saved_model_comes_back(model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = SfmModel.load(tmp_path / "model.npz")
    assert loaded.names == model.names and loaded.digest() == model.digest()
    assert [c.to_dict() for c in loaded.cameras] == [c.to_dict() for c in model.cameras]
    for field in fields(SfmModel)[2:]:
        assert np.array_equal(getattr(loaded, field.name), getattr(model, field.name))
    (tmp_path / "model.npz").write_bytes(b"no model")
    with pytest.raises(MapError, match=r"model.npz: not a model that was saved"):
        SfmModel.load(tmp_path / "model.npz")

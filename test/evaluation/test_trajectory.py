"""Trajectories come back from their files as they went in."""

import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.trajectory import read_live, read_poses, write_poses


@pytest.fixture
def poses():
    rng = np.random.default_rng(3)
    stamps = np.sort(rng.integers(0, 2**60, 7))
    half = rng.normal(size=(7, 6, 6)) * 0.01
    return stamps, transforms.exp(rng.normal(size=(7, 6))), half @ half.swapaxes(1, 2)


def test_poses_keep_their_covariances(tmp_path, poses):
    write_poses(tmp_path / "poses.csv", *poses)
    stamps, T, covariances = read_poses(tmp_path / "poses.csv")
    assert np.array_equal(stamps, poses[0]), "to the nanosecond"
    np.testing.assert_allclose(T, poses[1], atol=1e-8)
    np.testing.assert_allclose(covariances, poses[2], rtol=1e-6)


def test_a_live_run_comes_with_latencies(tmp_path, poses):
    write_poses(tmp_path / "poses.csv", *poses)
    (tmp_path / "latency.csv").write_text(f"stamp_ns,latency_ms\n{poses[0][2]},87.5\n")
    track = read_live(tmp_path)
    assert track.latencies_ms[2] == 87.5 and np.isnan(track.latencies_ms[[0, 1, 3, 4, 5, 6]]).all()
    assert track.covariances.shape == (7, 6, 6)


def test_what_is_wrong_is_named(tmp_path, poses):
    with pytest.raises(DataError, match="latency.csv|poses.csv"):
        read_live(tmp_path)
    write_poses(tmp_path / "poses.csv", *poses)
    text = (tmp_path / "poses.csv").read_text()
    (tmp_path / "poses.csv").write_text(text.replace(str(poses[0][1]), "soon"))
    with pytest.raises(DataError, match="poses.csv:3"):
        read_poses(tmp_path / "poses.csv")
    (tmp_path / "poses.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="first line"):
        read_poses(tmp_path / "poses.csv")

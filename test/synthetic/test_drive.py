"""Drives: what they promise about poses, stamps and differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixloc_ros.core.geometry import transforms
from pixloc_ros.synthetic.ahead import RenderAhead
from pixloc_ros.synthetic.drive import DriveOptions, make_drive

SMALL = DriveOptions(query_frames=10, size=(160, 96), focal=110.0)


@pytest.fixture(scope="module")
def sessions():
    return make_drive(5, SMALL)


def test_runs_differ_in_lane_light_and_exposure(sessions):
    mapping, query = sessions["map"], sessions["query"]
    distance = np.linalg.norm(
        mapping.T_map_base[None, :, :2, 3] - query.T_map_base[:, None, :2, 3], axis=2
    ).min(1)
    assert (distance > 0.7).all() and (distance < 2.8).all()
    assert mapping.lighting != query.lighting
    assert len({s.exposure for s in query.sensors}) == len(query)
    spacing = np.linalg.norm(np.diff(mapping.T_map_base[:, :3, 3], axis=0), axis=1)
    assert (spacing > 0.6).all() and (spacing < 1.6).all()


def test_query_lies_within_the_mapped_stretch(sessions):
    mapping, query = (sessions[n].T_map_base[:, 0, 3] for n in ("map", "query"))
    assert mapping.min() < query.min() and query.max() < mapping.max() + 1.0


def test_stamps_and_odometry_are_consistent(sessions):
    query = sessions["query"]
    assert query.stamps_ns.dtype == np.int64
    assert set(np.diff(query.stamps_ns).tolist()) == {100_000_000}
    assert np.isin(query.stamps_ns, query.odometry_stamps_ns).all()
    at = np.searchsorted(query.odometry_stamps_ns, query.stamps_ns)
    truth = transforms.inverse(query.T_map_base[0]) @ query.T_map_base
    metres, radians = transforms.pose_error(query.T_odom_base[at], truth)
    assert metres.max() < 0.3 and radians.max() < 0.02 and metres[-1] > 1e-4


def test_camera_drives_on_the_road_looking_ahead(sessions):
    for session in sessions.values():
        cams = session.T_map_base @ session.T_base_cam
        assert np.allclose(cams[:, 2, 3], 1.6, atol=0.05)
        assert (cams[:, 0, 2] > 0.97).all()
        frame = session.render(4)
        assert (frame.depth < 1.0).float().mean() < 0.02
        assert session.image(4).shape == (96, 160, 3)


def test_frames_are_reproducible(sessions):
    again = make_drive(5, SMALL)["query"]
    assert np.array_equal(sessions["query"].image(3), again.image(3))
    assert np.array_equal(sessions["query"].T_odom_base, again.T_odom_base)


def test_rendering_ahead_changes_nothing(sessions):
    threads = torch.get_num_threads()
    query = sessions["query"]
    ahead = RenderAhead(query)
    for index in (2, 3, 4, 9, 0):
        assert np.array_equal(ahead(index), query.image(index))
    assert torch.get_num_threads() == threads

"""A map laid out again and again is a map; what a drive through it costs is counted."""

import json

import numpy as np
import pytest

from pixloc_ros.cli import benchmark
from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig
from pixloc_ros.datasets.folder import read_drive
from pixloc_ros.evaluation.benchmark.large_map import stretch_drive, stretch_map


def test_every_copy_is_the_map_again(street, tmp_path):
    one = FeatureMap.open(street.map)
    stretched = stretch_map(street.map, tmp_path / "large", 0.05)
    large = FeatureMap.open(stretched.path)
    count, poses = one.info.num_keyframes, one.keyframe_poses()
    assert stretched.copies >= 3 and large.info.num_keyframes == stretched.copies * count
    assert stretched.kilometres == pytest.approx(0.05, rel=0.3)
    ends = large.keyframe_poses()[[count - 1, count], :3, 3]
    assert np.linalg.norm(ends[1] - ends[0]) < 3, "the next copy begins where the last one ends"
    drive = read_drive(*street.drive.split(":"))
    T = poses[count // 2]
    far = T.copy()
    far[:3, 3] += 2 * stretched.shift
    near, there = (
        m.visible_points(x, drive.camera, SelectionConfig(max_keyframes=1))
        for m, x in ((one, T), (large, far))
    )
    np.testing.assert_array_equal(there.point_ids, near.point_ids)
    np.testing.assert_allclose(
        there.points.numpy() + there.origin - 2 * stretched.shift,
        near.points.numpy() + near.origin,
        atol=1e-4,
    )
    long_drive = stretch_drive(drive, stretched, 2)
    assert len(long_drive) == 2 * stretched.copies
    np.testing.assert_allclose(
        long_drive.T_map_base[4] - long_drive.T_map_base[0],
        np.pad(2 * stretched.shift[:, None], ((0, 1), (3, 0))),
    )
    np.testing.assert_array_equal(long_drive.image(5), long_drive.image(1))


def test_the_command_tracks_all_of_it(street, tmp_path):
    arguments = [
        "large-map",
        "--map",
        str(street.map),
        "--drive",
        street.drive,
        "--kilometres",
        "0.04",
        "--frames-per-copy",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert benchmark.main(arguments) == 0
    figures = json.loads((tmp_path / "large_map.json").read_text())
    assert figures["frames"] == figures["localized"] + 1 == 2 * figures["copies"]
    assert figures["position_median_m"] < 0.1 and figures["seconds_to_open"] < 5
    assert figures["selection_ms_p50_at_the_end"] > 0 and figures["resident_MB_at_the_end"] > 50
    assert not (tmp_path / "map").exists()

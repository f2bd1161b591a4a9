"""evaluate on a bag of somebody who has no ground truth."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.cli import evaluate, support
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.datasets.bag import write_bag
from pixloc_ros.datasets.bag_topics import BagTopics
from pixloc_ros.messages.poses import to_xyz_rpy


def test_without_ground_truth(tmp_path, room_map, room_drive, capsys):
    drive = room_drive.subset(range(8))
    topics = BagTopics("/zed/image", "/zed/camera_info", "/wheel/odometry")
    write_bag(replace(drive, T_map_base=None), tmp_path / "bag", topics=topics)
    arguments = ["--map", str(room_map), "--drive", str(tmp_path / "bag")]
    assert evaluate.main(arguments) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "has no ground truth; say where it begins: --start x y yaw" in shown
    start = [f"{v:.6f}" for v in to_xyz_rpy(drive.T_map_base[0])]
    out = tmp_path / "run"
    assert evaluate.main([*arguments, "--out", str(out), "--start", *start]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Without ground truth: agreement with itself" in shown and "position error" not in shown
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["position_median_m"] is None and figures["tracking"] > 0.7
    agreement = figures["agreement"]
    assert agreement["accepted"] > 0.7 and agreement["correction_median_m"] < 0.2
    way = np.linalg.norm(np.diff(drive.T_map_base[:, :3, 3], axis=0), axis=1).sum()
    assert 0.5 * way < agreement["way_m"] < 1.2 * way
    assert (out / "report.html").is_file() and not (out / "ground_truth.tum").exists()


def test_without_ground_truth_it_finds_where_the_drive_begins(
    tmp_path, room_places, room_drive, capsys
):
    drive = room_drive.subset(range(8))
    write_bag(replace(drive, T_map_base=None), tmp_path / "bag")
    out = tmp_path / "run"
    arguments = ["--map", str(room_places), "--drive", str(tmp_path / "bag"), "--from-nothing"]
    assert evaluate.main([*arguments, "--out", str(out)]) == 0
    assert "agreement with itself" in " ".join(capsys.readouterr().out.split())
    found = np.loadtxt(out / "estimated.tum", ndmin=2)[-1]
    truth = drive.T_map_base[-1, :3, 3]
    assert np.linalg.norm(found[1:4] - truth) < 0.1
    with pytest.raises(SystemExit):
        evaluate.main([*arguments, "--start", "0", "0", "0"])
    assert "not allowed with argument --from-nothing" in capsys.readouterr().err


def test_the_start_is_planar_or_whole():
    np.testing.assert_allclose(
        to_xyz_rpy(support.start_of([1.0, -2.0, 0.5])), [1, -2, 0, 0, 0, 0.5], atol=1e-12
    )
    np.testing.assert_allclose(
        to_xyz_rpy(support.start_of([1, 2, 3, 0.1, 0.2, 0.3])), [1, 2, 3, 0.1, 0.2, 0.3]
    )
    with pytest.raises(ConfigError, match="--start has 2 numbers; it takes x y yaw"):
        support.start_of([1.0, 2.0])

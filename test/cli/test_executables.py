"""The executables do what they say, from the command line to the files they leave."""

import json

import numpy as np
import pytest

from pixloc_ros.cli import benchmark, demo, drive_to_bag, evaluate
from pixloc_ros.evaluation.trajectory import read_tum


def test_a_drive_and_its_bag_give_the_same_poses(street, tmp_path):
    """Folder -> bag -> evaluate equals folder -> evaluate: nothing is lost on the way."""
    bag = tmp_path / "bag"
    assert drive_to_bag.main([street.drive, str(bag)]) == 0
    for name, drive in (("folder", street.drive), ("bag", str(bag)), ("again", str(bag))):
        arguments = ["--map", str(street.map), "--drive", drive, "--out", str(tmp_path / name)]
        assert evaluate.main([*arguments, "--gif", str(tmp_path / f"{name}.gif")]) == 0
        assert (tmp_path / f"{name}.gif").read_bytes()[:6] == b"GIF89a"
    stamps, poses = read_tum(tmp_path / "folder" / "estimated.tum")
    for other in ("bag", "again"):
        other_stamps, other_poses = read_tum(tmp_path / other / "estimated.tum")
        assert np.array_equal(stamps, other_stamps)
        np.testing.assert_allclose(other_poses, poses, atol=1e-5)
    left = {path.name for path in (tmp_path / "bag").iterdir()}
    assert {
        "report.html",
        "metrics.json",
        "trajectory.png",
        "frames.csv",
        "ground_truth.tum",
    } <= left
    metrics = json.loads((tmp_path / "folder" / "metrics.json").read_text())
    assert metrics["frames"] == 8 and metrics["localized"] == 7, "the first only begins"
    assert metrics["position_median_m"] < 0.1


def test_benchmark_compares_three_ways(street, tmp_path):
    arguments = [
        "--map",
        str(street.map),
        "--drive",
        street.drive,
        "--frames",
        "3",
        "--priors",
        "0.5/1",
        "--references",
        "2",
        "--model",
        str(street.model),
        "--images",
        str(street.images),
        "--loops",
        "3",
        "--json",
        str(tmp_path / "b.json"),
    ]
    assert benchmark.main(arguments) == 0
    figures = json.loads((tmp_path / "b.json").read_text())
    assert set(figures["priors"]) == {"0.5 m / 1 deg, one start", "0.5 m / 1 deg, search"}
    assert [row["name"].split()[0] for row in figures["speed"]] == ["ours,", "official", "SIFT"]
    assert figures["speed"][1]["position_median_m"] < 0.3, "the comparison must really localize"
    assert figures["memory"]["samples"] == 3


@pytest.mark.parametrize(
    "command, arguments, text",
    [
        (evaluate, ["--map", "nowhere", "--drive", "nowhere"], "nowhere: no such folder"),
        (drive_to_bag, ["nowhere", "out"], "nowhere: no such folder"),
        (demo, ["--drive", "mars"], "there is no drive 'mars'; known are synthetic"),
    ],
)
def test_errors_are_one_line(command, arguments, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 1
    shown = capsys.readouterr().out
    assert text in shown.replace("\n", " ") and "Traceback" not in shown


def test_the_demo_without_ros_says_so_before_it_makes_anything(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert demo.main(["--out", str(tmp_path / "out")]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "rclpy is not installed; source your ROS 2" in shown and not (tmp_path / "out").exists()


def test_a_map_of_another_network_is_refused(street, tmp_path, capsys):
    info = json.loads((street.map / "map.json").read_text())
    copy = tmp_path / "map"
    copy.mkdir()
    (copy / "map.json").write_text(json.dumps({**info, "checkpoint": "0" * 64}))
    assert evaluate.main(["--map", str(copy), "--drive", street.drive]) == 1
    assert "built with checkpoint" in capsys.readouterr().out

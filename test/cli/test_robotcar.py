"""The RobotCar's chain from raw files to a live localization, by its commands alone."""

import ast
import json
from pathlib import Path

import pytest
import yaml

from pixloc_ros.cli import build_map, demo, evaluate, make_robotcar, robotcar_to_bag, scenario
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.place import read_place

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_from_raw_images_to_live_poses(tmp_path, monkeypatch, capsys):
    """demo --drive robotcar, small: raw drives -> bag and map -> localizer, player and recorder."""
    folder = tmp_path / "robotcar"
    raw = ["--query-frames", "8", "--width", "288", "--seed", "7"]
    assert make_robotcar.main([str(folder / "raw"), *raw]) == 0
    assert make_robotcar.main([str(folder / "raw"), *raw]) == 1
    assert "there already; choose another folder" in " ".join(capsys.readouterr().out.split())
    # for images of a fifth of the usual size; one of the eight frames begins the start
    limits = scenario.Limits(0.1, 0.3, 0.3, 1.0, starting=0.2)
    monkeypatch.setattr(scenario, "ROBOTCAR_LIMITS", limits)
    assert demo.main(["--drive", "robotcar", "--out", str(tmp_path), "--rate", "0.1"]) == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["offline"]["frames"] == 8 and metrics["offline"]["localized"] == 7
    assert metrics["live"]["localized"] >= 4 and metrics["live"]["position_median_m"] < 0.1

    # the same by hand, from the raw drives: what a user of the data set types
    mapping, query = sorted((folder / "raw").glob("2024-*"))
    place = f"{mapping}:stereo_left"
    assert build_map.main(["--drive", place, "--every", "2", "--out", str(tmp_path / "map")]) == 0
    arguments = [
        "--map",
        str(tmp_path / "map"),
        "--drive",
        f"{query}:stereo_left",
        "--out",
        str(tmp_path / "run"),
    ]
    assert evaluate.main(arguments) == 0
    by_hand = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert by_hand["localized"] == 7 and by_hand["position_median_m"] < 0.1
    assert by_hand["rotation_median_deg"] < 0.3, "yaw from true north would be off by 1.4"

    capsys.readouterr()
    bag = tmp_path / "bag"
    arguments = [str(query), str(bag), "--storage", "sqlite3", "--truth", "rtk"]
    assert robotcar_to_bag.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "/stereo_left/image_raw/compressed: 8" in shown
    start = yaml.safe_load(shown.split("initial_pose: ")[1].splitlines()[0])
    truth = read_place(f"{bag}:stereo_left").T_map_base[0]
    assert abs(start["x"] - truth[0, 3]) < 0.01 and abs(start["z"] - truth[2, 3]) < 0.01
    turned = transforms.exp([0, 0, 0, 0, 0, start["yaw"]])
    assert transforms.pose_error(turned, truth)[1] < 0.05


def test_errors_are_one_line(tmp_path, capsys):
    assert robotcar_to_bag.main([str(tmp_path), str(tmp_path / "bag")]) == 1
    shown = capsys.readouterr().out
    assert "no RobotCar drive" in shown.replace("\n", " ") and "Traceback" not in shown


def test_parameters_are_those_of_the_node():
    pytest.importorskip("rclpy")
    from pixloc_ros.ros.parameters import NodeParameters, flatten

    tree = yaml.safe_load((ROOT / "config" / "robotcar.yaml").read_text())
    known = {name: type(value) for name, value, *_ in flatten(NodeParameters())}

    def leaves(branch, prefix=""):
        for key, value in branch.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    for name, value in leaves(tree["/**"]["localizer"]["ros__parameters"]):
        assert known[name] in (type(value), type(None)), name  # None: stored with the map


@pytest.mark.parametrize("included", ["localize", "localize_ekf"])
def test_launch_passes_arguments_that_exist(included):
    """launch itself is not on PyPI; the names can be compared without it."""
    ours, theirs = (
        ast.parse((ROOT / "launch" / f"{name}.launch.py").read_text())
        for name in ("robotcar", included)
    )
    passed = {e.value for e in assigned(ours, "PASSED").elts} | {"image", "camera_info", "odom"}
    assert passed <= {row.elts[0].value for row in assigned(theirs, "ARGUMENTS").elts}
    own = {row.elts[0].value for row in assigned(ours, "ARGUMENTS").elts}
    assert {e.value for e in assigned(ours, "PASSED").elts} | {"camera", "ekf"} == own


def assigned(tree: ast.Module, name: str) -> ast.Tuple:
    return next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == name
    )

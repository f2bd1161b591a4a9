"""calibrate: what it finds is stored with the map, and used from then on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.cli import calibrate
from pixloc_ros.core.covariance import FILE, CovarianceConfig
from pixloc_ros.core.errors import MapError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.datasets.dead_reckoning import with_simulated_odometry
from pixloc_ros.datasets.folder import write_drive


def test_the_covariance_that_fits_is_stored_with_the_map(tmp_path, room_map, room_drive, capsys):
    folder = tmp_path / "map"
    shutil.copytree(room_map, folder)
    write_drive(tmp_path / "drive", room_drive)
    arguments = ["--map", str(folder), "--drive", str(tmp_path / "drive")]
    assert calibrate.main([*arguments, "--dry-run"]) == 0 and not (folder / FILE).exists()
    assert calibrate.main(arguments) == 0
    assert "stored with the map" in capsys.readouterr().out
    stored = json.loads((folder / FILE).read_text())["covariance"]
    assert 0 < stored["map_std_m"] < 0.01, "the room's map is exact: less than the default"

    network = load_checkpoint("small")
    feature_map = FeatureMap.open(folder, network.identity)
    assert Localizer(network, feature_map).covariance.map_std_m == stored["map_std_m"]
    told = LocalizerConfig(covariance={"map_std_m": 0.2})
    localizer = Localizer(network, feature_map, told)
    assert localizer.covariance.map_std_m == 0.2, "what the user says comes first"
    assert localizer.covariance.scale == stored["scale"]

    (folder / FILE).write_text("{}")
    with pytest.raises(MapError, match="covariance.json: cannot be read .* remove it"):
        Localizer(network, feature_map)


def test_without_ground_truth_odometry_tells_nearly_as_much(tmp_path, room_map, room_drive, capsys):
    drive = with_simulated_odometry(room_drive)
    x, y = room_drive.T_map_base[0][:2, 3]
    yaw = np.arctan2(*room_drive.T_map_base[0][1::-1, 0])
    found = {}
    for against, known in (
        ("ground truth", drive),
        ("odometry", replace(drive, T_map_base=None)),
    ):
        folder = tmp_path / against
        shutil.copytree(room_map, folder / "map")
        write_drive(folder / "drive", known)
        arguments = ["--map", str(folder / "map"), "--drive", str(folder / "drive")]
        begin = ["--start", str(x), str(y), str(yaw)]
        assert calibrate.main(arguments + (begin if known is not drive else [])) == 0
        stored = json.loads((folder / "map" / FILE).read_text())
        assert stored["card"]["against"] == against
        found[against] = CovarianceConfig(**stored["covariance"])
    assert "mean (6)" in capsys.readouterr().out
    pixels = 0.05  # the median cross-check in the room
    truth, odometry = (found[name].of_image(pixels) for name in ("ground truth", "odometry"))
    assert 0.5 < odometry / truth < 2.0
    default = CovarianceConfig()
    assert found["odometry"].map_std_m == default.map_std_m, "which odometry does not tell"
    assert odometry < 0.8 * default.of_image(pixels)


def test_without_ground_truth_it_asks_where_the_drive_begins(
    tmp_path, room_map, room_drive, capsys
):
    write_drive(tmp_path / "drive", replace(room_drive.subset(range(2)), T_map_base=None))
    assert calibrate.main(["--map", str(room_map), "--drive", str(tmp_path / "drive")]) == 1
    assert "say where it begins: --start" in " ".join(capsys.readouterr().out.split())

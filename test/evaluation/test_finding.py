"""benchmark finding: starts from nothing, and robots that are carried away."""

import numpy as np
import pytest

from pixloc_ros.cli.finding import table_of
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.evaluation.benchmark.finding import AFTER, BEFORE, attempts, carried_away
from pixloc_ros.finding import Finder, Places


def test_odometry_and_time_do_not_notice_that_the_robot_is_carried(room_drive):
    moved = carried_away(room_drive, 8, 20)
    assert len(moved) == BEFORE + AFTER
    assert np.allclose(np.diff(moved.stamps_ns), 1e8)
    steps = np.diff(moved.odometry.T_odom_base[:, :3, 3], axis=0)
    assert np.linalg.norm(steps, axis=1).max() < 0.04, "no jump of the odometry"
    metres, _ = transforms.pose_error(moved.T_map_base[BEFORE - 1], moved.T_map_base[BEFORE])
    assert metres > 1.0
    np.testing.assert_array_equal(moved.image(BEFORE), room_drive.image(20))
    np.testing.assert_array_equal(moved.image(BEFORE - 1), room_drive.image(7))


def test_an_attempt_says_how_soon_it_is_right(room_places, room_drive):
    network = load_checkpoint("small")
    feature_map = FeatureMap.open(room_places, network.identity)
    localizer, finder = Localizer(network, feature_map), Finder(Places(feature_map))
    nothing, carried = attempts(localizer, finder, "room", room_drive, 1)
    assert (nothing.frames, nothing.accepted) == (2, AFTER - 1)
    assert nothing.seconds == pytest.approx(0.1)
    assert carried.carried and 2 <= carried.frames <= 6 and carried.wrong == 0
    rows = table_of([nothing, carried]).rows
    assert [row[1] for row in rows] == ["1 of 1", "1 of 1"]

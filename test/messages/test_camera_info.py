"""The camera that a camera info means for an image, and what no camera is."""

from __future__ import annotations

import math

import made
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.messages.camera_info import camera_of, source_of
from pixloc_ros.messages.maker import MessageMaker

K = [400.0, 0, 319.5, 0, 410.0, 239.5, 0, 0, 1.0]
MODELS = {
    "": [],
    "plumb_bob": [-0.3, 0.1, 1e-3, -2e-3, 0.0],
    "rational_polynomial": [-0.3, 0.1, 1e-3, -2e-3, 0.01, 0.1, 0.02, 0.003],
    "equidistant": [0.01, -0.02, 0.003, -0.001],
}


@pytest.mark.parametrize("model", MODELS)
def test_camera_of_the_same_size(read, model):
    message = read(made.info(distortion_model=model, d=MODELS[model]))
    expected = Camera.from_ros(model, 640, 480, K, MODELS[model])
    assert camera_of(message, 640, 480).to_dict() == expected.to_dict()
    assert expected.f.tolist() == [400, 410] and expected.c.tolist() == [319.5, 239.5]


@pytest.mark.parametrize("model", MODELS)
def test_what_the_maker_writes_is_read_back(read, model):
    camera = Camera.from_ros(model, 640, 480, K, MODELS[model])
    message = read(MessageMaker("map", "odom", "base", "camera").camera_info(7, camera))
    assert camera_of(message, 640, 480).to_dict() == camera.to_dict()
    straight = camera_of(message, 640, 480, rectified=True)
    assert straight.model == "pinhole" and straight.f.tolist() == camera.f.tolist()


def test_a_resized_image_scales_the_camera(read):
    camera = camera_of(read(made.info()), 320, 240)
    assert camera.f.tolist() == [200, 205] and camera.c.tolist() == [159.5, 119.5]


def test_rectified_images_take_the_projection(read):
    camera = camera_of(read(made.info()), 640, 480, rectified=True)
    assert camera.f.tolist() == [300, 300] and not camera.distortion.any()
    assert camera.c.tolist() == [310, 230]


def test_a_size_of_zero_is_that_of_the_image(read):
    camera = camera_of(read(made.info(width=0, height=0)), 640, 480)
    assert camera.f.tolist() == [400, 410] and camera.size.tolist() == [640, 480]


@pytest.mark.parametrize("rectified", [False, True])
def test_region_of_interest_and_binning(read, rectified):
    message = read(made.info(roi=(40, 80, 400, 300), binning_x=2, binning_y=2))
    camera = camera_of(message, 200, 150, rectified)
    f, c = ((300, 300), (310, 230)) if rectified else ((400, 410), (319.5, 239.5))
    assert camera.f.tolist() == [f[0] / 2, f[1] / 2]
    assert camera.c.tolist() == [(c[0] - 40 + 0.5) / 2 - 0.5, (c[1] - 80 + 0.5) / 2 - 0.5]
    assert camera.size.tolist() == [200, 150]


def test_binning_of_an_odd_size_is_exact(read):
    message = read(made.info(roi=(0, 0, 401, 301), binning_x=2, binning_y=2))
    camera = camera_of(message, 200, 150)
    assert camera.f.tolist() == [200, 205] and camera.c.tolist() == [159.5, 119.5]
    assert camera.size.tolist() == [200, 150]


def test_binning_may_differ_by_direction(read):
    camera = camera_of(read(made.info(binning_x=2, binning_y=1)), 320, 480)
    assert camera.f.tolist() == [200, 410] and camera.c.tolist() == [159.5, 239.5]


def changed(values, place, value):
    return [value if i == place else v for i, v in enumerate(values)]


@pytest.mark.parametrize(
    "message, words",
    [
        (made.info(k=[0.0] * 9), "not calibrated .K holds"),
        (made.info(distortion_model="crystal_ball"), "crystal_ball"),
        (made.info(d=[0.1]), "camera_info: .*4 or 5 coefficients, got 1"),
        (made.info(d=[0.1, math.nan, 0, 0, 0]), "camera_info: D holds NaN"),
        (made.info(k=changed(K, 2, math.inf)), "camera_info: K holds NaN or infinity"),
        (made.info(k=changed(K, 0, -400.0)), "not calibrated .K holds"),
        (made.info(k=changed(K, 0, 1e-9)), "K states a focal length of 1e-09 px"),
        (made.info(k=changed(K, 4, 0.004)), "K states a focal length of 0.004 px"),
        (made.info(k=changed(K, 4, 1e9)), "K states a focal length"),
        (made.info(k=changed(K, 5, 5e4)), "K states the principal point"),
        (made.info(d=[1e6, 0, 0, 0, 0]), "D = .1e.06, 0.*of no lens"),
        (made.info(d=[-50.0, 0, 0, 0, 0]), "of no lens"),
        (made.info(d=[0, 0, 1e3, 0, 0]), "of no lens"),
        (made.info(d=[1e30, 1e35, 0, 0, 0]), "of no lens"),
        (made.info(distortion_model="equidistant", d=[1e4, 0, 0, 0]), "of no lens"),
        (
            made.info(distortion_model="rational_polynomial", d=[0, 0, 0, 0, 0, -80, 0, 0]),
            "of no lens",
        ),
        (made.info(roi=(300, 0, 400, 300)), "roi, 400x300 at .300, 0., does not lie on the chip"),
        (made.info(roi=(0, 200, 400, 300)), "roi.*does not lie on the chip of 640x480"),
        (made.info(roi=(0, 0, 400, 0)), "roi is empty"),
    ],
)
def test_what_no_camera_is(read, message, words):
    with pytest.raises(DataError, match=words):
        camera_of(read(message), 640, 480)


@pytest.mark.parametrize(
    "p, words",
    [
        ([0.0] * 12, "not calibrated .P holds"),
        ([math.nan] * 12, "camera_info: P holds NaN"),
        ([1e-9, 0, 310, 0, 0, 300, 230, 0, 0, 0, 1, 0], "P states a focal length"),
    ],
)
def test_what_no_projection_is(read, p, words):
    message = read(made.info(p=p))
    with pytest.raises(DataError, match=words):
        camera_of(message, 640, 480, rectified=True)
    assert camera_of(message, 640, 480).f.tolist() == [400, 410], "P plays no part in raw images"


def test_k_and_d_play_no_part_in_rectified_images(read):
    message = read(made.info(k=[0.0] * 9, d=[math.nan] * 5, distortion_model="?"))
    assert camera_of(message, 640, 480, rectified=True).f.tolist() == [300, 300]


def test_an_image_of_another_shape_is_refused(read):
    with pytest.raises(DataError, match="640x400, but camera_info speaks of 640x480"):
        camera_of(read(made.info()), 640, 400)


@pytest.mark.parametrize(
    "model, d",
    [
        # Strong lenses that exist: a 120 degree webcam, OpenCV's rational fits, fisheyes.
        ("plumb_bob", [-0.45, 0.25, 0.0, 0.0, -0.08]),
        ("plumb_bob", [0.4, -1.2, 0.002, 0.001, 1.5]),
        ("rational_polynomial", [17.5, 8.9, 0.0, 0.0, 0.37, 17.9, 15.1, 2.4]),
        ("rational_polynomial", [-0.43, 0.15, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] + [0.0] * 6),
        ("equidistant", [-0.1, 0.2, -0.2, 0.06]),
        ("equidistant", [0.3, -0.1, 0.02, -0.001]),
    ],
)
def test_strong_lenses_are_cameras(read, model, d):
    message = read(made.info(distortion_model=model, d=d))
    camera = camera_of(message, 640, 480)
    assert camera.to_dict() == Camera.from_ros(model, 640, 480, K, d).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"width": 641},
        {"distortion_model": ""},
        {"k": changed(K, 0, 401.0)},
        {"d": [0.0] * 5},
        {"p": [1.0] * 12},
        {"binning_x": 2},
        {"roi": (0, 0, 20, 10)},
    ],
)
def test_a_change_that_matters_is_seen(read, change):
    assert source_of(read(made.info())) == source_of(read(made.info()))
    assert source_of(read(made.info(**change))) != source_of(read(made.info()))

"""Image files: what is read, and what is refused instead of being filled with gray."""

import cv2
import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.images.files import read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def written(path, picture=PICTURE):
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def test_colours_are_rgb_and_gray_stays_gray(tmp_path):
    colours = read_image(written(tmp_path / "a.png"))
    np.testing.assert_array_equal(colours, PICTURE[..., ::-1])
    gray = read_image(written(tmp_path / "b.png", PICTURE[..., 0]))
    np.testing.assert_array_equal(gray, PICTURE[..., 0])
    assert read_image(written(tmp_path / "c.jpg")).shape == (48, 64, 3)


def test_a_jpeg_with_something_behind_its_end_is_whole(tmp_path):
    path = written(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    assert read_image(path).shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["a.jpg", "b.png"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_part_of_an_image_is_refused(tmp_path, name, share):
    whole = written(tmp_path / name)
    whole.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(DataError, match="cut off|cannot be decoded"):
        read_image(whole)


def test_what_is_none_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere.png: image is missing"):
        read_image(tmp_path / "nowhere.png")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match="cannot be decoded"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(DataError, match="uint16 image; convert it to 8 bits"):
        read_image(written(tmp_path / "deep.png", PICTURE.astype(np.uint16)))

"""Photographs on walls, ground and posters: true to scale, by seed, and refused with a reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pixloc_ros.core.errors import ConfigError
from pixloc_ros.synthetic import facades, ground
from pixloc_ros.synthetic.photographs import METRES, Photographs
from pixloc_ros.synthetic.world import StreetWorld, WorldOptions
from pixloc_ros.training.sources import SyntheticData
from pixloc_ros.training.views import ViewConfig

GREEN = (0.1, 0.8, 0.1)  # no procedural wall is as green as the pictures of the tests


def write(path, rgb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(np.asarray(rgb) * 255).astype(np.uint8)[..., ::-1])


@pytest.fixture
def folder(tmp_path):
    """Two mottled green pictures, one of them deeper down, beside a file that is none."""
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (96, 128, 1)), ("deeper/b.jpg", (150, 90, 1))):
        spots = cv2.resize(rng.uniform(0.3, 1, (12, 12)), shape[1::-1])[..., None]
        write(tmp_path / "textures" / name, spots * np.array(GREEN))
    (tmp_path / "textures" / "LICENCE.txt").write_text("made for this test")
    return tmp_path / "textures"


def test_pictures_are_found_below_the_folder_and_other_files_left_out(folder):
    assert [path.name for path in Photographs(folder).paths] == ["a.png", "b.jpg"]


def test_a_piece_is_true_to_scale_and_in_colour(tmp_path):
    """Stripes of 16 px in a picture of 256 px: their length in metres is a 16th of its own."""
    stripes = np.repeat(np.arange(16) % 2, 16)[None, :, None] * np.ones((64, 1, 3)) * (1, 0.5, 0.1)
    write(tmp_path / "stripes.png", stripes)
    photographs, density = Photographs(tmp_path), 40.0
    lengths = []
    for seed in range(20):
        piece = photographs.piece(np.random.default_rng(seed), 30, 1200, density)
        assert piece.shape == (30, 1200, 3) and piece.dtype == np.float32
        np.testing.assert_allclose(piece.max((0, 1)), (1, 0.5, 0.1), atol=0.02)
        changes = np.flatnonzero(np.diff(piece[10, :, 0] > 0.5))
        lengths.append(float(np.median(np.diff(changes))) / density * 16)
    assert METRES[0] * 0.9 < min(lengths) < 4 and 7 < max(lengths) < METRES[1] * 1.1


@pytest.mark.parametrize(
    "bake",
    [
        lambda rng, p: facades.bake_wall(rng, 8.0, 6.0, (0.6, 0.5, 0.5), 16.0, p)[..., :3],
        lambda rng, p: facades.bake_facade(
            rng, 8.0, 7.0, "plaster", (0.6, 0.5, 0.5), 16.0, False, 3.0, p
        )[0][..., :3],
        lambda rng, p: p.poster(rng, 40, 30),
    ],
)
def test_walls_and_posters_show_the_photographs(folder, bake):
    photographs = Photographs(folder)
    images = [bake(np.random.default_rng(seed), photographs) for seed in range(12)]
    greener = [float((2 * i[..., 1] - i[..., 0] - i[..., 2]).mean()) for i in images]
    assert max(greener) > 0.3
    assert all(image.min() >= 0 and image.max() <= 1 for image in images)
    again = bake(np.random.default_rng(3), Photographs(folder))
    assert np.array_equal(images[3], again)


def test_ground_takes_light_and_dark_but_keeps_colour_and_tone(folder):
    road = ground.bake_road(np.random.default_rng(1), 10.0, 7.0, 16.0)
    laid = [
        Photographs(folder).ground(np.random.default_rng(seed), road, 16.0) for seed in range(8)
    ]
    changed = [not np.array_equal(image, road) for image in laid]
    assert any(changed) and not all(changed)
    for image in laid:
        assert image.mean() == pytest.approx(road.mean(), rel=0.2)
        np.testing.assert_allclose(
            image[..., 0] / image[..., 1], road[..., 0] / road[..., 1], rtol=0.05
        )


def test_a_world_is_a_function_of_seed_clutter_and_folder(folder):
    options = WorldOptions(12.0, density=6.0)
    plain, first, second = (
        StreetWorld(3, o).with_clutter(5).scene().texels
        for o in (
            options,
            WorldOptions(12.0, density=6.0, textures=folder),
            WorldOptions(12.0, density=6.0, textures=folder),
        )
    )
    assert first.equal(second)
    assert not (len(first) == len(plain) and first.equal(plain))


def test_folders_without_pictures_are_refused(tmp_path, folder):
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        Photographs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("none here")
    with pytest.raises(ConfigError, match="empty: none of its 1 files"):
        Photographs(tmp_path / "empty")
    picture = folder / "a.png"
    picture.write_bytes(picture.read_bytes()[:40])  # still begins like a picture
    with pytest.raises(ConfigError, match="a.png: damaged"):
        for seed in range(20):
            Photographs(folder).piece(np.random.default_rng(seed), 4, 4, 10.0)


def test_preparing_views_names_the_missing_folder(tmp_path):
    views = ViewConfig(worlds=1, textures=tmp_path / "nowhere", photographic=1.0)
    data = SyntheticData(views=views, validation_worlds=0)
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        data.prepare(tmp_path / "cache", 0, lambda *_, **__: None)

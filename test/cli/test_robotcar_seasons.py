"""RobotCar Seasons on the synthetic street: NVM model, map, queries, submission file."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pixloc_ros.cli import build_map, robotcar_seasons
from pixloc_ros.core.errors import DataError, MapError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets import hloc
from pixloc_ros.datasets.folder import read_drive
from pixloc_ros.datasets.robotcar import seasons
from pixloc_ros.mapping.colmap import read_model
from pixloc_ros.mapping.nvm import import_nvm

#: The model's world: y down, far away, turned.
T_WORLD_STREET = transforms.from_quaternion(
    np.array([np.sin(np.pi / 4), 0, 0, np.cos(np.pi / 4)]), np.array([300.0, -5.0, 80.0])
) @ transforms.exp(np.array([0, 0, 0, 0, 0, 0.8]))


def write_nvm(path: Path, model, centred: bool) -> None:
    """The model as VisualSFM writes one, moved to the world of the benchmark."""
    T = T_WORLD_STREET @ model.T_world_cam
    q, _ = transforms.to_quaternion(transforms.inverse(T))
    lines = ["NVM_V3 ", "", str(len(T))]
    for name, (x, y, z, w), position in zip(model.names, q, T[:, :3, 3]):
        numbers = " ".join(f"{v:.12g}" for v in (w, x, y, z, *position))
        lines.append(f"./overcast-reference/rear/{Path(name).stem}.png 400 {numbers} 0 0")
    points = model.points @ T_WORLD_STREET[:3, :3].T + T_WORLD_STREET[:3, 3]
    lines += ["", str(len(points))]
    shift = (model.cameras[0].c + 0.5).numpy() if centred else 0.0
    for row, xyz in enumerate(points):
        (seen,) = np.nonzero(model.observation_point == row)
        fields = [*(f"{v:.9g}" for v in xyz), 1, 2, 3, len(seen)]
        for feature, k in enumerate(seen):
            u, v = model.observation_xy[k] + 0.5 - shift
            fields += [model.observation_image[k], feature, f"{u:.6g}", f"{v:.6g}"]
        lines.append(" ".join(map(str, fields)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "", "0", ""]))


@pytest.fixture(scope="module")
def benchmark(street, tmp_path_factory) -> SimpleNamespace:
    """root: the data set; model: the street's own; truth: T_world_cam of its queries."""
    root = tmp_path_factory.mktemp("RobotCar-Seasons")
    model = read_model(street.model)
    camera = model.cameras[0]
    place, session = street.drive.split(":")
    query = read_drive(place, session)
    names = query.names[::2]
    for folder, source, chosen in (
        ("overcast-reference", street.images, model.names),
        ("night", query.image_dir, names),
    ):
        (root / "images" / folder / "rear").mkdir(parents=True)
        for name in chosen:
            shutil.copy(source / name, root / "images" / folder / "rear" / name)
    (root / "intrinsics").mkdir()
    (fx, fy), (cx, cy) = camera.f.tolist(), (camera.c + 0.5).tolist()
    for name in seasons.CAMERAS:
        (root / "intrinsics" / f"{name}_intrinsics.txt").write_text(
            f"fx {fx}\nfy {fy}\ncx {cx}\ncy {cy}\n"
        )
    write_nvm(root / "3D-models" / "all-merged" / "all.nvm", model, centred=False)
    truth = {
        f"rear/{name}": T_WORLD_STREET @ query.T_map_cam[query.names.index(name)] for name in names
    }
    return SimpleNamespace(
        root=root, model=model, truth=truth, size=tuple(round(v) for v in camera.size.tolist())
    )


def test_from_the_published_files_to_the_submission(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(seasons, "SIZE", benchmark.size)
    root, imported, map_dir = str(benchmark.root), tmp_path / "model", str(tmp_path / "map")
    assert robotcar_seasons.main(["import", root, "--out", str(imported)]) == 0
    assert "up is -y: build_map --up=-y --scale 1" in capsys.readouterr().out
    model = read_model(imported)
    np.testing.assert_allclose(
        model.T_world_cam, T_WORLD_STREET @ benchmark.model.T_world_cam, atol=1e-6
    )
    np.testing.assert_array_equal(model.track_length, benchmark.model.track_length)
    np.testing.assert_allclose(model.errors, benchmark.model.errors, atol=1e-3)
    assert (
        build_map.main(
            [
                "--model",
                str(imported),
                "--images",
                f"{root}/images",
                "--up=-y",
                "--scale",
                "1",
                "--out",
                map_dir,
            ]
        )
        == 0
    )

    pairs = tmp_path / "pairs.txt"
    centres = model.T_world_cam[:, :3, 3]
    with pairs.open("w") as stream:
        for name, T in list(benchmark.truth.items())[1:]:  # nothing retrieved for the first
            nearest = np.argsort(np.linalg.norm(centres - T[:3, 3], axis=1))[:2]
            stream.writelines(f"night/{name} {model.names[i]}\n" for i in nearest)
    common = [
        "evaluate",
        root,
        "--map",
        map_dir,
        "--model",
        str(imported),
        "--conditions",
        "night",
        "--out",
    ]
    found = tmp_path / "from_retrieval.txt"
    assert robotcar_seasons.main([*common, str(found), "--pairs", str(pairs)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 poses for 4 queries, 3 aligned; 1 queries had no starting pose" in shown
    check(found, benchmark.truth, 3)

    # as another method's result, a little off, with hloc's list; a left image is not scored
    shifted = {
        name: T @ transforms.exp(np.array([0.1, 0, 0.15, 0, 0.01, 0]))
        for name, T in benchmark.truth.items()
    }
    poses = seasons.write_submission(tmp_path / "poses.txt", shifted)
    camera = model.cameras[0]
    intrinsics = f"PINHOLE {benchmark.size[0]} {benchmark.size[1]} " + " ".join(
        map(str, [*camera.f.tolist(), *(camera.c + 0.5).tolist()])
    )
    (tmp_path / "night_list.txt").write_text(
        "".join(f"night/{name} {intrinsics}\n" for name in [*benchmark.truth, "left/1.jpg"])
    )
    refined = tmp_path / "from_poses.txt"
    assert (
        robotcar_seasons.main(
            [
                *common,
                str(refined),
                "--poses",
                str(poses),
                "--queries",
                str(tmp_path / "{condition}_list.txt"),
            ]
        )
        == 0
    )
    check(refined, benchmark.truth, 4)


def check(path: Path, truth: dict, count: int) -> None:
    rows = [line.split() for line in path.read_text().splitlines()]
    assert len(rows) == count and all(len(row) == 8 for row in rows)
    assert {row[0] for row in rows} <= set(truth)
    for name, T in hloc.read_poses(path).items():
        metres, radians = transforms.pose_error(T, truth[name])
        assert metres < 0.1 and np.rad2deg(radians) < 0.5


def test_submission_has_the_rear_camera_alone(tmp_path):
    """Camera 10 m along the world's x that looks along its y, z up: worked out by hand."""
    T_world_cam = np.eye(4)
    T_world_cam[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    T_world_cam[0, 3] = 10
    poses = {"night/rear/7.jpg": T_world_cam, "night/left/7.jpg": T_world_cam}
    (line,) = seasons.write_submission(tmp_path / "s.txt", poses).read_text().splitlines()
    name, *numbers = line.split()
    assert name == "rear/7.jpg"
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        [float(v) for v in numbers], [half, half, 0, 0, -10, 0, 0], atol=1e-9
    )


def test_pixels_counted_from_the_middle(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(seasons, "SIZE", benchmark.size)
    write_nvm(tmp_path / "m.nvm", benchmark.model, centred=True)
    cameras = seasons.read_intrinsics(benchmark.root)
    out = import_nvm(
        tmp_path / "m.nvm",
        cameras,
        seasons.camera_of,
        robotcar_seasons.image_name,
        tmp_path / "out",
    )
    np.testing.assert_allclose(read_model(out).errors, benchmark.model.errors, atol=1e-3)


def test_bad_files_are_named(benchmark, tmp_path):
    text = (benchmark.root / "3D-models" / "all-merged" / "all.nvm").read_text()
    cut = tmp_path / "cut.nvm"
    cut.write_text(text[: len(text) // 2].rsplit("\n", 1)[0])
    cameras = seasons.read_intrinsics(benchmark.root)
    arguments = (cameras, seasons.camera_of, robotcar_seasons.image_name, tmp_path / "out")
    with pytest.raises(MapError, match="the file ends here"):
        import_nvm(cut, *arguments)
    cut.write_text("PLY")
    with pytest.raises(MapError, match="not an NVM_V3 file"):
        import_nvm(cut, *arguments)
    with pytest.raises(DataError, match="extract images/snow.zip"):
        seasons.queries_of(benchmark.root, "snow")
    cut.write_text("night/rear/1.jpg PINHOLE 10 10\n")
    with pytest.raises(DataError, match="line 1: expected name, camera model"):
        seasons.read_query_list(cut)
    with pytest.raises(DataError, match="line 1: expected the names"):
        hloc.read_pairs(cut)
    with pytest.raises(DataError, match="line 1: expected name qw"):
        hloc.read_poses(cut)

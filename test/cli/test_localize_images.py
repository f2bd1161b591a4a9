"""localize_images: hloc's files in and out."""

import numpy as np
import pytest
import textured_room
from PIL import Image

from pixloc_ros.cli import localize_images
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.hloc import read_poses, write_poses
from pixloc_ros.mapping.colmap import read_image_poses


@pytest.fixture(scope="module")
def queries(tmp_path_factory, room_drive):
    """A folder of three images and hloc's list of them."""
    folder = tmp_path_factory.mktemp("queries")
    (folder / "day").mkdir()
    lines = []
    for i in (4, 15, 30):
        Image.fromarray(room_drive.image(i)).save(folder / "day" / f"{i}.png")
        f, cx, cy = textured_room.FOCAL, textured_room.CX + 0.5, textured_room.CY + 0.5
        lines.append(f"day/{i}.png PINHOLE 320 240 {f} {f} {cx} {cy}\n")
    (folder / "queries.txt").write_text("# with intrinsics\n" + "".join(lines))
    return folder


@pytest.fixture
def localize(queries, room_places, room_map, tmp_path):
    def run(*more):
        common = ["--map", str(room_places), "--model", str(room_map.parent / "model")]
        common += ["--images", str(queries), "--queries", str(queries / "queries.txt")]
        return localize_images.main([*common, "--out", str(tmp_path / "out.txt"), *map(str, more)])

    return run


def errors(path, drive):
    found = read_poses(path)
    truth = {f"day/{i}.png": drive.T_map_cam[i] for i in (4, 15, 30)}
    return {name: transforms.pose_error(found[name], T)[0] for name, T in truth.items()}


def test_from_nothing(localize, room_drive, tmp_path, capsys):
    assert localize() == 0
    assert "3 poses for 3 queries, 3 aligned" in " ".join(capsys.readouterr().out.split())
    assert max(errors(tmp_path / "out.txt", room_drive).values()) < 0.02


def test_poses_are_refined_whatever_folders_their_names_keep(localize, room_drive, tmp_path):
    off = transforms.exp(np.array([0.1, -0.05, 0.03, 0.01, 0.0, -0.01]))
    poses = {f"{i}.png": room_drive.T_map_cam[i] @ off for i in (4, 15, 30)}
    assert localize("--poses", write_poses(tmp_path / "hloc.txt", poses)) == 0
    assert max(errors(tmp_path / "out.txt", room_drive).values()) < 0.02


def test_from_retrieval(localize, room_map, room_drive, tmp_path):
    references = read_image_poses(room_map.parent / "model")
    lines = []
    for i in (4, 15, 30):
        near = min(
            references,
            key=lambda name: transforms.pose_error(references[name], room_drive.T_map_cam[i])[0],
        )
        lines.append(f"day/{i}.png {near}\nday/{i}.png not_in_the_model.png\n")
    (tmp_path / "pairs.txt").write_text("".join(lines))
    assert localize("--pairs", tmp_path / "pairs.txt", "--sigma", "0.6", "5") == 0
    assert max(errors(tmp_path / "out.txt", room_drive).values()) < 0.02


def test_files_that_do_not_fit_are_named(localize, tmp_path, capsys):
    (tmp_path / "poses.txt").write_text("other.png 1 0 0 0 0 0 0\n")
    assert localize("--poses", tmp_path / "poses.txt") == 1
    (tmp_path / "bad.txt").write_text("day/4.png 1 0 0\n")
    assert localize("--poses", tmp_path / "bad.txt") == 1
    (tmp_path / "binary.h5").write_bytes(bytes(range(256)))
    assert localize("--pairs", tmp_path / "binary.h5") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "names none of the 3 queries" in shown and "day/4.png" in shown
    assert "bad.txt, line 1: expected name qw qx qy qz tx ty tz" in shown
    assert "binary.h5: not a text file" in shown

"""Drives kept as folders of images: the project's own layout, and plain posed image folders.

Own layout, one folder per session (`camera.json` may lie one level higher, shared by sessions):

    camera.json    model, width, height, fx, fy, cx, cy, distortion, T_body_cam {t, q_wxyz}
    stamps.csv     name,stamp_ns
    poses.csv      name,tx,ty,tz,qw,qx,qy,qz            T_map_cam     (optional: ground truth)
    odometry.csv   stamp_ns,tx,ty,tz,qw,qx,qy,qz        T_odom_base   (optional)
    NNNNNN.jpg

A plain posed folder has `camera.json` and `poses.txt` (`name tx ty tz qx qy qz qw`, T_world_cam).
Its world may be a camera's (y down): then it is turned so that the map's z points up and its x
forward. Pixel (0, 0) is the centre of the top-left pixel; metres; stamps in nanoseconds.
"""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.drive import T_BODY_OPTICAL, Drive, Odometry
from pixloc_ros.images.files import read_image

log = logging.getLogger(__name__)

_POSE_COLUMNS = ("tx", "ty", "tz", "qw", "qx", "qy", "qz")


def read_drive(path: str | Path, session: str | None = None) -> Drive:
    """Read the drive in folder `path`, or its `session`; DataError names the file at fault."""
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    folder = root / session if session else root
    if (folder / "poses.csv").is_file() or (folder / "stamps.csv").is_file():
        return _read_own(folder)
    if (root / "poses.txt").is_file():
        return _read_posed(root, session)
    sessions = sorted(p.parent.name for p in root.glob("*/stamps.csv"))
    hint = f"; it has the sessions {', '.join(sessions)}" if sessions else ""
    raise DataError(f"{folder}: no drive here (neither poses.csv, stamps.csv nor poses.txt){hint}")


def write_drive(
    folder: str | Path,
    drive: Drive,
    suffix: str = ".jpg",
    quality: int = 95,
    progress: Progress | None = None,
) -> Path:
    """Write `drive` as an own-layout session folder; images are loaded and written one by one.

    `suffix` is `.jpg` (with `quality`) or `.png`. An image that cannot be read is left out, which
    a warning says. Returns the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i:06d}{suffix}" for i in range(len(drive))]
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    kept = []
    for i, name in enumerate(names):
        try:
            image = drive.image(i)
        except DataError as error:
            log.warning("left out: %s", error)
            continue
        kept.append(i)
        bgr = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
        if not cv2.imwrite(str(folder / name), bgr, settings):
            raise DataError(f"{folder / name}: could not be written; is the disk full?")
        if progress:
            progress(i + 1, len(names), "images")
    names, drive = [names[i] for i in kept], drive.subset(kept)
    (folder / "camera.json").write_text(
        json.dumps(_camera_to_json(drive.camera, drive.T_base_cam), indent=1) + "\n"
    )
    _write_csv(folder / "stamps.csv", ("name", "stamp_ns"), zip(names, map(int, drive.stamps_ns)))
    if drive.T_map_base is not None:
        rows = ((n, *_pose_row(T)) for n, T in zip(names, drive.T_map_cam))
        _write_csv(folder / "poses.csv", ("name", *_POSE_COLUMNS), rows)
    if drive.odometry is not None:
        odometry = drive.odometry
        rows = ((int(s), *_pose_row(T)) for s, T in zip(odometry.stamps_ns, odometry.T_odom_base))
        _write_csv(folder / "odometry.csv", ("stamp_ns", *_POSE_COLUMNS), rows)
    return folder


def _read_own(folder: Path) -> Drive:
    camera, T_base_cam, _ = _read_camera(folder)
    poses = _read_csv(folder / "poses.csv", ("name", *_POSE_COLUMNS))
    stamps = _read_csv(folder / "stamps.csv", ("name", "stamp_ns"))
    if stamps is None:
        raise DataError(f"{folder / 'stamps.csv'}: missing; it gives each image its time")
    stamp_of = {name: int(stamp) for name, stamp in stamps}
    T_map_base = None
    if poses is not None:
        strangers = [row[0] for row in poses if row[0] not in stamp_of]
        if strangers:
            raise DataError(f"{folder / 'stamps.csv'}: no stamp for {strangers[0]}")
        T_map_cam = _poses([row[1:] for row in poses], folder / "poses.csv")
        T_map_base = T_map_cam @ transforms.inverse(T_base_cam)
    names = [row[0] for row in (poses if poses is not None else stamps)]
    odometry = None
    rows = _read_csv(folder / "odometry.csv", ("stamp_ns", *_POSE_COLUMNS))
    if rows is not None:
        odometry = Odometry(
            np.array([int(row[0]) for row in rows], np.int64),
            _poses([row[1:] for row in rows], folder / "odometry.csv"),
        )
    return _drive(
        folder,
        folder,
        names,
        [stamp_of[n] for n in names],
        camera,
        T_base_cam,
        T_map_base,
        odometry,
    )


def _read_posed(root: Path, session: str | None) -> Drive:
    camera, T_base_cam, settings = _read_camera(root)
    path = root / "poses.txt"
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    rows = [row for row in rows if not row[0].startswith("#")]
    if session is not None:
        rows = [row for row in rows if row[0].split("/")[0] == session]
    if any(len(row) != 8 for row in rows):
        raise DataError(f"{path}: expected 8 columns, name tx ty tz qx qy qz qw")
    if not rows:
        raise DataError(f"{path}: no poses" + (f" for session '{session}'" if session else ""))
    T_world_cam = _poses([[*r[1:4], r[7], *r[4:7]] for r in rows], path)
    T_map_world = T_BODY_OPTICAL if "y down" in settings.get("world", "") else np.eye(4)
    T_map_base = T_map_world @ T_world_cam @ transforms.inverse(T_base_cam)
    period_ns = round(1e9 / float(settings.get("rate_hz", 10)))
    stamps = [i * period_ns for i in range(len(rows))]
    return _drive(
        root,
        root / session if session else root,
        [r[0] for r in rows],
        stamps,
        camera,
        T_base_cam,
        T_map_base,
        None,
    )


def _drive(
    image_dir: Path,
    label: Path,
    names: list[str],
    stamps_ns: list[int],
    camera: Camera,
    T_base_cam: np.ndarray,
    T_map_base: np.ndarray | None,
    odometry: Odometry | None,
) -> Drive:
    paths = [image_dir / name for name in names]
    missing = [p for p in paths if not p.is_file()]
    if missing:
        raise DataError(f"{missing[0]}: image is missing ({len(missing)} of {len(paths)} are)")
    return Drive(
        name=label.resolve().name,
        names=tuple(names),
        stamps_ns=np.array(stamps_ns, np.int64),
        camera=camera,
        T_base_cam=T_base_cam,
        load=lambda i: read_image(paths[i]),
        T_map_base=T_map_base,
        odometry=odometry,
        image_dir=image_dir,
    )


def _read_camera(folder: Path) -> tuple[Camera, np.ndarray, dict]:
    """camera.json of the folder or of the one above -> camera, T_base_cam, the file's settings."""
    path = folder / "camera.json"
    if not path.is_file():
        path = folder.parent / "camera.json"
    if not path.is_file():
        raise DataError(f"{folder / 'camera.json'}: missing (nor is there one in the folder above)")
    try:
        settings = json.loads(path.read_text())
        camera = Camera.build(
            settings["model"].lower(),
            (settings["width"], settings["height"]),
            (settings["fx"], settings["fy"]),
            (settings["cx"], settings["cy"]),
            settings.get("distortion") or (),
        )
        mount = settings.get("T_body_cam")
        T_base_cam = T_BODY_OPTICAL.copy()
        if mount is not None:
            T_base_cam = _poses([[*mount["t"], *mount["q_wxyz"]]], path)[0]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not a camera description: {error!r}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return camera, T_base_cam, settings


def _camera_to_json(camera: Camera, T_base_cam: np.ndarray) -> dict:
    q_xyzw, t = transforms.to_quaternion(T_base_cam)
    plain = camera.to_dict()
    return {
        "model": plain["model"],
        "width": round(plain["size"][0]),
        "height": round(plain["size"][1]),
        "fx": plain["f"][0],
        "fy": plain["f"][1],
        "cx": plain["c"][0],
        "cy": plain["c"][1],
        "distortion": plain["distortion"],
        "pixel_convention": "pixel (0,0) is the centre of the top-left pixel",
        "T_body_cam": {"t": t.tolist(), "q_wxyz": [q_xyzw[3], *q_xyzw[:3].tolist()]},
    }


def _poses(rows: list[list[str]], path: Path) -> np.ndarray:
    """Rows tx ty tz qw qx qy qz -> (N, 4, 4)."""
    try:
        values = np.array(rows, np.float64).reshape(len(rows), 7)
    except ValueError as error:
        raise DataError(f"{path}: a pose is not 7 numbers: {error}") from error
    norm = np.linalg.norm(values[:, 3:], axis=1)
    if not np.all(np.abs(norm - 1) < 1e-3):
        raise DataError(f"{path}: row {int(np.argmax(np.abs(norm - 1)))}: not a unit quaternion")
    return transforms.from_quaternion(values[:, [4, 5, 6, 3]], values[:, :3])


def _pose_row(T: np.ndarray) -> list[str]:
    q_xyzw, t = transforms.to_quaternion(T)
    return [f"{v:.9f}" for v in (*t, q_xyzw[3], *q_xyzw[:3])]


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[list[str]] | None:
    """Rows of a CSV file with exactly these columns, or None when there is no such file."""
    if not path.is_file():
        return None
    with path.open(newline="") as stream:
        rows = [row for row in csv.reader(stream) if row]
    if not rows or tuple(rows[0]) != columns:
        raise DataError(f"{path}: the first line must be {','.join(columns)}")
    if any(len(row) != len(columns) for row in rows[1:]):
        raise DataError(f"{path}: a row has not {len(columns)} columns")
    return rows[1:]


def _write_csv(path: Path, columns: tuple[str, ...], rows) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)

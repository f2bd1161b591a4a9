"""A raw RobotCar drive without a renderer: tiny random mosaics, plain lenses, a straight road."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.datasets.robotcar import frames
from pixloc_ros.datasets.robotcar.camera import SENSORS, write_table

START = 1_400_000_000_000_000  # microseconds
SIZE = {"stereo": (32, 24), "mono": (16, 16)}
SPEED = 5.0  # m/s towards north
T_VEHICLE_INS = np.array([-1.5, 0.1, 1.0, 0.0, 0.0, 0.0])


def write_calibration(root: Path) -> None:
    (root / "models").mkdir(parents=True)
    (root / "extrinsics").mkdir()
    used = {(s.model, s.extrinsics) for s in SENSORS.values()}
    for model, extrinsics in used | {("stereo_narrow_right", "stereo")}:
        width, height = SIZE[model.split("_")[0]]
        shift = {"stereo_narrow_right": 0.12, "stereo_wide_right": 0.24}.get(model, 0.0)
        (root / "models" / f"{model}.txt").write_text(
            f"20 21 {width / 2} {height / 2}\n0 0 1 0\n1 0 0 {shift}\n0 1 0 0\n0 0 0 1\n"
        )
        v, u = np.mgrid[:height, :width]
        write_table(root / "models" / f"{model}_distortion_lut.bin", u, v)
        (root / "extrinsics" / f"{extrinsics}.txt").write_text("0 0 0 0 0 0")
    (root / "extrinsics" / "ins.txt").write_text(" ".join(map(str, T_VEHICLE_INS)))


def write_drive(
    root: Path, cameras=("stereo_left",), images: int = 20, rate: float = 10.0, yaw: float = 0.0
) -> Path:
    """A drive due north on the grid at `SPEED`, INS and RTK at 50 Hz; returns its folder."""
    folder = root / "2014-05-13-16-53-20"
    rng = np.random.default_rng(0)
    stamps = START + np.round(np.arange(images) * 1e6 / rate).astype(int)
    for camera in cameras:
        sensor = SENSORS[camera]
        target = folder / sensor.folder
        target.mkdir(parents=True)
        width, height = SIZE[sensor.model.split("_")[0]]
        mosaic = rng.integers(0, 256, (height, width), np.uint8)
        data = cv2.imencode(".png", mosaic)[1].tobytes()
        for stamp in stamps:
            (target / f"{stamp}.png").write_bytes(data)
        (folder / f"{sensor.stamps}.timestamps").write_text(
            "".join(f"{stamp} 1\n" for stamp in stamps)
        )
    seconds = np.arange(-0.1, images / rate + 0.1, 0.02)
    header = [
        "timestamp",
        "latitude",
        "longitude",
        "altitude",
        "northing",
        "easting",
        "down",
        "utm_zone",
        "velocity_north",
        "velocity_east",
        "velocity_down",
        "roll",
        "pitch",
        "yaw",
    ]
    origin = frames.Origin()
    rows = [
        [
            START + round(s * 1e6),
            51.76,
            -1.26,
            110,
            origin.northing + SPEED * s,
            origin.easting + 3,
            origin.down - 2,
            "30U",
            SPEED,
            0,
            0,
            0,
            0,
            yaw,
        ]
        for s in seconds
    ]
    write_table_csv(folder / "rtk.csv", header, rows)
    write_table_csv(
        folder / "gps" / "ins.csv",
        [header[0], "ins_status", *header[1:]],
        [[r[0], "INS_SOLUTION_GOOD", *r[1:]] for r in rows],
    )
    write_table_csv(
        folder / "gps" / "gps.csv",
        [
            "timestamp",
            "num_satellites",
            "latitude",
            "longitude",
            "altitude",
            "latitude_sigma",
            "longitude_sigma",
            "altitude_sigma",
        ],
        [[r[0], 7, *r[1:4], 1.0, 2.0, 3.0] for r in rows[::10]],
    )
    write_table_csv(
        folder / "vo" / "vo.csv",
        ["source_timestamp", "destination_timestamp", "x", "y", "z", "roll", "pitch", "yaw"],
        [[b, a, SPEED / rate, 0, 0, 0, 0, 0] for a, b in itertools.pairwise(stamps)],
    )
    return folder


def write_table_csv(path: Path, header: list, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])

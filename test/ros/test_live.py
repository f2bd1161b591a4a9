"""Processes as a user starts them: localizer, bag player and recorder, real DDS between them."""

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.trajectory import read_live

MODULE = "pixloc_ros.ros."


class Program:
    """A child process with its output in a file."""

    def __init__(self, folder, module: str, *arguments):
        self.log = folder / f"{module}.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MODULE + module, *map(str, arguments)],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def said(self, words: str) -> bool:
        """True once the output holds the words."""
        return words in self.log.read_text()

    def interrupt(self, times: int = 2) -> int:
        """Ctrl-C, again and again; the exit status."""
        for _ in range(times):
            self.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        return self.process.wait(120)


@pytest.fixture
def start(tmp_path, domain):
    """start(module, arguments...): a running program, killed after the test at the latest."""
    programs = []

    def begin(module: str, *arguments) -> Program:
        programs.append(Program(tmp_path, module, *arguments))
        return programs[-1]

    yield begin
    for program in programs:
        program.process.kill()


def localizer_arguments(room_map, drive) -> list[str]:
    T = drive.T_map_base[0]
    values = {
        "map": room_map,
        "use_sim_time": "true",
        "set_initial_pose": "true",
        "initial_pose.x": T[0, 3],
        "initial_pose.y": T[1, 3],
        "initial_pose.yaw": np.arctan2(T[1, 0], T[0, 0]),
        "device": "cpu",
        "localizer.search.hypotheses": 2,
        "localizer.search.survivors": 1,
        "tracker.gates.max_coast_time": 60.0,
    }
    return ["--ros-args"] + [part for k, v in values.items() for part in ("-p", f"{k}:={v}")]


def test_a_bag_is_localized_live(start, tmp_path, room_map, room_bag, room_drive, until):
    node = start("localizer_node", *localizer_arguments(room_map, room_drive))
    recorder = start("pose_recorder", tmp_path / "run", "--sent-log", tmp_path / "sent.csv")
    player = start(
        "bag_player",
        room_bag,
        "--clock",
        "--rate",
        0.25,
        "--log",
        tmp_path / "sent.csv",
        "--wait-for-subscribers",
    )
    assert player.process.wait(120) == 0, player.log.read_text()
    time.sleep(1.0)
    assert recorder.interrupt() == 0, recorder.log.read_text()
    assert node.interrupt(3) == 0, node.log.read_text()

    rows = np.loadtxt(tmp_path / "run" / "live.tum", ndmin=2)
    assert len(rows) >= 5, node.log.read_text()
    truth = {round(s * 1e-9, 3): T for s, T in zip(room_drive.stamps_ns, room_drive.T_map_base)}
    errors = [
        transforms.pose_error(
            transforms.from_quaternion(row[4:], row[1:4]), truth[round(row[0], 3)]
        )[0]
        for row in rows
    ]
    assert np.median(errors) < 0.05
    with (tmp_path / "run" / "latency.csv").open() as file:
        latencies = [float(row["latency_ms"]) for row in csv.DictReader(file)]
    assert len(latencies) == len(rows) and min(latencies) > 0
    track = read_live(tmp_path / "run")
    assert np.array_equal(track.stamps_ns, np.round(rows[:, 0] * 1e3).astype(np.int64) * 10**6)
    assert np.linalg.eigvalsh(track.covariances).min() > 0, "what a filter needs to weigh them"
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["poses"] == len(rows)
    assert summary["diagnostics"]["pose"]["last"]["values"]["state"] == "tracking"


def test_a_looping_bag_starts_over(start, room_map, room_bag, room_drive, until):
    node = start("localizer_node", *localizer_arguments(room_map, room_drive))
    player = start(
        "bag_player", room_bag, "--clock", "--loop", "--rate", 1.0, "--wait-for-subscribers"
    )
    assert until(lambda: node.log.read_text().count("starting over") >= 2), node.log.read_text()
    text = node.log.read_text()
    assert until(lambda: node.log.read_text().count("tracking") > text.count("tracking"))
    assert "starting over" in text
    assert player.interrupt() == 0
    assert node.interrupt() == 0
    assert "Traceback" not in node.log.read_text()


def test_a_wrong_map_leaves_the_node_alive_until_ctrl_c(start, until):
    node = start("localizer_node", "--ros-args", "-p", "map:=/no/such/map")
    assert until(lambda: node.said("ros2 lifecycle set"))
    assert node.process.poll() is None and node.said("/no/such/map")
    assert node.interrupt() == 0


def test_a_parameter_out_of_range_ends_with_one_line(start):
    node = start("localizer_node", "--ros-args", "-p", "tf_rate:=5000.0")
    assert node.process.wait(120) == 2
    assert node.said("tf_rate") and not node.said("Traceback")


def test_the_node_explains_its_arguments(start):
    node = start("localizer_node", "--help")
    assert node.process.wait(120) == 0
    assert node.said("config/localize.yaml") and not node.said("active")


def test_the_player_reads_sqlite3_starts_late_and_refuses_what_is_no_bag(
    start, tmp_path, room_drive
):
    from pixloc_ros.datasets.bag import write_bag

    bag = write_bag(room_drive, tmp_path / "sqlite", storage="sqlite3")
    player = start("bag_player", bag, "--start", 2.0, "--rate", 8.0, "--log", tmp_path / "sent.csv")
    assert player.process.wait(120) == 0, player.log.read_text()
    with (tmp_path / "sent.csv").open() as file:
        stamps = [int(row["stamp_ns"]) for row in csv.DictReader(file)]
    late = room_drive.stamps_ns[room_drive.stamps_ns >= room_drive.stamps_ns[0] + 2_000_000_000]
    assert stamps == late.tolist()
    assert start("bag_player", tmp_path).process.wait(120) == 2
    lonely = start("bag_player", bag, "--wait-for-subscribers", 0.5)
    assert lonely.process.wait(120) == 3 and lonely.said("/image")


def test_the_probe_lists_the_graph(start, room_bag):
    player = start("bag_player", room_bag, "--loop", "--clock")
    probe = start("graph_probe", "--seconds", 6)
    assert probe.process.wait(120) == 0
    report = json.loads(probe.log.read_text())
    assert "/bag_player" in report["nodes"]
    image = report["topics"]["/image"]
    assert image["types"] == ["sensor_msgs/msg/Image"] and image["rate_hz"] > 0
    assert image["publishers"][0]["node"] == "/bag_player"
    assert player.interrupt() == 0

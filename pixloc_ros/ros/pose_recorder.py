"""Records what a running localizer publishes: live.tum, poses.csv, latency.csv, summary.json."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args

from pixloc_ros.evaluation.trajectory import POSE_COLUMNS, pose_row
from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.messages.poses import pose_of
from pixloc_ros.ros.runtime import run_node


class PoseRecorder(Node):
    """Writes poses as they come, and with `write` what is told at the end.

    A disk that is full costs what could not be written and is said; recording goes on.

    Latency: with the bag player's log, from the moment an image was sent to the moment its pose
    arrived here, both on the machine's wall clock, whatever the playing rate. Without, from the
    image's stamp to the arrival on this node's clock: right for live sensors on one machine, as
    coarse as /clock in simulation.
    """

    def __init__(self, localizer: str, folder: Path, sent_log: Path | None):
        super().__init__("pose_recorder")
        self._folder, self._sent_log = folder, sent_log
        self._poses: list[tuple[int, int, int, PoseWithCovarianceStamped]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "poses.csv").open("w", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(POSE_COLUMNS)
        self._levels: dict[str, Counter] = {}
        self._last: dict[str, dict] = {}
        self._localizer = localizer.strip("/")
        self.create_subscription(
            PoseWithCovarianceStamped,
            f"/{self._localizer}/pose",
            self._on_pose,
            QoSProfile(depth=100),
        )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._poses.append(
            (
                stamp_of(message),
                time.time_ns(),
                self.get_clock().now().nanoseconds,
                message,
            )
        )

        pose, covariance = message.pose.pose, np.reshape(message.pose.covariance, (6, 6))
        try:
            self._rows.writerow(pose_row(stamp_of(message), pose_of(pose), covariance))
            self._file.flush()
        except OSError as error:
            self.get_logger().error(
                f"{self._file.name}: {error.strerror}; poses are lost until there is room",
                throttle_duration_sec=5.0,
            )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(f"{self._localizer}: "):
                part = status.name.split(": ", 1)[1]
                level = int.from_bytes(status.level, "little")
                self._levels.setdefault(part, Counter())[
                    ("ok", "warn", "error", "stale")[level]
                ] += 1
                self._last[part] = {
                    "level": level,
                    "message": status.message,
                    "values": {v.key: v.value for v in status.values},
                }

    def write(self) -> None:
        """Close poses.csv (poses with covariances, for `fuse`) and write the other files. live.tum:
        stamp (s) x y z qx qy qz qw of the base in the map."""
        latencies = self._latencies()
        try:
            self._file.close()
            with (self._folder / "live.tum").open("w") as file:
                for stamp_ns, _, _, message in self._poses:
                    p, q = message.pose.pose.position, message.pose.pose.orientation
                    numbers = " ".join(f"{v:.9f}" for v in (p.x, p.y, p.z, q.x, q.y, q.z, q.w))
                    file.write(f"{stamp_ns // 10**9}.{stamp_ns % 10**9:09d} {numbers}\n")
            with (self._folder / "latency.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("stamp_ns", "latency_ms"))
                writer.writerows((stamp_ns, f"{ms:.3f}") for stamp_ns, ms in latencies)
            summary = json.dumps(self._summary(latencies), indent=2)
            (self._folder / "summary.json").write_text(summary)
        except OSError as error:
            self.get_logger().error(f"{self._folder}: {error}; poses.csv has what was written")

    def _latencies(self) -> list[tuple[int, float]]:
        if self._sent_log is None:
            return [(stamp, (clock - stamp) * 1e-6) for stamp, _, clock, _ in self._poses]
        sent: dict[int, list[int]] = {}
        with self._sent_log.open(newline="") as file:
            for row in csv.DictReader(file):
                sent.setdefault(int(row["stamp_ns"]), []).append(int(row["wall_ns"]))
        pairs = []
        for stamp, arrival, _, _ in self._poses:
            # A looping bag sends a stamp several times; the pose answers the newest of them.
            earlier = [wall for wall in sent.get(stamp, []) if wall <= arrival]
            if earlier:
                pairs.append((stamp, (arrival - earlier[-1]) * 1e-6))
        return pairs

    def _summary(self, latencies: list[tuple[int, float]]) -> dict:
        walls = [wall for _, wall, _, _ in self._poses]
        seconds = (walls[-1] - walls[0]) * 1e-9 if len(walls) > 1 else 0.0
        values = [ms for _, ms in latencies]
        p50, p95, worst = np.percentile(values, [50, 95, 100]) if values else (None,) * 3
        return {
            "poses": len(self._poses),
            "rate_hz": (len(walls) - 1) / seconds if seconds else None,
            "latency_ms": {
                "from": "image sent" if self._sent_log else "image stamp",
                "count": len(values),
                "p50": p50,
                "p95": p95,
                "max": worst,
            },
            "diagnostics": {
                part: {"levels": dict(counts), "last": self._last[part]}
                for part, counts in self._levels.items()
            },
        }


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `ros2 run pixloc_ros pose_recorder`; writes its files when it is ended."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="pose_recorder", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--localizer", default="/localizer", help="name of the node to record")
    parser.add_argument(
        "--sent-log",
        type=Path,
        metavar="CSV",
        help="what bag_player --log wrote: latency from sending to arrival",
    )
    options = parser.parse_args(remove_ros_args(["pose_recorder", *given])[1:])
    return run_node(
        lambda: PoseRecorder(options.localizer, options.folder, options.sent_log),
        lambda node: node.write(),
        given,
    )


if __name__ == "__main__":
    sys.exit(main())

"""The doctor: finds what is wrong, says how to mend it, and survives everything missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pixloc_ros.cli import _doctor_checks, _doctor_ros, doctor

REPOSITORY = Path(__file__).resolve().parents[2]


def end(node: str, reliability: str = "reliable", durability: str = "volatile") -> dict:
    return {"node": node, "reliability": reliability, "durability": durability}


def topic(kind: str, publishers=(), subscriptions=(), rate: float = 0.0) -> dict:
    return {
        "types": [kind],
        "rate_hz": rate,
        "publishers": list(publishers),
        "subscriptions": list(subscriptions),
    }


def judged(**topics: dict) -> list[tuple[str, str]]:
    report = {"nodes": [], "topics": {f"/{name}": entry for name, entry in topics.items()}}
    return [(f.level, f.detail + f.remedy) for f in _doctor_ros.judge_graph(report)]


def test_healthy_graph():
    findings = judged(
        image=topic(
            "sensor_msgs/msg/Image",
            [end("/camera", "best_effort")],
            [end("/localizer", "best_effort")],
            rate=10.0,
        ),
        odom=topic("nav_msgs/msg/Odometry", [end("/base")], [end("/localizer", "best_effort")]),
    )
    assert [level for level, _ in findings] == ["ok"]
    assert "10.0 Hz" in findings[0][1]


def test_reliability_mismatch_is_an_error_with_a_remedy():
    findings = judged(
        image=topic(
            "sensor_msgs/msg/Image",
            [end("/camera", "best_effort")],
            [end("/localizer", "reliable")],
            rate=10.0,
        )
    )
    errors = [text for level, text in findings if level == "error"]
    assert len(errors) == 1 and "/camera" in errors[0] and "best_effort" in errors[0]


def test_durability_mismatch():
    findings = judged(
        map=topic(
            "nav_msgs/msg/OccupancyGrid", [end("/a")], [end("/b", "reliable", "transient_local")]
        )
    )
    assert any(level == "error" and "transient_local" in text for level, text in findings)


def test_topic_nobody_publishes():
    findings = judged(image=topic("sensor_msgs/msg/Image", [], [end("/localizer", "best_effort")]))
    assert ("warning", True) in [(level, "remap" in text) for level, text in findings]


def test_empty_graph_says_what_to_start():
    texts = " ".join(text for _, text in judged())
    assert "nobody publishes images" in texts and "no localizer" in texts


def test_a_check_that_raises_becomes_an_error():
    def broken():
        raise RuntimeError("boom")

    (finding,) = _doctor_checks.survive("thing", broken)
    assert finding.level == "error" and "boom" in finding.detail


def test_missing_profile(monkeypatch, tmp_path):
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    assert "loses most images" in next(_doctor_ros.transport()).detail
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(tmp_path / "none.xml"))
    assert next(_doctor_ros.transport()).level == "error"


def test_wrong_checkpoint_and_map(tmp_path):
    assert next(_doctor_checks.checkpoint(str(tmp_path / "none"))).level == "error"
    (finding,) = _doctor_checks.feature_map(tmp_path / "none", "small")
    assert finding.level == "error" and "build_map" in finding.detail


def test_nothing_but_python():
    """Without a single package it still reports them, the whole of ROS as one, and fails."""
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
        "from pixloc_ros.cli.doctor import main; sys.exit(main(['--json', '--listen', '0']))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)
    levels = {finding["check"]: finding["level"] for finding in findings}
    assert levels["rclpy"] == "error" and not {"messages", "tf2_ros", "cv_bridge"} & set(levels)
    assert not [f for f in findings if "requirements" in f["remedy"]], "pip leaves no such files"
    assert levels["numpy"] == levels["torch"] == levels["checkpoint"] == "error"


def test_here(capsys):
    """The environment of the tests is in order."""
    assert doctor.main(["--json", "--listen", "0"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {f["check"] for f in findings} >= {
        "torch",
        "rclpy",
        "tf2_ros",
        "cv_bridge",
        "checkpoint",
    }

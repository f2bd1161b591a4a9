"""Tables, plots and pages come out whole, with and without ground truth."""

import json
import re
from dataclasses import replace

import numpy as np

from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.metrics import evaluate_track
from pixloc_ros.evaluation.runner import run_drive


def test_page_stands_alone(tmp_path, make_drive, noisy_tracker):
    drive = make_drive()
    run = run_drive(*noisy_tracker(drive, lose=(4,)), drive, with_view={2, 9})
    tables = [
        report.metrics_table("Drive", {"offline": evaluate_track(run.track(), drive, 12.0)}),
        report.timing_table(run),
    ]
    pictures = {**report.run_pictures(drive, [run.track()]), **report.sample_overlays(run)}
    assert len(pictures) == 5
    report.write_html(tmp_path / "r.html", "A <drive>", tables, pictures)
    page = (tmp_path / "r.html").read_text()
    assert "A &lt;drive&gt;" in page and page.count("data:image/png;base64,") == 5
    assert not re.search(r"(src|href)='(?!data:)", page), "nothing is loaded from elsewhere"


def test_a_drive_without_ground_truth_still_gets_its_pictures(tmp_path, make_drive, noisy_tracker):
    drive = make_drive()
    run = run_drive(*noisy_tracker(drive), replace(drive, T_map_base=None), initial=np.eye(4))
    assert len(report.run_pictures(run.drive, [run.track()])) == 2
    table = report.metrics_table("Drive", {"x": evaluate_track(run.track(), run.drive)})
    assert "position error largest" not in [row[0] for row in table.rows]


def test_json_has_no_nan(tmp_path, make_drive, noisy_tracker):
    metrics = evaluate_track(
        run_drive(*noisy_tracker(make_drive()), make_drive()).track(), make_drive()
    )
    report.write_json(tmp_path / "m.json", {"live": metrics.to_dict(), "n": np.int64(3)})
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["live"]["rate_hz"] is None and content["n"] == 3


def test_frames_csv_has_a_line_per_frame(tmp_path, make_drive, noisy_tracker):
    drive = make_drive()
    report.write_frames(tmp_path / "f.csv", run_drive(*noisy_tracker(drive, lose=(1,)), drive))
    lines = (tmp_path / "f.csv").read_text().splitlines()
    assert len(lines) == 21 and ",lost,0," in lines[2]

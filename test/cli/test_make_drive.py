"""make_drive: folders that read back as the drives they are."""

from __future__ import annotations

import numpy as np

from pixloc_ros.cli.make_drive import main
from pixloc_ros.datasets.folder import read_drive


def test_writes_both_sessions_with_truth_and_odometry(tmp_path, capsys):
    arguments = [
        str(tmp_path / "street"),
        "--query-frames",
        "4",
        "--size",
        "96",
        "64",
        "--focal",
        "70",
        "--spacing",
        "3.0",
        "--query-light",
        "overcast",
    ]
    assert main(arguments) == 0
    mapping, query = (read_drive(tmp_path / "street", name) for name in ("map", "query"))
    assert len(mapping) == 4 and len(query) == 4
    assert query.image(0).shape == (64, 96, 3)
    assert query.odometry is not None and len(query.odometry) > 4
    assert np.allclose(query.T_map_cam[:, 2, 3], 1.6, atol=0.05)
    assert main(arguments) == 1
    assert "there already" in capsys.readouterr().out

"""Two processes on the CPU, joined by torchrun, take the steps of one with the whole batch."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from walls import fresh_net

from pixloc_ros.core.errors import ConfigError
from pixloc_ros.training.distributed import Processes
from pixloc_ros.training.loop import Trainer


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """The folder where two processes left what they computed."""
    folder = tmp_path_factory.mktemp("two")
    script = Path(__file__).with_name("one_of_two.py")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            str(script),
            str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_gradients_and_weights_are_those_of_one_process(two, config, tmp_path):
    config = replace(config, steps=2, clip_norm=1e9)
    trainer = Trainer(fresh_net(), config, tmp_path, tmp_path)
    loss = trainer.train_step(next(iter(trainer._batches())))["loss"]
    expected = dict(trainer.net.named_parameters())
    found = [torch.load(two / f"after_one_{rank}.pt") for rank in (0, 1)]
    for shared_loss, gradients, weights in found:
        assert shared_loss == pytest.approx(loss, rel=1e-4)
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            wanted = expected[name].grad
            scale = float(wanted.abs().max())
            torch.testing.assert_close(
                gradient, wanted, rtol=1e-3, atol=1e-4 * scale + 1e-9, msg=name
            )
        norms = {name for name in weights if "running" in name and ".encoder." not in name}
        assert norms
        for name in norms:
            torch.testing.assert_close(weights[name], trainer.net.state_dict()[name], msg=name)
    for name, tensor in found[0][2].items():
        assert torch.equal(tensor, found[1][2][name]), f"{name} differs between the processes"


def test_a_nan_in_one_process_stops_both(two):
    for rank in (0, 1):
        skipped, unchanged = torch.load(two / f"after_nan_{rank}.pt")
        assert skipped == 1 and unchanged


def test_only_the_first_process_writes(two):
    rows = (two / "run" / "train.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2"]
    state = torch.load(two / "run" / "state.pt", weights_only=True)
    assert state["step"] == 2
    assert not any(name.startswith("module.") for name in state["model"])


def test_pairs_of_a_step_do_not_depend_on_the_number_of_processes():
    alone = Processes().share(batch=6, first_step=3, last_step=5)
    assert alone == [[18, 19, 20, 21, 22, 23], [24, 25, 26, 27, 28, 29]]
    for count in (2, 3, 6):
        shares = [Processes(rank, count).share(6, 3, 5) for rank in range(count)]
        joined = [sum(step, []) for step in zip(*shares)]
        assert joined == alone
    with pytest.raises(ConfigError, match="multiple of 4"):
        Processes(0, 4).share(6, 0, 1)

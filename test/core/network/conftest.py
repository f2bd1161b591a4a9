"""Synthetic checkpoints in the published layout, as the reference data describes them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch


@pytest.fixture(scope="session")
def published(shared, tmp_path_factory):
    """`published("vgg16")` is the path of a file in the published layout, seed 1."""
    files = {}

    def make(backbone):
        if backbone not in files:
            files[backbone] = tmp_path_factory.mktemp(backbone) / "checkpoint_best.tar"
            script = shared / "oracle" / "make_checkpoint.py"
            subprocess.run(
                [sys.executable, script, "--backbone", backbone, "--output", files[backbone]],
                check=True,
                capture_output=True,
            )
        return files[backbone]

    return make


@pytest.fixture
def picture():
    """A smooth random image (1, 3, 64, 96), RGB in [0, 1]."""
    noise = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(noise, size=(64, 96), mode="bicubic").clamp(0, 1)

"""The log of a run: CSV files, pictures and, where it is installed, TensorBoard."""

from __future__ import annotations

import csv
import os
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np


class TrainLog:
    """Writes train.csv, validation.csv and pictures/ into `folder`, and TensorBoard's events into
    folder/tensorboard if its package is there.

    Begins after `step`: what an interrupted run logged beyond its last saved state is dropped.
    """

    def __init__(self, folder: Path, step: int):
        self._folder = folder
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for name in ("train", "validation"):
            _drop_rows_after(folder / f"{name}.csv", step)
        self._board = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    @property
    def has_board(self) -> bool:
        return self._board is not None

    def figures(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """One row of "train" or "validation"."""
        row = {
            key: f"{value:.6g}" if isinstance(value, float) else value
            for key, value in figures.items()
        }
        path = self._folder / f"{kind}.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=["step", *row])
            if new:
                writer.writeheader()
            writer.writerow({"step": step, **row})
        if self._board:
            for key, value in figures.items():
                self._board.add_scalar(f"{kind}/{key}", value, step)

    def picture(self, step: int, image: np.ndarray) -> None:
        """image (H, W, 3) uint8 RGB."""
        path = self._folder / "pictures" / f"step_{step:07d}.jpg"
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        if self._board:
            self._board.add_image("pair", image, step, dataformats="HWC")

    def close(self) -> None:
        if self._board:
            self._board.close()


def _drop_rows_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines(keepends=True)
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",", 1)[0]) <= step]
    partial = path.with_suffix(".partial")
    partial.write_text("".join([header, *kept]))
    os.replace(partial, path)

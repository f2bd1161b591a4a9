"""Photographs from a folder, laid onto walls, ground and small things in place of baked noise.

Nothing photographic belongs to the package: name a folder of pictures whose licence allows it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.errors import ConfigError

MOST_PIXELS = 1024  # of the longer side of a kept picture
METRES = (2.0, 12.0)  # what the longer side of a picture may cover
BRIGHTNESS = (0.3, 0.65)  # means that a wall may have
POSTERS = 0.5  # share of bills and boards that show a photograph
WALLS = 0.7  # share of walls that are covered with one
GROUNDS = 0.7  # likewise of road, footways and open ground


class Photographs:
    """The pictures below a folder, in any format that OpenCV reads; decoded when first used.

    Everything drawn is a function of the generator passed in and of the folder's content.
    Raises ConfigError, naming the folder or the file, where there is nothing to read.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(
                f"{folder}: no such folder; textures has to name a folder of "
                "photographs, or be left out"
            )
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.paths = [path for path in files if cv2.haveImageReader(str(path))]
        if not self.paths:
            raise ConfigError(
                f"{folder}: none of its {len(files)} files is a picture that OpenCV "
                "reads; put photographs (png, jpg, webp ...) there, or leave out "
                "textures"
            )
        self._load = lru_cache(maxsize=256)(_read)

    def piece(self, rng: np.random.Generator, rows: int, cols: int, density: float) -> np.ndarray:
        """(rows, cols, 3) float32 RGB in [0, 1]: part of a random photograph as it looks at
        `density` texels per metre if its longer side covers some metres; mirrored at its ends."""
        image = self._load(self.paths[rng.integers(len(self.paths))])
        metres = np.exp(rng.uniform(*np.log(METRES)))
        scale = metres * density / max(image.shape[:2])
        size = [max(2, round(side * scale)) for side in image.shape[1::-1]]
        image = cv2.resize(
            image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        if rng.random() < 0.5:
            image = image[:, ::-1]
        return image[_mirrored(rng, rows, size[1])][:, _mirrored(rng, cols, size[0])] / np.float32(
            255
        )

    def wall(
        self, rng: np.random.Generator, rows: int, cols: int, density: float, color
    ) -> np.ndarray:
        """(rows, cols, 3) for a wall: a piece in its own colours, or only its light and dark in
        the wall's `color` (3,), or something between; neither dark nor glaring on average."""
        piece = self.piece(rng, rows, cols, density)
        piece = piece * (rng.uniform(*BRIGHTNESS) / max(float(piece.mean()), 0.05))
        grey = piece.mean(2, keepdims=True)
        painted = grey / max(float(grey.mean()), 0.05) * np.asarray(color, np.float32)
        return np.clip(piece + rng.random() * (painted - piece), 0, 1).astype(np.float32)

    def ground(self, rng: np.random.Generator, image: np.ndarray, density: float) -> np.ndarray:
        """A baked ground (H, W, 3) with the light and dark of a photograph, or as it is."""
        if rng.random() >= GROUNDS:
            return image
        grey = self.piece(rng, *image.shape[:2], density).mean(2, keepdims=True)
        factor = (grey + 0.1) / (float(grey.mean()) + 0.1)
        return np.clip(image * (1 + rng.uniform(0.3, 0.8) * (factor - 1)), 0, 1)

    def poster(self, rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
        """(rows, cols, 3): a part of a photograph with the picture's proportions undistorted."""
        image = self._load(self.paths[rng.integers(len(self.paths))])
        height, width = image.shape[:2]
        scale = min(height / rows, width / cols) * rng.uniform(0.4, 1)
        h, w = max(1, int(rows * scale)), max(1, int(cols * scale))
        y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
        part = cv2.resize(image[y : y + h, x : x + w], (cols, rows), interpolation=cv2.INTER_AREA)
        return part / np.float32(255)


def _mirrored(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """`count` successive indices from a random start, running to and fro over 0 ... size - 1."""
    index = (rng.integers(2 * size) + np.arange(count)) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


def _read(path: Path) -> np.ndarray:
    """uint8 RGB (H, W, 3), shrunk to MOST_PIXELS."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ConfigError(f"{path}: damaged, OpenCV cannot decode it; remove it from the textures")
    shrink = MOST_PIXELS / max(image.shape[:2])
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., ::-1])

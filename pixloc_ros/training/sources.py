"""Where pairs come from: what the key `data` of an experiment may say."""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch.utils.data import Dataset

from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.pairs import PairConfig, SyntheticPairs

FIRST_TRAINING_WORLD = 1000
FIRST_VALIDATION_WORLD = 900_000  # streets that training never sees


@dataclass(frozen=True)
class SyntheticData(PairConfig):
    """Rendered streets, with the keys of `PairConfig`. validation_worlds: streets to validate on."""

    kind: Literal["synthetic"] = "synthetic"
    validation_worlds: int = 3

    def training_pairs(self, augment: AugmentConfig, seed: int, length: int, cache: Path
                       ) -> Dataset:
        """`length` pairs, each a pure function of the seed and its index. cache: folder of what is
        made once and kept; filled where it lacks any."""
        return SyntheticPairs(self, augment, seed, FIRST_TRAINING_WORLD, length, cache)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        """Always the same `length` pairs, of places that training never draws."""
        views = replace(self.views, worlds=self.validation_worlds)
        return SyntheticPairs(replace(self, views=views), augment, 0, FIRST_VALIDATION_WORLD,
                              length, cache)

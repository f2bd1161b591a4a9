"""Where pairs come from: what the key `data` of an experiment may say.

Every kind gives `training_pairs` and `validation_pairs`: data sets of `length` pairs, each a pure
function of the seed and its index, the latter always the same and of places that training never
draws. `cache` is the folder of what is made of the data once and kept; what it lacks is made.
`unit` is that of translation errors: "m", or "baselines" where a data set has no scale.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from torch.utils.data import Dataset

from pixloc_ros.datasets import cmu, colmap_scene, megadepth
from pixloc_ros.datasets.scene import PosedScene, prepared
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.pairs import PairConfig, SyntheticPairs
from pixloc_ros.training.scene_pairs import ScenePairConfig, ScenePairs

FIRST_TRAINING_WORLD = 1000
FIRST_VALIDATION_WORLD = 900_000  # streets that training never sees


@dataclass(frozen=True)
class SyntheticData(PairConfig):
    """Rendered streets, with the keys of `PairConfig`. validation_worlds: streets to validate on."""

    kind: Literal["synthetic"] = "synthetic"
    validation_worlds: int = 3
    unit: ClassVar[str] = "m"

    def training_pairs(self, augment: AugmentConfig, seed: int, length: int, cache: Path
                       ) -> Dataset:
        return SyntheticPairs(self, augment, seed, FIRST_TRAINING_WORLD, length, cache)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        views = replace(self.views, worlds=self.validation_worlds)
        return SyntheticPairs(replace(self, views=views), augment, 0, FIRST_VALIDATION_WORLD,
                              length, cache)


@dataclass(frozen=True)
class MegaDepthData(ScenePairConfig):
    """MegaDepth, laid out as `datasets/megadepth.py` says, with the keys of `ScenePairConfig`.

    root: the folder that holds Undistorted_SfM/. training_split, validation_split: text files of
    scene names, relative to root; those of the published code are its train_scenes.txt and
    valid_scenes.txt.
    """

    kind: Literal["megadepth"] = "megadepth"
    root: Path = Path("megadepth")
    training_split: Path = Path("train_scenes.txt")
    validation_split: Path = Path("valid_scenes.txt")
    unit: ClassVar[str] = "baselines"

    def training_pairs(self, augment: AugmentConfig, seed: int, length: int, cache: Path
                       ) -> Dataset:
        return ScenePairs(self, augment, self._scenes(self.training_split, cache), seed, length)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        return ScenePairs(self, augment, self._scenes(self.validation_split, cache), 0, length)

    def _scenes(self, split: Path, cache: Path) -> list[PosedScene]:
        return [prepared(cache / "megadepth" / name, megadepth.model_folder(self.root, name),
                         lambda: megadepth.read_megadepth(self.root, name))
                for name in megadepth.read_split(self.root / split)]


@dataclass(frozen=True)
class CmuData(ScenePairConfig):
    """Extended CMU Seasons, laid out as `datasets/cmu.py` says, with the keys of
    `ScenePairConfig`. root: of the data set. models: of hloc's outputs for it."""

    kind: Literal["cmu"] = "cmu"
    root: Path = Path("CMU")
    models: Path = Path("hloc/CMU")
    training_slices: tuple[int, ...] = (8, 9, 10, 11, 12, 22, 23, 24, 25)
    validation_slices: tuple[int, ...] = (6, 13, 21)
    unit: ClassVar[str] = "m"

    def training_pairs(self, augment: AugmentConfig, seed: int, length: int, cache: Path
                       ) -> Dataset:
        return ScenePairs(self, augment, self._scenes(self.training_slices, cache), seed, length)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        return ScenePairs(self, augment, self._scenes(self.validation_slices, cache), 0, length)

    def _scenes(self, slices: tuple[int, ...], cache: Path) -> list[PosedScene]:
        return [prepared(cache / "cmu" / f"slice{number}", cmu.model_folder(self.models, number),
                         lambda: cmu.read_cmu(self.root, self.models, number))
                for number in slices]


@dataclass(frozen=True)
class ColmapModel:
    """One COLMAP model. model: its folder. images: the folder its image names are relative to.
    scale: metres per unit."""

    model: Path
    images: Path
    scale: float = 1.0


@dataclass(frozen=True)
class ColmapData(ScenePairConfig):
    """Your own COLMAP models, with the keys of `ScenePairConfig`.

    models: they; validation_share: of the images of each, the last ones by name, are kept for
    validation.
    """

    kind: Literal["colmap"] = "colmap"
    models: tuple[ColmapModel, ...] = ()
    validation_share: float = 0.15
    unit: ClassVar[str] = "m"

    def __post_init__(self):
        if not self.models:
            raise ValueError("data of kind colmap needs at least one entry under models")

    def training_pairs(self, augment: AugmentConfig, seed: int, length: int, cache: Path
                       ) -> Dataset:
        return ScenePairs(self, augment, self._scenes(False, cache), seed, length)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        return ScenePairs(self, augment, self._scenes(True, cache), 0, length)

    def _scenes(self, validation: bool, cache: Path) -> list[PosedScene]:
        scenes = []
        for entry in self.models:
            name = str(entry.model.absolute()).strip("/").replace("/", "_")
            scene = prepared(cache / "colmap" / f"{name}_{entry.scale:g}", entry.model,
                             lambda: colmap_scene.read_colmap(entry.model, entry.images,
                                                              entry.scale))
            first_held = len(scene.images) * (1 - self.validation_share)
            held = np.asarray(scene.pairs) >= first_held
            kept = held.all(1) if validation else ~held.any(1)
            scenes.append(replace(scene, pairs=scene.pairs[kept], overlap=scene.overlap[kept],
                                  baseline=scene.baseline[kept]))
        return scenes


Data = SyntheticData | MegaDepthData | CmuData | ColmapData

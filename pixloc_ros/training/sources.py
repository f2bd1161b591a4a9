"""Where pairs come from: what the key `data` of an experiment may say.

Every kind gives `training_pairs` and `validation_pairs`: data sets of `length` pairs, each a pure
function of the seed and its index, the latter always the same and of places that training never
draws. `cache` is the folder of what is made of the data once and kept; what it lacks is made, best
by `prepare` beforehand. `unit` is that of translation errors: "m", or "baselines" where a data set
has no scale.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from torch.utils.data import Dataset

from pixloc_ros.core.config import to_dict
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets import cmu, colmap_scene, megadepth
from pixloc_ros.datasets.scene import PosedScene, prepared
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.pairs import PairConfig, SyntheticPairs
from pixloc_ros.training.scene_pairs import ScenePairConfig, ScenePairs
from pixloc_ros.training.views import ViewConfig, load_world

FIRST_TRAINING_WORLD = 1000
FIRST_VALIDATION_WORLD = 900_000  # streets that training never sees


@dataclass(frozen=True)
class SyntheticData(PairConfig):
    """Rendered streets, with the keys of `PairConfig`; validation_worlds are for validation."""

    kind: Literal["synthetic"] = "synthetic"
    validation_worlds: int = 3
    unit: ClassVar[str] = "m"

    def prepare(self, cache: Path, workers: int, progress: Progress) -> None:
        """Render what the cache lacks, in `workers` processes (0: in this one). Raises ConfigError
        if the cache holds views of another kind."""
        self._claim(cache)
        _make(
            [partial(load_world, self.views, seed, cache) for seed in self.seeds()],
            workers,
            partial(progress, what="streets"),
        )

    def seeds(self) -> list[int]:
        """Of the worlds for training, and of those for validation."""
        return [
            *range(FIRST_TRAINING_WORLD, FIRST_TRAINING_WORLD + self.views.worlds),
            *range(FIRST_VALIDATION_WORLD, FIRST_VALIDATION_WORLD + self.validation_worlds),
        ]

    def _claim(self, cache: Path) -> None:
        """Note in the cache what its views are like, or compare."""
        note = cache / "views.json"
        ours = to_dict(replace(self.views, worlds=0))  # more of them are no other ones
        if not note.exists():
            cache.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(ours, indent=2) + "\n")
        theirs = to_dict(ViewConfig()) | json.loads(note.read_text())  # settings may be newer
        differing = sorted(key for key in ours if ours[key] != theirs[key])
        if differing:
            raise ConfigError(
                f"{cache} holds views rendered with other settings of data.views "
                f"({', '.join(differing)}); name another folder with --cache"
            )

    def training_pairs(
        self, augment: AugmentConfig, seed: int, length: int, cache: Path
    ) -> Dataset:
        return SyntheticPairs(self, augment, seed, FIRST_TRAINING_WORLD, length, cache)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        views = replace(self.views, worlds=self.validation_worlds)
        return SyntheticPairs(
            replace(self, views=views), augment, 0, FIRST_VALIDATION_WORLD, length, cache
        )


class RecordedData(ScenePairConfig):
    """What the kinds of recorded data have in common; each has its `scenes`."""

    def scenes(self, validation: bool, cache: Path) -> Sequence[Callable[[], PosedScene]]:
        """What opens each scene for training or validation, prepared in `cache` if need be."""
        raise NotImplementedError

    def prepare(self, cache: Path, workers: int, progress: Progress) -> None:
        """Prepare the scenes that the cache lacks, in `workers` processes (0: in this one)."""
        _make(
            [*self.scenes(False, cache), *self.scenes(True, cache)],
            workers,
            partial(progress, what="scenes"),
        )

    def training_pairs(
        self, augment: AugmentConfig, seed: int, length: int, cache: Path
    ) -> Dataset:
        scenes = [opened() for opened in self.scenes(False, cache)]
        return ScenePairs(self, augment, scenes, seed, length)

    def validation_pairs(self, augment: AugmentConfig, length: int, cache: Path) -> Dataset:
        scenes = [opened() for opened in self.scenes(True, cache)]
        return ScenePairs(self, augment, scenes, 0, length)


@dataclass(frozen=True)
class MegaDepthData(RecordedData):
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

    def scenes(self, validation: bool, cache: Path) -> Sequence[Callable[[], PosedScene]]:
        split = self.validation_split if validation else self.training_split
        return [
            partial(
                prepared,
                cache / "megadepth" / name,
                megadepth.model_folder(self.root, name),
                partial(megadepth.read_megadepth, self.root, name),
            )
            for name in megadepth.read_split(self.root / split)
        ]


@dataclass(frozen=True)
class CmuData(RecordedData):
    """Extended CMU Seasons, laid out as `datasets/cmu.py` says, with the keys of
    `ScenePairConfig`. root: of the data set. models: of hloc's outputs for it."""

    kind: Literal["cmu"] = "cmu"
    root: Path = Path("CMU")
    models: Path = Path("hloc/CMU")
    training_slices: tuple[int, ...] = (8, 9, 10, 11, 12, 22, 23, 24, 25)
    validation_slices: tuple[int, ...] = (6, 13, 21)
    unit: ClassVar[str] = "m"

    def scenes(self, validation: bool, cache: Path) -> Sequence[Callable[[], PosedScene]]:
        slices = self.validation_slices if validation else self.training_slices
        return [
            partial(
                prepared,
                cache / "cmu" / f"slice{number}",
                cmu.model_folder(self.models, number),
                partial(cmu.read_cmu, self.root, self.models, number),
            )
            for number in slices
        ]


@dataclass(frozen=True)
class ColmapModel:
    """One COLMAP model. model: its folder. images: the folder its image names are relative to.
    scale: metres per unit."""

    model: Path
    images: Path
    scale: float = 1.0


@dataclass(frozen=True)
class ColmapData(RecordedData):
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

    def scenes(self, validation: bool, cache: Path) -> Sequence[Callable[[], PosedScene]]:
        return [partial(self._open, entry, validation, cache) for entry in self.models]

    def _open(self, entry: ColmapModel, validation: bool, cache: Path) -> PosedScene:
        name = str(entry.model.absolute()).strip("/").replace("/", "_")
        scene = prepared(
            cache / "colmap" / f"{name}_{entry.scale:g}",
            entry.model,
            partial(colmap_scene.read_colmap, entry.model, entry.images, entry.scale),
        )
        held = np.asarray(scene.pairs) >= len(scene.images) * (1 - self.validation_share)
        kept = held.all(1) if validation else ~held.any(1)
        return replace(
            scene,
            pairs=scene.pairs[kept],
            overlap=scene.overlap[kept],
            baseline=scene.baseline[kept],
        )


Data = SyntheticData | MegaDepthData | CmuData | ColmapData


def _make(tasks: Sequence[Callable[[], object]], workers: int, progress: Callable) -> None:
    """Run the tasks for what they leave on the disk."""
    if workers == 0:
        for done, task in enumerate(tasks, 1):
            _run(task)
            progress(done, len(tasks))
        return
    # Not forked: a process that has a GPU in use must not be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context) as pool:
        futures = [pool.submit(_run, task) for task in tasks]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            progress(done, len(tasks))


def _run(task: Callable[[], object]) -> None:
    task()

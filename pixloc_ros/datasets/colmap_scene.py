"""Any COLMAP model with its images as a source of pairs: those that observe common points."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.scene import MIN_COMMON, PosedScene, baselines, grouped, shared_points
from pixloc_ros.mapping.model import SfmModel


def read_colmap(model: Path, images: Path, scale: float = 1.0) -> PosedScene:
    """The scene of a COLMAP model folder (bin or txt) whose image names are relative to `images`.

    scale: metres per unit of the model. Overlap is the share of the reference's points that the
    query observes. Raises MapError or DataError, naming the file, when something is missing.
    """
    from pixloc_ros.mapping.colmap import read_model  # pycolmap: only where a model is read

    sfm = read_model(model)
    observed = observations(sfm)
    pairs, common = shared_points(observed, len(sfm.points))
    enough = common >= MIN_COMMON
    pairs, common = pairs[enough], common[enough]
    T_cam_world = transforms.inverse(sfm.T_world_cam)
    T_cam_world[:, :3, 3] *= scale
    paths = tuple(Path(images) / name for name in sfm.names)
    check_images(paths)
    flat, start = grouped(observed)
    sizes = np.diff(start)
    return PosedScene(
        paths,
        sfm.cameras,
        sfm.camera_of,
        np.zeros(len(paths), np.int64),
        T_cam_world,
        sfm.points * scale,
        flat,
        start,
        pairs,
        common / sizes[pairs[:, 0]],
        baselines(T_cam_world, pairs),
    )


def observations(sfm: SfmModel) -> list[np.ndarray]:
    """For each image the rows of the points that it observes, each once."""
    bounds = np.searchsorted(sfm.observation_image, np.arange(len(sfm.names) + 1))
    rows = sfm.observation_point
    return [np.unique(rows[first:last]) for first, last in itertools.pairwise(bounds)]


def check_images(paths: tuple[Path, ...]) -> None:
    """DataError for the first file that is missing."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]}: image missing, and {len(missing) - 1} more of "
            f"{len(paths)}; is the folder of images the right one?"
        )

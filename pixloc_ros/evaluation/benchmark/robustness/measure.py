"""Goes through the queries of a scene: every condition, every method, on the same starts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.progress import Progress
from pixloc_ros.evaluation.benchmark.robustness.conditions import Condition, changed, start_pose
from pixloc_ros.evaluation.benchmark.robustness.localizers import Method
from pixloc_ros.evaluation.benchmark.robustness.results import Measurement, Results
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene


def measure(
    scene: Scene,
    method: str,
    localizer: Method,
    conditions: Sequence[Condition],
    results: Results,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, list[Measurement]]:
    """Measurements by condition, one per query of the scene; those known already are kept.

    An image goes through the network once for all conditions that show it. The time of a query is
    the processor's, for the network and for its own localization: it does not depend on what else
    the machine does.
    """
    digest = hashlib.sha256(f"{localizer.settings} seed {seed}".encode()).hexdigest()[:12]
    found: dict[str, list[Measurement]] = {condition.name: [] for condition in conditions}
    changes = list(dict.fromkeys(condition.change for condition in conditions))
    total = len(scene.queries) * len(changes)
    for step, (change, i) in enumerate(
        (change, i) for change in changes for i in range(len(scene.queries))
    ):
        query, seen = scene.queries.names[i], None
        for condition in (c for c in conditions if c.change == change):
            key = (scene.name, method, digest, condition.name, query)
            if key not in results:
                if seen is None:
                    image = changed(scene.queries.image(i), change, query, seed)
                    begin = time.process_time()
                    seen = localizer.look(image)
                    look_s = time.process_time() - begin
                start = _start(condition, localizer, scene.queries.T_map_cam[i], query, seed)
                begin = time.process_time()
                T_map_cam = localizer.localize(
                    seen, scene.queries.camera, start, condition.prior, condition.keep_every
                )
                took_s = look_s + time.process_time() - begin
                errors = _errors(T_map_cam, scene.queries.T_map_cam[i])
                results.add(Measurement(*key, *errors, took_s * 1e3))
            found[condition.name].append(results[key])
        if progress:
            progress(step + 1, total, f"{scene.name} {method}")
    return found


def _start(
    condition: Condition, localizer: Method, T_map_cam: np.ndarray, query: str, seed: int
) -> np.ndarray:
    if not condition.from_nearest:
        return start_pose(condition, T_map_cam, query, seed)
    poses = localizer.reference_poses(condition.keep_every)
    distance = np.linalg.norm(poses[:, :3, 3] - T_map_cam[:3, 3], axis=1)
    return poses[distance.argmin()]


def _errors(T_map_cam: np.ndarray | None, truth: np.ndarray) -> tuple[float, float]:
    """Position error in metres and rotation error in degrees; infinite without a pose."""
    if T_map_cam is None or not np.isfinite(T_map_cam).all():
        return float("inf"), float("inf")
    metres, radians = transforms.pose_error(T_map_cam, truth)
    return float(metres), float(np.degrees(radians))

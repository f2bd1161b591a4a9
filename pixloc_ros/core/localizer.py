"""A frame meets the map (PixLoc: Sarlin et al., CVPR 2021, section 3).

    features = localizer.look(frame.image)                          the network, once per image
    fix = localizer.localize(features, frame, prior, covariance)    points, alignment, covariance

Nothing is kept from one call to the next. Several images of a rig, and several places that the
rig may be at, go through the same call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from pixloc_ros.core.alignment import AlignerConfig, Alignment, PosePrior, Problem, align
from pixloc_ros.core.chance import ChanceConfig, against_chance
from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.covariance import (
    CovarianceConfig,
    body_covariance,
    read_covariance,
    tangent_covariance,
    tangent_information,
)
from pixloc_ros.core.crosscheck import CrossCheckConfig, crosscheck
from pixloc_ros.core.errors import ConfigError, DataError
from pixloc_ros.core.feature_map import FeatureMap, SelectionConfig, VisiblePoints
from pixloc_ros.core.frame import CameraError, Fix, Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.network import Checkpoint
from pixloc_ros.core.places import SearchConfig, search
from pixloc_ros.core.rig import Features, Rig
from pixloc_ros.core.self_calibration import SelfCalibrationConfig, self_calibrate

#: With and without a search, each more than once: torch optimises a recording at its second use.
WARM_UP_VARIANCES = (1.0, 1.0, 1e-4, 1e-4)
#: Points in one image that a pose can be aligned with at all; the cross-check halves them.
FEWEST = 4
#: Pixels of the coarsest level that each side of an image must have.
SMALLEST = 4
FAILED = "alignment failed: too few points in view or an unsolvable system"


@dataclass(frozen=True)
class LocalizerConfig:
    """resize: longer side (px) of the image fed to the network, 0 = as the map was built.
    use_prior: let the prior take part in the alignment with its own covariance.
    inlier_residual: a point whose feature residual (unit features, so 0 to 2) is below this is an
    inlier. covariance: settings of the covariance (`CovarianceConfig`) that shall differ from those
    stored with the map.
    aligner: settings of the alignment (`AlignerConfig`) that shall differ from those stored with
    the checkpoint.
    """

    resize: int = 0
    use_prior: bool = True
    inlier_residual: float = 0.5
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    chance: ChanceConfig = field(default_factory=ChanceConfig)
    crosscheck: CrossCheckConfig = field(default_factory=CrossCheckConfig)
    self_calibration: SelfCalibrationConfig = field(default_factory=SelfCalibrationConfig)
    aligner: dict[str, Any] = field(default_factory=dict, metadata={"of": AlignerConfig})
    covariance: dict[str, Any] = field(default_factory=dict, metadata={"of": CovarianceConfig})


class Localizer:
    """Localizes images in a map; holds the network, the map and the settings, but no pose.

    A bad frame or a missing map tile never makes it raise: the fix says what went wrong. Used by
    one thread at a time. Raises ConfigError for settings that do not fit the checkpoint.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        feature_map: FeatureMap,
        config: LocalizerConfig = LocalizerConfig(),
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.map = config, feature_map
        self.device = torch.device(device)
        changed = {**to_dict(checkpoint.aligner), **config.aligner}
        self.aligner = from_dict(AlignerConfig, changed, "localizer.aligner")
        stored = {**read_covariance(feature_map.path), **config.covariance}
        self.covariance = from_dict(CovarianceConfig, stored, "localizer.covariance")
        self._net = checkpoint.net.to(self.device).eval()
        self._damping = self._net.damping().detach()
        self._trust = checkpoint.trust
        counts, levels = len(self.aligner.iterations), len(self._net.strides)
        if counts != levels:
            raise ConfigError(
                f"localizer.aligner.iterations: {counts} counts for {levels} levels of the network"
            )

    @torch.inference_mode()
    def look(self, image: np.ndarray) -> Features:
        """The network's view of an image: uint8, (H, W, 3) RGB or (H, W) gray. DataError: the image
        is so small that the coarsest level keeps no pixel away from its border."""
        began = time.perf_counter()
        height, width = image.shape[:2]
        least = SMALLEST * max(self._net.strides)
        if min(height, width) < least:
            raise DataError(f"an image of {width} x {height} px; each side needs {least} px")
        tensor, scale = prepare_image(
            image, self.config.resize or self.map.info.resize, self.device
        )
        pyramid = self._net(tensor)
        return Features(pyramid, scale, began, (time.perf_counter() - began) * 1e3)

    @torch.inference_mode()
    def localize(
        self,
        features: Features | Sequence[Features],
        frame: Frame | Sequence[Frame],
        prior: np.ndarray,
        covariance: np.ndarray,
        with_views: bool = False,
        with_cameras: bool = False,
    ) -> Fix:
        """Align a frame with the map, from where it is believed to be.

        features, frame: of one image, or a sequence each for the images of a rig at one instant.
        prior: T_map_base (4, 4), or (P, 4, 4) for as many places, of which the one with the
        highest score is taken. covariance: its own, (6, 6) or (P, 6, 6) in ROS order; a prior less
        certain than what a single start can take is searched around. with_views: also return
        where the points fall in the images. with_cameras: also what the images say of their
        cameras, which takes about as long as an alignment.
        """
        rig = Rig(_several(features), _several(frame), self.device)
        priors = list(zip(prior.reshape(-1, 4, 4), covariance.reshape(-1, 6, 6)))
        watch = _Stopwatch()
        places = []
        for number, (T_map_base, uncertainty) in enumerate(priors):
            with watch("points"):
                points = rig.visible_points(self.map, T_map_base, self.config.selection)
            if points is not None and max(len(p.points) for p in points) >= FEWEST:
                with watch("align"):
                    found = self._align(rig, points, T_map_base, uncertainty)
                places.append(_Place(number, T_map_base, points, *found))
        if not places:
            problems = self.map.problems or ["no map points in view of the prior"]
            return Fix.none("; ".join(problems), watch.stop(rig.features))
        with watch("align"):
            place, aligned = _best(places)
            fix = self._fix(rig, places, place, aligned)
            cameras = self._cameras(place, aligned) if with_cameras else ()
        views = rig.views(place.points, aligned, 0) if with_views else ()
        return replace(
            fix,
            cameras=cameras,
            hypotheses=sum(place.hypotheses for place in places),
            views=views,
            timings_ms=watch.stop(rig.features),
        )

    def warm_up(self, width: int, height: int) -> None:
        """Localize an empty image of that size where the map begins, and forget it: what is done
        once (recordings, kernel choice, memory pools) shall not make the first frames wait."""
        camera = Camera.pinhole(width, height, width, width, width / 2, height / 2)
        frame = Frame(0, np.zeros((height, width, 3), np.uint8), camera, np.eye(4))
        start = self.map.keyframe_poses()[0]
        for variance in WARM_UP_VARIANCES:
            self.localize(
                self.look(frame.image), frame, start, variance * np.eye(6), with_cameras=True
            )

    def _align(
        self,
        rig: Rig,
        points: list[VisiblePoints],
        T_map_base: np.ndarray,
        covariance: np.ndarray,
    ) -> tuple[Problem, Alignment, int]:
        """Poses (S) aligned from one prior, and the number of starting poses that it took."""
        T_map_rig = T_map_base @ rig.T_base_rig
        information = tangent_information(covariance, T_map_rig, rig.T_base_rig)
        T_local_rig = T_map_rig.copy()
        T_local_rig[:3, 3] -= points[0].origin
        start = Pose.from_matrix(rig.tensor(transforms.inverse(T_local_rig))[None])
        prior = PosePrior(start, rig.tensor(information)[None]) if self.config.use_prior else None
        problem = rig.problem(points, self._damping)
        settings = self.config.search
        count = settings.starts(settings.width(covariance))
        if count == 1:
            return problem, align(start, problem, self.aligner, prior), count
        spread = rig.tensor(np.linalg.inv(information))
        aligned = search(problem, start, spread, count, self.aligner, settings, prior)
        return problem, aligned, count

    def _fix(self, rig: Rig, places: list[_Place], place: _Place, aligned: Alignment) -> Fix:
        """The pose `aligned` (1) of one of the places with its covariances and evidence; the one
        copy from the device."""
        config = self.config
        inliers = aligned.valid & (aligned.residuals < config.inlier_residual)
        chance = against_chance(
            place.problem, aligned.T_rig_map, config.inlier_residual, self.aligner, config.chance
        )
        checked = crosscheck(place.problem, aligned.T_rig_map, self.aligner, config.crosscheck)
        scale = self.covariance.of_image(checked.double())
        columns = (
            aligned.T_rig_map.matrix(),
            tangent_covariance(aligned, scale),
            tangent_covariance(aligned, scale, with_prior=False),
            aligned.step_left.unflatten(1, (2, 3)).norm(dim=-1),
            aligned.image_step.unflatten(1, (2, 3)).norm(dim=-1),
            torch.stack(
                (
                    aligned.failed,
                    aligned.num_valid,
                    inliers.sum((1, 2)),
                    aligned.cost,
                    aligned.converged,
                    aligned.score,
                    checked[None],
                    *chance,
                ),
                -1,
            ),
            torch.cat([each.alignment.score for each in places]),
            torch.cat([each.alignment.T_rig_map.matrix() for each in places]),
        )
        flat = [column.flatten() for column in columns]
        ends = np.cumsum([len(column) for column in flat])[:-1]
        numbers = torch.cat([column.float() for column in flat]).cpu().double().numpy()
        T_rig_map, *covariances, step_left, image_step, rest, scores, poses = np.split(
            numbers, ends
        )
        failed, num_points, num_inliers, cost, converged, score, checked, *chance = rest.tolist()
        T_map_rig = place.T_map_rig(T_rig_map.reshape(4, 4))
        T_map_base = T_map_rig @ transforms.inverse(rig.T_base_rig)
        covariance, image_covariance = (
            body_covariance(c.reshape(6, 6), T_map_rig, rig.T_base_rig) + self.covariance.of_map()
            for c in covariances
        )
        share, chance_share, residual, chance_residual = chance
        fix = Fix(
            T_map_base,
            covariance,
            image_covariance,
            failure=FAILED if failed else "",
            place=place.number,
            update=transforms.error6(T_map_base, place.T_map_base),
            num_points=int(num_points),
            num_inliers=int(num_inliers),
            cost=cost,
            converged=bool(converged),
            step_left=tuple(step_left.tolist()),
            image_step=tuple(image_step.tolist()),
            score=score,
            runner_up=self._runner_up(T_map_rig, places, scores, poses.reshape(-1, 4, 4)),
            share=share,
            chance_share=chance_share,
            residual=residual,
            chance_residual=chance_residual,
            crosscheck=checked,
        )
        if self._trust is not None:
            fix = replace(fix, probability=self._trust.probability(fix))
        return fix

    def _runner_up(
        self, T_map_rig: np.ndarray, places: list[_Place], scores: np.ndarray, poses: np.ndarray
    ) -> float:
        """Highest score (0 if there is none) of a pose that came to rest elsewhere than T_map_rig:
        further away than a single start reaches. scores (S), poses (S, 4, 4): of all places."""
        limits, highest = self.config.search, 0.0
        of_each = [place for place in places for _ in range(len(place.alignment.failed))]
        for place, score, T_rig_map in zip(of_each, scores.tolist(), poses):
            metres, radians = transforms.pose_error(place.T_map_rig(T_rig_map), T_map_rig)
            if metres > limits.std_m or math.degrees(radians) > limits.std_deg:
                highest = max(highest, score)
        return highest

    def _cameras(self, place: _Place, aligned: Alignment) -> tuple[CameraError, ...]:
        """What the images say of their cameras from that pose."""
        shift, std = self_calibrate(
            place.problem, aligned.T_rig_map, self.aligner, self.config.self_calibration
        )
        return tuple(CameraError(*a, *b) for a, b in zip(shift.tolist(), std.tolist()))


@dataclass(frozen=True)
class _Place:
    """One prior T_map_base with the points in view of it and the poses (S) aligned from it."""

    number: int
    T_map_base: np.ndarray
    points: list[VisiblePoints]
    problem: Problem
    alignment: Alignment
    hypotheses: int

    def T_map_rig(self, T_rig_map: np.ndarray) -> np.ndarray:
        """(4, 4) in the map from an aligned pose, which counts from the points' origin."""
        T_map_rig = transforms.inverse(transforms.orthonormal(T_rig_map))
        T_map_rig[:3, 3] += self.points[0].origin
        return T_map_rig


def _best(places: list[_Place]) -> tuple[_Place, Alignment]:
    """The pose (1) of the highest score and its place. Only where there are several places to
    compare does this wait for the device."""
    best = [place.alignment[place.alignment.score.argmax().view(1)] for place in places]
    number = int(torch.cat([each.score for each in best]).argmax()) if len(places) > 1 else 0
    return places[number], best[number]


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


class _Stopwatch:
    """Milliseconds by part, on the host's clock (on a GPU: until the launch; "align" ends in the
    copy that waits for everything)."""

    def __init__(self) -> None:
        self._parts = {"points": 0.0, "align": 0.0}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self._parts[part] += (time.perf_counter() - begin) * 1e3

    def stop(self, features: Sequence[Features]) -> dict[str, float]:
        """With the network's part, and in total since the first image came in."""
        total = (time.perf_counter() - features[0].began) * 1e3
        network = sum(seen.network_ms for seen in features)
        return {"network": network, **self._parts, "total": total}

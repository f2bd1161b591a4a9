"""How often is a fix that is believed wrong, and one that is right not believed?

Every query of the scenes, changed and unchanged, is localized from priors that are off by a known
amount and say so. A model of trust (`core/trust.py`) is fitted to the evidence of these fixes, and
judged on scenes that it was not fitted to: each place in turn is left out.
"""

from __future__ import annotations

import csv
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.frame import Fix, Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import GateConfig, judge
from pixloc_ros.core.tracker.camera import CameraWatch
from pixloc_ros.core.trust import FURTHEST, SAME_PIXELS, TrustModel, evidence
from pixloc_ros.evaluation.benchmark.priors import Disturbance
from pixloc_ros.evaluation.benchmark.robustness.conditions import changed
from pixloc_ros.evaluation.benchmark.robustness.results import wilson
from pixloc_ros.evaluation.benchmark.robustness.scenes import HOUSE_M, Scene
from pixloc_ros.evaluation.consistency import Errors
from pixloc_ros.evaluation.plots import new_figure, to_png

Row = TypeVar("Row")


@dataclass(frozen=True)
class AlongStreet(Disturbance):
    """The same, but the shift is level along the view, to the front or the back."""

    def __str__(self) -> str:
        return f"{self.metres:g} m along the street / {self.degrees:g} deg"

    def apply(self, T_map_cam: np.ndarray, random: np.random.Generator) -> np.ndarray:
        ahead = T_map_cam[:3, 2] * [1.0, 1.0, 0.0]
        disturbed = Disturbance(0.0, self.degrees).apply(T_map_cam, random)
        disturbed[:3, 3] += random.choice([-1, 1]) * self.metres * ahead / np.linalg.norm(ahead)
        return disturbed


@dataclass(frozen=True)
class Prior:
    """A prior that is off by `off` and says so, or says `said` instead."""

    off: Disturbance
    said: Disturbance | None = None

    def __str__(self) -> str:
        return f"{self.off}" + (f", said {self.said}" if self.said else "")

    def covariance(self) -> np.ndarray:
        return (self.said or self.off).covariance()


#: Changes of the image (`robustness/conditions.py`), and of what is said of the camera.
IMAGES = ("none", "night", "occlusion", "motion_blur", "illumination")
CALIBRATIONS = ("focal length 5 % off", "principal point 40 px off")
ELSEWHERE = "image of elsewhere"
BLIND = "nothing in the image"  # black, gray or noise
PRIORS = (
    Prior(Disturbance(0.3, 1.0)),
    Prior(Disturbance(1.5, 4.0)),
    Prior(Disturbance(3.0, 8.0)),
    Prior(Disturbance(5.0, 12.0)),
    Prior(Disturbance(10.0, 20.0)),
    # as after a jump of the odometry, of which nobody knows
    Prior(Disturbance(1.0, 1.0), Disturbance(0.2, 1.0)),
    Prior(Disturbance(2.5, 1.0), Disturbance(0.2, 1.0)),
)
#: Of a terrace (`robustness/scenes.py`): as tracking has them, and off by one house.
HOUSES = "equal houses"
HOUSE_PRIORS = (
    Prior(Disturbance(0.3, 1.0)),
    Prior(Disturbance(1.5, 4.0)),
    Prior(AlongStreet(HOUSE_M, 1.0)),
    Prior(AlongStreet(HOUSE_M, 1.0), Disturbance(1.5, 4.0)),
    Prior(AlongStreet(HOUSE_M, 1.0), Disturbance(0.2, 1.0)),
)
#: Right: within this of the truth. Wrong: further off than that. What lies between is neither.
RIGHT = (0.1, 0.25)
WRONG = (0.5, 5.0)


@dataclass(frozen=True)
class Trial:
    """One localization: what was tried, how far off the fix is (m, deg; infinite without one), and
    its evidence. passes: all gates but that of the probability let it through, and its camera is
    believed at first sight. errors, stds (6): of the pose, in ROS order (m, rad), and the standard
    deviations that the image alone gives; nees: of the covariance with the prior. probability: by
    the checkpoint's own model."""

    scene: str
    query: str
    change: str
    prior: str
    metres: float
    degrees: float
    passes: bool
    contrast: float = 0.0
    residual: float = 0.0
    cost: float = 0.0
    points: float = 0.0
    std: float = 0.0
    step: float = 0.0
    crosscheck: float = 0.0
    nees: float = math.inf
    errors: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    probability: float = 0.0

    @property
    def place(self) -> str:
        """Scenes of one place share their map, so they are left out together."""
        return self.scene.partition(":")[0]

    @property
    def right(self) -> bool:
        return self.metres < RIGHT[0] and self.degrees < RIGHT[1]

    @property
    def wrong(self) -> bool:
        return self.metres > WRONG[0] or self.degrees > WRONG[1]

    @property
    def truthful(self) -> bool:
        """Whether the prior says how far off it is; a right fix that contradicts it may be refused
        once, as nothing tells it from a wrong one."""
        return "said" not in self.prior

    @property
    def fair(self) -> bool:
        """Whether the image can tell. A wrong calibration biases every pose alike, and the next
        house looks alike, which no single image shows; such trials are told of, but neither fitted
        to nor summed."""
        return self.change not in (*CALIBRATIONS, HOUSES)


EVIDENCE = tuple(field.name for field in fields(Trial))[7:-4]


def gather(
    localizer: Localizer,
    scene: Scene,
    foreign: Scene,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Trial]:
    """All trials of a scene. foreign: images of elsewhere are its queries; a terrace has none."""
    trials, queries = [], scene.queries
    kinds, priors = (*IMAGES, *CALIBRATIONS, ELSEWHERE, BLIND), PRIORS
    if scene.terrace:
        kinds, priors = (HOUSES,), HOUSE_PRIORS
    total = len(queries) * len(kinds)
    for step, (i, change) in enumerate((i, c) for i in range(len(queries)) for c in kinds):
        image, camera = _changed(scene, foreign, i, change, seed)
        frame = Frame(0, image, camera, np.eye(4))
        features = localizer.look(image)
        for prior in priors:
            random = np.random.default_rng(
                [seed, zlib.crc32(f"{queries.names[i]} {prior}".encode())]
            )
            start = prior.off.apply(queries.T_map_cam[i], random)
            fix = localizer.localize(features, frame, start, prior.covariance(), with_cameras=True)
            truth = None if change in (ELSEWHERE, BLIND) else queries.T_map_cam[i]
            trials.append(
                _trial(fix, truth, prior, scene=scene.name, query=queries.names[i], change=change)
            )
        if progress:
            progress(step + 1, total, scene.name)
    return trials


def fit(trials: Iterable[Trial], ridge: float = 0.01) -> TrustModel:
    """Logistic regression by Newton's method, with an L2 penalty `ridge` on the weights."""
    used = [t for t in trials if t.points > 0 and t.fair and (t.wrong or t.metres < 0.25)]
    values = np.array([[getattr(t, name) for name in EVIDENCE] for t in used])
    labels = np.array([not t.wrong for t in used], float)
    mean, scale = values.mean(0), values.std(0) + 1e-9
    standard = np.clip((values - mean) / scale, -FURTHEST, FURTHEST)
    columns = np.column_stack([standard, np.ones(len(values))])
    penalty = ridge * np.diag([1.0] * len(EVIDENCE) + [0.0])
    weights = np.zeros(columns.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        hessian = columns.T @ ((p * (1 - p) + 1e-6)[:, None] * columns) + penalty
        change = np.linalg.solve(hessian, columns.T @ (p - labels) + penalty @ weights)
        weights -= change
        if np.abs(change).max() < 1e-9:
            break
    *terms, bias = weights.tolist()
    return TrustModel(
        {name: (float(m), float(s), w) for name, m, s, w in zip(EVIDENCE, mean, scale, terms)},
        bias,
    )


def probabilities(trials: Sequence[Trial]) -> np.ndarray:
    """Of every trial, by a model that was fitted to the other places; needs two of them."""
    places = sorted({t.place for t in trials})
    models = {place: fit(t for t in trials if t.place != place) for place in places}
    return np.array([models[t.place].of({n: getattr(t, n) for n in EVIDENCE}) for t in trials])


@dataclass(frozen=True)
class Acceptance:
    """How many trials were accepted and how many of these are wrong; how many were right, from a
    prior that says how far off it is, and how many of these were rejected."""

    accepted: int
    wrong: int
    right: int
    rejected: int


def acceptance(trials: Sequence[Trial], probability: np.ndarray, threshold: float) -> Acceptance:
    accepted = [bool(t.passes and p >= threshold) for t, p in zip(trials, probability)]
    return Acceptance(
        accepted=sum(accepted),
        wrong=sum(a and t.wrong for a, t in zip(accepted, trials)),
        right=sum(t.right and t.truthful for t in trials),
        rejected=sum(t.right and t.truthful and not a for a, t in zip(accepted, trials)),
    )


def write_rows(path: Path, rows: Sequence[Any]) -> None:
    """Of one dataclass, as CSV, under a temporary name until all are written."""
    names = [field.name for field in fields(rows[0])]
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([json.dumps(getattr(row, name)) for name in names] for row in rows)
    partial.replace(path)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """What `write_rows` wrote."""
    with path.open(newline="") as file:
        return [
            kind(**{name: _value(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def _value(text: str) -> Any:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


def _changed(
    scene: Scene, foreign: Scene, i: int, change: str, seed: int
) -> tuple[np.ndarray, Camera]:
    queries = scene.queries
    camera = queries.camera
    if change == ELSEWHERE:
        return foreign.queries.image(i % len(foreign.queries)), foreign.queries.camera
    if change == BLIND:
        image = queries.image(i)
        noise = np.random.default_rng([seed, i]).integers(0, 256, image.shape, np.uint8)
        return (np.zeros_like(image), np.full_like(image, 128), noise)[i % 3], camera
    if change in (*IMAGES, HOUSES):
        name = None if change in ("none", HOUSES) else change
        return changed(queries.image(i), name, queries.names[i], seed), camera
    f, c = camera.f, camera.c
    if change == CALIBRATIONS[0]:
        camera = replace(camera, f=1.05 * f)
    else:
        camera = replace(camera, c=c + c.new_tensor([40.0, 0.0]))
    return queries.image(i), camera


def _trial(fix: Fix, truth: np.ndarray | None, prior: Prior, **what: str) -> Trial:
    if fix.failure:
        return Trial(**what, prior=str(prior), metres=np.inf, degrees=np.inf, passes=False)
    metres = radians = nees = np.inf
    errors: tuple[float, ...] = ()
    if truth is not None:
        metres, radians = transforms.pose_error(fix.T_map_base, truth)
        error = transforms.error6(fix.T_map_base, truth)
        errors = tuple(error.tolist())
        if np.isfinite(fix.covariance).all():
            nees = float(error @ np.linalg.solve(fix.covariance, error))
    watch = CameraWatch()
    watch.add(fix.cameras)
    reasons = judge(GateConfig(), replace(fix, probability=1.0), prior.covariance())
    numbers = {name: float(np.nan_to_num(value)) for name, value in evidence(fix).items()}
    return Trial(
        **what,
        prior=str(prior),
        metres=float(metres),
        degrees=float(np.degrees(radians)),
        passes=not reasons and not watch.refused(),
        **numbers,
        nees=nees,
        errors=errors,
        stds=tuple(np.sqrt(np.diag(fix.image_covariance)).tolist()),
        probability=float(np.nan_to_num(fix.probability)),
    )


def interval(part: int, whole: int) -> tuple[float, float]:
    """95 % interval of the share part / whole (Wilson)."""
    return wilson(part / whole, whole, z=1.96)


def known_errors(trials: Iterable[Trial]) -> Errors:
    """Errors and variances of the fixes that are not wrong, from priors that a tracker has."""
    near = {str(prior) for prior in PRIORS[:2]}
    used = [t for t in trials if t.prior in near and t.fair and t.metres < 0.25 and t.degrees < 2]
    return Errors.from_stds(
        np.array([t.errors for t in used]),
        np.array([t.stds for t in used]),
        np.exp([t.crosscheck for t in used]) - SAME_PIXELS,
        CovarianceConfig(),
    )


def picture(trials: Sequence[Trial], probability: np.ndarray) -> bytes:
    """PNG: false accepts and false rejects over the threshold, and the reliability diagram."""
    fair = [i for i, trial in enumerate(trials) if trial.fair]
    trials, probability = [trials[i] for i in fair], probability[fair]
    figure, (curve, reliability) = new_figure(10.0, 4.2, columns=2)
    thresholds = np.linspace(0.02, 0.99, 98)
    found = [acceptance(trials, probability, t) for t in thresholds]
    wrong = [100 * a.wrong / max(a.accepted, 1) for a in found]
    missed = [100 * a.rejected / max(a.right, 1) for a in found]
    curve.plot(thresholds, wrong, color="#c0392b", label="accepted that are wrong (%)")
    curve.plot(thresholds, missed, color="#0b6fb8", label="right that are rejected (%)")
    curve.axvline(GateConfig().min_probability, color="#888888", lw=0.8, ls="--")
    curve.set(xlabel="least probability", ylim=(0, 10))
    curve.legend(frameon=False)
    decided = [i for i, t in enumerate(trials) if t.points > 0 and (t.wrong or t.metres < 0.25)]
    p = probability[decided]
    right = np.array([not trials[i].wrong for i in decided])
    edges = np.linspace(0, 1, 11)
    bins = np.clip(np.digitize(p, edges) - 1, 0, 9)
    for k in range(10):
        here = bins == k
        if here.any():
            share = right[here].mean()
            low, high = interval(int(right[here].sum()), int(here.sum()))
            reliability.errorbar(
                p[here].mean(), share, [[share - low], [high - share]], fmt="o", color="#0b6fb8"
            )
    reliability.plot([0, 1], [0, 1], color="#888888", lw=0.8)
    reliability.set(xlabel="probability said", ylabel="share that is right")
    return to_png(figure)

"""Frames a second: ours from 1, 48 and 144 starting poses, beside the official way of working."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.network import Checkpoint, PixLocNet, load_checkpoint
from pixloc_ros.core.network.checkpoint import identity_of
from pixloc_ros.core.places import SearchConfig
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.benchmark.gpu.pack import Scene
from pixloc_ros.evaluation.benchmark.gpu.row import Row
from pixloc_ros.evaluation.benchmark.official import OfficialLocalizer
from pixloc_ros.evaluation.benchmark.speed import TRACKING_PRIOR, Localize, our_way, race
from pixloc_ros.mapping.build import build_map
from pixloc_ros.mapping.plan import BuildOptions

HYPOTHESES = (1, 48, 144)
REFERENCES = (2, 5)
MOST_FRAMES = 1000
#: Of the time of a scene, how much goes into the parts of a frame; the rest is the comparison.
PARTS_SHARE = 0.25


@dataclass(frozen=True)
class Bench:
    """A network on a device, with a scene and a folder for the scene's map."""

    name: str
    checkpoint: Checkpoint
    scene: Scene
    folder: Path
    device: torch.device

    def row(self, what: str, **figures) -> Row:
        return Row(self.name, what, self.scene.name, **figures)

    def attempt(self, what: str, measure: Callable[[], Row]) -> Row:
        """The row, or one that tells what went wrong."""
        try:
            return measure()
        except Exception as error:  # whatever it is, the other rows shall be measured
            return self.failure(what, error)

    def failure(self, what: str, error: Exception) -> Row:
        return self.row(what, note=f"{type(error).__name__}: {error}", failed=True)


def network(name: str) -> Checkpoint:
    """A shipped network, or an untrained one of that architecture: it takes the same time."""
    if name == "small":
        return load_checkpoint(name)
    torch.manual_seed(0)
    net = PixLocNet(name).eval()
    identity = identity_of(net)
    return Checkpoint(net.fuse(), identity, net.config, AlignerConfig(), name, {})


def measure_scene(bench: Bench, seconds: float) -> Iterator[Row]:
    """Build the map, time the parts of a frame, then all ways; in about `seconds`."""
    end = time.monotonic() + seconds
    yield bench.attempt("map, keyframes", lambda: _build(bench))
    ours, parts = {}, {}
    budget = PARTS_SHARE * (end - time.monotonic()) / len(HYPOTHESES)
    for count in HYPOTHESES:
        what = f"ours, {count} start{'s' if count > 1 else ''}"

        def measure(count=count, what=what) -> Row:
            ours[what] = _localizer(bench, count)
            return _parts(bench, ours[what], count, what, budget)

        row = bench.attempt(what, measure)
        if row.failed:
            ours.pop(what, None)
            yield row
        else:
            parts[what] = row
    ways = {what: our_way(localizer, bench.scene.queries) for what, localizer in ours.items()}
    for k in REFERENCES:
        what = f"official way, {k} references"
        try:
            ways[what] = _official(bench, k)
            ways[what](0, bench.scene.queries.T_map_cam[0])
        except Exception as error:
            ways.pop(what, None)
            yield bench.failure(what, error)
    if not ways:
        return
    try:
        yield from _race(bench, ways, parts, end)
    except Exception as error:
        yield from (replace(row, note="without the comparison") for row in parts.values())
        yield bench.failure("the comparison", error)


def _build(bench: Bench) -> Row:
    """The scene's map, the network having seen one image before."""
    _wait(bench.device)
    bench.checkpoint.net.to(bench.device)
    ends = []
    model = bench.scene.model
    build_map(
        model,
        bench.scene.image_dir,
        bench.checkpoint,
        bench.folder,
        BuildOptions(scale=1.0),
        lambda *_: ends.append(time.perf_counter()),
    )
    each = np.diff(ends) * 1e3  # the first keyframe warms up
    return bench.row("map, keyframes", **_times(each), note=f"{len(ends)} keyframes")


def _localizer(bench: Bench, hypotheses: int) -> Localizer:
    """One that takes so many starting poses for a prior of tracking."""
    metres = 1e-3 if hypotheses > 1 else 1e3
    search = SearchConfig(std_m=metres, std_deg=metres, fewest=hypotheses, hypotheses=hypotheses)
    feature_map = FeatureMap.open(bench.folder, bench.checkpoint.identity, bench.device)
    localizer = Localizer(
        bench.checkpoint, feature_map, LocalizerConfig(search=search), bench.device
    )
    camera = bench.scene.queries.camera
    localizer.warm_up(*(round(v) for v in camera.size.tolist()))
    return localizer


def _parts(bench: Bench, localizer: Localizer, count: int, what: str, seconds: float) -> Row:
    """Medians of the parts of a frame, with a wait for the device after the network; and memory."""
    drive, device = bench.scene.queries, bench.device
    random, found = np.random.default_rng(0), []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    covariance = TRACKING_PRIOR.covariance()
    end = time.monotonic() + seconds
    for i in itertools.cycle(range(len(drive))):
        frame = Frame(int(drive.stamps_ns[i]), drive.image(i), drive.camera, drive.T_base_cam)
        prior = TRACKING_PRIOR.apply(drive.T_map_cam[i], random)
        prior = prior @ transforms.inverse(drive.T_base_cam)
        _wait(device)
        begin = time.perf_counter()
        features = localizer.look(frame.image)
        _wait(device)
        seen = time.perf_counter()
        fix = localizer.localize(features, frame, prior, covariance)
        if fix.hypotheses != count:
            raise RuntimeError(f"{fix.hypotheses} starting poses instead of {count}: {fix.failure}")
        found.append([(seen - begin) * 1e3, fix.timings_ms["points"], fix.timings_ms["align"]])
        if time.monotonic() > end or len(found) == MOST_FRAMES:
            break
    memory = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else np.nan
    medians = np.median(found[1:] or found, axis=0)
    return bench.row(
        what, **dict(zip(("network_ms", "points_ms", "align_ms"), medians)), memory_mb=memory
    )


def _official(bench: Bench, references: int) -> Localize:
    drive, scene = bench.scene.queries, bench.scene
    official = OfficialLocalizer(
        bench.checkpoint,
        scene.model,
        scene.image_dir,
        BuildOptions().resize,
        references,
        bench.device,
    )
    return lambda i, prior: official.localize(drive.image(i), drive.camera, prior)


def _race(
    bench: Bench, ways: dict[str, Localize], parts: dict[str, Row], end: float
) -> Iterator[Row]:
    """All ways over the same frames from the same priors, as many as fit into the time."""
    drive = bench.scene.queries
    ways = {what: _beginning_anew(way, len(drive)) for what, way in ways.items()}
    for _ in range(2):  # the first turn warms up
        begin = time.monotonic()
        race(ways, drive.subset([0]))
        turn = time.monotonic() - begin
        if time.monotonic() + turn > end:
            break
    count = int(np.clip((end - time.monotonic()) / turn, 1, MOST_FRAMES))
    for contender in race(ways, _repeated(drive, count)):
        row = parts.get(contender.name, bench.row(contender.name))
        yield replace(
            row,
            median_ms=contender.median_ms,
            p95_ms=contender.p95_ms,
            rate=1e3 / contender.median_ms,
            error_m=contender.position_median_m,
            error_deg=contender.rotation_median_deg,
            note=f"{count} frames, {100 * contender.recall[1]:.0f} % within 0.25 m",
        )


def _beginning_anew(way: Localize, frames: int) -> Localize:
    return lambda i, prior: way(i % frames, prior)


def _repeated(drive: Drive, count: int) -> Drive:
    """`count` frames of a drive that begins anew when it is over, at stamps that go on."""
    rows = np.arange(count) % len(drive)
    return replace(
        drive,
        names=tuple(f"{i:06d}" for i in range(count)),
        stamps_ns=np.arange(count, dtype=np.int64) * 10**8,
        T_map_base=drive.T_map_base[rows],
    )


def _times(milliseconds: np.ndarray) -> dict[str, float]:
    median, p95 = np.percentile(milliseconds, [50, 95])
    return dict(median_ms=float(median), p95_ms=float(p95), rate=float(1e3 / median))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

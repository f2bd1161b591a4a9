"""benchmark trust: how often is a fix that is believed wrong, and one that is right not believed?

Every scene of the shared data, changed and unchanged, from priors up to 10 m / 20 deg off, from
priors that are off and do not say so, and images of elsewhere. The model of trust is judged on
places that it was not fitted to. Beside that, streets of equal houses from the house next door, and
drives whose odometry jumps. What was tried is kept in --out; the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.flags import scene_parser
from pixloc_ros.cli.robustness import chosen
from pixloc_ros.cli.scenario import shared_data
from pixloc_ros.cli.support import progress_bar
from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import GateConfig
from pixloc_ros.core.trust import write_trust
from pixloc_ros.datasets.dead_reckoning import with_simulated_odometry
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.benchmark import jumps, trust
from pixloc_ros.evaluation.benchmark.robustness.scenes import SCENES, Scene, open_map, open_scene
from pixloc_ros.evaluation.consistency import Consistency, fit

#: Whose queries are the images of elsewhere, and whose for that scene itself.
FOREIGN = ("herzjesus", "kitti06_clip")
#: Streets to fit to beside the shared scenes; none is the demo's.
RENDERED = tuple(f"rendered_{seed}" for seed in range(101, 105))
#: Streets with equal houses; no model is fitted to them.
TERRACES = ("terrace_101", "terrace_102")
KNOWN = (*SCENES, *RENDERED, *TERRACES)
#: Scenes that are no drive, so that no odometry can jump.
STILLS = ("herzjesus",)
HEADER = ("", "accepted", "of these wrong", "right", "of these rejected")
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = scene_parser("benchmark trust", __doc__, KNOWN, Path("runs/trust"))
    parser.add_argument(
        "--queries", type=int, default=16, help="of each scene; 0: all (default %(default)s)"
    )
    parser.add_argument(
        "--fit", type=Path, metavar="FOLDER", help="write the model of all scenes to a checkpoint"
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    scenes = chosen("scene", arguments.scenes, KNOWN)
    network = load_checkpoint(arguments.checkpoint)
    arguments.out.mkdir(parents=True, exist_ok=True)
    trials: list[trust.Trial] = []
    frames: list[jumps.FrameAfter] = []
    with progress_bar(console) as progress:
        for name in scenes:
            kept = arguments.out / f"{network.identity[:12]}_{name.replace(':', '_')}"
            path = kept.with_name(f"{kept.name}_{arguments.queries}.csv")
            if not path.is_file():
                trust.write_rows(path, gather(name, network, arguments, progress))
            trials += trust.read_rows(path, trust.Trial)
            if name in STILLS:
                continue
            path = kept.with_name(f"{kept.name}_jumps.csv")
            if not path.is_file():
                trust.write_rows(path, gather_jumps(name, network, arguments, progress))
            frames += trust.read_rows(path, jumps.FrameAfter)
    told = [trial for trial in trials if trial.change != trust.HOUSES]
    houses = [trial for trial in trials if trial.change == trust.HOUSES]
    tables = []
    if told or arguments.fit:
        if len({trial.place for trial in told}) < 2:
            raise ConfigError("a model can only be judged on places it was not fitted to: name two")
        probability = trust.probabilities(told)
        tables = [*tables_of(told, probability), consistency(told)]
        (arguments.out / "trust.png").write_bytes(trust.picture(told, probability))
        console.print(f"pictures: {arguments.out / 'trust.png'}")
    if houses:
        tables.append(houses_table(houses))
    if frames:
        tables.append(jumps_table(frames))
    for table in tables:
        report.print_table(table, console)
    report.write_json(arguments.out / "trust.json", [asdict(table) for table in tables])
    if arguments.fit:
        card = {"scenes": scenes, "trials": len(told), "queries": arguments.queries}
        write_trust(arguments.fit, network.identity, trust.fit(told), card)
        console.print(f"model of trust: {arguments.fit}")
    return 0


def gather(name: str, network, arguments: argparse.Namespace, progress) -> list[trust.Trial]:
    """The trials of one scene."""
    scene, localizer = _opened(name, network, arguments, progress)
    foreign = scene
    if not scene.terrace:
        other = FOREIGN[name == FOREIGN[0]]
        foreign = open_scene(other, _data(arguments), arguments.out, progress)
    sample = scene.sample(arguments.queries)
    return trust.gather(localizer, sample, foreign, arguments.seed, progress)


def gather_jumps(
    name: str, network, arguments: argparse.Namespace, progress
) -> list[jumps.FrameAfter]:
    """The frames after jumps of one scene's odometry, simulated where it has none."""
    scene, localizer = _opened(name, network, arguments, progress)
    drive = scene.queries
    if drive.odometry is None:
        drive = with_simulated_odometry(drive, seed=arguments.seed)
    return jumps.drive_on(localizer, name, drive, progress)


def _opened(name: str, network, arguments: argparse.Namespace, progress) -> tuple[Scene, Localizer]:
    """A scene and the localizer in its map, which is built unless it is there."""
    scene = open_scene(name, _data(arguments), arguments.out, progress)
    return scene, Localizer(network, open_map(scene, network, "ours", arguments.out, progress))


def _data(arguments: argparse.Namespace) -> Path:
    return arguments.data or shared_data(FOREIGN[0]).parent


def tables_of(trials: Sequence[trust.Trial], probability: np.ndarray) -> list[report.Table]:
    """By threshold; and at the default one by scene, change and prior."""
    fair = np.array([trial.fair for trial in trials])
    limit = GateConfig().min_probability

    def row(name: str, chosen: np.ndarray, threshold: float) -> tuple[str, ...]:
        index = np.flatnonzero(chosen)
        return _row(name, [trials[i] for i in index], probability[index], threshold)

    def by(title: str, key: Callable[[trust.Trial], str], among: np.ndarray) -> report.Table:
        names = np.array([key(trial) for trial in trials])
        rows = [row(n, among & (names == n), limit) for n in dict.fromkeys(names[among])]
        return report.Table(f"{title}, at {limit:g}", HEADER, tuple(rows))

    thresholds = tuple(row(f"{t:g}", fair, t) for t in THRESHOLDS)
    return [
        report.Table("By the least probability, places held out", HEADER, thresholds),
        by("By scene", lambda t: t.scene, fair),
        by("By change", lambda t: t.change, np.ones(len(trials), bool)),
        by("By prior", lambda t: t.prior, fair),
    ]


def consistency(trials: Sequence[trust.Trial]) -> report.Table:
    """By place: the covariance as it is by default, and fitted to the other half of the queries."""
    rows = []
    for place in dict.fromkeys(trial.place for trial in trials):
        here = [trial for trial in trials if trial.place == place]
        queries = sorted({trial.query for trial in here})
        halves = [
            trust.known_errors(t for t in here if queries.index(t.query) % 2 == half)
            for half in (0, 1)
        ]
        found = fit(halves[0])
        for name, config in (("default", CovarianceConfig()), ("fitted", found)):
            judged = Consistency.of(halves[1], config)
            inside = " ".join(f"{100 * share:.0f}" for share in judged.inside)
            error = f"{1e2 * config.map_std_m:.1f} cm {config.map_std_deg:.3f} deg"
            mean, median = f"{judged.mean:.1f}", f"{judged.median:.1f}"
            rows.append((f"{place}, {name}", error, str(judged.count), mean, median, inside))
    header = ("", "map's own error", "fixes", "mean (6)", "median (5.3)", "inside 95 % by axis")
    return report.Table("Consistency of the covariance", header, tuple(rows))


def houses_table(trials: Sequence[trust.Trial]) -> report.Table:
    """By prior, in streets of equal houses; judged by the checkpoint's own model, to which they
    are as new as other places."""
    limit, rows = GateConfig().min_probability, []
    for prior in dict.fromkeys(trial.prior for trial in trials):
        here = [trial for trial in trials if trial.prior == prior]
        rows.append(_row(prior, here, np.array([t.probability for t in here]), limit))
    return report.Table(f"Equal houses, at {limit:g}", HEADER, tuple(rows))


def jumps_table(frames: Sequence[jumps.FrameAfter]) -> report.Table:
    """By how far odometry jumps and how often it comes."""
    rows = []
    for metres, direction, rate in dict.fromkeys((f.metres, f.direction, f.rate) for f in frames):
        here = [f for f in frames if (f.metres, f.direction, f.rate) == (metres, direction, rate)]
        accepted = [f for f in here if f.accepted]
        until = np.array(jumps.frames_until_right(here))
        rows.append(
            (
                f"{metres:g} m {direction}, {rate} Hz",
                str(len(here)),
                _text(len(accepted), len(here))[1],
                _text(sum(f.wrong for f in accepted), len(accepted))[1],
                str(sum(f.sigmas > jumps.SIGMAS for f in accepted)),
                f"{np.median(until):g}, {until.max():g}",
            )
        )
    header = ("", "frames after", "accepted", "of these wrong", f"beyond {jumps.SIGMAS:g} sigmas")
    header = (*header, "frames until right: median, most")
    return report.Table("Jumps of odometry", header, tuple(rows))


def _row(
    name: str, trials: Sequence[trust.Trial], probability: np.ndarray, threshold: float
) -> tuple[str, ...]:
    found = trust.acceptance(trials, probability, threshold)
    return (name, *(_text(found.wrong, found.accepted)), *(_text(found.rejected, found.right)))


def _text(part: int, whole: int) -> tuple[str, str]:
    if whole == 0:
        return "0", "-"
    low, high = (100 * bound for bound in trust.interval(part, whole))
    return str(whole), f"{part} ({100 * part / whole:.1f} %; {low:.1f} to {high:.1f})"

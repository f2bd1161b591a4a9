"""benchmark trust: how often is a fix that is believed wrong, and one that is right not believed?

Every scene of the shared data, changed and unchanged, from priors up to 10 m / 20 deg off, from
priors that are off and do not say so, and images of elsewhere. The model of trust is judged on
places that it was not fitted to. What was tried is kept in --out; the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from pixloc_ros.cli.robustness import chosen
from pixloc_ros.cli.scenario import shared_data
from pixloc_ros.cli.support import progress_bar
from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import GateConfig
from pixloc_ros.core.trust import write_trust
from pixloc_ros.evaluation import report
from pixloc_ros.evaluation.benchmark import trust
from pixloc_ros.evaluation.benchmark.robustness.scenes import SCENES, open_map, open_scene
from pixloc_ros.evaluation.consistency import Consistency, fit

#: Whose queries are the images of elsewhere, and whose for that scene itself.
FOREIGN = ("herzjesus", "kitti06_clip")
#: Streets to fit to beside the shared scenes; none is the demo's.
RENDERED = tuple(f"rendered_{seed}" for seed in range(101, 105))
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark trust", description=__doc__)
    parser.add_argument(
        "--scenes", default=",".join((*SCENES, *RENDERED)), help="default: %(default)s"
    )
    parser.add_argument(
        "--queries", type=int, default=16, help="of each scene; 0: all (default %(default)s)"
    )
    parser.add_argument("--checkpoint", default="small", help="shipped name or folder")
    parser.add_argument("--data", type=Path, help="folder of the scenes (default: shared data)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/trust"), help="maps, trials, figures, a picture"
    )
    parser.add_argument(
        "--fit", type=Path, metavar="FOLDER", help="write the model of all scenes to a checkpoint"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    scenes = chosen("scene", arguments.scenes, (*SCENES, *RENDERED))
    network = load_checkpoint(arguments.checkpoint)
    arguments.out.mkdir(parents=True, exist_ok=True)
    trials = []
    with progress_bar(console) as progress:
        for name in scenes:
            kept = f"{network.identity[:12]}_{name.replace(':', '_')}_{arguments.queries}.csv"
            path = arguments.out / kept
            if not path.is_file():
                trust.write_trials(path, gather(name, network, arguments, progress))
            trials += trust.read_trials(path)
    if len({trial.place for trial in trials}) < 2:
        raise ConfigError("a model can only be judged on places it was not fitted to: name two")
    probability = trust.probabilities(trials)
    tables = tables_of(trials, probability)
    tables.append(consistency(trials))
    for table in tables:
        report.print_table(table, console)
    (arguments.out / "trust.png").write_bytes(trust.picture(trials, probability))
    report.write_json(arguments.out / "trust.json", [asdict(table) for table in tables])
    console.print(f"pictures: {arguments.out / 'trust.png'}")
    if arguments.fit:
        card = {"scenes": scenes, "trials": len(trials), "queries": arguments.queries}
        write_trust(arguments.fit, network.identity, trust.fit(trials), card)
        console.print(f"model of trust: {arguments.fit}")
    return 0


def gather(name: str, network, arguments: argparse.Namespace, progress) -> list[trust.Trial]:
    """The trials of one scene, whose map is built unless it is there."""
    data = arguments.data or shared_data(FOREIGN[0]).parent
    other = FOREIGN[name == FOREIGN[0]]
    scene = open_scene(name, data, arguments.out, progress).sample(arguments.queries)
    foreign = open_scene(other, data, arguments.out, progress)
    feature_map = open_map(scene, network, "ours", arguments.out, progress)
    localizer = Localizer(network, feature_map)
    return trust.gather(localizer, scene, foreign, arguments.seed, progress)


def tables_of(trials: Sequence[trust.Trial], probability: np.ndarray) -> list[report.Table]:
    """By threshold; and at the default one by scene, change and prior."""
    fair = np.array([trial.fair for trial in trials])
    limit = GateConfig().min_probability

    def row(name: str, chosen: np.ndarray, threshold: float) -> tuple[str, ...]:
        index = np.flatnonzero(chosen)
        found = trust.acceptance([trials[i] for i in index], probability[index], threshold)
        return (name, *(_text(found.wrong, found.accepted)), *(_text(found.rejected, found.right)))

    def by(title: str, key: Callable[[trust.Trial], str], among: np.ndarray) -> report.Table:
        names = np.array([key(trial) for trial in trials])
        rows = [row(n, among & (names == n), limit) for n in dict.fromkeys(names[among])]
        return report.Table(f"{title}, at {limit:g}", header, tuple(rows))

    header = ("", "accepted", "of these wrong", "right", "of these rejected")
    thresholds = tuple(row(f"{t:g}", fair, t) for t in THRESHOLDS)
    return [
        report.Table("By the least probability, places held out", header, thresholds),
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


def _text(part: int, whole: int) -> tuple[str, str]:
    if whole == 0:
        return "0", "-"
    low, high = (100 * bound for bound in trust.interval(part, whole))
    return str(whole), f"{part} ({100 * part / whole:.1f} %; {low:.1f} to {high:.1f})"

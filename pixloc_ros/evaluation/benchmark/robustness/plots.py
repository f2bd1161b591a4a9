"""Pictures of the comparison, PNG bytes: recall by condition, convergence basins, the images."""

from __future__ import annotations

import cv2
import numpy as np

from pixloc_ros.evaluation.benchmark.robustness.conditions import (
    BASIN_DEGREES,
    BASIN_METRES,
    CONDITIONS,
    basin_condition,
    changed,
)
from pixloc_ros.evaluation.benchmark.robustness.methods import METHODS
from pixloc_ros.evaluation.benchmark.robustness.results import wilson
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene
from pixloc_ros.evaluation.benchmark.robustness.tables import THRESHOLDS, Cells
from pixloc_ros.evaluation.plots import new_figure, to_png

_COLOURS = dict(zip(METHODS, ("#0b6fb8", "#b0b0b0", "#e07b00", "#3a923a", "#8c564b")))
#: Which of the recall thresholds the basin is shown at: (0.25 m, 2 deg).
_BASIN_THRESHOLD = 1


def recall_plot(cells: Cells) -> bytes:
    """Bars by condition and method at the two finer thresholds, with Wilson intervals (1 sigma)."""
    methods = [m for m in METHODS if any(m in by_method for by_method in cells.values())]
    figure, axes = new_figure(max(6.0, 1.3 * len(cells) + 2), 6.5, rows=2)
    width = 0.8 / len(methods)
    for threshold, one in enumerate(axes):
        for k, method in enumerate(methods):
            found = [(x, c[method]) for x, c in enumerate(cells.values()) if method in c]
            x = np.array([x for x, _ in found]) + (k - (len(methods) - 1) / 2) * width
            share = np.array([c.recall[threshold] for _, c in found])
            bounds = np.array([wilson(c.recall[threshold], c.count) for _, c in found])
            reach = np.abs(bounds - share[:, None]).T * 100
            one.bar(x, 100 * share, width * 0.92, color=_COLOURS[method], label=METHODS[method])
            one.errorbar(x, 100 * share, reach, fmt="none", ecolor="#444444", lw=0.8)
        one.set_ylabel(f"recall (%) at {THRESHOLDS[threshold]}")
        one.set_xlim(-0.6, len(cells) - 0.4)
        one.set_ylim(0, 103)
        one.grid(axis="y", color="#dddddd", lw=0.6)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    titles = [condition.title.replace(", ", ",\n") for condition in cells]
    axes[1].set_xticks(range(len(cells)), titles, rotation=25, ha="right")
    axes[0].set_xticks(range(len(cells)), [""] * len(cells))
    axes[0].legend(frameon=False, ncols=len(methods), loc="lower left", bbox_to_anchor=(0, 1))
    return to_png(figure)


def basin_plot(cells: Cells) -> bytes:
    """A heat map per method: recall (0.25 m, 2 deg) over shift and turn of a single start."""
    methods = [m for m in METHODS if any(m in by_method for by_method in cells.values())]
    figure, axes = new_figure(3.1 * len(methods) + 0.8, 3.4, columns=len(methods))
    axes = np.atleast_1d(axes)
    for method, one in zip(methods, axes):
        one.grid(False)
        share = np.array(
            [
                [
                    cells[basin_condition(metres, degrees)][method].recall[_BASIN_THRESHOLD]
                    for metres in BASIN_METRES
                ]
                for degrees in BASIN_DEGREES
            ]
        )
        picture = one.imshow(
            100 * share, origin="lower", vmin=0, vmax=100, cmap="viridis", aspect="auto"
        )
        for (row, column), value in np.ndenumerate(share):
            colour = "white" if value < 0.6 else "black"
            one.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
        one.set_xticks(range(len(BASIN_METRES)), [f"{m:g}" for m in BASIN_METRES])
        one.set_yticks(range(len(BASIN_DEGREES)), [f"{d:g}" for d in BASIN_DEGREES])
        one.set_title(METHODS[method], fontsize=10)
        one.set_xlabel("shift of the start (m)")
    axes[0].set_ylabel("turn of the start (deg)")
    figure.colorbar(picture, ax=axes, label=f"recall (%) at {THRESHOLDS[_BASIN_THRESHOLD]}")
    return to_png(figure)


def sheet(scene: Scene, seed: int, width: int = 620) -> bytes:
    """The scene's middle query as it is and under every change, two side by side."""
    i = len(scene.queries) // 2
    image, query = scene.queries.image(i), scene.queries.names[i]
    tiles = []
    for change in dict.fromkeys(condition.change for condition in CONDITIONS):
        tile = changed(image, change, query, seed)
        tile = cv2.cvtColor(tile, cv2.COLOR_GRAY2BGR if tile.ndim == 2 else cv2.COLOR_RGB2BGR)
        size = (width, round(width * tile.shape[0] / tile.shape[1]))
        tile = cv2.resize(tile, size, interpolation=cv2.INTER_AREA)
        title = (change or "clean").replace("_", " ")
        for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(
                tile, title, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness, cv2.LINE_AA
            )
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (len(tiles) % 2)
    rows = [np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)]
    return cv2.imencode(".png", np.vstack(rows))[1].tobytes()

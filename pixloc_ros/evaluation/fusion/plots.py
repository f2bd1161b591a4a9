"""Plots of a filter's run: its error, its standard deviation, and the poses that it rejected."""

from __future__ import annotations

import numpy as np

from pixloc_ros.evaluation.fusion.run import FusionRun
from pixloc_ros.evaluation.plots import new_figure, to_png

_ERROR, _POSE, _REFUSED, _SHADE = "#0b6fb8", "#555555", "#cc2222", "#0b6fb8"
#: Errors run over decades; this is the smallest that is told apart (m).
_LEAST = 1e-3


def error_picture(
    runs: list[tuple[str, FusionRun]], outage: tuple[float, float] | None = None
) -> bytes:
    """Position error over time (m, logarithmic), one panel for each titled run: the filter's, three
    of its standard deviations, the poses at the moment they arrived, and those it refused.

    outage: seconds from the first odometry without a camera, shaded. PNG bytes.
    """
    figure, panels = new_figure(9, 3.1 * len(runs), rows=len(runs))
    for (title, run), axes in zip(runs, np.atleast_1d(panels)):
        recording = run.recording
        begin_ns = recording.odometry.stamps_ns[0]
        seconds = (run.stamps_ns - begin_ns) * 1e-9
        error = np.linalg.norm(run.errors()[:, :3], axis=1)
        bound = 3 * np.sqrt(np.trace(run.covariances[:, :3, :3], axis1=1, axis2=2))
        axes.fill_between(
            seconds,
            _LEAST,
            bound,
            color=_SHADE,
            alpha=0.13,
            lw=0,
            label="three standard deviations",
        )
        axes.plot(seconds, error, color=_ERROR, lw=1.2, label="error of the filter")
        raw = np.linalg.norm(run.pose_errors()[0][:, :3], axis=1)
        arrived = (recording.arrival_ns - begin_ns) * 1e-9
        for chosen, mark, colour, label in (
            (run.accepted, ".", _POSE, "pose, used"),
            (~run.accepted, "x", _REFUSED, "refused"),
        ):
            axes.plot(arrived[chosen], raw[chosen], mark, color=colour, ms=5, ls="", label=label)
        if outage:
            axes.axvspan(*outage, color="#999999", alpha=0.15, lw=0)
        axes.set_yscale("log")
        highest = np.nanmax(np.concatenate([error, raw]))
        axes.set_ylim(_LEAST, max(10.0, 2 * highest))
        axes.set_ylabel("position error (m)")
        axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("time (s); a pose is drawn when it arrives")
    np.atleast_1d(panels)[0].legend(frameon=False, ncols=4, fontsize=8, loc="upper left")
    return to_png(figure)

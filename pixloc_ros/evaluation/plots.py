"""Pictures of a run: where it went, how wrong it was, how long it took. PNG bytes."""

from __future__ import annotations

import io

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.trajectory import Track

_COLOURS = ("#0b6fb8", "#e07b00", "#3a923a")
_TRUTH = "#222222"


def trajectory_plot(drive: Drive, tracks: list[Track]) -> bytes:
    """Seen from above: ground truth, map-free odometry and each trajectory, metres, true to scale.

    The odometry is laid onto the first true pose, to show what the localizer corrects.
    """
    figure, axes = new_figure(9, 6)
    truth = drive.T_map_base
    if truth is not None:
        axes.plot(*truth[:, :2, 3].T, color=_TRUTH, lw=4, alpha=0.3, label="ground truth")
        if drive.odometry is not None:
            path = _odometry_in_map(drive)
            axes.plot(*path[:, :2, 3].T, color="#999999", lw=1.2, ls="--", label="odometry alone")
    for track, colour in zip(tracks, _COLOURS):
        axes.plot(*track.poses[:, :2, 3].T, ".-", color=colour, lw=0.8, ms=4, label=track.name)
        astray = ~track.tracking & np.isfinite(track.poses[:, 0, 3])
        if astray.any():
            axes.plot(*track.poses[astray, :2, 3].T, "x", color="#c22", label="not tracking")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("x (m)")
    axes.set_ylabel("y (m)")
    axes.legend(frameon=False)
    return to_png(figure)


def error_plot(drive: Drive, tracks: list[Track]) -> bytes:
    """Position and rotation error over time, with three standard deviations of the first track."""
    figure, (top, bottom) = new_figure(9, 6, rows=2)
    begin = drive.stamps_ns[0]
    for track, colour in zip(tracks, _COLOURS):
        _, mine, frames = np.intersect1d(track.stamps_ns, drive.stamps_ns, return_indices=True)
        seconds = (track.stamps_ns[mine] - begin) * 1e-9
        metres, radians = transforms.pose_error(track.poses[mine], drive.T_map_base[frames])
        top.plot(seconds, metres * 100, ".-", color=colour, lw=0.8, ms=4, label=track.name)
        bottom.plot(seconds, np.degrees(radians), ".-", color=colour, lw=0.8, ms=4)
    first = tracks[0]
    if first.covariances is not None:
        seconds = (first.stamps_ns - begin) * 1e-9
        variances = np.diagonal(first.covariances, axis1=1, axis2=2)
        for axes, columns, unit in ((top, slice(0, 3), 100), (bottom, slice(3, 6), 180 / np.pi)):
            bound = 3 * np.sqrt(variances[:, columns].sum(axis=1)) * unit
            axes.fill_between(
                seconds,
                0,
                bound,
                color=_COLOURS[0],
                alpha=0.12,
                lw=0,
                label=f"3 sigma, {first.name}",
            )
    top.set_ylabel("position error (cm)")
    bottom.set_ylabel("rotation error (deg)")
    bottom.set_xlabel("time (s)")
    for axes in (top, bottom):
        # The errors set the scale: a wide shade may run out of the picture.
        worst = np.nanmax([np.nanmax(line.get_ydata(), initial=0) for line in axes.lines])
        axes.set_ylim(0, 1.8 * worst if worst > 0 else None)
    top.legend(frameon=False)
    return to_png(figure)


def latency_plot(tracks: list[Track]) -> bytes:
    """Histogram of the time from image to pose, with median and 95th percentile."""
    figure, axes = new_figure(9, 3.2)
    for track, colour in zip(tracks, _COLOURS):
        values = track.latencies_ms[np.isfinite(track.latencies_ms)]
        p50, p95 = np.percentile(values, [50, 95])
        axes.hist(
            values,
            bins=40,
            color=colour,
            alpha=0.6,
            label=f"{track.name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms",
        )
        for value in (p50, p95):
            axes.axvline(value, color=colour, lw=1, ls="--")
    axes.set_xlabel("latency (ms)")
    axes.set_ylabel("frames")
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
    return to_png(figure)


def _odometry_in_map(drive: Drive) -> np.ndarray:
    """T_map_base (M, 4, 4) as the odometry alone would have it, over the time of the frames."""
    odometry = drive.odometry
    inside = (odometry.stamps_ns >= drive.stamps_ns[0]) & (
        odometry.stamps_ns <= drive.stamps_ns[-1]
    )
    poses = odometry.T_odom_base[inside]
    return drive.T_map_base[0] @ transforms.inverse(poses[0]) @ poses


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1):
    """A figure (inches) and its axes, one below or beside the other; drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=rows > 1)
    for one in np.atleast_1d(axes):
        one.grid(color="#dddddd", lw=0.6)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def to_png(figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()

"""A run as a moving picture: the camera's image with the map's points, the way, the error."""

from __future__ import annotations

import io

import cv2
import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import TrackState
from pixloc_ros.evaluation.plots import new_figure
from pixloc_ros.evaluation.runner import RunResult
from pixloc_ros.images.overlay import draw_points

WIDTH, PANEL_HEIGHT, FRAMES_PER_SECOND = 640, 160, 8
#: One palette for all frames, so that nothing flickers; few gray levels keep the file small.
GRAYS, COLOURS = 22, 42
#: The image is shown gray and with less contrast, so that the points' colours stand out.
CONTRAST, BRIGHTNESS = 0.7, 45
#: Of a drive, at most so many frames; of the map, so much around the way (m).
MAX_FRAMES, MARGIN = 50, 7.0
#: The robot seen from above, in its base frame (m).
OUTLINE = np.array([(-2.0, -1.0), (1.5, -1.0), (3.0, 0.0), (1.5, 1.0), (-2.0, 1.0)])
STATE_COLOURS = {TrackState.TRACKING: "#1f8a3b", TrackState.COASTING: "#e07b00"}
OTHER_STATE = "#cc2222"


def frames_to_show(count: int) -> range:
    """Which of so many frames to run ``with_view``: at even distances."""
    return range(0, count, -(-count // MAX_FRAMES))


def tracking_gif(run: RunResult, points: np.ndarray) -> bytes:
    """GIF of the frames that were run ``with_view``.

    Above, the image with the map's points at the estimated pose, as `images.overlay` draws them;
    below, the state, the map (``points`` (N, 3)) seen from above with the way so far, and the
    position error so far with three standard deviations (only these without ground truth).
    """
    panel, pictures = _Panel(run, points), []
    for i, result in enumerate(run.results):
        if result.fix.views:
            image = draw_points(_faded(run.drive.image(i)), result)
            size = (WIDTH, round(WIDTH * image.shape[0] / image.shape[1]))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            pictures.append(np.concatenate([image, panel.picture(i)]))
    return _to_gif(pictures)


def _faded(image: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    smooth = cv2.bilateralFilter(gray, 5, 35, 3)  # noise is most of a GIF's size
    return cv2.convertScaleAbs(smooth, alpha=CONTRAST, beta=BRIGHTNESS)


class _Panel:
    """The way and the error of a run, drawn as far as a frame."""

    def __init__(self, run: RunResult, points: np.ndarray) -> None:
        import matplotlib

        track = run.track()
        self._poses, self._results = track.poses, run.results
        self._seconds = (track.stamps_ns - track.stamps_ns[0]) * 1e-9
        self._std = np.sqrt(np.diagonal(track.covariances, axis1=1, axis2=2))
        self._bound = 300 * np.linalg.norm(self._std[:, :3], axis=1)
        self._error = np.full(len(self._bound), np.nan)
        if run.drive.T_map_base is not None:
            self._error = 100 * transforms.pose_error(self._poses, run.drive.T_map_base)[0]
        with matplotlib.rc_context({"font.size": 7.5, "axes.titlesize": 8}):
            self._figure, axes = new_figure(WIDTH / 100, PANEL_HEIGHT / 100, columns=2)
            axes[0].get_gridspec().set_width_ratios((2, 1))
            self._title = self._figure.suptitle(" ", x=0.01, ha="left", weight="bold")
            self._prepare_map(axes[0], points)
            self._prepare_error(axes[1])

    def _prepare_map(self, axes, points: np.ndarray) -> None:
        way = self._poses[:, :2, 3]
        low, high = np.nanmin(way, axis=0) - MARGIN, np.nanmax(way, axis=0) + MARGIN
        x, y, z = points[((points[:, :2] >= low) & (points[:, :2] <= high)).all(axis=1)].T
        axes.scatter(x, y, c=np.argsort(np.argsort(z)), cmap="gray_r", s=0.5, linewidths=0)
        self._way = axes.scatter([], [], s=5, linewidths=0)
        self._robot = axes.fill(*OUTLINE.T, zorder=3)[0]
        axes.set(aspect="equal", xlabel="x (m)", ylabel="y (m)")
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))

    def _prepare_error(self, axes) -> None:
        self._shade = axes.fill([0], [0], color="#0b6fb8", alpha=0.2, lw=0)[0]
        self._line = axes.plot([], [], color="#222222", lw=1)[0]
        top = 1.1 * np.nanmax([self._bound, self._error])
        axes.set(xlim=(0, self._seconds[-1] or 1), ylim=(0, top), xlabel="time (s)")
        axes.set_ylabel("error, 3 std (cm)")

    def picture(self, frame: int) -> np.ndarray:
        """RGB uint8 (PANEL_HEIGHT, WIDTH, 3) up to and with a frame."""
        so_far, pose = slice(frame + 1), self._poses[frame]
        colours = [STATE_COLOURS.get(r.state, OTHER_STATE) for r in self._results[so_far]]
        self._way.set_offsets(self._poses[so_far, :2, 3])
        self._way.set_color(colours)
        self._robot.set_xy(OUTLINE @ pose[:2, :2].T + pose[:2, 3])
        self._robot.set_color(colours[-1])
        self._title.set_text(self._describe(frame))
        self._title.set_color(colours[-1])
        self._line.set_data(self._seconds[so_far], self._error[so_far])
        self._shade.set_xy(self._below(frame))
        self._figure.canvas.draw()
        return np.asarray(self._figure.canvas.buffer_rgba())[..., :3]

    def _below(self, frame: int) -> np.ndarray:
        """Outline (N, 2) of what lies below the bound; zero where there is none."""
        times, bound = self._seconds[: frame + 1], np.nan_to_num(self._bound[: frame + 1])
        return np.column_stack([[times[0], *times, times[-1]], [0, *bound, 0]])

    def _describe(self, frame: int) -> str:
        result, (x, y) = self._results[frame], self._poses[frame, :2, 3]
        inliers = f"{result.fix.num_inliers} of {result.fix.num_points} points are inliers"
        if result.T_map_base is None:
            return f"{result.state.value}    {inliers}"
        metres, degrees = self._std[frame, :3].max(), np.degrees(self._std[frame, 3:].max())
        return (
            f"{result.state.value}    {inliers}    x {x:.2f} m, y {y:.2f} m    "
            f"std {100 * metres:.1f} cm, {degrees:.2f} deg"
        )


def _to_gif(pictures: list[np.ndarray]) -> bytes:
    from PIL import Image  # comes with matplotlib

    sample = np.concatenate(pictures[:: max(1, len(pictures) // 8)])
    coloured = sample[np.ptp(sample, axis=2) > 20]
    colours = Image.fromarray(coloured[None]).quantize(COLOURS).getpalette()
    grays = np.repeat(np.linspace(0, 255, GRAYS).round().astype(int), 3).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette(grays + colours)
    first, *rest = (
        Image.fromarray(picture).quantize(palette=palette, dither=0) for picture in pictures
    )
    buffer = io.BytesIO()
    duration = round(1000 / FRAMES_PER_SECOND)
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return buffer.getvalue()

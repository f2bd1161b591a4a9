"""Draws the aligned map points onto the image: what the tracker believes, for a person's eye."""

from __future__ import annotations

import cv2
import numpy as np

from pixloc_ros.core.tracker import FrameResult, PointView, TrackState

#: A feature residual at and above which a point is drawn in the worst colour. Normalised
#: features differ by at most 2; correct alignments stay below about half of this.
WORST_RESIDUAL = 0.8

_STATE_COLOURS = {
    TrackState.TRACKING: (60, 200, 60),
    TrackState.COASTING: (240, 180, 40),
    TrackState.LOST: (230, 50, 50),
    TrackState.UNINITIALIZED: (160, 160, 160),
}


def draw_points(image: np.ndarray, view: PointView) -> np.ndarray:
    """The image with its map points: colour by residual (green good, red bad), size by confidence.

    ``image``: uint8 (H, W) or RGB (H, W, 3). Returns a new RGB (H, W, 3) image. Points that took
    no part in the alignment are small and gray.
    """
    canvas = np.ascontiguousarray(
        cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image.copy()
    )
    height, width = canvas.shape[:2]
    unit = max(1.0, max(height, width) / 640)
    confidence = view.confidence / max(float(view.confidence.max(initial=0.0)), 1e-6)
    order = np.argsort(view.valid.astype(float) + confidence)  # the trusted ones on top
    for i in order:
        if not np.isfinite(view.pixels[i]).all():
            continue
        x, y = (int(round(float(v))) for v in view.pixels[i])
        if not (0 <= x < width and 0 <= y < height):
            continue
        if not view.valid[i]:
            cv2.circle(canvas, (x, y), round(unit), (140, 140, 140), -1, cv2.LINE_AA)
            continue
        radius = round(unit * (1.2 + 1.8 * float(confidence[i])))
        cv2.circle(canvas, (x, y), radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
        colour = residual_colour(float(view.residual[i]))
        cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA)
    return canvas


def residual_colour(residual: float) -> tuple[int, int, int]:
    """RGB from green (0) over yellow to red (``WORST_RESIDUAL`` and more)."""
    share = min(max(residual / WORST_RESIDUAL, 0.0), 1.0)
    return (int(255 * min(1.0, 2 * share)), int(255 * min(1.0, 2 - 2 * share)), 40)


def draw_result(image: np.ndarray, result: FrameResult) -> np.ndarray:
    """``draw_points`` with a line of text: state, points in use, cost, time, or why not."""
    if result.view is not None:
        canvas = draw_points(image, result.view)
    elif image.ndim == 2:
        canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    else:
        canvas = image.copy()
    text = result.state.value
    if result.num_points:
        text += f"  {result.num_inliers}/{result.num_points} points  cost {result.cost:.3f}"
    if "total" in result.timings_ms:
        text += f"  {result.timings_ms['total']:.0f} ms"
    if result.reasons:
        text += "  " + "; ".join(result.reasons)
    scale = max(0.4, canvas.shape[1] / 1600)
    bar = int(32 * scale)
    canvas[:bar] //= 3
    colour = _STATE_COLOURS[result.state]
    cv2.putText(canvas, text, (8, int(bar * 0.72)), cv2.FONT_HERSHEY_SIMPLEX, scale, colour,
                max(1, round(scale)), cv2.LINE_AA)  # fmt: skip
    return canvas

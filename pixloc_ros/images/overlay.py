"""Draws what the tracker believes onto the image, for a person's eye."""

from __future__ import annotations

import cv2
import numpy as np

from pixloc_ros.core.frame import PointView
from pixloc_ros.core.tracker import FrameResult, TrackState

#: The feature residual is the distance of two unit vectors: 0 fits, 1 is an angle of 60 degrees.
WORST_RESIDUAL = 1.0

_STATE_COLOURS = {
    TrackState.TRACKING: (80, 220, 100),
    TrackState.COASTING: (255, 190, 60),
    TrackState.STARTING: (120, 190, 255),
    TrackState.LOST: (255, 80, 70),
    TrackState.UNINITIALIZED: (200, 200, 200),
}
_LEFT_OUT = (150, 150, 150)
_SUBPIXEL_BITS = 4


def draw(image: np.ndarray, result: FrameResult) -> np.ndarray:
    """A new RGB uint8 (H, W, 3) picture of a frame: the map points of its view, and its state.

    ``image``: uint8 (H, W) or RGB (H, W, 3). Points are green where the image agrees with the map
    (small residual) over yellow to red, and larger where the network is confident; gray rings
    took no part in the alignment.
    """
    picture = draw_points(image, result)
    _draw_text(picture, result, _scale(picture))
    return picture


def draw_points(image: np.ndarray, result: FrameResult) -> np.ndarray:
    """As `draw`, without the text."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image.copy()
    for view in result.fix.views:
        _draw_view(picture, view, _scale(picture))
    return picture


def _scale(picture: np.ndarray) -> float:
    return max(picture.shape[1] / 640, 0.5)


def residual_colours(residual: np.ndarray) -> np.ndarray:
    """RGB uint8 (N, 3): green at 0 over yellow to red at ``WORST_RESIDUAL``."""
    bad = np.clip(np.nan_to_num(residual, nan=WORST_RESIDUAL) / WORST_RESIDUAL, 0, 1)
    rgb = np.stack([np.minimum(2 * bad, 1), np.minimum(2 - 2 * bad, 1), np.full_like(bad, 0.15)], 1)
    return (255 * rgb).astype(np.uint8)


def _draw_view(picture: np.ndarray, view: PointView, scale: float) -> None:
    height, width = picture.shape[:2]
    colours = residual_colours(view.residual)
    strongest = float(view.confidence.max(initial=0.0)) or 1.0
    radii = scale * (0.9 + 1.8 * np.clip(view.confidence / strongest, 0, 1))
    with np.errstate(invalid="ignore"):
        inside = ((view.pixels >= 0) & (view.pixels < (width, height))).all(axis=1)
    unit = 1 << _SUBPIXEL_BITS
    for i in sorted(np.flatnonzero(inside), key=lambda i: view.valid[i]):  # aligned ones on top
        centre = tuple(round(v * unit) for v in view.pixels[i].tolist())
        radius = int(radii[i] * unit)

        def circle(grown: int, colour: tuple[int, ...], thickness: int) -> None:
            cv2.circle(picture, centre, grown, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

        if view.valid[i]:
            circle(radius + unit // 2, (0, 0, 0), -1)
            circle(radius, tuple(colours[i].tolist()), -1)
        else:
            circle(radius, _LEFT_OUT, 1)


def _draw_text(picture: np.ndarray, result: FrameResult, scale: float) -> None:
    lines = [(result.state.value, _STATE_COLOURS[result.state])]
    fix = result.fix
    if fix.num_points:
        metres, radians = fix.correction
        lines[0] = (
            f"{result.state.value}: {fix.num_inliers}/{fix.num_points} points, "
            f"cost {fix.cost:.3f}, moved {100 * metres:.1f} cm {np.degrees(radians):.2f} deg",
            lines[0][1],
        )
    lines += [(reason, _STATE_COLOURS[TrackState.COASTING]) for reason in result.reasons[:3]]
    font, size, thick = cv2.FONT_HERSHEY_SIMPLEX, 0.42 * scale, max(1, round(scale * 0.8))
    for row, (text, colour) in enumerate(lines):
        origin = (int(8 * scale), int(16 * scale * (row + 1)))
        cv2.putText(picture, text, origin, font, size, (0, 0, 0), thick + 2, cv2.LINE_AA)
        cv2.putText(picture, text, origin, font, size, colour, thick, cv2.LINE_AA)

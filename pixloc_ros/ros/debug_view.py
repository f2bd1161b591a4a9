"""The debug picture: where the map's points fall in the image, and how well they fit."""
from __future__ import annotations

import cv2
import numpy as np

from pixloc_ros.core.tracker import FrameResult, TrackState

# The feature residual is the distance of two unit vectors: 0 fits, 1 is an angle of 60 degrees.
WORST_RESIDUAL = 1.0
STATE_COLORS = {TrackState.TRACKING: (80, 220, 100), TrackState.COASTING: (255, 190, 60),
                TrackState.LOST: (255, 80, 70), TrackState.UNINITIALIZED: (200, 200, 200)}


def draw(image: np.ndarray, result: FrameResult) -> np.ndarray:
    """RGB uint8 (H, W, 3): points green (small residual) to red (large), larger where the network
    is confident; grey rings are points left out of the alignment. Text says the state."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image.copy()
    scale = max(picture.shape[1] / 640.0, 0.5)
    if result.view is not None:
        _draw_points(picture, result.view, scale)
    _draw_text(picture, result, scale)
    return picture


def _draw_points(picture: np.ndarray, view, scale: float) -> None:
    colors = residual_colors(view.residual)
    strongest = float(view.confidence.max(initial=0.0)) or 1.0
    radii = scale * (1.5 + 3.0 * np.clip(view.confidence / strongest, 0, 1))
    inside = np.isfinite(view.pixels).all(axis=1) & (np.abs(view.pixels) < 1e5).all(axis=1)
    for i in np.flatnonzero(inside):
        # cv2 draws on a grid of 1/16 px with shift=4.
        center = tuple(int(round(v * 16)) for v in view.pixels[i])
        radius = int(round(radii[i] * 16))
        if view.valid[i]:
            color = tuple(int(c) for c in colors[i])
            cv2.circle(picture, center, radius, color, -1, cv2.LINE_AA, 4)
        else:
            cv2.circle(picture, center, radius, (150, 150, 150), 1, cv2.LINE_AA, 4)


def residual_colors(residual: np.ndarray) -> np.ndarray:
    """RGB uint8 (N, 3): green at 0 over yellow to red at `WORST_RESIDUAL`."""
    bad = np.clip(np.nan_to_num(residual, nan=WORST_RESIDUAL) / WORST_RESIDUAL, 0, 1)
    rgb = np.stack([np.minimum(2 * bad, 1), np.minimum(2 - 2 * bad, 1), 0.15 * np.ones_like(bad)], 1)
    return (255 * rgb).astype(np.uint8)


def _draw_text(picture: np.ndarray, result: FrameResult, scale: float) -> None:
    lines = [(result.state.value, STATE_COLORS[result.state])]
    if result.num_points:
        lines.append((f"{result.num_inliers}/{result.num_points} points, cost {result.cost:.3f}, "
                      f"moved {100 * result.correction[0]:.1f} cm "
                      f"{np.degrees(result.correction[1]):.2f} deg", (255, 255, 255)))
    lines += [(reason, (255, 190, 60)) for reason in result.reasons[:3]]
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale
    for row, (text, color) in enumerate(lines):
        origin = (int(8 * scale), int(20 * scale * (row + 1)))
        cv2.putText(picture, text, origin, font, size, (0, 0, 0), max(int(3 * scale), 2),
                    cv2.LINE_AA)
        cv2.putText(picture, text, origin, font, size, color, max(int(scale), 1), cv2.LINE_AA)

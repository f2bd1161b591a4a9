"""A picture of the features of a pair, and of the path of its points."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.geometry import Pose
from pixloc_ros.core.network import PixLocNet
from pixloc_ros.training.two_view import PairBatch, align_pairs

SHOWN_POINTS = 80
WIDTH = 400  # pixels of a view, about; small ones are enlarged
RED, YELLOW, GREEN = (255, 60, 40), (255, 210, 40), (60, 230, 60)
TEXT_HEIGHT = 18


@torch.no_grad()
def pair_picture(net: PixLocNet, batch: PairBatch, config: AlignerConfig) -> np.ndarray:
    """uint8 RGB (H, W, 3) of the pairs of a batch, one below the other.

    Left the reference with its points, right the query with the path of each point from the
    starting pose (red) by way of the levels (yellow) to the final one (green), and where it
    belongs (white cross). Below, level by level: features of both, their three strongest joint
    principal components as colours, and confidences from 0 (dark) to 1 (bright).
    """
    net.eval()
    alignment, mask = align_pairs(net, batch, config)
    pyramid = net(torch.cat([batch.reference, batch.query]))
    poses = [batch.T_init, *reversed(alignment.levels)]
    count = len(batch.reference)
    rows = []
    for i in range(count):
        rows.append(_points_row(batch, i, [pose[i] for pose in poses], mask[i]))
        size = (
            rows[-1].shape[1] // 4,
            rows[-1].shape[1] * batch.query.shape[2] // (4 * batch.query.shape[3]),
        )
        for level in pyramid:
            views = [level.features[i], level.features[count + i]]
            tiles = _colours(views) + [_heat(level.confidence[j, 0]) for j in (i, count + i)]
            names = ("reference", "query", "confidence", "confidence")
            rows.append(
                np.hstack(
                    [
                        _titled(
                            cv2.resize(tile, size, interpolation=cv2.INTER_NEAREST),
                            f"{name}, stride {level.stride}",
                        )
                        for tile, name in zip(tiles, names)
                    ]
                )
            )
    return np.vstack(rows)


def _points_row(batch: PairBatch, i: int, poses: list[Pose], mask: Tensor) -> np.ndarray:
    zoom = max(1, round(WIDTH / batch.query.shape[3]))
    reference, query = (
        cv2.resize(_image(images[i]), None, fx=zoom, fy=zoom)
        for images in (batch.reference, batch.query)
    )
    camera_reference = batch.camera_reference[i].scale(zoom)
    T_true, camera = batch.T_query_ref[i], batch.camera_query[i].scale(zoom)
    _target, seen = camera.project(T_true.transform(batch.points[i]))
    shown = torch.nonzero(mask & seen)[:, 0]
    points = batch.points[i][shown[:: max(1, len(shown) // SHOWN_POINTS)]]
    for x, y in _pixels(camera_reference.project(points)[0]):
        cv2.circle(reference, (x, y), 2, YELLOW, 1, cv2.LINE_AA)
    paths = np.stack([_pixels(camera.project(pose.transform(points))[0]) for pose in poses], 1)
    cv2.polylines(query, list(paths), False, YELLOW, 1, cv2.LINE_AA)
    for path, goal in zip(paths, _pixels(camera.project(T_true.transform(points))[0])):
        cv2.circle(query, path[0].tolist(), 2, RED, -1, cv2.LINE_AA)
        cv2.circle(query, path[-1].tolist(), 2, GREEN, -1, cv2.LINE_AA)
        cv2.drawMarker(query, goal.tolist(), (255, 255, 255), cv2.MARKER_TILTED_CROSS, 5)
    angle, distance = (poses[-1] @ T_true.inv()).magnitude()
    start_angle, start = (poses[0] @ T_true.inv()).magnitude()
    title = (
        f"query: {float(start):.2f} m, {float(start_angle.rad2deg()):.1f} deg -> "
        f"{float(distance):.2f} m, {float(angle.rad2deg()):.2f} deg"
    )
    row = np.hstack([_titled(reference, "reference"), _titled(query, title)])
    return row[:, : row.shape[1] // 4 * 4]


def _colours(views: list[Tensor]) -> list[np.ndarray]:
    """Feature maps (C, H, W) of several views -> images in one basis of colours."""
    normalised = [F.normalize(view, dim=0).flatten(1).T for view in views]
    joint = torch.cat(normalised).double()
    mean = joint.mean(0)
    basis = torch.linalg.eigh(torch.cov(joint.T)).eigenvectors[:, -3:].flip(-1)
    values = (joint - mean) @ basis
    low, high = values.quantile(0.02, 0), values.quantile(0.98, 0)
    images = []
    for view, flat in zip(views, normalised):
        scaled = ((flat.double() - mean) @ basis - low) / (high - low).clamp(min=1e-9)
        images.append(_image(scaled.clamp(0, 1).T.unflatten(1, view.shape[1:])))
    return images


def _heat(confidence: Tensor) -> np.ndarray:
    gray = (confidence * 255).byte().cpu().numpy()
    return cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def _image(view: Tensor) -> np.ndarray:
    pixels = (view * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(pixels)


def _pixels(p2d: Tensor) -> np.ndarray:
    """(N, 2) int32; far outside is drawn just outside."""
    return p2d.clamp(-1000, 5000).round().int().cpu().numpy()


def _titled(image: np.ndarray, text: str) -> np.ndarray:
    band = np.zeros((TEXT_HEIGHT, image.shape[1], 3), np.uint8)
    cv2.putText(
        band,
        text,
        (3, TEXT_HEIGHT - 5),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.4,
        (255, 255, 255),
        1,
        cv2.LINE_AA,
    )
    return np.vstack([band, image])

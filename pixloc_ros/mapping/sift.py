"""SIFT key points, well spread, and their matching under a known relative pose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pixloc_ros.core.feature_map.select import spread


@dataclass(frozen=True)
class KeyPoints:
    """Key points: `xy` (N, 2) float64 pixels, `descriptors` (N, 128) float32 of unit norm.

    Descriptors are RootSIFT (Arandjelovic and Zisserman, CVPR 2012): their dot product is the
    Hellinger kernel of the SIFT histograms.
    """

    xy: np.ndarray
    descriptors: np.ndarray


def extract(image: np.ndarray, max_features: int = 3000, max_image_size: int = 1600) -> KeyPoints:
    """SIFT of a uint8 image, gray or RGB; at most `max_features`, spread over the image.

    Images whose longer side exceeds `max_image_size` px are shrunk for the detection.
    """
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    factor = min(1.0, max_image_size / max(height, width))
    if factor < 1:
        size = (round(width * factor), round(height * factor))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    # a low threshold, since `spread` makes the selection; without the precise upscaling key points
    # are off by a quarter of a pixel
    sift = cv2.SIFT_create(nfeatures=0, contrastThreshold=0.015, enable_precise_upscale=True)
    found, descriptors = sift.detectAndCompute(gray, None)
    if not found:
        return KeyPoints(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    xy = np.array([point.pt for point in found], np.float64)
    # a corner with two orientations is two key points at one place: keep the first
    _, distinct = np.unique(np.round(xy, 2), axis=0, return_index=True)
    response = np.array([found[i].response for i in distinct])
    size = np.array([gray.shape[1], gray.shape[0]])
    chosen = distinct[spread(xy[distinct], response, size, max_features)]
    scale = np.array([width, height]) / size
    root = np.sqrt(descriptors[chosen] / np.maximum(descriptors[chosen].sum(1, keepdims=True), 1))
    return KeyPoints((xy[chosen] + 0.5) * scale - 0.5, root.astype(np.float32))


def match(
    a: np.ndarray, b: np.ndarray, ratio: float = 0.8, max_distance: float = 0.7
) -> np.ndarray:
    """Mutual nearest neighbours of unit descriptors a (N, 128) and b (M, 128) -> (K, 2) rows.

    ratio: nearest over second nearest distance at most.
    """
    if len(a) == 0 or len(b) < 2:
        return np.zeros((0, 2), np.int64)
    similarity = a @ b.T
    nearest = similarity.argmax(1)
    rows = np.arange(len(a))
    best = similarity[rows, nearest]
    mutual = similarity.argmax(0)[nearest] == rows
    similarity[rows, nearest] = -1.0
    good = mutual & _distinctive(best, similarity.max(1), ratio, max_distance)
    return np.stack([rows[good], nearest[good]], axis=1)


def match_guided(
    a: np.ndarray, b: np.ndarray, pairs: np.ndarray, ratio: float = 0.85, max_distance: float = 0.7
) -> np.ndarray:
    """As `match`, but only the given pairs (P, 2) of rows compete with each other.

    Repeated structure is told apart by the geometry that `could_meet` allows, hence the larger
    ratio. Returns (K, 2) rows.
    """
    if len(pairs) == 0:
        return np.zeros((0, 2), np.int64)
    similarity = np.einsum("ij,ij->i", a[pairs[:, 0]], b[pairs[:, 1]])
    best_a, second_a = _best_two(similarity, pairs[:, 0], len(a))
    best_b, second_b = _best_two(similarity, pairs[:, 1], len(b))
    mutual = (similarity == best_a[pairs[:, 0]]) & (similarity == best_b[pairs[:, 1]])
    second = np.maximum(second_a[pairs[:, 0]], second_b[pairs[:, 1]])
    return pairs[mutual & _distinctive(similarity, second, ratio, max_distance)]


def _best_two(value: np.ndarray, group: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest and second largest value of each of `count` groups, -1 where there is none."""
    order = np.lexsort((-value, group))
    value, group = value[order], group[order]
    first = np.searchsorted(group, np.arange(count))
    last = np.searchsorted(group, np.arange(count), "right")
    padded = np.append(value, [-1.0, -1.0])
    return (
        np.where(last > first, padded[first], -1.0),
        np.where(last > first + 1, padded[first + 1], -1.0),
    )


def _distinctive(
    best: np.ndarray, second: np.ndarray, ratio: float, max_distance: float
) -> np.ndarray:
    """Ratio test (Lowe 2004) and distance limit on dot products of unit vectors."""
    squared, squared_second = np.maximum(2 - 2 * best, 0), np.maximum(2 - 2 * second, 0)
    return (squared < ratio**2 * squared_second) & (squared <= max_distance**2)


def could_meet(
    rays_a: np.ndarray, rays_b: np.ndarray, T_b_a: np.ndarray, tolerance: float
) -> np.ndarray:
    """Pairs of rays that could see one point in front of both cameras: (P, 2) rows.

    rays_a (N, 3), rays_b (M, 3): directions with z = 1 in their cameras, which must not share
    their centre. tolerance: distance from the epipolar line in b, in units of its focal length.

    A point at depth z in a lies in b along z R ray_a + t: on the plane of the two vectors, and
    between them. (Hartley and Zisserman, chapter 9, with the sides told apart.)
    """
    far = rays_a @ T_b_a[:3, :3].T
    near = T_b_a[:3, 3]
    normal = np.cross(near, far)
    line = normal / np.maximum(np.linalg.norm(normal[:, :2], axis=1, keepdims=True), 1e-12)
    distance = line.astype(np.float32) @ rays_b.astype(np.float32).T
    i, j = np.divmod(np.flatnonzero(np.abs(distance, out=distance) <= tolerance), len(rays_b))
    beyond = np.cross(far, normal)
    beyond /= np.maximum(np.linalg.norm(beyond, axis=1, keepdims=True), 1e-12)
    between = np.einsum("ij,ij->i", np.cross(normal, near)[i], rays_b[j]) >= 0
    between &= np.einsum("ij,ij->i", beyond[i], rays_b[j]) >= -tolerance
    return np.stack([i[between], j[between]], axis=1)

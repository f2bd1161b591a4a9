"""Which keyframes observe the same points."""

from __future__ import annotations

import numpy as np


def covisible(
    observation_image: np.ndarray, observation_point: np.ndarray, num_images: int, count: int
) -> np.ndarray:
    """For each image the `count` images that share most points with it, most first, then -1.

    observation_image, observation_point: (O,) rows. Returns (num_images, count) int32. Memory
    grows with the number of observations times the track length, not with num_images squared.
    """
    order = np.argsort(observation_point, kind="stable")
    image, point = observation_image[order], observation_point[order]
    codes = []
    gap = 1
    while gap < len(point):
        same = point[gap:] == point[:-gap]
        if not same.any():
            break
        a, b = image[gap:][same], image[:-gap][same]
        codes += [a * num_images + b, b * num_images + a]
        gap += 1
    table = np.full((num_images, count), -1, np.int32)
    if not codes:
        return table
    pairs, shared = np.unique(np.concatenate(codes), return_counts=True)
    first, second = pairs // num_images, pairs % num_images
    first, second, shared = (v[first != second] for v in (first, second, shared))
    order = np.lexsort((second, -shared, first))
    first, second = first[order], second[order]
    starts = np.searchsorted(first, np.arange(num_images))
    turn = np.arange(len(first)) - starts[first]
    kept = turn < count
    table[first[kept], turn[kept]] = second[kept]
    return table

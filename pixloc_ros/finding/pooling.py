"""One vector for a whole image: VLAD (Jegou et al., CVPR 2010) of its key points' descriptors.

The words come from the map itself, so that no place is needed to train on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F

WORDS = 64
#: Descriptors that the words, and images that the directions are learned from, at most.
SAMPLE, IMAGES = 20_000, 4000
DIMS = 512


@dataclass(frozen=True)
class Pooling:
    """words (W, D): centres of descriptors. basis (W D, d): the directions that are kept of a
    pooled vector, orthonormal; of a map of fewer than d images they lose nothing."""

    words: torch.Tensor
    basis: torch.Tensor

    @classmethod
    def learn(cls, descriptors: list[torch.Tensor]) -> Pooling:
        """From descriptors (N_i, D) of a map's images."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randperm(len(descriptors), generator=generator)[:IMAGES].tolist()
        chosen = torch.cat([descriptors[i].float() for i in images])
        sample = chosen[torch.randperm(len(chosen), generator=generator)[:SAMPLE]].numpy()
        cv2.setRNGSeed(0)
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 1e-4)
        count = min(WORDS, len(sample))
        words = cv2.kmeans(sample, count, None, criteria, 1, cv2.KMEANS_PP_CENTERS)[2]
        whole = cls(torch.from_numpy(words), torch.eye(0))
        pooled = torch.stack([whole.pooled(descriptors[i].float()) for i in images])
        basis = torch.linalg.svd(pooled, full_matrices=False)[2][:DIMS].mT
        return cls(whole.words, basis.contiguous())

    def pooled(self, descriptors: torch.Tensor) -> torch.Tensor:
        """(W D,) of unit norm, before the directions are chosen; descriptors (N, D)."""
        nearest = (descriptors @ self.words.mT).argmax(1)
        sums = torch.zeros_like(self.words)
        sums.index_add_(0, nearest, descriptors - self.words[nearest])
        return F.normalize(F.normalize(sums, dim=1).flatten(), dim=0)

    def __call__(self, descriptors: torch.Tensor) -> torch.Tensor:
        """(d,) float32 of the key points' descriptors (N, D) of an image."""
        return self.pooled(descriptors.float()) @ self.basis

    def arrays(self) -> dict[str, np.ndarray]:
        """To be stored; the inverse of `from_arrays`."""
        return {"words": self.words.numpy(), "basis": self.basis.half().numpy()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Pooling:
        words, basis = (torch.from_numpy(arrays[name]).float() for name in ("words", "basis"))
        return cls(words, basis)

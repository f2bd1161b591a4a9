"""Dense multi-scale features, their confidences and the learned damping; checkpoints."""

from .checkpoint import Checkpoint, export_official, load_checkpoint, save_checkpoint
from .model import PixLocNet
from .pyramid import FeatureLevel, FeaturePyramid

__all__ = [
    "Checkpoint",
    "FeatureLevel",
    "FeaturePyramid",
    "PixLocNet",
    "export_official",
    "load_checkpoint",
    "save_checkpoint",
]

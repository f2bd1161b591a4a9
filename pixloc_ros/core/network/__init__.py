"""Dense multi-scale features, their confidences and the learned damping; checkpoints."""

from pixloc_ros.core.network.checkpoint import (
    Checkpoint,
    export_official,
    load_checkpoint,
    save_checkpoint,
)
from pixloc_ros.core.network.model import PixLocNet
from pixloc_ros.core.network.pyramid import FeatureLevel, FeaturePyramid

__all__ = [
    "Checkpoint",
    "FeatureLevel",
    "FeaturePyramid",
    "PixLocNet",
    "export_official",
    "load_checkpoint",
    "save_checkpoint",
]

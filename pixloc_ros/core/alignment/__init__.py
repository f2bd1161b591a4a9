"""Alignment of the query's features with the map's: residuals, robust weights, damped steps."""

from pixloc_ros.core.alignment.coarse_to_fine import align
from pixloc_ros.core.alignment.reference import sample_reference
from pixloc_ros.core.alignment.types import (
    AlignerConfig,
    Alignment,
    PosePrior,
    Problem,
    QueryLevel,
    ReferenceLevel,
)

__all__ = [
    "AlignerConfig",
    "Alignment",
    "PosePrior",
    "Problem",
    "QueryLevel",
    "ReferenceLevel",
    "align",
    "sample_reference",
]

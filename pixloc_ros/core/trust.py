"""The probability that a fix is right, from its evidence.

A logistic regression on a few numbers of the fix, fitted to fixes from disturbed priors of scenes
with ground truth (`benchmark trust`). The numbers depend on the network, so a model belongs to the
checkpoint it was fitted with and lies beside its weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.frame import Fix

FORMAT_VERSION = 1
FILE = "trust.json"
#: Keeps logarithms of shares and lengths finite.
_TINY = 0.01
_LEAST_STD = 1e-6  # m
SAME_PIXELS = 0.3  # below which poses are the same
#: What lies further out than this many standard deviations of the fitted fixes counts as that.
FURTHEST = 3.0


def evidence(fix: Fix) -> dict[str, float]:
    """The numbers that the model looks at.

    contrast: logarithm of the share of inliers over the highest share at random poses about it.
    residual: median residual less that at random poses. cost: mean robust feature cost. points:
    logarithm of their number. std: logarithm of the largest position std (m) that the image alone
    gives. step: logarithm of the step that the image asks for, in such stds. crosscheck: logarithm
    of the pixels between the pose and where each half of the points finds it from another start.
    """
    # Features that fit without any residual leave no variance at all.
    std = math.sqrt(max(float(fix.image_covariance.diagonal()[:3].max()), _LEAST_STD**2))
    return {
        "contrast": math.log((fix.share + _TINY) / (fix.chance_share + _TINY)),
        "residual": fix.residual - fix.chance_residual,
        "cost": fix.cost,
        "points": math.log(max(fix.num_points, 1)),
        "std": math.log(std),
        "step": math.log(fix.image_step[0] / std + 0.1 * _TINY),
        "crosscheck": math.log(fix.crosscheck + SAME_PIXELS),
    }


@dataclass(frozen=True)
class TrustModel:
    """terms: by name of the evidence (mean, scale, weight): the log odds are the bias plus the sum
    of weight (value - mean) / scale, which is cut off at `FURTHEST`: beyond what it was fitted to
    a model knows nothing."""

    terms: Mapping[str, tuple[float, float, float]]
    bias: float

    def probability(self, fix: Fix) -> float:
        """That the fix is right; 0 where it has none of the evidence."""
        return 0.0 if fix.failure else self.of(evidence(fix))

    def of(self, values: Mapping[str, float]) -> float:
        """The same from the evidence."""
        odds = self.bias
        for name, (mean, scale, weight) in self.terms.items():
            if math.isnan(values[name]):
                return 0.0
            odds += weight * max(-FURTHEST, min(FURTHEST, (values[name] - mean) / scale))
        return 1 / (1 + math.exp(-odds))


def read_trust(folder: Path, identity: str) -> TrustModel | None:
    """The model beside a checkpoint's weights, or None where there is none.

    Raises CheckpointError for a file that cannot be read or belongs to another checkpoint.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text())
        version, owner = content["format_version"], content["checkpoint"]
        terms = {
            name: (float(mean), float(scale), float(weight))
            for name, (mean, scale, weight) in content["terms"].items()
        }
        model = TrustModel(terms, float(content["bias"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: not a model of trust ({error!r})") from error
    if version != FORMAT_VERSION or owner != identity:
        raise CheckpointError(
            f"{file}: of format version {version} for checkpoint {owner[:12]}, expected "
            f"{FORMAT_VERSION} for {identity[:12]}; remove it, then fit one with "
            "`benchmark trust --fit`"
        )
    return model


def write_trust(folder: Path, identity: str, model: TrustModel, card: Mapping) -> None:
    """Write the model beside a checkpoint's weights. card: what it was fitted to, free-form."""
    content = {
        "format_version": FORMAT_VERSION,
        "checkpoint": identity,
        "terms": model.terms,
        "bias": model.bias,
        "card": card,
    }
    partial = folder / f"{FILE}.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(folder / FILE)

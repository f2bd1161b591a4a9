"""How uncertain an aligned pose is, and the change of that statement between frames.

Two descriptions of a small pose error (m, rad) meet here:

- tangent: the left increment (dt, w) of T_rig_map in rig axes, R' = exp(w) R, t' = exp(w) t + dt;
- ROS order (REP-103, geometry_msgs/PoseWithCovariance): (x, y, z, rot x, rot y, rot z) of
  T_map_base, the position of the base and a rotation about the fixed axes of the map.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pixloc_ros.core.alignment import Alignment
from pixloc_ros.core.errors import MapError
from pixloc_ros.core.geometry import transforms

#: Beside the map that it holds for.
FILE = "covariance.json"
FORMAT_VERSION = 1
Number = TypeVar("Number", float, np.ndarray, Tensor)


@dataclass(frozen=True)
class CovarianceConfig:
    """scale, growth: factor on the variance that the image gives, and what each square pixel of the
    cross-check adds to it; docs/trust.md has how they were fitted. map_std_m, map_std_deg: error of
    the map itself and of the calibration, which no single frame can see; added to the covariance.
    The default is that of a map from RTK poses; for one from exact poses, 0. `calibrate` fits all
    four to a drive with ground truth, or the first two to odometry, and stores them with the map.
    """

    scale: float = 1.5
    growth: float = 2.0
    map_std_m: float = 0.01
    map_std_deg: float = 0.03

    def __post_init__(self) -> None:
        if self.scale <= 0 or min(self.growth, self.map_std_m, self.map_std_deg) < 0:
            raise ValueError("scale must be positive, and none of the others negative")

    def of_image(self, crosscheck: Number) -> Number:
        """Factor on the variance that the image gives. crosscheck: as in `Fix`, px."""
        return self.scale + self.growth * crosscheck**2

    def of_map(self) -> np.ndarray:
        """(6, 6) in ROS order: of the map's own error."""
        std = (self.map_std_m, math.radians(self.map_std_deg))
        return np.diag(np.repeat(np.square(std), 3))


def read_covariance(folder: Path) -> dict[str, Any]:
    """What is stored with a map of `CovarianceConfig`, empty where nothing is. Raises MapError."""
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']}")
        return dict(content["covariance"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MapError(
            f"{file}: cannot be read ({error}); remove it, or run `calibrate` again"
        ) from error


def write_covariance(folder: Path, values: Mapping[str, float], card: Mapping[str, Any]) -> None:
    """Store settings with a map. card: what they were fitted to, free-form."""
    content = {"format_version": FORMAT_VERSION, "covariance": dict(values), "card": dict(card)}
    partial = folder / f"{FILE}.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(partial, folder / FILE)


def tangent_covariance(
    alignment: Alignment, scale: float | Tensor = 1.0, with_prior: bool = True
) -> Tensor:
    """Covariance (B, 6, 6) of T_rig_map in its tangent.

    The sandwich of an M-estimator (Huber 1967, White 1982)

        (A + L)^-1 (scale S n / (n - 6) + sigma^2 L) (A + L)^-1

    with the second derivative A of the robust cost, S = sum g g^T over the n valid points and its
    correction for small samples (MacKinnon and White 1985, HC1). L = sigma^2 Lambda is the prior's
    information in units of the cost; its gradient L e has the covariance L Lambda^-1 L = sigma^2 L.
    The channels of a point are correlated, so the point is the independent sample, not the channel;
    nothing is assumed about the noise of a feature. Errors that neighbouring points have in common,
    and noise of the query in the feature gradients, are not seen; `scale` makes up for them.

    with_prior: False leaves L out, which gives what the image alone says, for a filter that has
    the prior already.
    A is the curvature, or the Gauss-Newton Hessian where outliers leave the curvature indefinite.
    Infinite on the diagonal (zero elsewhere) where the alignment failed or nothing can be inverted;
    never raises, never waits for the device.
    """
    count = alignment.num_valid.double()
    products = alignment.gradient_products.double()
    meat = products * (scale * count / (count - 6).clamp_min(1))[:, None, None]
    breads = [alignment.curvature.double(), alignment.hessian.double()]
    if with_prior and alignment.prior_information is not None:
        information = alignment.prior_information.double()
        breads = [bread + information for bread in breads]
        meat = meat + alignment.feature_sigma**2 * information
    sharp, sharp_usable = _sandwich(breads[0], meat)
    blunt, blunt_usable = _sandwich(breads[1], meat)
    covariance = torch.where(sharp_usable[:, None, None], sharp, blunt)
    usable = (sharp_usable | blunt_usable) & ~alignment.failed
    unknown = torch.diag_embed(torch.full_like(covariance[..., 0], torch.inf))
    return torch.where(usable[:, None, None], covariance, unknown).to(alignment.hessian.dtype)


def _sandwich(bread: Tensor, meat: Tensor) -> tuple[Tensor, Tensor]:
    """bread^-1 meat bread^-1 (B, 6, 6) and where that could be computed (B)."""
    finite = _all_finite(bread) & _all_finite(meat)
    identity = torch.eye(bread.shape[-1], dtype=bread.dtype, device=bread.device)
    factor, info = torch.linalg.cholesky_ex(torch.where(finite[:, None, None], bread, identity))
    half = torch.cholesky_solve(meat, factor)
    covariance = torch.cholesky_solve(half.mT, factor)
    covariance = (covariance + covariance.mT) / 2
    return covariance, finite & (info == 0) & _all_finite(covariance)


def _all_finite(matrices: Tensor) -> Tensor:
    return torch.isfinite(matrices).all(-1).all(-1)


def body_jacobian(T_map_rig: np.ndarray, T_base_rig: np.ndarray) -> np.ndarray:
    """d(error of T_map_base in ROS order) / d(tangent error of T_rig_map), (6, 6).

    With R = R_map_rig and b the origin of the base in the rig frame: R_rig_map' = exp(w) R_rig_map
    gives R_map_rig' = exp(-R w) R_map_rig, a rotation by -R w about the axes of the map. The
    position p of the base in the map solves R_rig_map p + t_rig_map = b, and after the increment
    exp(w) (R_rig_map p' + t_rig_map) + dt = b, so that to first order
    p' - p = R (-dt - w x b) = R (-dt + b x w):

        J = [[-R, R hat(b)], [0, -R]]
    """
    R = T_map_rig[:3, :3]
    b = -T_base_rig[:3, :3].T @ T_base_rig[:3, 3]
    J = np.zeros((6, 6))
    J[:3, :3] = J[3:, 3:] = -R
    J[:3, 3:] = R @ transforms.hat(b)
    return J


def body_covariance(
    covariance: np.ndarray, T_map_rig: np.ndarray, T_base_rig: np.ndarray
) -> np.ndarray:
    """Covariance (6, 6) of T_map_base in ROS order from that of T_rig_map in its tangent.

    One that is not finite becomes infinite on the diagonal.
    """
    if not np.isfinite(covariance).all():
        return np.diag(np.full(6, np.inf))
    J = body_jacobian(T_map_rig, T_base_rig)
    return J @ covariance @ J.T


def tangent_information(
    covariance: np.ndarray, T_map_rig: np.ndarray, T_base_rig: np.ndarray
) -> np.ndarray:
    """Information (6, 6) of T_rig_map in its tangent, as `PosePrior` takes it, from the covariance
    of T_map_base in ROS order. Raises numpy.linalg.LinAlgError for a singular covariance."""
    J = body_jacobian(T_map_rig, T_base_rig)
    return J.T @ np.linalg.solve(covariance, J)

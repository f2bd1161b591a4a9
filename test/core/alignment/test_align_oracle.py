"""The whole refinement against the reference run on synthetic maps."""

import dataclasses

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig, Problem, QueryLevel, ReferenceLevel, align
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose

OFFICIAL = AlignerConfig(
    iterations=(15, 15, 15), pad=2, translation_tolerance=0, rotation_tolerance=0
)
STRIDES = (1, 4, 16)


def pose12(vector):
    vector = torch.as_tensor(vector)
    return Pose(vector[..., :9].unflatten(-1, (3, 3)), vector[..., 9:])


def flat12(pose):
    return torch.cat((pose.R.flatten(-2), pose.t), -1)


class Synthetic:
    """The oracle's problem as `align` takes it."""

    def __init__(self, arrays, dtype=torch.float32):
        self.arrays = arrays
        self.dtype = dtype
        self.points = self.tensor("points3D")[None, None]
        self.mask = torch.ones(1, 1, 256, dtype=torch.bool)
        self.camera = Camera.pinhole(*self.arrays["camera_query"].tolist(), dtype=dtype)[None, None]
        self.T_cam_rig = Pose.identity((1, 1), dtype=dtype)
        self.damping = torch.stack([self.tensor(f"L{level}/lambda") for level in range(3)])
        self.query = [
            QueryLevel(
                self.tensor(f"L{level}/F_query_raw")[None, None],
                self.tensor(f"L{level}/C_query")[None, None],
                stride,
            )
            for level, stride in enumerate(STRIDES)
        ]
        self.reference = [
            ReferenceLevel(
                self.tensor(f"L{level}/F_ref_points_normalized")[None, None],
                self.tensor(f"L{level}/C_ref_points")[None, None, :, 0]
                * self.tensor(f"L{level}/ref_mask"),
            )
            for level in range(3)
        ]

    def tensor(self, name, dtype=None):
        return torch.from_numpy(self.arrays[name]).to(dtype or self.dtype)

    def run_level(self, level, iterations, T_init, **changes):
        config = dataclasses.replace(OFFICIAL, iterations=(iterations,), **changes)
        return align(
            T_init,
            Problem(
                self.points,
                self.mask,
                self.reference[level : level + 1],
                self.query[level : level + 1],
                self.camera,
                self.T_cam_rig,
                self.damping[level : level + 1],
            ),
            config,
        )


@pytest.fixture(scope="module")
def synthetic(oracle):
    return Synthetic(oracle("optim_synthetic_pinhole"))


@pytest.mark.parametrize("level", [2, 1, 0])
def test_first_normal_equations(synthetic, level):
    arrays = synthetic.arrays
    residuals = LevelResiduals.prepare(
        synthetic.points,
        synthetic.mask,
        synthetic.reference[level],
        synthetic.query[level],
        synthetic.camera,
        synthetic.T_cam_rig,
        OFFICIAL,
    )
    evaluation = residuals.evaluate(pose12(arrays[f"L{level}/T_init"])[None])
    valid = arrays[f"L{level}/valid_iters"][0]
    np.testing.assert_array_equal(evaluation.valid[0, 0], valid)
    weights = arrays[f"L{level}/weights_iter0"]
    np.testing.assert_allclose(
        evaluation.weight[0, 0][valid], weights[valid], rtol=1e-3, atol=1e-4 * weights.max()
    )
    res, J = (arrays[f"L{level}/{name}_iter0"][valid] for name in ("res", "J"))
    np.testing.assert_allclose(evaluation.squared[0, 0][valid], (res**2).sum(-1), rtol=1e-3)
    # g and H of the points, through J^T J and J^T r which is all that is ever formed
    gram, J_pixel = evaluation.gram[0, 0][valid].double(), evaluation.J_pixel[0, 0][valid].double()
    JtJ = J_pixel.mT @ gram[:, 1:, 1:] @ J_pixel
    expected = np.einsum("nci,ncj->nij", J, J)
    np.testing.assert_allclose(JtJ, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    Jtr = (J_pixel.mT @ gram[:, 1:, :1])[..., 0]
    expected = np.einsum("nci,nc->ni", J, res)
    np.testing.assert_allclose(Jtr, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    H, g = evaluation.normal_equations()
    for ours, name in ((H, "H"), (g, "g")):
        expected = arrays[f"L{level}/{name}_iter0"]
        np.testing.assert_allclose(ours[0], expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("level", [2, 1, 0])
def test_pose_after_every_iteration(synthetic, level):
    T_init = pose12(synthetic.arrays[f"L{level}/T_init"])[None]
    for iteration, expected in enumerate(synthetic.arrays[f"L{level}/T_iters"]):
        result = synthetic.run_level(level, iteration + 1, T_init)
        assert not result.failed.any() and not result.converged.any()
        np.testing.assert_allclose(flat12(result.T_rig_map)[0], expected, rtol=0, atol=5e-5)


def test_pose_after_every_iteration_in_double_precision(oracle):
    synthetic = Synthetic(oracle("optim_synthetic_pinhole"), torch.float64)
    T = pose12(synthetic.tensor("L2/T_init"))[None]
    for level in (2, 1, 0):
        start = T
        for iteration, expected in enumerate(synthetic.arrays[f"L{level}/T_iters_fp64"]):
            T = synthetic.run_level(level, iteration + 1, start).T_rig_map
            np.testing.assert_allclose(flat12(T)[0], expected, rtol=0, atol=2e-6)


def test_coarse_to_fine(synthetic):
    result = align(
        pose12(synthetic.arrays["L2/T_init"])[None],
        Problem(
            synthetic.points,
            synthetic.mask,
            synthetic.reference,
            synthetic.query,
            synthetic.camera,
            synthetic.T_cam_rig,
            synthetic.damping,
        ),
        OFFICIAL,
    )
    for level in range(3):
        np.testing.assert_allclose(
            flat12(result.levels[level])[0],
            synthetic.arrays[f"L{level}/T_iters"][-1],
            rtol=0,
            atol=5e-5,
        )
    error = result.T_rig_map[0] @ pose12(synthetic.arrays["T_gt"]).inv()
    angle, distance = error.magnitude()
    assert angle < np.deg2rad(0.07) and distance < 0.006

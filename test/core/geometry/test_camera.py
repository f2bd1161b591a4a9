"""Projection: reference values, derivatives, resizing, an independent check against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from pixloc_ros.core.geometry import Camera, Pose

F64 = torch.float64
SIZE, FOCAL, CENTRE = (640, 480), (500.0, 510.0), (321.0, 236.5)
MODELS = {
    "pinhole": (),
    "radtan": (-0.2, 0.05, 0.001, -0.002),
    "rational": (0.3, -0.1, 0.001, -0.002, 0.02, 0.5, -0.05, 0.01),
    "prism": (
        *(0.3, -0.1, 0.001, -0.002, 0.02, 0.5, -0.05, 0.01),
        *(0.003, -0.001, -0.002, 0.0015, 0.04, -0.03),
    ),
    "equidistant": (0.02, -0.01, 0.004, -0.001),
}
NAMES = [
    "pinhole",
    "radial2",
    "radial2_neg",
    "opencv_cmu_c0",
    "fold_k1neg_k2pos",
    "fold_k1pos_k2pos",
    "fold_k1pos_k2neg",
    "simple_radial_k1neg",
    "opencv_big_tangential",
]


def make(model: str, dtype=F64) -> Camera:
    return Camera.build(model, SIZE, FOCAL, CENTRE, MODELS[model], dtype)


def from_vector(v) -> Camera:
    """A camera of the reference: w, h, fx, fy, cx, cy, then nothing, k1 k2, or k1 k2 p1 p2.

    The reference values were computed from these numbers rounded to float32.
    """
    v = v.astype(np.float32).astype(np.float64)
    k = [*v[6:], 0.0, 0.0][:4] if len(v) > 6 else ()
    return Camera.build("radtan" if k else "pinhole", v[:2], v[2:4], v[4:6], k, F64)


def to_vector(camera: Camera, length: int) -> torch.Tensor:
    return torch.cat([camera.size, camera.f, camera.c, camera.distortion])[:length]


def close(a, b, atol=1e-9, rtol=0.0):
    torch.testing.assert_close(a, torch.as_tensor(b), rtol=rtol, atol=atol)


def points_in_front(n=200, seed=0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform([-2, -1.5, 2], [2, 1.5, 6], size=(n, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_reference_values(oracle, name):
    g = {
        k.split("/", 2)[2]: v for k, v in oracle("geometry").items() if k.startswith(f"cam/{name}/")
    }
    reference = oracle("geometry")
    points = torch.as_tensor(reference["p3D"])
    camera = from_vector(g["params"])
    p2d, valid, J = camera.project_with_jacobian(points)
    # past the true fold our pixels are drawn onto its circle: compare where the model is meant
    radius2 = (torch.as_tensor(g["normalized"]) ** 2).sum(-1)
    meant = (points[:, 2] > 1e-3) & (radius2 < camera.max_radius2)
    close(p2d[meant], g["p2D"][meant], rtol=1e-9)
    close(J[meant], g["J_world2image"][meant], rtol=1e-9)
    size = camera.size - 1
    inside = ((torch.as_tensor(g["p2D"]) >= 0) & (torch.as_tensor(g["p2D"]) <= size)).all(-1)
    assert torch.equal(valid, meant & inside)
    if not name.startswith(("fold_k1neg", "simple_radial_k1neg")):
        assert torch.equal(valid, torch.as_tensor(g["valid"]))


@pytest.mark.parametrize("name", NAMES)
def test_reference_derivative_by_the_pose(oracle, name):
    g = oracle("geometry")
    points = torch.as_tensor(g["pose/T_p3D"])
    camera = from_vector(g[f"cam/{name}/params"])
    _, _, J = camera.project_with_jacobian(points)
    xy = points[:, :2] / points[:, 2:].clamp(min=1e-3)
    meant = (points[:, 2] > 1e-3) & ((xy**2).sum(-1) < camera.max_radius2)
    expected = torch.as_tensor(g[f"cam/{name}/J_pixel_wrt_pose_delta_at_T"])
    close((J @ Pose.J_transform(points))[meant], expected[meant], rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_reference_resizing_and_cropping(oracle, name):
    g = oracle("geometry")
    v = g[f"cam/{name}/params"]
    camera, n = from_vector(v), len(v)
    close(to_vector(camera.scale(0.25), n), g[f"cam/{name}/params_scaled_0.25"])
    close(to_vector(camera.scale(0.5, 0.25), n), g[f"cam/{name}/params_scaled_0.5_0.25"])
    cropped = camera.crop((10, 20), (100, 50))
    close(to_vector(cropped, n), g[f"cam/{name}/params_crop_lt_10_20_size_100_50"])


@pytest.mark.parametrize(
    "model", ["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]
)
def test_reference_colmap_models(oracle, model):
    g = oracle("geometry")
    expected = g[f"colmap/{model}/official_vector"]
    camera = Camera.from_colmap(model, 640, 480, g[f"colmap/{model}/params"], dtype=F64)
    close(to_vector(camera, len(expected)), expected)


@pytest.mark.parametrize("model", MODELS)
def test_jacobian_equals_automatic_differentiation(model):
    camera = make(model)
    edge = torch.tensor([[0, 0, 1.0], [1e-5, 0, 1], [0.0049, 0, 1], [0.0051, 0, 1], [0, 1e-9, 2]])
    points = torch.cat([points_in_front(40), edge.to(F64)])
    expected = torch.autograd.functional.jacobian(lambda p: camera.project(p)[0].sum(0), points)
    close(camera.project_with_jacobian(points)[2], expected.permute(1, 0, 2), rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_projection_and_jacobian_are_differentiable_in_points_and_intrinsics(model):
    camera = make(model)
    points = torch.cat([points_in_front(3), torch.tensor([[0, 0, 1.0]], dtype=F64)])

    def project(p, f, c, k):
        moving = Camera(camera.model, camera.size, f, c, k, camera.max_radius2)
        p2d, _, J = moving.project_with_jacobian(p)
        return p2d, J

    inputs = (points, camera.f, camera.c, camera.distortion)
    inputs = tuple(x.clone().requires_grad_(x.numel() > 0) for x in inputs)
    assert torch.autograd.gradcheck(project, inputs, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_equals_opencv(model):
    camera, points = make(model), points_in_front()
    K = np.array([[FOCAL[0], 0, CENTRE[0]], [0, FOCAL[1], CENTRE[1]], [0, 0, 1]])
    zero, k = np.zeros(3), np.array(MODELS[model])
    if model == "equidistant":
        expected, J = cv2.fisheye.projectPoints(points.numpy()[None], zero, zero, K, k)
        J = J.reshape(-1, 2, J.shape[-1])[..., 11:14]
    else:
        expected, J = cv2.projectPoints(points.numpy(), zero, zero, K, k)
        J = J.reshape(-1, 2, J.shape[-1])[..., 3:6]
    p2d, _, ours = camera.project_with_jacobian(points)
    close(p2d, expected.reshape(-1, 2))
    close(ours, J, 1e-7)  # the derivative by the translation is that by the point


@pytest.mark.parametrize("model", MODELS)
def test_float32_is_close_to_float64(model):
    points = points_in_front()
    p64, _, J64 = make(model).project_with_jacobian(points)
    p32, _, J32 = make(model, torch.float32).project_with_jacobian(points.float())
    close(p32.double(), p64, 2e-3)
    close(J32.double(), J64, 2e-3, 1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_hopeless_points_are_invalid_and_finite(model):
    camera = make(model, torch.float32)
    points = torch.tensor([[1e6, -1e6, -5], [0, 0, 0], [1e5, 1e5, 1e-3], [0, 0, 1e-3], [3e4, 0, 2]])
    points.requires_grad_()
    p2d, valid, J = camera.project_with_jacobian(points)
    assert not valid.any()
    assert p2d.isfinite().all() and J.isfinite().all()
    (p2d.sum() + J.sum()).backward()
    assert points.grad.isfinite().all()


def test_the_image_border_is_inclusive():
    camera = Camera.pinhole(5, 4, 1, 1, 0, 0)
    points = torch.tensor([[0, 0, 1.0], [4, 3, 1], [4.01, 3, 1], [4, 3.01, 1], [-0.01, 0, 1]])
    assert camera.project(points)[1].tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("model", MODELS)
def test_batches_broadcast_against_points(model):
    camera = make(model)
    cameras = Camera.stack([camera, camera.scale(0.5), camera.crop((5, 6), (90, 80))])
    points = torch.stack([points_in_front(11, seed) for seed in range(6)]).reshape(2, 3, 11, 3)
    p2d, valid, J = cameras.project_with_jacobian(points)  # cameras (3), points (2, 3, 11, 3)
    assert p2d.shape == (2, 3, 11, 2) and valid.shape == (2, 3, 11) and J.shape == (2, 3, 11, 2, 3)
    for k in range(3):
        one = cameras[k].project_with_jacobian(points[1, k])
        for a, b in zip(one, (p2d[1, k], valid[1, k], J[1, k])):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert cameras.rays(p2d).shape == (2, 3, 11, 3)
    assert cameras.expand(2, 3).shape == (2, 3) and cameras[None].shape == (1, 3)


def test_resizing_keeps_pixels_on_the_same_image_point():
    camera, points = make("radtan"), points_in_front()
    p, _ = camera.project(points)
    half, _ = camera.scale(0.5).project(points)
    close(half, (p + 0.5) * 0.5 - 0.5)
    cropped, _ = camera.crop((10, 20), (100, 50)).project(points)
    close(cropped, p - torch.tensor([10.0, 20.0], dtype=F64))


@pytest.mark.parametrize("model", MODELS)
def test_nothing_waits_for_the_device(model):
    """Meta tensors have no values: code that read one on the host would fail."""
    camera = make(model).to("meta")[None, None]
    points = torch.empty(4, 1, 10, 3, device="meta", dtype=F64)
    p2d, valid, J = camera.scale(0.5).project_with_jacobian(points)
    assert J.shape == (4, 1, 10, 2, 3) and valid.dtype == torch.bool
    assert camera.rays(p2d).shape == (4, 1, 10, 3)

"""What holds for any alignment: convergence, batching, failures, no waiting, gradients."""

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pixloc_ros.core.alignment import AlignerConfig, PosePrior
from pixloc_ros.core.alignment.residuals import LevelResiduals
from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.geometry.pose import Pose

CONFIG = AlignerConfig(iterations=(15, 15))
ENDLESS = AlignerConfig(
    iterations=(6, 6), translation_tolerance=0, rotation_tolerance=0, early_exit=False
)


def error(estimate, truth):
    angle, distance = (estimate @ truth.inv()).magnitude()
    return angle.max().item(), distance.max().item()


def stack(*poses):
    return Pose(torch.cat([p.R for p in poses]), torch.cat([p.t for p in poses]))


@pytest.mark.parametrize("cameras", [1, 3])
def test_finds_the_true_pose(make_scene, offsets, cameras):
    scene = make_scene(cameras)
    result = scene.align(scene.T_rig_map.expand(4).retract(offsets))
    angle, distance = error(result.T_rig_map, scene.T_rig_map)
    assert angle < 1e-3 and distance < 0.01
    assert result.converged.all() and not result.failed.any()
    assert (result.num_valid > 250 * cameras).all()
    assert (result.cost < 1e-4).all()
    assert result.residuals.shape == result.weights.shape == result.valid.shape == (4, cameras, 300)


def test_pixel_jacobian_of_a_rig(make_scene):
    scene = make_scene(2, points=20, dtype=torch.float64)
    residuals = LevelResiduals.prepare(
        scene.points,
        scene.mask,
        scene.reference[0],
        scene.query[0],
        scene.cameras,
        scene.T_cam_rig,
        CONFIG,
    )

    def project(delta):
        p_rig = scene.T_rig_map.retract(delta)[:, None].transform(scene.points)
        camera = scene.cameras.scale(1 / scene.query[0].stride)
        return camera.project(scene.T_cam_rig.transform(p_rig))[0]

    numeric = torch.autograd.functional.jacobian(project, torch.zeros(1, 6, dtype=torch.float64))
    J = residuals.evaluate(scene.T_rig_map).J_pixel
    torch.testing.assert_close(J, numeric[..., 0, :], rtol=1e-9, atol=1e-9)


def test_cameras_of_a_rig_add_up(make_scene, offsets):
    scene = make_scene(2)
    T = scene.T_rig_map.retract(offsets[:1])
    both = scene.align(T, ENDLESS)
    single = [
        scene.align(
            both.T_rig_map,
            dataclasses.replace(ENDLESS, iterations=(0, 0)),
            points=scene.points[:, k : k + 1],
            mask=scene.mask[:, k : k + 1],
            reference=[type(r)(*(part[:, k : k + 1] for part in r)) for r in scene.reference],
            query=[
                q._replace(features=q.features[:, k : k + 1], confidence=q.confidence[:, k : k + 1])
                for q in scene.query
            ],
            cameras=scene.cameras[:, k : k + 1],
            T_cam_rig=scene.T_cam_rig[:, k : k + 1],
        )
        for k in range(2)
    ]
    for name in ("hessian", "score", "num_valid"):
        torch.testing.assert_close(
            getattr(both, name), sum(getattr(s, name) for s in single), rtol=1e-4, atol=1e-3
        )


def test_hypotheses_do_not_see_each_other(make_scene, offsets):
    scene = make_scene(2)
    starts = scene.T_rig_map.expand(4).retract(offsets)
    together = scene.align(starts, CONFIG)
    as_samples = scene.align(
        starts,
        CONFIG,
        points=scene.points.expand(4, -1, -1, -1),
        mask=scene.mask.expand(4, -1, -1),
        reference=[
            type(r)(r.features.expand(4, -1, -1, -1), r.confidence.expand(4, -1, -1))
            for r in scene.reference
        ],
        query=[
            q._replace(
                features=q.features.expand(4, -1, -1, -1, -1),
                confidence=q.confidence.expand(4, -1, -1, -1, -1),
            )
            for q in scene.query
        ],
        cameras=scene.cameras.expand(4, 2),
        T_cam_rig=scene.T_cam_rig.expand(4, 2),
    )
    for b in range(4):
        alone = scene.align(starts[b : b + 1], CONFIG)
        for result in (together[b : b + 1], as_samples[b : b + 1]):
            torch.testing.assert_close(
                result.T_rig_map.matrix(), alone.T_rig_map.matrix(), atol=2e-5, rtol=0
            )
            assert torch.equal(result.valid, alone.valid)
            torch.testing.assert_close(result.cost, alone.cost, atol=1e-6, rtol=1e-2)


def test_poses_without_enough_points_fail_alone_and_stay(make_scene, offsets):
    scene = make_scene()
    behind = scene.T_rig_map.retract(torch.tensor([[0.0, 0, 0, 0, 3.0, 0]]))
    starts = stack(scene.T_rig_map.retract(offsets[:1]), behind)
    result = scene.align(starts, CONFIG)
    assert result.failed.tolist() == [False, True]
    assert torch.equal(result.T_rig_map.R[1], behind.R[0])
    assert error(result.T_rig_map[:1], scene.T_rig_map)[1] < 0.01
    assert result.num_valid[1] == 0 and torch.isnan(result.cost[1])


def test_few_points_fail(make_scene):
    scene = make_scene()
    mask = scene.mask.clone()
    mask[..., 9:] = False
    assert scene.align(scene.T_rig_map, mask=mask).failed.all()
    assert not scene.align(
        scene.T_rig_map, dataclasses.replace(CONFIG, min_points=5), mask=mask
    ).failed.any()


def test_numbers_never_raise(make_scene):
    scene = make_scene()
    broken = [q._replace(features=q.features * float("inf")) for q in scene.query]
    result = scene.align(scene.T_rig_map, query=broken)
    assert result.failed.all()
    assert torch.equal(result.T_rig_map.matrix(), scene.T_rig_map.matrix())
    dull = [q._replace(features=torch.ones_like(q.features)) for q in scene.query]
    result = scene.align(scene.T_rig_map, query=dull)  # no gradient anywhere: nothing to solve for
    assert torch.isfinite(result.T_rig_map.matrix()).all()


def test_masked_points_may_hold_anything(make_scene, offsets):
    scene = make_scene()
    start = scene.T_rig_map.retract(offsets[:1])
    mask = scene.mask.clone()
    mask[..., ::3] = False
    points = scene.points.masked_fill(~mask[..., None], float("nan"))
    result = scene.align(start, points=points, mask=mask)
    expected = scene.align(start, mask=mask)
    assert torch.equal(result.T_rig_map.matrix(), expected.T_rig_map.matrix())
    assert not result.valid[..., ::3].any() and torch.isfinite(result.hessian).all()


def test_points_without_a_reference_feature_do_not_count_on_that_level(make_scene, offsets):
    scene = make_scene()
    confidence = scene.reference[1].confidence.clone()
    confidence[..., 5:] = 0  # too few on the coarse level only
    reference = [scene.reference[0], scene.reference[1]._replace(confidence=confidence)]
    start = scene.T_rig_map.retract(offsets[:1] / 10)
    result = scene.align(start, reference=reference)
    assert torch.equal(result.levels[1].matrix(), start.matrix())
    assert error(result.T_rig_map, scene.T_rig_map)[1] < 0.01
    assert result.failed.all()  # one level without support is enough to say so


def test_leaving_early_changes_nothing(make_scene, offsets):
    scene = make_scene()
    starts = scene.T_rig_map.expand(4).retract(offsets)
    early = scene.align(starts, CONFIG)
    late = scene.align(starts, dataclasses.replace(CONFIG, early_exit=False))
    assert torch.equal(early.T_rig_map.matrix(), late.T_rig_map.matrix())
    assert torch.equal(early.converged, late.converged)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features(make_scene, offsets, dtype):
    scene = make_scene()
    query = [
        q._replace(features=q.features.to(dtype), confidence=q.confidence.to(dtype))
        for q in scene.query
    ]
    reference = [type(r)(*(part.to(dtype) for part in r)) for r in scene.reference]
    result = scene.align(scene.T_rig_map.retract(offsets[:1]), query=query, reference=reference)
    assert result.hessian.dtype == torch.float32
    assert error(result.T_rig_map, scene.T_rig_map)[1] < 0.02


class NoReading(TorchDispatchMode):
    """Fails on operations whose result the host has to wait for."""

    FORBIDDEN = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in self.FORBIDDEN, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


def with_prior(scene):
    return PosePrior(scene.T_rig_map, torch.eye(6)[None])


def test_the_loop_reads_nothing_back(make_scene, offsets):
    scene = make_scene()
    starts = scene.T_rig_map.expand(4).retract(offsets)
    with NoReading():
        scene.align(starts, ENDLESS, with_prior(scene))
    with pytest.raises(AssertionError, match="waits for the device"), NoReading():
        scene.align(starts, CONFIG)  # the early exit on the CPU does look


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_no_synchronisation_on_a_gpu(make_scene, offsets):
    scene = make_scene()
    on_gpu = dict(
        points=scene.points.cuda(),
        mask=scene.mask.cuda(),
        cameras=scene.cameras.to("cuda"),
        T_cam_rig=scene.T_cam_rig.to("cuda"),
        damping=scene.damping.cuda(),
        reference=[type(r)(*(part.cuda() for part in r)) for r in scene.reference],
        query=[
            q._replace(features=q.features.cuda(), confidence=q.confidence.cuda())
            for q in scene.query
        ],
    )
    starts = scene.T_rig_map.expand(4).retract(offsets).to("cuda")
    prior = PosePrior(scene.T_rig_map.to("cuda"), torch.eye(6, device="cuda")[None])
    scene.align(starts, CONFIG, prior, **on_gpu)  # constants and library handles, once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = scene.align(starts, CONFIG, prior, **on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert error(result.T_rig_map, scene.T_rig_map.to("cuda"))[1] < 0.01


def test_gradients_reach_features_confidences_and_damping(make_scene, offsets):
    scene = make_scene(dtype=torch.float64)
    leaves = [scene.damping.requires_grad_()]
    for levels in (scene.query, scene.reference):
        for level in levels:
            leaves += [level.features.requires_grad_(), level.confidence.requires_grad_()]
    start = scene.T_rig_map.retract(offsets[:1].double())
    result = scene.align(start, ENDLESS)
    gradients = torch.autograd.grad(result.levels[0].t.sum(), leaves, allow_unused=True)
    finest = [gradients[i] for i in (0, 1, 2, 5, 6)]
    assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in finest)
    # Every level is a problem of its own: nothing flows into the coarser one.
    assert all(gradients[i] is None for i in (3, 4, 7, 8)) and (finest[0][1] == 0).all()
    assert not result.hessian.requires_grad and not result.cost.requires_grad


def test_gradient_through_the_steps_is_the_derivative(make_scene, offsets):
    scene = make_scene(points=40, channels=3, dtype=torch.float64)
    start = scene.T_rig_map.retract(offsets[:1].double())
    config = dataclasses.replace(ENDLESS, iterations=(0, 3))
    features = scene.reference[1].features

    def run(damping, part):
        changed = torch.cat((part, features[..., 1:]), -1)
        reference = [scene.reference[0], scene.reference[1]._replace(features=changed)]
        return scene.align(start, config, reference=reference, damping=damping).levels[1].matrix()

    inputs = (scene.damping.requires_grad_(), features[..., :1].clone().requires_grad_())
    assert torch.autograd.gradcheck(run, inputs, eps=1e-7, atol=1e-5, fast_mode=True)


def test_levels_must_agree(make_scene):
    scene = make_scene()
    with pytest.raises(ValueError, match="one entry per level.*3 iteration counts"):
        scene.align(scene.T_rig_map, AlignerConfig(iterations=(1, 1, 1)))


def test_configuration():
    config = from_dict(AlignerConfig, {"iterations": [5, 10], "pad": 3})
    assert config.iterations == (5, 10) and from_dict(AlignerConfig, to_dict(config)) == config
    for wrong in (
        {"iterations": []},
        {"iterations": [-1]},
        {"robust_scale": 0.0},
        {"feature_sigma": -1.0},
        {"no_such": 1},
    ):
        with pytest.raises(ConfigError):
            from_dict(AlignerConfig, wrong)


@pytest.mark.parametrize("prior", [False, True])
def test_recorded_steps_are_the_same_steps(make_scene, offsets, prior):
    """Without gradients the CPU replays recordings, made with scenes of other sizes."""
    for cameras, starts, points in ((1, 1, 40), (1, 4, 300), (2, 4, 77)):
        scene = make_scene(cameras, points=points)
        T = scene.T_rig_map.expand(starts).retract(offsets[:starts])
        belief = with_prior(scene) if prior else None
        eager = scene.align(T, CONFIG, belief)
        with torch.no_grad():
            recorded = scene.align(T, CONFIG, belief)
        for field in dataclasses.fields(eager):
            a, b = getattr(recorded, field.name), getattr(eager, field.name)
            if isinstance(a, torch.Tensor):
                torch.testing.assert_close(a, b, atol=0, rtol=0, msg=field.name)
        torch.testing.assert_close(
            recorded.T_rig_map.matrix(), eager.T_rig_map.matrix(), atol=0, rtol=0
        )

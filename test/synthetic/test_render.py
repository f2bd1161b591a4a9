"""The renderer against closed-form answers, and its images against its own depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.synthetic.faces import FaceList, Skin
from pixloc_ros.synthetic.lamps import lamp_light
from pixloc_ros.synthetic.lighting import Lighting
from pixloc_ros.synthetic.raster import FaceSet, rasterise
from pixloc_ros.synthetic.render import pixel_rays, render
from pixloc_ros.synthetic.sensor import Sensor
from pixloc_ros.synthetic.world import StreetWorld, WorldOptions

CAMERA = Camera.pinhole(240, 160, 170.0, 170.0, 119.5, 79.5)
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def _face_set(faces: FaceList) -> FaceSet:
    arrays = faces.arrays(np.array([[16, 16]]))
    names = ("center", "half_u", "half_v", "taper", "mask", "two_sided")
    return FaceSet(*(torch.from_numpy(arrays[n]) for n in names), masks=torch.zeros(1, 1, 4, 4))


def _look(faces: FaceList, camera: Camera, T_map_cam: np.ndarray):
    T = torch.from_numpy(T_map_cam)
    rays = pixel_rays(camera)
    return rays, rasterise(_face_set(faces), rays, T[:3, :3].T, -T[:3, :3].T @ T[:3, 3], 0.005)


def _pose(x: float, y: float, z: float, yaw: float, pitch: float = 0.0) -> np.ndarray:
    T = (
        transforms.exp(np.array([0, 0, 0, 0, 0, yaw]))
        @ transforms.exp(np.array([0, 0, 0, 0, pitch, 0]))
        @ OPTICAL
    )
    T[:3, 3] = x, y, z
    return T


@pytest.fixture(scope="module")
def world() -> StreetWorld:
    return StreetWorld(3, WorldOptions(length=30.0, density=24.0, shadow_resolution=0.15))


def test_depth_of_a_ground_plane_is_exact():
    faces = FaceList()
    faces.add([0, 0, 0], [0, -300, 0], [300, 0, 0], Skin(0))
    T = _pose(1.0, 2.0, 1.6, 0.3, 0.1)
    rays, visible = _look(faces, CAMERA, T)
    slope = rays.double() @ torch.from_numpy(T[:3, :3].T[:, 2])
    expected = torch.where(slope < 0, -1.6 / slope, torch.inf)
    inside = expected < 200
    assert torch.equal(
        visible.face[expected < 290] == 0, torch.ones(int((expected < 290).sum()), dtype=torch.bool)
    )
    assert (visible.face[slope > 0] == -1).all()
    torch.testing.assert_close(
        1 / visible.inverse_depth[inside].double(), expected[inside], rtol=2e-5, atol=0
    )


@pytest.mark.parametrize("yaw", [0.0, 0.4, -0.9])
def test_depth_of_a_turned_box_agrees_with_slabs(yaw):
    half, center = np.array([0.8, 0.5, 0.6]), np.array([4.0, 0.2, 1.4])
    faces = FaceList()
    faces.add_box(center, half, yaw, Skin(0), skip=())
    T = _pose(0, 0, 1.6, 0.05, 0.03)
    rays, visible = _look(faces, CAMERA, T)
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    d = rays.double().numpy() @ (turn @ T[:3, :3]).T
    o = turn @ (T[:3, 3] - center)
    near = (-np.sign(d) * half - o) / d
    far = (np.sign(d) * half - o) / d
    enter, leave = near.max(-1), far.min(-1)
    hit = enter < leave - 1e-3
    miss = enter > leave + 1e-3
    assert hit.sum() > 500
    assert (visible.face.numpy()[miss] == -1).all()
    np.testing.assert_allclose(1 / visible.inverse_depth.numpy()[hit], enter[hit], rtol=1e-5)


def test_faces_behind_and_through_the_camera_plane_do_no_harm():
    faces = FaceList()
    faces.add_box([-5, 0, 1], [1, 1, 1], 0.2, Skin(0), skip=())
    faces.add([0, 1.0, 1], [30, 0, 0], [0, 0, 5], Skin(0), two_sided=True)
    rays, visible = _look(faces, CAMERA, _pose(0, 0, 1.5, 0.0))
    seen = rays[..., 0] < -0.3
    assert set(visible.face[seen].unique().tolist()) == {6}
    np.testing.assert_allclose((rays[..., 0] / visible.inverse_depth)[seen], -1.0, rtol=1e-5)


def test_any_camera_model_sees_the_same_world(world):
    """A fisheye's depth along its own rays equals the pinhole's depth along the same rays."""
    fisheye = Camera.build(
        "equidistant", (240, 160), (120.0, 120.0), (119.5, 79.5), (0.02, -0.01, 0.0, 0.0)
    )
    T = _pose(*world.place(12, -1, 1.6), world.heading(12))
    image = render(world, fisheye, T, sensor=Sensor.ideal())
    wide = Camera.pinhole(960, 640, 340.0, 340.0, 479.5, 319.5)
    flat = render(world, wide, T, sensor=Sensor.ideal())
    pixels, valid = wide.project(pixel_rays(fisheye).view(-1, 3))
    grid = (pixels / (wide.size - 1) * 2 - 1).view(1, 160, 240, 2)
    inverse = F.grid_sample((1 / flat.depth)[None, None], grid, align_corners=True)[0, 0]
    colors = F.grid_sample(flat.image[None], grid, align_corners=True)[0]
    inside = valid.view(160, 240) & (grid[0].abs() < 1).all(-1)
    assert inside.float().mean() > 0.6
    error = (inverse - 1 / image.depth).abs()[inside]
    assert error.median() < 2e-5 and (error < 1e-3).float().mean() > 0.93
    assert (colors - image.image).abs().mean(0)[inside].median() < 0.02


def test_images_agree_with_depth_between_views(world):
    """Carried into another view by depth and poses, a picture matches what that view shows."""
    sensor, light = Sensor.ideal(), Lighting.preset("overcast")
    first = _pose(*world.place(10, -1.0, 1.6), world.heading(10))
    second = _pose(*world.place(10.6, -0.6, 1.65), world.heading(10) + 0.06, 0.02)
    a = render(world, CAMERA, first, light, sensor=sensor)
    b = render(world, CAMERA, second, light, sensor=sensor)
    seen = torch.isfinite(a.depth)
    points = pixel_rays(CAMERA)[seen] * a.depth[seen][:, None]
    T = transforms.inverse(second) @ first
    moved = points.double() @ torch.from_numpy(T[:3, :3].T) + torch.from_numpy(T[:3, 3])

    def error(shift: float) -> tuple[float, float]:
        pixels, valid = CAMERA.project(moved.float())
        pixels = pixels + shift
        grid = (pixels / (CAMERA.size - 1) * 2 - 1)[None, None]
        colors = F.grid_sample(b.image[None], grid, align_corners=True)[0, :, 0]
        inverse = F.grid_sample((1 / b.depth)[None, None], grid, align_corners=True)[0, 0, 0]
        same = (
            valid
            & (grid[0, 0].abs() < 1).all(-1)
            & ((inverse * moved[:, 2].float() - 1).abs() < 0.02)
        )
        assert same.float().mean() > 0.4
        difference = (colors - a.image[:, seen]).abs().mean(0)[same]
        return float(difference.median()), float(difference.mean())

    exact = error(0.0)
    assert exact[0] < 0.012 and exact[1] < 0.03
    assert exact[1] < min(error(0.25)[1], error(-0.25)[1])


def test_rendering_is_a_function_of_the_seeds(world):
    T = _pose(*world.place(8, 1, 1.5), world.heading(8))
    again = StreetWorld(3, world.options)
    images = [render(w, CAMERA, T, seed=s).image for w, s in ((world, 1), (again, 1), (world, 2))]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert (images[0] - images[2]).abs().max() < 0.2
    other = render(StreetWorld(4, world.options), CAMERA, T, seed=1).image
    assert (images[0] - other).abs().mean() > 0.05


def test_clutter_changes_vehicles_but_not_houses(world):
    T = _pose(*world.place(6, 0, 1.6), world.heading(6))
    one = render(world, CAMERA, T).depth
    other = render(world.with_clutter(9), CAMERA, T).depth
    same = one == other
    assert 0.4 < same.float().mean() < 0.999


def test_light_and_sensor_change_the_image_not_the_geometry(world):
    T = _pose(*world.place(9, -1, 1.6), world.heading(9))
    rng = np.random.default_rng(0)
    lights = [Lighting.preset(n) for n in ("noon", "evening", "overcast")]
    lights.append(Lighting.random(rng))
    views = [render(world, CAMERA, T, light, sensor=Sensor.random(rng)) for light in lights]
    for view in views:
        assert torch.equal(view.depth, views[0].depth)
        assert view.image.shape == (3, 160, 240) and view.image.dtype == torch.float32
        assert view.image.min() >= 0 and view.image.max() <= 1
        assert 0.12 < view.image.mean() < 0.85 and view.image.std() > 0.08
    assert (views[0].image - views[1].image).abs().mean() > 0.03
    with pytest.raises(KeyError):
        Lighting.preset("midnight")


def test_night_is_dark_but_where_lamps_and_headlights_reach(world):
    T = _pose(*world.place(9, -1, 1.6), world.heading(9))
    night = Lighting.preset("night")
    unlit = replace(night, lamp=(0, 0, 0), headlight=(0, 0, 0))
    driving, street = replace(unlit, headlight=night.headlight), replace(unlit, lamp=night.lamp)
    dark, ahead, lamps = (
        render(world, CAMERA, T, light, sensor=Sensor.ideal()) for light in (unlit, driving, street)
    )
    noon = render(world, CAMERA, T, Lighting(), sensor=Sensor.ideal())
    assert dark.image.mean() < 0.4 * noon.image.mean()
    assert torch.equal(ahead.depth, dark.depth) and torch.equal(lamps.depth, dark.depth)
    gain = (ahead.image - dark.image).mean(0)
    road = (dark.depth > 3) & (dark.depth < 12)
    far = torch.isfinite(dark.depth) & (dark.depth > 35)
    assert gain[road].mean() > 0.1 and gain[road].mean() > 1.5 * gain[far].mean()
    assert (lamps.image - dark.image).min() > -1e-5
    assert (lamps.image - dark.image).max() > 0.2


def test_a_lamp_lights_by_the_inverse_square_of_its_distance(world):
    """Level ground two and four metres below a street lamp."""
    scene = world.scene()
    normal = scene.normal[:, 2] > 0.999
    face = torch.nonzero(normal & (scene.faces.mask < 0)).view(-1)[:1]
    light = replace(Lighting.preset("night"), headlight=(0.0, 0.0, 0.0))
    lamp = scene.lamps[0]
    received = []
    for below in (2.0, 4.0):
        T = torch.eye(4, dtype=torch.float64)
        T[:3, 3] = lamp - torch.tensor([0.0, 0.0, below])
        received.append(
            lamp_light(replace(scene, lamps=lamp[None]), face, torch.zeros(3, 1), T, light)[:, 0]
        )
    torch.testing.assert_close(received[0], 4 * received[1])
    torch.testing.assert_close(received[0], torch.tensor(light.lamp) / 4)


def test_wet_ground_changes_the_ground_alone(world):
    T = _pose(*world.place(9, -1, 1.6), world.heading(9), 0.1)
    dry = Lighting.preset("overcast")
    a, b = (
        render(world, CAMERA, T, light, sensor=Sensor.ideal())
        for light in (dry, replace(dry, wet=1.0))
    )
    points = pixel_rays(CAMERA).double() * a.depth[..., None].clamp(max=1e4)
    height = points @ torch.from_numpy(T[2, :3]) + T[2, 3]
    changed = (a.image - b.image).abs().amax(0) > 0.02
    assert changed[height < 0.2].float().mean() > 0.4
    assert changed[height > 0.6].float().mean() < 0.02


def test_layout_options_are_followed():
    square = StreetWorld(
        3, WorldOptions(8.0, density=4.0, road_half=11.0, green=0.0, curvature=0.01)
    )
    assert square.road_half == 11.0 and square.green == 0.0
    assert square.heading(40.0) == pytest.approx(0.4, abs=0.1)


def test_the_houses_of_a_terrace_are_one_house():
    world = StreetWorld(
        3, WorldOptions(length=24.0, density=16.0, shadow_resolution=0.3, terrace=8.0)
    )

    def upper_floors(s: float) -> np.ndarray:
        """Gray, of the houses on the left, from the pavement in front of them."""
        T = _pose(*world.place(s, world.road_half, 4.0), world.heading(s) + np.pi / 2, -0.4)
        return render(world, CAMERA, T).to_uint8()[:80].mean(axis=2).ravel()

    here, next_door, between = upper_floors(8.0), upper_floors(16.0), upper_floors(12.0)
    alike, shifted = (float(np.corrcoef(here, there)[0, 1]) for there in (next_door, between))
    assert alike > 0.75 > 0.5 > shifted

"""A drive and a tracker small enough to know every answer beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.frame import Fix, Place, PointView
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.core.tracker import FrameResult, OdometryBuffer, Prediction, TrackState
from pixloc_ros.datasets.drive import T_BODY_OPTICAL, Drive, Odometry


def curve(frames: int = 20) -> Drive:
    """A gentle curve at 10 Hz with odometry at 50 Hz in its own frame."""
    stamps = 5_000_000_000 + np.arange(frames, dtype=np.int64) * 100_000_000
    odometry_stamps = np.arange(stamps[0] - 20_000_000, stamps[-1] + 60_000_000, 20_000_000)

    def pose(stamp):
        s = (stamp - stamps[0]) * 1e-9
        return transforms.exp(np.array([5 * s, 0.3 * s**2, 0.0, 0.0, 0.0, 0.12 * s]))

    truth = np.stack([pose(s) for s in stamps])
    T_odom_map = transforms.exp(np.array([3.0, -2.0, 0.0, 0.0, 0.0, 1.0]))
    odometry = np.stack([T_odom_map @ pose(s) for s in odometry_stamps])
    image = np.tile(np.linspace(40, 200, 320, dtype=np.uint8), (240, 1))
    return Drive(
        name="toy",
        names=tuple(map(str, range(frames))),
        stamps_ns=stamps,
        camera=Camera.pinhole(320, 240, 250.0, 250.0, 159.5, 119.5),
        T_base_cam=T_BODY_OPTICAL,
        load=lambda i: image,
        T_map_base=truth,
        odometry=Odometry(odometry_stamps, odometry),
    )


class NoisyTracker:
    """Answers with the truth plus Gaussian noise of a stated covariance, whatever the localizer
    (it plays that too) has found; keeps the calls it got."""

    def __init__(self, drive: Drive, sigma_m=0.02, sigma_rad=0.001, lose=()):
        self.odometry = OdometryBuffer()
        self.calls: list[tuple[str, int]] = []
        self._drive, self._lose = drive, set(lose)
        self._random = np.random.default_rng(1)
        self._sigma = np.array([sigma_m] * 3 + [sigma_rad] * 3)
        add = self.odometry.add
        self.odometry.add = lambda stamp, T: (self.calls.append(("odometry", stamp)), add(stamp, T))

    def warm_up(self, width, height):
        pass

    def reset(self):
        self.calls.append(("reset", 0))
        self.odometry.clear()

    def set_pose(self, stamp_ns, T_map_base, covariance=None):
        self.calls.append(("set_pose", stamp_ns))

    def predict(self, stamp_ns):
        self.calls.append(("process", stamp_ns))
        i = int(np.searchsorted(self._drive.stamps_ns, stamp_ns))
        return Prediction(stamp_ns, None, None, place=Place(self._drive.T_map_base[i], np.eye(6)))

    def look(self, image):
        return image

    def localize(self, features, frame, prior, covariance, with_views=False, with_cameras=False):
        i = int(np.searchsorted(self._drive.stamps_ns, frame.stamp_ns))
        noise = self._random.normal(size=6) * self._sigma
        T = prior[0].copy()
        T[:3, 3] += noise[:3]
        T[:3, :3] = transforms.exp(np.concatenate([np.zeros(3), noise[3:]]))[:3, :3] @ T[:3, :3]
        views = ()
        if with_views:
            pixels = self._random.uniform([-20, -20], [340, 260], (200, 2))
            pixels[0] = np.nan
            view = PointView(
                pixels,
                self._random.uniform(0, 1, 200),
                self._random.uniform(0, 1, 200),
                self._random.random(200) > 0.2,
            )
            views = (view,)
        return Fix(
            T,
            np.diag(self._sigma**2),
            np.diag(self._sigma**2),
            update=np.array([0.05, 0, 0, 0, 0, 0.002]),
            num_points=200,
            num_inliers=150,
            cost=0.03,
            views=views,
            timings_ms={"network": 30.0 + i, "align": 10.0, "total": 42.0 + i},
        )

    def update(self, prediction, fix, place=None):
        stamp_ns = prediction.stamp_ns
        if int(np.searchsorted(self._drive.stamps_ns, stamp_ns)) in self._lose:
            return FrameResult(stamp_ns, TrackState.LOST, reasons=("lost",), fix=fix)
        return FrameResult(
            stamp_ns, TrackState.TRACKING, True, fix.T_map_base, fix.covariance, np.eye(4), (), fix
        )


@pytest.fixture(scope="session")
def room_localizer(room_map) -> Localizer:
    """The shipped network in the map of the room."""
    network = load_checkpoint("small")
    return Localizer(network, FeatureMap.open(room_map, network.identity))


@pytest.fixture
def make_drive():
    return curve


@pytest.fixture
def noisy_tracker():
    """noisy_tracker(drive, ...): localizer and tracker, as `run_drive` takes them."""

    def make(*arguments, **settings):
        both = NoisyTracker(*arguments, **settings)
        return both, both

    return make

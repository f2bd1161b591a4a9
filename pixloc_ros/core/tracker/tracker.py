"""Frame-to-map tracking with PixLoc (Sarlin et al., CVPR 2021) on a pre-built feature map."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from pixloc_ros.core.alignment import Alignment, PosePrior, QueryLevel, ReferenceLevel
from pixloc_ros.core.covariance import body_covariance, tangent_covariance, tangent_information
from pixloc_ros.core.feature_map import FeatureMap, VisiblePoints
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.initializer import Problem, search
from pixloc_ros.core.network import Checkpoint, FeaturePyramid
from pixloc_ros.core.tracker.config import TrackerConfig
from pixloc_ros.core.tracker.frame import Frame, FrameResult, PointView, TrackState
from pixloc_ros.core.tracker.gates import judge
from pixloc_ros.core.tracker.motion import Anchor
from pixloc_ros.core.tracker.odometry import OdometryBuffer

# Given with a pose of unknown quality (m, rad): roughly what a person clicks in rviz.
DEFAULT_INITIAL_STD = np.array([0.5, 0.5, 0.2, 0.03, 0.03, 0.07])
# With and without a search, each more than once: torch optimises a recording at its second use.
WARM_UP_VARIANCES = (1.0, 1.0, 1e-4, 1e-4)


@dataclass(frozen=True)
class _Fix:
    """An aligned frame, before the gates: host-side numbers only."""

    T_map_base: np.ndarray
    covariance: np.ndarray
    failed: bool
    num_points: int
    num_inliers: int
    cost: float


class Tracker:
    """Keeps the pose of a robot in a map, one frame at a time.

    Not a bad frame, a missing map tile nor odometry that cannot tell makes it raise: what went
    wrong stands in the result's `reasons`. `set_pose`, `reset` and `odometry` may be used from
    another thread while a frame is processed.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        feature_map: FeatureMap,
        config: TrackerConfig = TrackerConfig(),
        device: torch.device | str = "cpu",
    ):
        self.config = config
        self.device = torch.device(device)
        self.odometry = OdometryBuffer(config.odometry_buffer)
        self._net = checkpoint.net.to(self.device).eval()
        self._damping = self._net.damping().detach()
        self._map = feature_map
        self._resize = config.resize or feature_map.info.resize
        self._lock = threading.Lock()
        self.reset()

    # ------------------------------------------------------------------ what others tell it

    @property
    def state(self) -> TrackState:
        """State after the newest frame."""
        return self._state

    @property
    def wants_pose(self) -> bool:
        """True as long as nobody has said where the robot is."""
        with self._lock:
            return self._anchor is None and self._pending is None

    def reset(self) -> None:
        """Forget the pose and the odometry."""
        with self._lock:
            self._anchor: Anchor | None = None
            self._pending: tuple[int, np.ndarray, np.ndarray] | None = None
            self._state = TrackState.UNINITIALIZED
            self._epoch = object()  # results of frames begun before this moment no longer count
        self.odometry.clear()

    def set_pose(
        self, stamp_ns: int, T_map_base: np.ndarray, covariance: np.ndarray | None = None
    ) -> None:
        """Say where the robot was at `stamp_ns`; odometry carries it on from there.

        covariance: (6, 6) in ROS order; without one, half a metre and four degrees are assumed.
        """
        if covariance is None:
            covariance = np.diag(DEFAULT_INITIAL_STD**2)
        with self._lock:
            self._pending = (stamp_ns, np.asarray(T_map_base, float), np.asarray(covariance, float))
            self._epoch = object()

    def warm_up(self, width: int, height: int) -> None:
        """Localize an empty image of that size where the map begins, and forget it: what is done
        once (recordings, kernel choice, memory pools) shall not make the first frames wait."""
        camera = Camera.pinhole(width, height, width, width, width / 2, height / 2)
        frame = Frame(0, np.zeros((height, width, 3), np.uint8), camera, np.eye(4))
        start = self._map.keyframe_poses()[0]
        with torch.inference_mode():
            for variance in WARM_UP_VARIANCES:
                self._localize(frame, start, variance * np.eye(6), _Stopwatch(), with_view=False)

    # ------------------------------------------------------------------ the way of a frame

    def process(self, frame: Frame, with_view: bool = False) -> FrameResult:
        """Localize one frame. with_view: also return where the map points fall in the image."""
        watch = _Stopwatch()
        T_odom_base = self.odometry.at(frame.stamp_ns)
        with self._lock:
            epoch = self._epoch
            if T_odom_base is not None:
                self._resolve_pending(frame.stamp_ns)
            anchor = self._anchor
        if T_odom_base is None:
            return FrameResult(
                frame.stamp_ns, self._state, reasons=("no odometry at the stamp of the image",)
            )
        if anchor is None:
            return FrameResult(
                frame.stamp_ns, self._state, reasons=("waiting for an initial pose",)
            )

        prior, prior_covariance = anchor.predict(T_odom_base, self.config.odometry_noise)
        with torch.inference_mode():
            fix, _points, view = self._localize(frame, prior, prior_covariance, watch, with_view)
        if fix is None:
            reasons = self._map.problems or ("no map points in view of the prior",)
            return self._settle(
                frame,
                epoch,
                anchor,
                T_odom_base,
                prior,
                prior_covariance,
                None,
                dict(reasons=tuple(reasons), timings_ms=watch.stop()),
            )

        correction = transforms.pose_error(fix.T_map_base, prior)
        error6 = ros_error(fix.T_map_base, prior)
        reasons = judge(
            self.config.gates,
            failed=fix.failed,
            num_points=fix.num_points,
            num_inliers=fix.num_inliers,
            cost=fix.cost,
            correction=correction,
            error6=error6,
            prior_covariance=prior_covariance,
            covariance=fix.covariance,
        )
        report = dict(
            reasons=reasons,
            num_points=fix.num_points,
            num_inliers=fix.num_inliers,
            cost=fix.cost,
            correction=correction,
            view=view,
            timings_ms=watch.stop(),
        )
        return self._settle(
            frame,
            epoch,
            anchor,
            T_odom_base,
            prior,
            prior_covariance,
            None if reasons else fix,
            report,
        )

    def _localize(
        self,
        frame: Frame,
        prior: np.ndarray,
        prior_covariance: np.ndarray,
        watch: _Stopwatch,
        with_view: bool,
    ) -> tuple[_Fix | None, VisiblePoints | None, PointView | None]:
        with watch("network"):
            image, scale = prepare_image(frame.image, self._resize, self.device)
            pyramid = self._net(image)
        camera = frame.camera.scale(*scale)
        T_map_cam = prior @ frame.T_base_cam
        with watch("points"):
            points = self._map.visible_points(
                T_map_cam, camera, self.config.point_budget, self.config.max_keyframes
            )
        if points is None:
            return None, None, None
        with watch("align"):
            alignment = self._align(
                pyramid, points, camera, T_map_cam, frame.T_base_cam, prior_covariance
            )
            fix = self._to_host(alignment, points, frame.T_base_cam)
        view = self._view(alignment, points, frame.camera) if with_view else None
        return fix, points, view

    def _align(
        self,
        pyramid: FeaturePyramid,
        points: VisiblePoints,
        camera: Camera,
        T_map_cam: np.ndarray,
        T_base_cam: np.ndarray,
        prior_covariance: np.ndarray,
    ) -> Alignment:
        problem = make_problem(pyramid, points, camera, self._damping, self.device)
        start = local_pose(T_map_cam, points.origin, self.device)
        information = tangent_information(prior_covariance, T_map_cam, T_base_cam)
        prior = None
        if self.config.use_prior:
            prior = PosePrior(start, _tensor(information, self.device)[None])
        width = self.config.prior_width(prior_covariance)
        if width <= 1:
            return problem.align(start, self.config.aligner, prior)
        covariance = _tensor(np.linalg.inv(information), self.device)
        return search(
            problem, start, covariance, width, self.config.aligner, self.config.initializer, prior
        )

    def _to_host(self, alignment: Alignment, points: VisiblePoints, T_base_cam: np.ndarray) -> _Fix:
        """The one copy from the device: pose, covariance and what the gates look at."""
        inliers = alignment.valid & (alignment.residuals < self.config.gates.inlier_residual)
        packed = torch.cat(
            [
                alignment.T_rig_map.matrix()[0].flatten(),
                tangent_covariance(alignment, self.config.covariance_scale)[0].flatten(),
                torch.stack(
                    [
                        alignment.cost[0],
                        alignment.failed[0].float(),
                        alignment.num_valid[0].float(),
                        inliers.sum().float(),
                    ]
                ),
            ]
        )
        numbers = packed.cpu().double().numpy()
        T_cam_map = numbers[:16].reshape(4, 4)
        cost, failed, valid, inliers = numbers[52:]
        T_map_cam = transforms.inverse(orthonormal(T_cam_map))
        T_map_cam[:3, 3] += points.origin
        covariance = body_covariance(numbers[16:52].reshape(6, 6), T_map_cam, T_base_cam)
        covariance[np.diag_indices(6)] += np.repeat(
            [self.config.map_std_m**2, math.radians(self.config.map_std_deg) ** 2], 3
        )
        return _Fix(
            T_map_cam @ transforms.inverse(T_base_cam),
            covariance,
            bool(failed),
            int(valid),
            int(inliers),
            float(cost),
        )

    def _view(self, alignment: Alignment, points: VisiblePoints, camera: Camera) -> PointView:
        pixels, _ = camera.to(self.device).project(alignment.T_rig_map[0].transform(points.points))
        return PointView(
            pixels.cpu().numpy(),
            alignment.residuals[0, 0].cpu().numpy(),
            points.confidence[0].float().cpu().numpy(),
            alignment.valid[0, 0].cpu().numpy(),
        )

    # ------------------------------------------------------------------ the state

    def _settle(
        self,
        frame: Frame,
        epoch: object,
        anchor: Anchor,
        T_odom_base: np.ndarray,
        prior: np.ndarray,
        prior_covariance: np.ndarray,
        fix: _Fix | None,
        report: dict,
    ) -> FrameResult:
        """Update state and anchor, and say where the robot is."""
        with self._lock:
            if self._epoch is not epoch:
                return FrameResult(
                    frame.stamp_ns,
                    self._state,
                    timings_ms=report["timings_ms"],
                    reasons=("the pose was set anew while this frame was aligned",),
                )
            if fix is not None:
                self._state = TrackState.TRACKING
                self._anchor = Anchor(frame.stamp_ns, fix.T_map_base, T_odom_base, fix.covariance)
                T_map_base, covariance = fix.T_map_base, fix.covariance
            else:
                self._state = self._state_without_fix(frame.stamp_ns, anchor, prior)
                T_map_base, covariance = prior, prior_covariance
            if self._state is TrackState.LOST:
                return FrameResult(frame.stamp_ns, self._state, **report)
            return FrameResult(
                frame.stamp_ns,
                self._state,
                accepted=fix is not None,
                T_map_base=T_map_base,
                covariance=covariance,
                T_map_odom=T_map_base @ transforms.inverse(T_odom_base),
                **report,
            )

    def _state_without_fix(self, stamp_ns: int, anchor: Anchor, prior: np.ndarray) -> TrackState:
        distance = np.linalg.norm(prior[:3, 3] - anchor.T_map_base[:3, 3])
        gates = self.config.gates
        if (
            distance > gates.max_coast_distance
            or stamp_ns - anchor.stamp_ns > gates.max_coast_time * 1e9
        ):
            return TrackState.LOST
        return TrackState.COASTING

    def _resolve_pending(self, stamp_ns: int) -> None:
        """Turn a pose that was set into an anchor, once odometry reaches back to its stamp."""
        if self._pending is None:
            return
        pose_stamp, T_map_base, covariance = self._pending
        T_odom_base = self.odometry.at(pose_stamp)
        if T_odom_base is None:
            first_stamp, first = self.odometry.first()
            if pose_stamp > first_stamp:
                return  # odometry is still on its way
            T_odom_base = first  # older than all odometry: the robot is taken to have stood still
        self._anchor = Anchor(max(pose_stamp, stamp_ns), T_map_base, T_odom_base, covariance)
        self._pending = None
        self._state = TrackState.COASTING


def make_problem(
    pyramid: FeaturePyramid,
    points: VisiblePoints,
    camera: Camera,
    damping: torch.Tensor,
    device: torch.device,
) -> Problem:
    """One camera, one set of points: (B', K) = (1, 1) throughout.

    camera: of the image that went through the network.
    """
    return Problem(
        points=points.points[None, None],
        mask=points.mask[None, None],
        reference=[
            ReferenceLevel(f[None, None], c[None, None])
            for f, c in zip(points.features, points.confidence)
        ],
        query=[
            QueryLevel(level.features[None], level.confidence[None], level.stride)
            for level in pyramid
        ],
        cameras=camera.to(device)[None, None],
        T_cam_rig=Pose.identity((1, 1), device=device),
        damping=damping,
    )


def local_pose(T_map_cam: np.ndarray, origin: np.ndarray, device: torch.device) -> Pose:
    """T_cam_local (1,) in float32, with map coordinates counted from `origin`."""
    T_local_cam = T_map_cam.copy()
    T_local_cam[:3, 3] -= origin
    return Pose.from_matrix(_tensor(transforms.inverse(T_local_cam), device)[None])


def ros_error(T_est: np.ndarray, T_ref: np.ndarray) -> np.ndarray:
    """Error (6,) of a pose in ROS order: position and rotation vector in map axes (m, rad)."""
    rotation = transforms.log(transforms.from_Rt(T_est[:3, :3] @ T_ref[:3, :3].T, np.zeros(3)))[3:]
    return np.concatenate([T_est[:3, 3] - T_ref[:3, 3], rotation])


def orthonormal(T: np.ndarray) -> np.ndarray:
    """The nearest rigid transform: single precision leaves rotations slightly off."""
    u, _, vt = np.linalg.svd(T[:3, :3])
    return transforms.from_Rt(u @ vt, T[:3, 3])


def _tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)


class _Stopwatch:
    """Milliseconds by part, on the host's clock (on a GPU: until the launch, "align" ends in the
    copy that waits for everything)."""

    def __init__(self):
        self._start = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str):
        begin = time.perf_counter()
        yield
        self._parts[part] = (time.perf_counter() - begin) * 1e3

    def stop(self) -> dict[str, float]:
        self._parts["total"] = (time.perf_counter() - self._start) * 1e3
        return self._parts

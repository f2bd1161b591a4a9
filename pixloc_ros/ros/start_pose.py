"""The pose that somebody gives, until the tracker can begin with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.feature_map.ground import ground_at
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.messages.headers import frame_name, stamp_of
from pixloc_ros.messages.poses import from_xyz_rpy, left_open, pose_of, start_covariance_of
from pixloc_ros.ros.parameters import NodeParameters
from pixloc_ros.ros.transforms import TransformTree

# A pose stamped further ahead of the odometry than this comes from another clock.
AHEAD_NS = 1_000_000_000
# A pose may hold this long (s) before the oldest odometry; the robot is taken to have stood still.
BEHIND_S = 0.2


class StartPose:
    """Takes poses from the topic, the service and the parameters. Executor thread only.

    mounting: T_base_cam (4, 4) as far as it is known by now, else None. say: for the log.
    """

    def __init__(
        self,
        parameters: NodeParameters,
        tracker: Tracker,
        tree: TransformTree,
        feature_map: FeatureMap,
        mounting: Callable[[], np.ndarray | None],
        say: Callable[[str], object],
    ):
        self._parameters, self._tracker, self._tree = parameters, tracker, tree
        self._map, self._mounting, self._say = feature_map, mounting, say
        self.start_over()

    def start_over(self) -> None:
        """Forget what was given; the pose of the parameters is due again."""
        self._parameter_due = self._parameters.set_initial_pose
        self._kept: PoseWithCovarianceStamped | None = None
        self.waits_for = ""  # what is missing for a pose that was given

    @property
    def expected(self) -> bool:
        """True while a pose is known that will be used."""
        return self._parameter_due or self._kept is not None

    def give(self, message: PoseWithCovarianceStamped) -> None:
        """Take a pose in any frame that tf connects with the map; DataError if it cannot be used.

        It holds at its stamp, odometry carries it on. Stamp 0, or one that odometry is still far
        from (another clock), means now: the newest odometry. Before there is odometry it is kept,
        and the robot is taken to stand still until then. Height, roll and pitch without a variance
        are those of the map's keyframes there.
        """
        self._kept, self.waits_for = None, ""
        self._use(message, kept=False)

    def go_on(self) -> None:
        """Odometry or an image came: what was kept, or is due, may be used now. DataError if it
        cannot be used at all."""
        newest_ns = self._tracker.odometry.newest_stamp()
        if self._kept is not None:
            message, self._kept = self._kept, None
            self._use(message, kept=True)
        elif self._parameter_due and newest_ns is not None:
            self._parameter_due = False
            start = self._parameters.initial_pose
            T = from_xyz_rpy((start.x, start.y, start.z, start.roll, start.pitch, start.yaw))
            try:
                self._set(round(start.stamp * 1e9) or newest_ns, T, None)
            except DataError as error:
                raise DataError(f"the parameter initial_pose: {error}") from error

    def _use(self, message: PoseWithCovarianceStamped, kept: bool) -> None:
        T, stamp_ns = pose_of(message.pose.pose), stamp_of(message)
        covariance = start_covariance_of(message.pose.covariance)
        oldest, newest_ns = self._tracker.odometry.first(), self._tracker.odometry.newest_stamp()
        if oldest is None or newest_ns is None:
            self._keep(message, "odometry")
            return
        T, covariance = self._in_map(message.header.frame_id, stamp_ns, T, covariance)
        if stamp_ns == 0 or stamp_ns > newest_ns + AHEAD_NS:
            stamp_ns = newest_ns
        if kept:
            stamp_ns = max(stamp_ns, oldest.stamp_ns)
        _, _, height, *tilt, _ = left_open(message.pose.covariance)
        if covariance is not None and (height or all(tilt)):
            T_base_cam = self._mounting()
            if T_base_cam is None:
                self._check_age(stamp_ns)
                self._keep(message, "an image and tf that say where its camera sits")
                return
            ground = ground_at(T[:2, 3], self._map.keyframe_poses(), T_base_cam)
            if ground is not None:
                T, covariance = ground.set_down(T, covariance, height, all(tilt))
        self._set(stamp_ns, T, covariance)

    def _keep(self, message: PoseWithCovarianceStamped, missing: str) -> None:
        self._kept, self._parameter_due = message, False
        if missing != self.waits_for:
            self.waits_for = missing
            self._say(f"the initial pose waits for {missing}")

    def _in_map(self, frame_id: str, stamp_ns: int, T: np.ndarray, covariance: np.ndarray | None):
        """Pose and covariance in the map's frame."""
        map_frame = self._parameters.global_frame_id
        frame = frame_name(frame_id) or map_frame
        if frame == map_frame:
            return T, covariance
        try:
            T_map_frame = self._tree.lookup(map_frame, frame, stamp_ns)
        except DataError:
            T_map_frame = self._tree.lookup(map_frame, frame, 0)
        turn = np.kron(np.eye(2), T_map_frame[:3, :3])
        return T_map_frame @ T, covariance if covariance is None else turn @ covariance @ turn.T

    def _check_age(self, stamp_ns: int) -> None:
        """DataError if odometry does not reach back to a stamp."""
        oldest = self._tracker.odometry.first()
        missing_s = (oldest.stamp_ns - stamp_ns) * 1e-9 if oldest else 0.0
        if missing_s > BEHIND_S:
            raise DataError(
                f"it holds {missing_s:.2f} s before the oldest odometry, so that nobody knows how "
                "the robot has moved since; give a newer pose, or start the localizer first"
            )

    def _set(self, stamp_ns: int, T: np.ndarray, covariance: np.ndarray | None) -> None:
        self._check_age(stamp_ns)
        self._tracker.set_pose(stamp_ns, T, covariance)
        self._parameter_due, self.waits_for = False, ""
        self._say("initial pose set to ({:.2f}, {:.2f}, {:.2f})".format(*T[:3, 3]))

"""Poses that an image may have been taken from: similar keyframes, matches with theirs, PnP."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from pixloc_ros.core.errors import MapError, MissingPackage
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.finding.keypoints import MISSING, PACKAGES, Matcher
from pixloc_ros.finding.places import Landmarks, Places


@dataclass(frozen=True)
class FinderConfig:
    """references: keyframes that an image is compared with, at most. enough: matches that agree
    with one pose, from which on no further keyframe is looked at; fewest: that a pose needs.
    reach: keyframes so close together (m) are one place, whose matches are taken together; also
    how far from a keyframe an image of it may be taken. max_error: of a match that agrees (px).
    modes: poses of one place, at most. std_m, std_deg: how far off a pose is taken to be, on each
    axis.
    """

    references: int = 10
    enough: int = 100
    fewest: int = 12
    reach: float = 25.0
    max_error: float = 8.0
    modes: int = 3
    std_m: float = 0.25
    std_deg: float = 1.0


@dataclass(frozen=True)
class _Solution:
    """A pose and the matches (N,) that agree with it."""

    T_map_cam: np.ndarray
    agreeing: np.ndarray

    @property
    def count(self) -> int:
        return int(self.agreeing.sum())


@dataclass
class _Place:
    """Matches with keyframes that lie together: rays in the camera, points in the map. best: the
    pose that most of them agree with."""

    position: np.ndarray
    rays: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    best: _Solution | None = None

    def matches(self) -> tuple[np.ndarray, np.ndarray]:
        """All of them, (N, 3) each."""
        return np.concatenate(self.rays), np.concatenate(self.points)


class Finder:
    """Finds images in the whole map. Used by one thread at a time.

    covariance: (6, 6) in ROS order of every pose found. problems: files of the map that turned out
    to be damaged; their keyframes are left out. Raises MissingPackage.
    """

    def __init__(
        self,
        places: Places,
        config: FinderConfig = FinderConfig(),
        device: torch.device | str = "cpu",
    ) -> None:
        try:
            import poselib
        except ImportError as error:
            raise MissingPackage(MISSING.format(error.name, PACKAGES)) from error
        self.places, self.config = places, config
        self._matcher, self._pnp = Matcher(device), poselib.estimate_absolute_pose
        std = np.repeat([config.std_m, math.radians(config.std_deg)], 3)
        self.covariance = np.diag(std**2)
        self.problems: list[str] = []

    def find(
        self,
        frame: Frame,
        prior: tuple[np.ndarray, np.ndarray] | None = None,
        among: np.ndarray | None = None,
    ) -> np.ndarray:
        """T_map_base (P, 4, 4) that the image may have been taken from, most matches first.

        prior: T_map_base (4, 4) and covariance (6, 6), which keep the search near. among: (M,) bool
        of the keyframes that may be used.
        """
        config, places = self.config, self.places
        if prior is not None:
            T_map_cam, std = prior[0] @ frame.T_base_cam, np.sqrt(np.diag(prior[1])[:3].max())
            near = places.within(T_map_cam[:3, 3], config.reach + 3 * std)
            among = near if among is None else near & among
        seen = self._matcher.look(frame.image)
        rays = frame.camera.rays(torch.from_numpy(seen.xy).float()).double().numpy()
        focal = float(frame.camera.f.mean())
        found: list[_Place] = []
        for row in places.ranking(seen, config.references, among):
            landmarks = self._landmarks(row)
            if landmarks is None:
                continue
            matches = self._matcher.match(landmarks.keypoints, seen)
            place = self._place(found, places.position(row))
            place.rays.append(rays[matches[:, 1]])
            place.points.append(landmarks.points[matches[:, 0]])
            place.best = self._solve(*place.matches(), focal)
            if place.best is not None and place.best.count >= config.enough:
                break
        solutions = [solution for place in found for solution in self._solutions(place, focal)]
        solutions.sort(key=lambda solution: -solution.count)
        T_cam_base = transforms.inverse(frame.T_base_cam)
        poses = [solution.T_map_cam @ T_cam_base for solution in solutions]
        return np.stack(poses) if poses else np.zeros((0, 4, 4))

    def _landmarks(self, row: int) -> Landmarks | None:
        try:
            return self.places.landmarks(row)
        except MapError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None

    def _place(self, found: list[_Place], position: np.ndarray) -> _Place:
        """The place that a keyframe belongs to; a new one if it lies alone."""
        for place in found:
            if np.linalg.norm(place.position - position) <= self.config.reach:
                return place
        found.append(_Place(position))
        return found[-1]

    def _solutions(self, place: _Place, focal: float) -> list[_Solution]:
        """The best pose of a place, and those of the matches that do not agree with it: of equal
        houses in a row the next one may be meant."""
        rays, points = place.matches()
        found, best = [], place.best
        while best is not None:
            found.append(best)
            rays, points = rays[~best.agreeing], points[~best.agreeing]
            best = self._solve(rays, points, focal) if len(found) < self.config.modes else None
        return found

    def _solve(self, rays: np.ndarray, points: np.ndarray, focal: float) -> _Solution | None:
        """Robust PnP (LO-RANSAC of poselib); None unless enough matches agree."""
        if len(rays) < self.config.fewest:
            return None
        camera = {"model": "SIMPLE_PINHOLE", "width": 0, "height": 0, "params": [focal, 0.0, 0.0]}
        pixels = focal * rays[:, :2] / rays[:, 2:]
        options = {"max_reproj_error": self.config.max_error}
        pose, report = self._pnp(pixels, points, camera, options, {})
        T_map_cam = transforms.inverse(transforms.from_Rt(pose.R, pose.t))
        solution = _Solution(T_map_cam, np.array(report["inliers"], bool))
        return solution if solution.count >= self.config.fewest else None

"""Does odometry measure what the robot does? Its way is compared with that between fixes."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.motion import Anchor, OdometryNoise


@dataclass(frozen=True)
class OdometryWatchConfig:
    """piece_m, piece_rad: the way (m, rad) is compared in pieces at least so long by odometry or
    by the map. window: newest pieces of which the median counts; fewest: how many of them make a
    judgement. suspected: error, as a share of the piece, from which on odometry is said to be wrong
    and its covariance covers the error.
    """

    piece_m: float = 1.0
    piece_rad: float = 0.3
    window: int = 9
    fewest: int = 5
    suspected: float = 0.15

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.window:
            raise ValueError(f"fewest is {self.fewest}; it lies between 1 and window {self.window}")


class OdometryWatch:
    """Pieces of the way between fixes, by odometry and by the map, in the base's frame at their
    beginning: (2, 3) of metres, and of radians where the robot turned."""

    def __init__(self, config: OdometryWatchConfig = OdometryWatchConfig()) -> None:
        self._from: dict[str, Anchor] = {}
        self._pieces: dict[str, deque[np.ndarray]] = {"moves": deque(), "turns": deque()}
        self.reconfigure(config)

    def reconfigure(self, config: OdometryWatchConfig) -> None:
        """Other settings, for the pieces so far too."""
        self._config = config
        self._pieces = {what: deque(p, maxlen=config.window) for what, p in self._pieces.items()}
        # As shares; 0 while small or unknown.
        self._errors = {what: self._error(what) for what in self._pieces}

    def begin(self, fix: Anchor) -> None:
        """Tracking begins here; nothing is known of the way to it."""
        self._from = dict.fromkeys(self._pieces, fix)

    def add(self, fix: Anchor) -> None:
        """The next fix that is believed."""
        lengths = {"moves": self._config.piece_m, "turns": self._config.piece_rad}
        for what, start in self._from.items():
            if start.odometry.jumps != fix.odometry.jumps:
                self._from[what] = fix
                continue
            before = np.stack([start.odometry.T_odom_base, start.T_map_base])
            after = np.stack([fix.odometry.T_odom_base, fix.T_map_base])
            columns = slice(0, 3) if what == "moves" else slice(3, 6)
            piece = transforms.log(transforms.inverse(before) @ after)[:, columns]
            if np.linalg.norm(piece, axis=1).max() >= lengths[what]:
                self._pieces[what].append(piece)
                self._from[what] = fix
                self._errors[what] = self._error(what)

    def suspected(self) -> str:
        """What seems to be wrong with odometry, or ""."""
        return ", ".join(self._saying(what) for what, error in self._errors.items() if error)

    def noise(self, stated: OdometryNoise) -> OdometryNoise:
        """The noise as stated, or what covers the error found."""
        return replace(
            stated,
            translation_per_m=max(stated.translation_per_m, self._errors["moves"]),
            rotation_per_rad=max(stated.rotation_per_rad, self._errors["turns"]),
        )

    def _error(self, what: str) -> float:
        """Median error as a share of odometry's piece, where it is to be said."""
        pieces = self._pieces[what]
        if len(pieces) < self._config.fewest:
            return 0.0
        by_odometry, by_map = np.stack(pieces, axis=1)
        lengths = np.linalg.norm(by_odometry, axis=1)
        wrong = np.linalg.norm(by_odometry - by_map, axis=1) / np.maximum(lengths, 1e-3)
        error = float(np.median(wrong))
        return error if error > self._config.suspected else 0.0

    def _saying(self, what: str) -> str:
        by_odometry, by_map = np.stack(self._pieces[what], axis=1)
        a, b = np.linalg.norm(by_odometry, axis=1), np.linalg.norm(by_map, axis=1)
        ratio = float(np.median(a / np.maximum(b, 1e-3)))
        cosine = float(np.median((by_odometry * by_map).sum(axis=1) / np.maximum(a * b, 1e-9)))
        text = f"it {what} {ratio:.2f} times as far as the map says"
        if cosine < 0.95 and ratio > 0.1:
            degrees = math.degrees(math.acos(max(cosine, -1.0)))
            text += f", in a direction {degrees:.0f} deg off (reversed, or not the base's frame?)"
        return text

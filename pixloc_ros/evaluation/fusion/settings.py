"""Parameters of robot_localization's `ekf_node`, read from the file that the node itself reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pixloc_ros.core.errors import ConfigError
from pixloc_ros.evaluation.fusion.ekf import STATE

# robot_localization's defaults (FilterBase, RosFilter of the jazzy branch).
_DEFAULT_NOISE = (
    0.05,
    0.05,
    0.06,
    0.03,
    0.03,
    0.06,
    0.025,
    0.025,
    0.04,
    0.01,
    0.01,
    0.02,
    0.01,
    0.01,
    0.015,
)
_DEFAULTS: dict[str, Any] = {
    "frequency": 30.0,
    "sensor_timeout": None,
    "two_d_mode": False,
    "smooth_lagged_data": False,
    "history_length": 0.0,
    "predict_to_current_time": False,
    "dynamic_process_noise_covariance": False,
    "process_noise_covariance": list(_DEFAULT_NOISE),
    "initial_estimate_covariance": [1e-9] * STATE,
    "map_frame": "map",
    "odom_frame": "odom",
    "base_link_frame": "base_link",
    "world_frame": None,
    "permit_corrected_publication": False,
}
# What changes tf, logging or start-up, but no estimate.
_WITHOUT_EFFECT = {
    "print_diagnostics",
    "debug",
    "debug_out_file",
    "publish_tf",
    "publish_acceleration",
    "transform_time_offset",
    "transform_timeout",
    "base_link_frame_output",
    "tf_prefix",
    "use_sim_time",
    "reset_on_time_jump",
    "disabled_at_startup",
    "gravitational_acceleration",
}
_OF_INPUT: dict[str, dict[str, Any]] = {
    "odom": {
        "config": None,
        "differential": False,
        "relative": False,
        "queue_size": 10,
        "pose_rejection_threshold": np.inf,
        "twist_rejection_threshold": np.inf,
        "pose_use_child_frame": False,
    },
    "pose": {
        "config": None,
        "differential": False,
        "relative": False,
        "queue_size": 10,
        "rejection_threshold": np.inf,
    },
}


@dataclass(frozen=True)
class InputSettings:
    """One subscription, `odom0` or `pose0`. update (15,) bool: what of it is used; thresholds are
    Mahalanobis distances."""

    name: str
    topic: str
    update: np.ndarray
    differential: bool
    relative: bool
    pose_threshold: float
    twist_threshold: float

    @property
    def kind(self) -> str:
        return self.name.rstrip("0123456789")


@dataclass(frozen=True)
class FilterSettings:
    """One `ekf_node`. Times in seconds, frequency in Hz, noise (15, 15) per second."""

    name: str
    world_frame: str
    frequency: float
    sensor_timeout: float
    smooth_lagged_data: bool
    history_length: float
    predict_to_current_time: bool
    noise_by_speed: bool
    two_d_mode: bool
    republish_corrected: bool
    process_noise: np.ndarray
    initial_covariance: np.ndarray
    inputs: tuple[InputSettings, ...]


def read_settings(
    path: str | Path, node: str, changes: dict[str, Any] | None = None
) -> FilterSettings:
    """The parameters of `node` in a ROS parameter file, with `changes` laid over them.

    ROS drops parameters that a node never declares without a word; here a name that
    robot_localization does not know is a ConfigError, so is an input (imu, twist, control) that
    this model lacks.
    """
    document = yaml.safe_load(Path(path).read_text()) or {}
    section = (document.get("/**") or {}).get(node) or document.get(node) or {}
    if "ros__parameters" not in section:
        raise ConfigError(f"{path}: no parameters for a node '{node}'")
    given = {**section["ros__parameters"], **(changes or {})}
    place = f"{path}: {node}"
    values = {key: given.pop(key, default) for key, default in _DEFAULTS.items()}
    inputs = [_input(given, name, place) for name in _input_names(given)]
    for key in given:
        if key not in _WITHOUT_EFFECT:
            raise ConfigError(f"{place}: '{key}' is no parameter of ekf_node that this model knows")
    frequency = float(values["frequency"])
    timeout = values["sensor_timeout"]
    return FilterSettings(
        name=node,
        world_frame=values["world_frame"] or values["odom_frame"],
        frequency=frequency,
        sensor_timeout=1 / frequency if timeout is None else float(timeout),
        smooth_lagged_data=values["smooth_lagged_data"],
        history_length=abs(float(values["history_length"])),
        predict_to_current_time=values["predict_to_current_time"],
        noise_by_speed=values["dynamic_process_noise_covariance"],
        two_d_mode=values["two_d_mode"],
        republish_corrected=values["permit_corrected_publication"],
        process_noise=_matrix(values["process_noise_covariance"], "process_noise", place),
        initial_covariance=_matrix(
            values["initial_estimate_covariance"], "initial_estimate", place
        ),
        inputs=tuple(inputs),
    )


def _input_names(given: dict) -> list[str]:
    """odom0, odom1, ..., pose0, ...: numbered without a gap, else the node stops at the gap."""
    names = []
    for kind in _OF_INPUT:
        number = 0
        while f"{kind}{number}" in given:
            names.append(f"{kind}{number}")
            number += 1
    return names


def _input(given: dict, name: str, place: str) -> InputSettings:
    kind = re.sub(r"\d+$", "", name)
    topic = given.pop(name)
    own = {key: given.pop(f"{name}_{key}", default) for key, default in _OF_INPUT[kind].items()}
    update = np.array(own["config"] if own["config"] is not None else [], bool)
    if update.shape != (STATE,):
        raise ConfigError(f"{place}: {name}_config needs {STATE} times true or false")
    pose = own.get("pose_rejection_threshold", own.get("rejection_threshold"))
    return InputSettings(
        name,
        topic,
        update,
        own["differential"],
        own["relative"] and not own["differential"],
        float(pose),
        float(own.get("twist_rejection_threshold", np.inf)),
    )


def _matrix(values: list, name: str, place: str) -> np.ndarray:
    numbers = np.array(values, float)
    if numbers.shape == (STATE,):
        return np.diag(numbers)
    if numbers.shape == (STATE**2,):
        return numbers.reshape(STATE, STATE)
    raise ConfigError(
        f"{place}: {name}_covariance needs {STATE} numbers (the diagonal) or "
        f"{STATE**2}, not {numbers.size}"
    )

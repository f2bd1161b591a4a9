"""Node parameters as frozen dataclasses: declared from them, read back into them."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from pixloc_ros.core.config import from_dict, to_dict
from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.localizer import LocalizerConfig
from pixloc_ros.core.tracker import TrackerConfig
from pixloc_ros.messages.poses import FURTHEST

#: Unless a setting says otherwise a number is not negative, and no larger than that.
LARGEST = 1_000_000_000
ANY_ANGLE = 100.0  # rad
#: Likeness (difflib's ratio) from which on a name is a misspelled one.
NEARLY = 0.75
#: Of a field of `NodeParameters`: it, and all below it, may change while the node is configured.
LIVE = {"live": True}


def _within(default, low, high, **metadata):
    """A field with the range that ROS enforces (inclusive)."""
    return field(default=default, metadata={"range": (low, high), **metadata})


@dataclass(frozen=True)
class InitialPose:
    """x, y, z: position of the base in the map frame (m). roll, pitch, yaw: its orientation as
    fixed-axis angles (rad), yaw about the map's vertical. stamp: when it holds (s since the epoch
    of the messages' stamps); 0: at the first odometry that is heard."""

    x: float = _within(0.0, -FURTHEST, FURTHEST)
    y: float = _within(0.0, -FURTHEST, FURTHEST)
    z: float = _within(0.0, -FURTHEST, FURTHEST)
    roll: float = _within(0.0, -ANY_ANGLE, ANY_ANGLE)
    pitch: float = _within(0.0, -ANY_ANGLE, ANY_ANGLE)
    yaw: float = _within(0.0, -ANY_ANGLE, ANY_ANGLE)
    stamp: float = _within(0.0, 0.0, 1e11)


@dataclass(frozen=True)
class NodeParameters:
    """map: folder of the feature map, as written by build_map. checkpoint: the network: a shipped
    name, a checkpoint folder or an official .tar file; it must be the one the map was built with.
    device: where the network runs: auto, cpu, cuda or cuda:N. autostart: configure and activate at
    start; false leaves that to a lifecycle manager. global_frame_id: the map frame.
    odom_frame_id: the frame of odometry that names none. base_frame_id: the robot's frame, whose
    pose is estimated. base_to_camera: camera optical frame in the base frame as x, y, z, qx, qy,
    qz, qw (m); empty takes it from tf at the stamp of each image. tf_broadcast: send the transform
    global_frame_id -> odom_frame_id. tf_rate: how often it is sent (Hz), whether or not images
    come. transform_tolerance: how far (s) it is post-dated, so that others may use it meanwhile.
    fused_with_odometry: ~/pose and ~/odometry go to a filter that fuses the same odometry: they
    carry the covariance that the image alone gives, and only accepted frames are published, so that
    odometry is not counted twice.
    reset_services: services (std_srvs/Empty) that are called whenever the localizer starts over, as
    when a bag loops: the reset of robot_localization's filters, which do not notice it themselves.
    initialization: auto finds the robot in the map at the start, and again when it is lost, if the
    map has places (build_map adds them); pose waits for somebody to give a pose.
    set_initial_pose: start from initial_pose, and again after time went backwards.
    image_transport: raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage on
    <image>/compressed). image_is_rectified: the images are undistorted already, so camera_info's
    projection P holds and its distortion does not. reliability: of the image, camera_info and odom
    subscriptions: best_effort or reliable. input_timeout: a topic silent for longer (s) is
    reported. odom_timeout: longest wait (s) for odometry, and tf, to reach the stamp of an image;
    odometry may be as late as that, and so are the poses then. map_points_limit: most points in the
    latched cloud. path_spacing: a pose joins the path after this distance (m). path_length: most
    poses in the path; the oldest go first.
    """

    map: str = ""
    checkpoint: str = "small"
    device: str = "auto"
    autostart: bool = True
    global_frame_id: str = "map"
    odom_frame_id: str = "odom"
    base_frame_id: str = "base_link"
    base_to_camera: tuple[float, ...] = ()
    tf_broadcast: bool = True
    fused_with_odometry: bool = False
    reset_services: tuple[str, ...] = ()
    tf_rate: float = _within(20.0, 1.0, 200.0, **LIVE)
    transform_tolerance: float = _within(0.1, 0.0, 10.0, **LIVE)
    initialization: str = "auto"
    set_initial_pose: bool = False
    initial_pose: InitialPose = field(default_factory=InitialPose)
    image_transport: str = "raw"
    image_is_rectified: bool = False
    reliability: str = "best_effort"
    input_timeout: float = _within(5.0, 0.5, 600.0, **LIVE)
    odom_timeout: float = _within(0.6, 0.0, 2.0, **LIVE)
    map_points_limit: int = _within(100_000, 0, 10_000_000)
    path_spacing: float = _within(0.2, 0.0, 100.0)
    path_length: int = _within(2000, 0, 100_000)
    localizer: LocalizerConfig = field(default_factory=LocalizerConfig, metadata=LIVE)
    tracker: TrackerConfig = field(default_factory=TrackerConfig, metadata=LIVE)

    def __post_init__(self):
        _one_of("image_transport", self.image_transport, ("raw", "compressed"))
        _one_of("initialization", self.initialization, ("auto", "pose"))
        _one_of("reliability", self.reliability, ("best_effort", "reliable"))
        if len(self.base_to_camera) not in (0, 7):
            raise ConfigError(
                "base_to_camera takes 7 numbers (x, y, z, qx, qy, qz, qw) or none, "
                f"not {len(self.base_to_camera)}"
            )
        for name in ("global_frame_id", "odom_frame_id", "base_frame_id"):
            frame = getattr(self, name)
            if not frame or frame.startswith("/"):
                raise ConfigError(
                    f"{name} is '{frame}'; tf2 frames are neither empty nor begin with a slash"
                )


def declare_parameters(node: Node) -> None:
    """Declare every field of `NodeParameters`, nested ones dotted, with description and range."""
    for name, default, description, limits in flatten(NodeParameters()):
        node.declare_parameter(name, _to_ros(default), _descriptor(default, description, limits))


def read_parameters(node: Node) -> NodeParameters:
    """The node's current parameters. ConfigError: a wrong value or a name that nobody declared."""
    names = [name for name, *_ in flatten(NodeParameters())]
    _refuse_misspelled(node, names)
    tree: dict = {}
    for name in names:
        value = node.get_parameter(name).value
        if value is None:
            continue  # one whose default is stored with the checkpoint
        _put(tree, name, value)
    return from_dict(NodeParameters, tree)


def is_live(name: str) -> bool:
    """Whether a parameter may change while the node is configured."""
    top = name.split(".")[0]
    return any(f.name == top and f.metadata.get("live") for f in dataclasses.fields(NodeParameters))


def changed(parameters: NodeParameters, values: Iterable[Parameter]) -> NodeParameters:
    """The parameters with other values. ConfigError: one is wrong, or does not go with the rest."""
    tree = to_dict(parameters)
    for parameter in values:
        _put(tree, parameter.name, parameter.value)
    return from_dict(NodeParameters, tree)


def flatten(config, prefix: str = ""):
    """Yield (dotted name, default, description, range or None) of every leaf of a dataclass.

    The default is None where it is stored with the checkpoint.
    """
    descriptions = field_descriptions(type(config))
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if "of" in item.metadata:
            for name, text in field_descriptions(item.metadata["of"]).items():
                yield f"{prefix}{item.name}.{name}", None, text, None
        elif dataclasses.is_dataclass(value):
            yield from flatten(value, f"{prefix}{item.name}.")
        else:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            limits = item.metadata.get("range", (0, LARGEST) if number else None)
            yield prefix + item.name, value, descriptions.get(item.name, ""), limits


def field_descriptions(cls: type) -> dict[str, str]:
    """What the docstring of a config dataclass says of its fields.

    That is the text behind "name:" or "name (unit), name:", or else the one that mentions the name.
    """
    names = [item.name for item in dataclasses.fields(cls)]
    text = " ".join((cls.__doc__ or "").split())
    name = rf"(?:{'|'.join(map(re.escape, names))})(?: \([^)]*\))?"
    heads = list(re.finditer(rf"(?<![\w.]){name}(?:, {name})*: ", text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    parts = [(head.group(), text[head.end() : end].strip()) for head, end in zip(heads, ends)]
    found = {}
    for field_name in names:
        word = re.compile(rf"\b{field_name}\b")
        found[field_name] = next(
            (part for where in (0, 1) for head, part in parts if word.search((head, part)[where])),
            "",
        )
    return found


def _descriptor(default, description: str, limits) -> ParameterDescriptor:
    # An empty list has no element type, so ROS could not check one that is set later.
    dynamic = default is None or default == ()
    descriptor = ParameterDescriptor(description=description, dynamic_typing=dynamic)
    if limits and isinstance(default, int):
        descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
    elif limits:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(limits[0]), to_value=float(limits[1]))
        ]
    return descriptor


def _put(tree: dict, name: str, value) -> None:
    """Set a dotted name in nested mappings."""
    *path, leaf = name.split(".")
    for step in path:
        tree = tree.setdefault(step, {})
    tree[leaf] = _from_ros(value)


def _to_ros(value):
    return list(value) if isinstance(value, tuple) else value


def _from_ros(value):
    is_list = isinstance(value, typing.Iterable) and not isinstance(value, (str, bytes))
    return list(value) if is_list else value


def misspelled(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name that is nearly a known one; "" if it is not."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=NEARLY)
    return f"there is no parameter '{name}'; did you mean {' or '.join(close)}?" if close else ""


def _refuse_misspelled(node: Node, known: list[str]) -> None:
    """rclpy drops parameters that nobody declares without a word. One that is nearly ours is a
    typing error; another may be meant for the other nodes of a file's section `/**`."""
    known = known + ["use_sim_time", "start_type_description_service"]
    for name in getattr(node, "_parameter_overrides", {}):
        if name in known or name.startswith("qos_overrides."):
            continue
        if problem := misspelled(name, known):
            raise ConfigError(problem)
        node.get_logger().warning(f"there is no parameter '{name}'; it is left out")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is '{value}'; known are {', '.join(known)}")

"""What a process needs to know to use ROS out of wheels; run at every start by a .pth file.

The wheels set the library path and re-execute the interpreter, once, which they remember in a
guard variable. They leave out the rest, so that without this module every shell, test and child
process would need environment variables:

- `AMENT_PREFIX_PATH` gets the environment's prefix (after whatever workspace was sourced), so that
  ament's index, and with it every type support and share directory, is found;
- `FASTRTPS_DEFAULT_PROFILES_FILE` names the Fast DDS profile with room for images, unless the
  user has set his own;
- a guard variable inherited without the library path that belongs to it (a child started with a
  trimmed environment, or from another environment) is dropped, so that the wheels set it again.

The name of the .pth file sorts before the one of the wheels: what is set here survives their
re-execution.
"""

import os
import sys

_GUARD = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


def _entries(variable: str) -> list:
    return [entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry]


def prepare() -> None:
    """Complete this process's environment for the ROS wheels installed under `sys.prefix`."""
    if os.path.join(sys.prefix, "lib") not in _entries("LD_LIBRARY_PATH"):
        os.environ.pop(_GUARD, None)
    prefixes = _entries("AMENT_PREFIX_PATH")
    if sys.prefix not in prefixes:
        os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join([*prefixes, sys.prefix])
    profile = os.path.join(sys.prefix, "share", "ros_wheels_environment", "fastdds_profile.xml")
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", profile)


prepare()

"""The ament_python package: `colcon build` on a robot, `pip install -e .` elsewhere."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = "pixloc_ros"
HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / NAME / "__init__.py").read_text())[1]

CLI = (
    "build_map",
    "map_info",
    "evaluate",
    "train",
    "export_checkpoint",
    "benchmark",
    "make_drive",
    "drive_to_bag",
    "fuse",
    "make_robotcar",
    "robotcar_seasons",
    "robotcar_to_bag",
    "demo",
    "doctor",
)
NODES = {
    "localizer": "localizer_node",
    "bag_player": "bag_player",
    "pose_recorder": "pose_recorder",
    "graph_probe": "graph_probe",
}


def shared(folder: str) -> list:
    """data_files entries that install a folder's files under share/pixloc_ros/."""
    files = [
        path
        for path in sorted((HERE / folder).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    parents = sorted({path.parent for path in files})
    return [
        (
            f"share/{NAME}/{parent.relative_to(HERE)}",
            [str(path.relative_to(HERE)) for path in files if path.parent == parent],
        )
        for parent in parents
    ]


setup(
    name=NAME,
    version=VERSION,
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["weights/*/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={
        "test": ["pytest"],  # tells colcon which runner to use
        "train": [
            line
            for line in (HERE / "requirements" / "train.txt").read_text().splitlines()
            if not line.startswith("#")
        ],
    },
    zip_safe=False,
    maintainer="pixloc_ros",
    maintainer_email="pixloc_ros@example.com",
    description="Camera localization in a known map by direct feature-metric alignment, for ROS 2",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            *(f"{name} = {NAME}.cli.{name}:main" for name in CLI),
            *(f"{name} = {NAME}.ros.{module}:main" for name, module in NODES.items()),
        ]
    },
)

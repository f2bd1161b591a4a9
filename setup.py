"""The ament_python package: `colcon build` on a robot, `pip install -e .` elsewhere."""

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = "pixloc_ros"
HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / NAME / "__init__.py").read_text())[1]

ENTRY = f"{NAME}.cli.pixloc:main"
# `ros2 run` finds what lies in lib/pixloc_ros, which is where setup.cfg has colcon's `install` and
# `develop` put scripts. pip builds a wheel and has only bin/, where `train` or `demo` would be in
# the way of others: there all executables are subcommands of one.
BY_COLCON = {"install", "develop"} & set(sys.argv)


def executables() -> list[str]:
    """Names of all executables, read without importing the package."""
    source = (HERE / NAME / "cli" / "pixloc.py").read_text()
    return re.findall(rf'^    "(\w+)": "{NAME}\.', source, re.MULTILINE)


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


def requirements(file: str) -> list[str]:
    """The packages of a requirements file."""
    lines = (line.partition("#")[0].strip() for line in (HERE / "requirements" / file).open())
    return [line for line in lines if line]


setup(
    name=NAME,
    version=VERSION,
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["weights/*/*", "evaluation/*.j2"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
    ],
    python_requires=">=3.10",
    install_requires=requirements("runtime.txt"),  # torch is the user's own
    extras_require={
        "test": ["pytest"],  # tells colcon which runner to use
        "places": requirements("places.txt"),
        "robotcar": requirements("robotcar.txt"),
        "train": requirements("train.txt"),
    },
    zip_safe=False,
    maintainer="pixloc_ros",
    maintainer_email="pixloc_ros@example.com",
    description="Camera localization in a known map by direct feature-metric alignment, for ROS 2",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"{name} = {ENTRY}" for name in (executables() if BY_COLCON else ["pixloc"])
        ]
    },
)

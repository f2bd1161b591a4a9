"""Every command in the documents is one that the package takes."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from pixloc_ros.cli.pixloc import EXECUTABLES

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "maps/*.md", "pixloc_ros/weights/*/*.md")
    for path in ROOT.glob(pattern)
)
#: Stand for something that the reader fills in.
PLACEHOLDERS = ("...", "COMMAND", "NAME", "pixloc --help")


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [block.replace("\\\n", " ") for block in found]


def commands(text: str) -> list[str]:
    """Lines of bash blocks and inline code that call pixloc or, under ros2 run, its executables."""
    lines = [line.strip() for block in blocks(text, "bash") for line in block.splitlines()]
    inline = re.findall(r"`((?:pixloc|ros2 run pixloc_ros) [^`]+)`", text)
    lines += [" ".join(code.split()) for code in inline]
    return [
        line.split(" #")[0].rstrip(" &").removeprefix(".venv/bin/")
        for line in lines
        if re.match(r"(\.venv/bin/)?pixloc |ros2 run pixloc_ros ", line)
        and not any(word in line for word in PLACEHOLDERS)
    ]


CALLS = [(page.relative_to(ROOT), line) for page in PAGES for line in commands(page.read_text())]


def test_there_are_commands_to_check():
    assert len(CALLS) > 25 and len({page for page, _ in CALLS}) > 3


@pytest.mark.parametrize("page, line", CALLS, ids=[f"{page}: {line[:60]}" for page, line in CALLS])
def test_a_command_is_taken_as_it_is_written(page, line):
    words = shlex.split(line.removeprefix("ros2 run pixloc_ros").removeprefix("pixloc"))
    name = words[0].replace("-", "_")
    assert name in EXECUTABLES, f"{page}: there is no executable {words[0]}"
    module = importlib.import_module(EXECUTABLES[name])
    if not hasattr(module, "parse"):
        pytest.skip("a node: its arguments are those of ROS")
    if name == "benchmark" and words[1:2] and words[1] in module.PARTS:
        module = module.PARTS[words.pop(1)]
    try:
        module.parse(words[1:])
    except SystemExit as ended:
        assert ended.code == 0, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_and_links_hold(page):
    text = page.read_text()
    for block in blocks(text, "yaml"):
        yaml.safe_load(block)
    for target, section in re.findall(r"\]\(([^)#:]+?)(?:#([^)]*))?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
        if section:
            titles = re.findall(r"^#+ (.*)$", (page.parent / target).read_text(), re.MULTILINE)
            assert section in [title.lower().replace(" ", "-") for title in titles]


def test_the_readme_is_a_first_read():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    picture = re.search(r"!\[.*?\]\((.*?\.gif)\)", text).group(1)
    assert (ROOT / picture).stat().st_size < 3e6
    linked = set(re.findall(r"\((docs/[a-z0-9_]+\.md)", text))
    assert linked == {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")}

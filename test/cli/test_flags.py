"""Flags made from a dataclass of settings: its names, types, defaults and checks."""

import argparse
from dataclasses import dataclass
from typing import Literal

import pytest

from pixloc_ros.cli.flags import add_settings, settings_of
from pixloc_ros.core.errors import ConfigError


@dataclass(frozen=True)
class Soup:
    """What is in it."""

    litres: float = 1.5
    bowls: int | None = None
    spice: Literal["salt", "pepper"] = "salt"
    size: tuple[int, int] = (3, 4)
    herbs: tuple[str, ...] = ()
    secret: int = 7

    def __post_init__(self) -> None:
        if self.litres <= 0:
            raise ConfigError("litres must be positive")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kitchen", default="small")
    add_settings(parser, Soup(), litres={"flag": "--much"}, bowls={}, spice={}, size={}, herbs={})
    return parser.parse_args(words)


def test_what_is_not_typed_keeps_its_default():
    assert settings_of(Soup, parsed()) == Soup()


def test_values_have_the_types_of_their_fields():
    words = "--much 2 --bowls 5 --spice pepper --size 1 2 --herbs dill mint"
    expected = Soup(2.0, 5, "pepper", (1, 2), ("dill", "mint"), secret=8)
    assert settings_of(Soup, parsed(*words.split()), secret=8) == expected


@pytest.mark.parametrize("words", ["--spice sugar", "--size 1", "--bowls two", "--secret 1"])
def test_what_does_not_fit_is_a_usage_error(words):
    with pytest.raises(SystemExit):
        parsed(*words.split())


def test_the_settings_own_checks_hold():
    with pytest.raises(ConfigError, match="litres must be positive"):
        settings_of(Soup, parsed("--much", "-1"))

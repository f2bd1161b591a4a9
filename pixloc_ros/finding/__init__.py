"""Where an image was taken, from nothing: places, matches and PnP give poses to align from."""

from pixloc_ros.finding.finder import Finder, FinderConfig
from pixloc_ros.finding.places import Places

__all__ = ["Finder", "FinderConfig", "Places"]

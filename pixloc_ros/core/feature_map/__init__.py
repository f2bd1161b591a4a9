"""The map at run time: tiles of reference features, read when a camera comes near."""

from pixloc_ros.core.feature_map.format import MapInfo
from pixloc_ros.core.feature_map.select import SelectionConfig, VisiblePoints
from pixloc_ros.core.feature_map.store import FeatureMap

__all__ = ["FeatureMap", "MapInfo", "SelectionConfig", "VisiblePoints"]

"""What is worth knowing about a map: statistics, and warnings of what will cost accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixloc_ros.core.feature_map import FeatureMap
from pixloc_ros.core.feature_map.format import TILE_FOLDER, MapInfo, file_sha256
from pixloc_ros.finding.places import FOLDER as PLACES
from pixloc_ros.mapping.plan import Plan

#: Mapping cameras are expected upright: mean cosine between their up and the map's z.
MIN_UP_COSINE = 0.8
#: Keyframes with fewer points than this rarely suffice to track.
FEW_POINTS = 150


@dataclass(frozen=True)
class MapSummary:
    """A map that was built or opened: where it is and what it says of itself."""

    path: Path
    info: MapInfo

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of everything worth printing."""
        info, s = self.info, self.info.statistics
        megabytes = info.num_bytes / 1e6
        places = sum(file.stat().st_size for file in (self.path / PLACES).glob("*")) / 1e6
        rows = [
            ("checkpoint", f"{info.checkpoint_name} ({info.checkpoint[:12]})"),
            ("levels", ", ".join(f"1/{a} x {b}" for a, b in zip(info.strides, info.dims))),
            ("image size", f"longer side at most {info.resize} px"),
            (
                "keyframes",
                f"{info.num_keyframes} in {len(info.tiles)} tiles of {info.tile_size:g} m",
            ),
            ("points", f"{info.num_points} (observed {info.num_observations} times)"),
            ("size on disk", f"{megabytes:.1f} MB"),
            ("places", f"{places:.1f} MB" if places else "none (build_map --add places)"),
        ]
        if s:
            rows += [
                (
                    "points per keyframe",
                    f"median {s['points_per_keyframe_p50']:.0f}, p10 "
                    f"{s['points_per_keyframe_p10']:.0f}, least {s['points_per_keyframe_min']:.0f}",
                ),
                (
                    "track length",
                    f"mean {s['track_length_mean']:.1f}, median {s['track_length_p50']:.0f}",
                ),
                (
                    "reprojection error",
                    f"mean {s['reprojection_error_mean']:.2f} px, "
                    f"p90 {s['reprojection_error_p90']:.2f} px",
                ),
                (
                    "triangulation angle",
                    f"median {s['triangulation_angle_p50']:.1f} deg, "
                    f"p10 {s['triangulation_angle_p10']:.1f} deg",
                ),
                ("keyframe spacing", f"median {s['keyframe_spacing_p50']:.2f} m"),
                ("extent", f"{s['extent_x']:.0f} x {s['extent_y']:.0f} m"),
            ]
        return rows


def statistics(plan: Plan, counts: np.ndarray, used: np.ndarray) -> dict[str, float]:
    """Figures of a map: `counts` (M,) observations kept per keyframe, `used` rows of its points."""
    poses = np.stack([keyframe.T_map_cam for keyframe in plan.keyframes])
    positions = poses[:, :3, 3]
    extent = np.ptp(positions, axis=0)
    angle = _triangulation_angle(plan, used)
    values = {
        **_quantiles("points_per_keyframe", counts, (10, 50, 90)),
        "points_per_keyframe_min": counts.min(),
        "track_length_mean": plan.track_length[used].mean(),
        **_quantiles("track_length", plan.track_length[used], (50,)),
        "reprojection_error_mean": plan.errors[used].mean(),
        **_quantiles("reprojection_error", plan.errors[used], (50, 90)),
        **_quantiles("triangulation_angle", angle, (10, 50)),
        **_quantiles("keyframe_spacing", _nearest_neighbour(positions), (50, 90)),
        "extent_x": extent[0],
        "extent_y": extent[1],
        "up_cosine": -poses[:, 2, 1].mean(),
    }
    return {key: round(float(value), 4) for key, value in values.items()}


def warnings(statistics: dict[str, float], metric: bool) -> tuple[str, ...]:
    """What will cost accuracy when localizing in a map with these statistics."""
    found = []
    if not metric:
        found.append(
            "no metric scale was given: one unit of the model is taken as one metre; if that is "
            "wrong, odometry and map disagree (build_map --scale)"
        )
    if statistics["up_cosine"] < MIN_UP_COSINE:
        found.append(
            "gravity is not along the map's z: the cameras' up is turned from it by "
            f"{np.degrees(np.arccos(np.clip(statistics['up_cosine'], -1, 1))):.0f} deg on average "
            "(build_map --up, e.g. --up=-y for a model in the axes of its first camera)"
        )
    if statistics["points_per_keyframe_p10"] < FEW_POINTS:
        found.append(
            "few points: a tenth of the keyframes have "
            f"{statistics['points_per_keyframe_p10']:.0f} or fewer "
            f"({FEW_POINTS} are wanted); map with more overlap or more texture"
        )
    if statistics["reprojection_error_mean"] > 2:
        found.append(
            f"mean reprojection error {statistics['reprojection_error_mean']:.1f} px: poses or "
            "camera calibration are off, and so will be every pose found with this map"
        )
    if statistics["keyframe_spacing_p90"] > 8:
        found.append(
            f"keyframes are up to {statistics['keyframe_spacing_p90']:.0f} m apart: views between "
            "them look different from all references; map at shorter distances"
        )
    return tuple(found)


def _quantiles(name: str, values: np.ndarray, percents: tuple[int, ...]) -> dict[str, float]:
    return {f"{name}_p{p}": np.percentile(values, p) for p in percents}


def _nearest_neighbour(positions: np.ndarray) -> np.ndarray:
    """Distance of each keyframe to the nearest other, (M,); in blocks, to bound the memory."""
    if len(positions) < 2:
        return np.zeros(1)
    nearest = []
    for start in range(0, len(positions), 256):
        block = positions[start : start + 256]
        distance = np.linalg.norm(block[:, None] - positions[None], axis=-1)
        distance[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        nearest.append(distance.min(1))
    return np.concatenate(nearest)


def _triangulation_angle(plan: Plan, used: np.ndarray) -> np.ndarray:
    """Degrees between the mean viewing direction of a point and its outermost observer, doubled."""
    widest = np.zeros(len(plan.points))
    for keyframe in plan.keyframes:
        direction = keyframe.T_map_cam[:3, 3] - plan.points[keyframe.rows]
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
        chord = np.linalg.norm(direction - plan.view[keyframe.rows], axis=1)
        np.maximum.at(widest, keyframe.rows, 4 * np.arcsin(np.minimum(chord / 2, 1)))
    return np.degrees(widest[used])


def verify(folder: Path, info: MapInfo) -> list[str]:
    """What is wrong with the tiles: every file is read and compared with its checksum."""
    return [
        f"{folder / TILE_FOLDER / tile.name}: checksum differs from map.json; copy the map again"
        for tile in info.tiles
        if file_sha256(folder / TILE_FOLDER / tile.name) != tile.sha256
    ]


def draw(feature_map: FeatureMap, path: Path, max_points: int = 200_000) -> None:
    """A picture (PNG) of the map from above: points by height, keyframes and where they look."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = feature_map.point_cloud(max_points)
    poses = feature_map.keyframe_poses()
    position, axis = poses[:, :2, 3], poses[:, :2, 2]
    # with the far points the drive would be too small to see
    margin = 25.0
    low, high = position.min(0) - margin, position.max(0) + margin
    points = points[((points[:, :2] >= low) & (points[:, :2] <= high)).all(1)]
    size = high - low
    figure, axes = pyplot.subplots(figsize=(9 * min(1.6, max(0.7, size[0] / size[1])) + 1.5, 9))
    lowest, highest = np.percentile(points[:, 2], [2, 98]) if len(points) else (0, 1)
    dots = axes.scatter(
        *points[:, :2].T,
        c=points[:, 2],
        s=2,
        cmap="viridis",
        vmin=lowest,
        vmax=highest,
        linewidths=0,
    )
    axes.quiver(
        *position.T, *axis.T, color="tab:red", angles="xy", width=0.002, scale_units="xy", scale=0.5
    )
    step = feature_map.info.tile_size
    axes.set_xticks(np.arange(np.floor(low[0] / step), np.ceil(high[0] / step) + 1) * step)
    axes.set_yticks(np.arange(np.floor(low[1] / step), np.ceil(high[1] / step) + 1) * step)
    axes.set(
        xlim=(low[0], high[0]),
        ylim=(low[1], high[1]),
        aspect="equal",
        xlabel="x (m)",
        ylabel="y (m)",
        title=f"{feature_map.path.name}: "
        f"{feature_map.info.num_keyframes} keyframes, {feature_map.info.num_points} points",
    )
    axes.grid(alpha=0.3)
    figure.colorbar(dots, label="height z (m)", shrink=0.7)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)

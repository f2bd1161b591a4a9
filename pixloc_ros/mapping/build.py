"""Builds a feature map: the network sees every keyframe once, its features are kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pixloc_ros.core.alignment import sample_reference
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.feature_map import format as fmt
from pixloc_ros.core.feature_map.select import spread
from pixloc_ros.core.feature_map.writer import MapWriter
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.image import prepare_image
from pixloc_ros.core.network.checkpoint import Checkpoint
from pixloc_ros.core.progress import Progress
from pixloc_ros.images.files import read_image
from pixloc_ros.mapping import inspect
from pixloc_ros.mapping.covisibility import covisible
from pixloc_ros.mapping.model import SfmModel
from pixloc_ros.mapping.plan import BuildOptions, Keyframe, Plan, plan_map

Tensors = dict[str, torch.Tensor]


def build_map(
    model: SfmModel,
    image_dir: str | Path,
    checkpoint: Checkpoint,
    out_dir: str | Path,
    options: BuildOptions = BuildOptions(),
    progress: Progress | None = None,
) -> inspect.MapSummary:
    """SfM model + images + network -> feature map at `out_dir`, which appears when complete.

    Work done is kept in `<out_dir>.partial` per keyframe; a run that was interrupted continues
    when it is started again with the same checkpoint, options, model and images. An older map at
    `out_dir` is replaced. Runs on the device of the checkpoint's network.

    Raises MapError or DataError (file, reason, remedy) for a bad model or bad images.
    """
    image_dir, out_dir = Path(image_dir), Path(out_dir)
    plan = plan_map(model, options)
    partial = out_dir.with_name(out_dir.name + ".partial")
    writer = MapWriter(out_dir, partial / "map", options.tile_size)
    _check_images(plan, image_dir)
    cache = _Cache(partial, _fingerprint(model, checkpoint, options))
    for done, keyframe in enumerate(plan.keyframes):
        if not cache.has(keyframe, image_dir):
            content = extract(keyframe, plan, image_dir, checkpoint, options)
            cache.put(keyframe, image_dir, content)
        if progress:
            progress(done + 1, len(plan.keyframes), "keyframes")
    info = _write(writer, plan, cache, checkpoint, options)
    shutil.rmtree(partial)
    return inspect.MapSummary(out_dir, info)


@torch.inference_mode()
def extract(
    keyframe: Keyframe, plan: Plan, image_dir: Path, checkpoint: Checkpoint, options: BuildOptions
) -> Tensors:
    """The reference features of one keyframe, sampled where its points project.

    Returns rows (n,) int32 of the plan's points with features_<l> (n, C) and confidence_<l> (n,)
    float16; points too close to the border at any level are left out.
    """
    net = checkpoint.net
    device = next(net.parameters()).device
    image = _read(keyframe, image_dir)
    tensor, scale = prepare_image(image, options.resize, device)
    camera = keyframe.camera.scale(*scale)
    T_cam_map = transforms.inverse(keyframe.T_map_cam)
    p_cam = plan.points[keyframe.rows] @ T_cam_map[:3, :3].T + T_cam_map[:3, 3]
    p2d, kept = camera.project(torch.from_numpy(p_cam).float())
    pixels, kept = p2d[None].to(device), kept.to(device)
    references = []
    for level in net(tensor):
        reference, inside = sample_reference(level, pixels, net.pad)
        kept = kept & inside[0]
        references.append(reference)
    confidence = torch.stack([r.confidence[0] for r in references]).mean(0)
    index = torch.nonzero(kept)[:, 0].cpu().numpy()
    chosen = index[
        spread(
            p2d.numpy()[index],
            confidence.cpu().numpy()[index],
            camera.size.numpy(),
            options.max_points_per_keyframe,
        )
    ]
    rows = torch.from_numpy(np.sort(chosen))
    content = {"rows": torch.from_numpy(keyframe.rows.astype(np.int32))[rows]}
    for index, reference in enumerate(references):
        content[f"features_{index}"] = reference.features[0].cpu()[rows].half()
        content[f"confidence_{index}"] = reference.confidence[0].cpu()[rows].half()
    return content


class _Cache:
    """Features of the keyframes done so far, in a folder beside the map."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder / "keyframes"
        note = folder / "fingerprint"
        if not note.is_file() or note.read_text() != fingerprint:
            shutil.rmtree(self._folder, ignore_errors=True)
            note.write_text(fingerprint)
        self._folder.mkdir(exist_ok=True)

    def has(self, keyframe: Keyframe, image_dir: Path) -> bool:
        try:
            with safe_open(str(self._path(keyframe)), framework="pt") as content:
                return content.metadata()["image"] == _stat(image_dir / keyframe.name)
        except (OSError, SafetensorError):
            return False

    def put(self, keyframe: Keyframe, image_dir: Path, content: Tensors) -> None:
        path = self._path(keyframe)
        temporary = path.with_suffix(".tmp")
        save_file(content, temporary, metadata={"image": _stat(image_dir / keyframe.name)})
        os.replace(temporary, path)

    def get(self, keyframe: Keyframe) -> Tensors:
        with safe_open(str(self._path(keyframe)), framework="pt") as content:
            return {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118 (no mapping)

    def _path(self, keyframe: Keyframe) -> Path:
        name = hashlib.sha256(keyframe.name.encode()).hexdigest()[:24]
        return self._folder / f"{name}.safetensors"


def _write(
    writer: MapWriter, plan: Plan, cache: _Cache, checkpoint: Checkpoint, options: BuildOptions
) -> fmt.MapInfo:
    counts, seen = [], []
    for keyframe in plan.keyframes:
        rows = cache.get(keyframe)["rows"].numpy()
        counts.append(len(rows))
        seen.append(rows)
    counts, rows = np.array(counts), np.concatenate(seen)
    neighbours = covisible(
        np.repeat(np.arange(len(counts)), counts), rows, len(counts), fmt.NUM_COVISIBLE
    )
    number = 0
    for cell, group in groupby(plan.keyframes, key=lambda keyframe: keyframe.cell):
        group = list(group)
        span = slice(number, number + len(group))
        table = np.zeros(len(group), fmt.KEYFRAME_DTYPE)
        table["T_map_cam"] = [keyframe.T_map_cam[:3] for keyframe in group]
        table["name"] = [keyframe.name.encode()[:96] for keyframe in group]
        table["count"] = counts[span]
        table["first"] = np.cumsum(counts[span]) - counts[span]
        table["covisible"] = neighbours[span]
        writer.add_tile(cell, table, _tile(plan, [cache.get(keyframe) for keyframe in group]))
        number += len(group)
    used = np.unique(rows)
    net = checkpoint.net
    statistics = inspect.statistics(plan, counts, used)
    return writer.finish(
        checkpoint=checkpoint.identity,
        checkpoint_name=checkpoint.name,
        strides=tuple(net.strides),
        dims=tuple(net.dims),
        resize=options.resize,
        num_points=len(used),
        statistics=statistics,
        warnings=inspect.warnings(statistics, options.scale is not None),
        gravity_aligned=statistics["up_cosine"] >= inspect.MIN_UP_COSINE,
    )


def _tile(plan: Plan, contents: list[Tensors]) -> Tensors:
    """The tensors of a tile from those of its keyframes."""
    merged = {key: torch.cat([c[key] for c in contents]) for key in contents[0]}
    used, index = np.unique(merged.pop("rows").numpy(), return_inverse=True)
    return {
        "points": torch.from_numpy(plan.points[used]),
        "point_ids": torch.from_numpy(plan.point_ids[used]),
        "track_length": torch.from_numpy(plan.track_length[used].astype(np.int32)),
        "viewing_direction": torch.from_numpy(plan.view[used].astype(np.float32)),
        "observation_point": torch.from_numpy(index.astype(np.int32)),
        **merged,
    }


def _check_images(plan: Plan, image_dir: Path) -> None:
    missing = [k.name for k in plan.keyframes if not (image_dir / k.name).is_file()]
    if missing:
        raise DataError(
            f"{image_dir / missing[0]}: image is missing ({len(missing)} of "
            f"{len(plan.keyframes)} are); give the folder that the model's image names start from"
        )


def _read(keyframe: Keyframe, image_dir: Path) -> np.ndarray:
    path = image_dir / keyframe.name
    image = read_image(path)
    expected = tuple(round(v) for v in keyframe.camera.size.tolist())
    if image.shape[1::-1] != expected:
        raise DataError(
            f"{path}: {image.shape[1]}x{image.shape[0]} px, but the model's camera says "
            f"{expected[0]}x{expected[1]}; use the images that the model was made from"
        )
    return image


def _stat(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _fingerprint(model: SfmModel, checkpoint: Checkpoint, options: BuildOptions) -> str:
    """What the cached features depend on, besides the images."""
    parts = {"checkpoint": checkpoint.identity, "options": asdict(options), "model": model.digest()}
    return json.dumps({**parts, "version": fmt.VERSION}, sort_keys=True)

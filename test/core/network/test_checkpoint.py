"""Checkpoints: both layouts, identity, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.network import (
    PixLocNet,
    export_official,
    load_checkpoint,
    save_checkpoint,
)
from pixloc_ros.core.network.checkpoint import identity_of


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return PixLocNet("small", pad=1)


@pytest.fixture(scope="module")
def vgg16():
    torch.manual_seed(0)
    return PixLocNet("vgg16", pad=3)


@pytest.fixture
def folder(small, tmp_path):
    save_checkpoint(small, tmp_path / "net", AlignerConfig(), {"licence": "Apache-2.0"})
    return tmp_path / "net"


def rejects(path, *words):
    """Loading must fail with a message that holds the file's name and these words."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    for word in (str(path), *words):
        assert word in str(caught.value)


def published_file(path, net, **changes):
    """Write `net` in the published layout, with top-level entries replaced or (None) removed."""
    export_official(net, path)
    content = {**torch.load(path, weights_only=True), **changes}
    torch.save({k: v for k, v in content.items() if v is not None}, path)
    return path


# ---------------------------------------------------------------------------- what works


def test_own_folder_round_trip(small, folder):
    checkpoint = load_checkpoint(folder, inference=False)
    assert checkpoint.name == "net" and checkpoint.card == {"licence": "Apache-2.0"}
    assert checkpoint.config == small.config and checkpoint.net.pad == 1
    assert not checkpoint.net.training
    for name, tensor in small.state_dict().items():
        assert torch.equal(tensor, checkpoint.net.state_dict()[name])
    assert sorted(file.name for file in folder.iterdir()) == [
        "checkpoint.json",
        "weights.safetensors",
    ]


def test_half_precision_storage_has_a_stable_identity(small, tmp_path):
    saved = save_checkpoint(small, tmp_path / "half", AlignerConfig(), {}, half_precision=True)
    loaded = load_checkpoint(tmp_path / "half", inference=False)
    assert loaded.identity == saved
    assert save_checkpoint(loaded.net, tmp_path / "again", AlignerConfig(), {}) == saved
    full = save_checkpoint(small, tmp_path / "full", AlignerConfig(), {})
    assert full != saved
    sizes = [(tmp_path / n / "weights.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    assert next(loaded.net.parameters()).dtype == torch.float32


def test_identity_is_that_of_weights_and_architecture(small, folder):
    before = load_checkpoint(folder).identity
    assert before == load_checkpoint(folder, inference=False).identity
    net = load_checkpoint(folder, inference=False).net
    with torch.no_grad():
        net.optimizer[0].dampingnet.const[3] += 1e-3
    assert save_checkpoint(net, folder, AlignerConfig(), {}) != before


def test_published_file_and_our_export_agree(published, tmp_path):
    original = load_checkpoint(published("vgg19"), inference=False)
    assert original.net.architecture == "vgg19" and original.net.pad == 2
    assert original.card == {} and original.name.endswith("/checkpoint_best.tar")
    export_official(original.net, tmp_path / "export.tar")
    exported = load_checkpoint(tmp_path / "export.tar")
    saved = save_checkpoint(original.net, tmp_path / "own", AlignerConfig(), {})
    assert exported.identity == saved == original.identity
    assert exported.config == original.config == load_checkpoint(tmp_path / "own").config
    content = torch.load(tmp_path / "export.tar", weights_only=True)
    reference = torch.load(published("vgg19"), weights_only=False)
    assert list(content["model"]) == list(reference["model"])
    assert content["conf"]["model"]["extractor"] == reference["conf"]["model"]["extractor"]


def test_border_pad_without_a_configuration_is_the_published_default(vgg16, tmp_path):
    checkpoint = load_checkpoint(published_file(tmp_path / "bare.tar", vgg16, conf=None))
    assert checkpoint.net.pad == 4 and checkpoint.net.architecture == "vgg16"


def test_other_widths_come_from_the_configuration(tmp_path):
    net = PixLocNet("vgg16", output_scales=(1, 3), dims=(8, 16), decoder=(32, 32, 16, 16))
    export_official(net, tmp_path / "net.tar")
    loaded = load_checkpoint(tmp_path / "net.tar").net
    assert loaded.strides == (2, 8) and loaded.dims == (8, 16)


def test_data_parallel_prefix_is_tolerated(vgg16, tmp_path):
    state = {f"module.{name}": tensor for name, tensor in vgg16.state_dict().items()}
    prefixed = published_file(tmp_path / "prefixed.tar", vgg16, model=state)
    assert load_checkpoint(prefixed).identity == identity_of(vgg16)


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numpy_scalars_of_numpy_1_and_2_are_read(module, vgg16, tmp_path):
    scores = {"f8": np.float64(0.5), "f4": np.float32(1), "i8": np.int64(3), "b": np.bool_(True)}
    path = published_file(tmp_path / "source.tar", vgg16, eval=scores)
    rewritten = tmp_path / "checkpoint.tar"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(rewritten, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                for spelling in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
                    data = data.replace(b"c" + spelling + b"\n", b"c" + module + b"\n")
                assert module in data
            target.writestr(entry, data)
    assert load_checkpoint(rewritten).identity == identity_of(vgg16)


# ------------------------------------------------------------------------ what is refused


def test_missing_file_lists_the_shipped_networks(tmp_path):
    rejects(tmp_path / "nothing.tar", "no such checkpoint", "small")
    rejects("medium", "no such checkpoint", "small")


def test_folder_without_description(tmp_path):
    rejects(tmp_path, "checkpoint.json", ".tar")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02", bytes(range(256)) * 8])
def test_file_that_is_no_checkpoint(content, tmp_path):
    (tmp_path / "file.tar").write_bytes(content)
    rejects(tmp_path / "file.tar", "not readable")


def test_truncated_file(vgg16, tmp_path):
    export_official(vgg16, tmp_path / "net.tar")
    data = (tmp_path / "net.tar").read_bytes()
    (tmp_path / "net.tar").write_bytes(data[: len(data) // 2])
    rejects(tmp_path / "net.tar", "not readable")


class Payload:
    """Touches a file when it is unpickled by an unrestricted loader."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_foreign_objects_are_refused_and_not_run(vgg16, tmp_path):
    path = tmp_path / "evil.tar"
    torch.save({"model": vgg16.state_dict(), "eval": Payload(tmp_path / "run")}, path)
    rejects(path, "not readable")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [[1, 2], {"weights": {}}, {"model": {"a": 1}}, {"model": 3}])
def test_content_without_weights(content, tmp_path):
    torch.save(content, tmp_path / "other.tar")
    rejects(tmp_path / "other.tar", "'model'")


def test_weights_that_do_not_fit(vgg16, tmp_path):
    state = vgg16.state_dict()
    bias = "extractor.adaptation.0.0.bias"
    missing = {k: v for k, v in state.items() if k != bias}
    rejects(published_file(tmp_path / "a.tar", vgg16, model=missing), "1 tensors missing", bias)
    shaped = {**state, bias: torch.zeros(7)}
    rejects(published_file(tmp_path / "b.tar", vgg16, model=shaped), "wrong shape", bias)
    extra = {**state, "extractor.other": torch.zeros(7)}
    rejects(published_file(tmp_path / "c.tar", vgg16, model=extra), "unknown", "extractor.other")
    broken = {**state, bias: torch.full((32,), torch.nan)}
    rejects(published_file(tmp_path / "d.tar", vgg16, model=broken), "not finite", bias)
    rejects(published_file(tmp_path / "e.tar", vgg16, model={}), "missing", "more", "vgg16")


@pytest.mark.parametrize(
    "conf, word",
    [
        ({"model": {"extractor": {"encoder": "resnet50"}}}, "resnet50"),
        ({"model": {"extractor": {"do_average_pooling": True}}}, "average pooling"),
        ({"model": {"extractor": {"output_dim": 3}}}, "malformed"),
        ({"model": 3}, "malformed"),
        ([1], "malformed"),
        ({"model": {"extractor": {"output_scales": [9], "output_dim": [1]}}}, "configuration"),
        ({"model": {"optimizer": {"pad": "wide"}}}, "configuration"),
    ],
)
def test_configurations_that_cannot_be_used(conf, word, vgg16, tmp_path):
    rejects(published_file(tmp_path / "net.tar", vgg16, conf=conf), word)


@pytest.mark.parametrize(
    "change, word",
    [
        ({"format_version": 99}, "format version 99"),
        ({"architecture": "huge"}, "huge"),
        ({"architecture": "vgg16"}, "does not fit"),
        ({"config": {"colour": "red"}}, "configuration"),
        ({"config": {"dims": [16, 32, 128]}}, "wrong shape"),
        ({"config": 3}, "not a checkpoint description"),
        ({"identity": "0" * 64}, "identity"),
    ],
)
def test_descriptions_that_cannot_be_used(change, word, folder):
    file = folder / "checkpoint.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CheckpointError, match=word):
        load_checkpoint(folder)


def test_damaged_own_files(folder):
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    rejects(folder, "identity")
    weights.write_bytes(data[:1000])
    rejects(folder, "weights.safetensors", "damaged")
    weights.unlink()
    rejects(folder, "weights.safetensors")
    (folder / "checkpoint.json").write_text("{")
    rejects(folder, "checkpoint.json")


def test_only_whole_networks_are_written(small, folder, tmp_path):
    with pytest.raises(CheckpointError, match="vgg16"):
        export_official(small, tmp_path / "small.tar")
    fused = load_checkpoint(folder).net
    with pytest.raises(ValueError, match="inference=False"):
        save_checkpoint(fused, tmp_path / "fused", AlignerConfig(), {})
    assert not (tmp_path / "small.tar").exists() and not (tmp_path / "fused").exists()

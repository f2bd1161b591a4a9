"""The probability that a fix is right: its evidence, its file, and who may use it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.errors import CheckpointError
from pixloc_ros.core.frame import Fix
from pixloc_ros.core.network import PixLocNet, load_checkpoint, save_checkpoint
from pixloc_ros.core.trust import FILE, TrustModel, evidence, read_trust, write_trust

MODEL = TrustModel({"contrast": (1.0, 0.5, 2.0), "cost": (0.07, 0.01, -1.0)}, bias=0.3)
COVARIANCE = np.diag([0.01**2, 0.02**2, 0.01**2, 1e-6, 1e-6, 1e-6])
GOOD = Fix(
    np.eye(4),
    COVARIANCE,
    COVARIANCE,
    num_points=400,
    cost=0.06,
    share=0.4,
    chance_share=0.05,
    residual=0.5,
    chance_residual=0.9,
    image_step=(0.0002, 1e-5),
    crosscheck=0.2,
)


def test_evidence_in_its_units():
    found = evidence(GOOD)
    assert found["contrast"] == pytest.approx(np.log(0.41 / 0.06))
    assert found["residual"] == pytest.approx(-0.4) and found["cost"] == 0.06
    assert found["points"] == pytest.approx(np.log(400))
    assert found["std"] == pytest.approx(np.log(0.02))
    assert found["step"] == pytest.approx(np.log(0.01 + 0.001))
    assert found["crosscheck"] == pytest.approx(np.log(0.5))


def test_a_better_fit_is_more_probable_and_a_failure_impossible():
    odds = 0.3 + 2.0 * (np.log(0.41 / 0.06) - 1.0) / 0.5 - 1.0 * (0.06 - 0.07) / 0.01
    assert MODEL.probability(GOOD) == pytest.approx(1 / (1 + np.exp(-odds)))
    assert MODEL.probability(replace(GOOD, share=0.06)) < MODEL.probability(GOOD)
    assert MODEL.of({"contrast": 99.0, "cost": 0.07}) == MODEL.of({"contrast": 2.5, "cost": 0.07})
    assert MODEL.probability(Fix.none("no map points in view of the prior")) == 0
    assert MODEL.probability(replace(GOOD, cost=float("nan"))) == 0


def test_a_fix_without_variance_or_in_view_of_nothing_raises_nothing():
    nothing = np.zeros((6, 6))
    assert 0 <= MODEL.probability(replace(GOOD, image_covariance=nothing)) <= 1
    unknown = np.diag(np.full(6, np.inf))
    assert 0 <= MODEL.probability(replace(GOOD, image_covariance=unknown)) <= 1
    blind = dict(share=np.nan, chance_share=0.0, residual=np.nan, chance_residual=np.nan)
    assert MODEL.probability(replace(GOOD, **blind)) == 0


def test_new_weights_leave_no_model_of_the_old_ones(tmp_path):
    torch.manual_seed(0)
    net = PixLocNet("small", pad=1)
    identity = save_checkpoint(net, tmp_path, AlignerConfig(), {})
    write_trust(tmp_path, identity, MODEL, {})
    assert load_checkpoint(tmp_path).trust is not None
    save_checkpoint(PixLocNet("small", pad=1), tmp_path, AlignerConfig(), {})
    assert load_checkpoint(tmp_path).trust is None


def test_a_file_goes_with_its_checkpoint_only(tmp_path):
    assert read_trust(tmp_path, "abc") is None
    write_trust(tmp_path, "abc", MODEL, {"scenes": ["a street"]})
    again = read_trust(tmp_path, "abc")
    assert again.terms == MODEL.terms and again.bias == MODEL.bias
    with pytest.raises(CheckpointError, match="benchmark trust --fit"):
        read_trust(tmp_path, "another")
    (tmp_path / FILE).write_text(json.dumps({"format_version": 1}))
    with pytest.raises(CheckpointError, match=FILE):
        read_trust(tmp_path, "abc")


def test_the_shipped_network_has_one_that_uses_known_evidence():
    trust = load_checkpoint("small").trust
    assert trust is not None and set(trust.terms) <= set(evidence(GOOD))
    assert trust.probability(GOOD) > 0.9
    lost = replace(GOOD, share=0.05, chance_share=0.06, residual=0.9, cost=0.085, crosscheck=12.0)
    assert trust.probability(lost) < 0.1

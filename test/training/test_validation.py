"""A pair is localized as a frame is: searched around a prior that says how far it is off."""

from dataclasses import replace

import torch
import walls

from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.training.augment import AugmentConfig
from pixloc_ros.training.pairs import SyntheticPairs
from pixloc_ros.training.two_view import align_pairs
from pixloc_ros.training.validation import localize_pair


def test_far_starts_that_a_single_alignment_misses_are_found(config, tmp_path, monkeypatch):
    monkeypatch.setattr(walls, "WIDTH", 320)  # so large that the coarsest level sees points
    monkeypatch.setattr(walls, "HEIGHT", 240)
    monkeypatch.setattr(walls, "FOCAL", 230.0)
    data = replace(config.data, points=256, max_translation=2.0, max_rotation_deg=8.0, power=0.2)
    pairs = SyntheticPairs(data, AugmentConfig.none(), 5, 0, 6, tmp_path)
    trained = load_checkpoint("small", inference=False)
    errors = {"localized": [], "aligned once": []}
    for pair in (pairs[i] for i in range(6)):
        with torch.no_grad():
            once, _ = align_pairs(trained.net, pair, trained.aligner)
        found = localize_pair(trained.net, pair, trained.aligner)
        for name, pose in (("localized", found), ("aligned once", once.T_rig_map)):
            errors[name].append(float((pose @ pair.T_query_ref.inv()).magnitude()[1]))
    near = {name: sum(e < 0.1 for e in found) for name, found in errors.items()}
    assert near["localized"] >= 5 and near["localized"] >= near["aligned once"], errors

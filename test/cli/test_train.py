"""The executable train: from a YAML file to a checkpoint."""

import torch

from pixloc_ros.cli.train import starting_network
from pixloc_ros.core.network import load_checkpoint
from pixloc_ros.training.loop import TrainConfig


def test_training_starts_from_the_checkpoint_it_is_told(tmp_path):
    net = starting_network(TrainConfig("test", start="small"), tmp_path)
    shipped = load_checkpoint("small", inference=False).net
    for name, tensor in shipped.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert not net.fused and all(p.requires_grad for p in net.parameters())

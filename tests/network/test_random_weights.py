"""Weights as before training: new ones of every module that has any, and the network is as it was afterwards."""

import torch
from torch import nn

from cnnviz.network import random_weights


class Mixed(nn.Module):
    """Modules with known initial values, and a parameter and a buffer of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 64, 5), nn.BatchNorm2d(64)
        self.scale, self.line = nn.Parameter(torch.randn(64, 3)), nn.Linear(64, 5)
        self.register_buffer("shared", torch.ones(1).expand(4))  # memory that cannot be written


def test_an_untrained_network_keeps_the_size_of_its_values_and_is_put_back():
    torch.manual_seed(0)
    net = Mixed().eval()
    with torch.no_grad():
        for tensor in (*net.parameters(), net.norm.running_var):
            tensor.mul_(5).add_(1)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    seen = []
    for _ in range(2):
        with random_weights.untrained(net, lambda *what: len("".join(what))) as any_weights:
            assert any_weights
            seen.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    drawn, again = seen
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)
    assert abs(drawn["conv.weight"].std() * (75 / 2) ** 0.5 - 1) < 0.03 and not drawn["conv.bias"].any()
    assert (drawn["norm.weight"] == 1).all() and (drawn["norm.running_var"] == 1).all()
    assert not torch.equal(drawn["scale"], before["scale"])  # redrawn in the old size
    assert drawn["scale"].square().mean() < 2 * before["scale"].square().mean()


def test_a_network_without_weights_has_nothing_to_draw():
    with random_weights.untrained(nn.Sequential(nn.ReLU(), nn.Flatten()), lambda *what: 0) as any_weights:
        assert not any_weights

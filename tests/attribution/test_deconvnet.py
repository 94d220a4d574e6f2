"""Oracles: captum on module ReLUs, explicit transposed convolutions, and independence of the picture without pools."""

import pytest
import torch
from captum.attr import Deconvolution
from torch import nn
from torch.nn import functional as F

from cnnviz.attribution.deconvnet import METHODS
from cnnviz.attribution.projections import to_pixels
from cnnviz.network.relu import DECONVNET


def net(pool: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), pool, nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 4)),
    ).double().requires_grad_(False)  # fmt: skip


def picture(seed: int = 1) -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def projected(net, x):
    return to_pixels(lambda x: net(x)[:, 1], x, DECONVNET)[0]


@pytest.mark.filterwarnings("ignore::UserWarning:captum")
def test_equals_captum():
    expected = Deconvolution(net(nn.MaxPool2d(2))).attribute(picture(), target=1)
    got = projected(net(nn.MaxPool2d(2)), picture())
    assert (got - expected).norm() <= 1e-6 * expected.norm()
    assert set(METHODS) == {"deconvnet"} and not METHODS["deconvnet"].signed


def test_is_a_deconvolutional_network():
    """The explicit backward pass: transposed weights, unpooling to the switches, a ReLU at each (Zeiler & Fergus)."""
    layers, x = net(nn.MaxPool2d(2, return_indices=True)), picture()
    first, relu, pool, second, _, _, last = layers
    pooled, switches = pool(relu(first(x)))
    g = last.weight[1].expand(2, -1).reshape(2, 8, 5, 5)
    g = F.conv_transpose2d(F.relu(g), second.weight)
    g = F.max_unpool2d(g, switches, 2, output_size=(14, 14))
    expected = F.conv_transpose2d(F.relu(g), first.weight)
    torch.testing.assert_close(projected(net(nn.MaxPool2d(2)), x), expected, rtol=1e-12, atol=1e-15)


def test_without_max_pools_nothing_of_the_picture_enters():
    smooth = net(nn.AvgPool2d(2))
    assert torch.equal(projected(smooth, picture(1)), projected(smooth, picture(2)))
    pooled = net(nn.MaxPool2d(2))
    assert not torch.equal(projected(pooled, picture(1)), projected(pooled, picture(2)))

"""A network that is small enough for finite differences, as a Model."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures.preprocess import Preprocess


def small_model(*, relu_scores: bool = False, dtype: torch.dtype = torch.float64) -> Model:
    """Two convolutions and a linear layer for 16 × 16 pictures (any size); smooth (tanh) so that differences exist."""
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("one", nn.Conv2d(3, 8, 5, padding=2))
    net.add_module("bend", nn.Tanh())
    net.add_module("two", nn.Conv2d(8, 6, 3, stride=2))
    net.add_module("bend2", nn.Tanh())
    net.add_module("pool", nn.AdaptiveAvgPool2d(2))
    net.add_module("flat", nn.Flatten())
    net.add_module("score", nn.Linear(24, 5))
    if relu_scores:
        net.add_module("relu", nn.ReLU())
    net = net.to(dtype).eval().requires_grad_(False)
    with torch.no_grad():
        net.score.weight.mul_(10)
    layers = (
        Layer("conv1", "one", "Conv2d", 8, 16, 16),
        Layer("conv2", "two", "Conv2d", 6, 7, 7),
        Layer("fc1", "score", "Linear", 5, 1, 1),
    )
    prepared = Preprocess(resize=(16, 16), mean=np.float32([0.5, 0.4, 0.3]), std=np.float32(0.25))
    names = ("ant", "bee", "cat", "dog", "eel")
    return Model(
        "small", net, prepared, layers, ("conv1", "conv2"), ("score", "input"), "fc1", 24, names,
        (1, 3, 4), torch.device("cpu"), {},
    )  # fmt: skip


@pytest.fixture
def model() -> Model:
    return small_model()

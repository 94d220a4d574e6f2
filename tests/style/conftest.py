"""A network that is small enough for seconds, as a Model."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures.preprocess import Preprocess


@pytest.fixture(scope="module")
def model() -> Model:
    torch.set_num_threads(1)  # for fixtures that live longer than a test
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(),
        nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    ).eval().requires_grad_(False)  # fmt: skip
    found = tuple(
        Layer(f"conv{i + 1}", module, "Conv2d", units, 16, 16)
        for i, (module, units) in enumerate([("0", 12), ("3", 12), ("5", 16)])
    )
    names = tuple(layer.name for layer in found)
    found = (*found, Layer("fc1", "9", "Linear", 4, 1, 1))
    prepared = Preprocess(resize=(32, 32), mean=np.float32([0.5] * 3), std=np.float32(0.25))
    return Model(
        "small", net, prepared, found, (*names, "fc1"), ("9", "input"), "fc1", 16, tuple("abcd"), (),
        torch.device("cpu"), {},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _threads():
    torch.set_num_threads(1)  # the pictures are too small for a second thread

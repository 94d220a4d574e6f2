"""The demo's biased net as a Model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cnnviz.demo import nets
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.pictures.preprocess import Preprocess

WEIGHTS = Path(__file__).parents[2] / "cnnviz/demo/weights/biased.safetensors"
LAYERS = {"conv1": (32, 32), "conv2": (64, 16), "conv3": (96, 8), "conv4": (96, 8), "conv5": (64, 8)}


@pytest.fixture(scope="session")
def demo() -> Model:
    net = nets.demo_net()
    net.load_state_dict(load_file(WEIGHTS))
    convolutions = [name for name, module in net.named_modules() if isinstance(module, torch.nn.Conv2d)]
    layers = tuple(
        Layer(name, module, "Conv2d", units, side, side)
        for (name, (units, side)), module in zip(LAYERS.items(), convolutions, strict=True)
    )
    prepared = Preprocess(resize=(64, 64), mean=np.float32(0.5), std=np.float32(0.25))
    return Model(
        "demo", net.eval().requires_grad_(False), prepared, layers, tuple(LAYERS), ("classifier.6", "input"), "fc7",
        256, tuple(map(str, range(12))), tuple(range(12)), torch.device("cpu"), {},
    )  # fmt: skip

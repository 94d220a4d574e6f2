"""Networks whose forward takes more than the picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz.check.seen import opened
from cnnviz.config import complete
from cnnviz.errors import UserError
from cnnviz.network import building, fixed_inputs, network

NETS = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(7, 3)
    def features(self, x):
        return self.conv(x).relu().mean((2, 3))

class Named(Base):
    def forward(self, *, pixels, metadata):
        return self.fc(torch.cat([self.features(pixels), metadata], 1))

class Metadata(Base):
    def forward(self, image, metadata):
        return self.fc(torch.cat([self.features(image), metadata], 1))

class First(Base):
    def forward(self, metadata, image, double=False):
        return self.fc(torch.cat([self.features(image), metadata], 1)) * (2 if double else 1)

class Siamese(Base):
    def forward(self, one, other):
        return (self.features(one) - self.features(other)).abs()[:, :3]

class Index(Base):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
    def forward(self, image, kind, *, scale=1.0):
        return self.fc(torch.cat([self.features(image), self.embedding(kind)], 1)) * scale
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    np.save(tmp_path / "three.npy", np.float32([1, 2, 3]))
    torch.save(torch.tensor(4), tmp_path / "kind.pt")
    Image.fromarray(np.full((9, 9, 3), 120, np.uint8)).save(tmp_path / "other.png")

    def made(name, inputs):
        if isinstance(inputs, dict):
            inputs = {k: f"{tmp_path}/{v}" if isinstance(v, str) and "." in v else v for k, v in inputs.items()}
        block = {"factory": f"{tmp_path}/nets.py:{name}", "inputs": inputs, "preprocess": {"resize": [8, 8]}}
        block = complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": block}})["models"]["m"]
        built = building.build(block, "m", 0)
        return opened(built, network.describe(built, block, "m", []), block, torch.device("cpu"))

    return made


@pytest.mark.parametrize(
    ("name", "inputs", "fixed"),
    [
        ("Metadata", {"metadata": [1, 2, 3]}, [1.0, 2, 3]),
        ("Named", {"metadata": [1, 2, 3]}, [1.0, 2, 3]),
        ("Metadata", {"metadata": {"zeros": [3]}}, [0.0] * 3),
        ("Metadata", {"metadata": "three.npy"}, [1.0, 2, 3]),
        ("Metadata", [[1, 2, 3]], [1.0, 2, 3]),
        ("First", [[1, 2, 3], "picture"], [1.0, 2, 3]),
        ("First", {"metadata": {"ones": [3]}, "image": "picture"}, [1.0] * 3),
    ],
)
def test_fixed_values_stand_beside_each_picture(model, name, inputs, fixed):
    found = model(name, inputs)
    x = torch.rand(4, 3, 8, 8)
    features = found.net.conv(found.normalise(x)).relu().mean((2, 3))
    expected = found.net.fc(torch.cat([features, torch.tensor(fixed).expand(4, -1)], 1))
    torch.testing.assert_close(found.logits(x), expected)


def test_numbers_and_switches_pass_as_they_are(model):
    x = torch.rand(2, 3, 8, 8)
    plain = model("First", {"metadata": [1, 2, 3], "image": "picture"})
    double = model("First", {"metadata": [1, 2, 3], "image": "picture", "double": True})
    torch.testing.assert_close(double.logits(x), 2 * plain.logits(x))
    index = model("Index", {"kind": "kind.pt", "scale": 0.5})
    assert index.logits(x).shape == (2, 3)


def test_the_other_picture_is_prepared_as_the_first(model):
    found = model("Siamese", {"other": "other.png"})
    grey = torch.full((2, 3, 8, 8), 120 / 255)
    assert found.logits(grey).abs().max() < 1e-6  # the same picture twice
    assert found.logits(torch.rand(2, 3, 8, 8)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("Metadata", None, r"forward takes image, metadata.*inputs: \{metadata: \{zeros: \[N\]\}\}"),
        ("Siamese", None, "a picture where it compares two"),
        ("Named", None, r"inputs: \{pixels: picture, metadata: \{zeros: \[N\]\}\}"),
        ("Metadata", {"image": "picture"}, r"inputs: \{metadata: \{zeros: \[N\]\}\}"),
        ("Metadata", {"meta": [1]}, "there is no 'meta'. Did you mean 'metadata'"),
        ("Metadata", {"metadata": "absent.npy"}, "does not exist"),
        ("Metadata", {"metadata": {"zeros": 3}}, r"neither \{zeros: \[sizes\]\} nor"),
        ("Metadata", {"metadata": [[1, 2], [3]]}, "not a table of numbers"),
        ("Metadata", {"image": "picture", "metadata": "picture"}, "one place only"),
    ],
)
def test_what_does_not_fit_is_said(model, name, inputs, words):
    with pytest.raises(UserError, match=words):
        model(name, inputs)


def test_networks_with_one_input_are_left_alone():
    net = nn.Conv2d(3, 1, 1)
    fixed_inputs.attach(net, None, "m")
    assert not net._forward_pre_hooks

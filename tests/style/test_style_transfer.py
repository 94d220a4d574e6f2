"""Style transfer on a small net: what the losses must do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz import models, result
from cnnviz.ascent.objectives import gram, read
from cnnviz.errors import UserError
from cnnviz.models import Layer, Model
from cnnviz.preprocess import Preprocess
from cnnviz.style import style_transfer
from cnnviz.style.style_transfer import layers, losses, picture, transfer

CHOICE = {"content_layer": "conv3", "style_layers": ["conv1", "conv2"]}
WEIGHTS = {"content_weight": 10.0, "style_weight": 1000.0, "smoothness": 0.0}


@pytest.fixture(scope="module")
def model() -> Model:
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


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Content: a bright square on dark. Style: short reddish strokes."""
    content = torch.full((1, 3, 32, 32), 0.2)
    content[:, :, 8:22, 10:26] = 0.8
    style = torch.rand(1, 3, 28, 40, generator=torch.Generator().manual_seed(3))
    style = nn.functional.avg_pool2d(style, (1, 5), 1, (0, 2)) * torch.tensor([1.2, 0.8, 0.4]).reshape(1, 3, 1, 1)
    return content, style


def results(model, pictures, **changes):
    ascent = transfer(model, *pictures, **CHOICE, **WEIGHTS | {"steps": 30} | changes)
    return losses(model, ascent.pictures, *pictures, CHOICE["content_layer"], CHOICE["style_layers"])


def test_from_noise_the_style_loss_falls_by_orders_and_the_content_loss_too(model, pictures):
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    content_before, style_before = losses(model, noise, *pictures, "conv3", ["conv1", "conv2"])
    content_after, style_after = results(model, pictures, start=noise)
    assert style_after < style_before / 30
    assert content_after < content_before


def test_from_content_the_style_loss_falls_by_orders_and_the_content_loss_stays_bounded(model, pictures):
    content_before, style_before = losses(model, pictures[0], *pictures, "conv3", ["conv1", "conv2"])
    content_after, style_after = results(model, pictures)
    assert content_before == 0
    assert style_after < style_before / 30
    assert 0 < content_after < 1


def test_more_style_weight_less_style_loss_more_content_loss(model, pictures):
    found = [results(model, pictures, style_weight=weight) for weight in (1.0, 10.0, 100.0)]
    content, style = zip(*found, strict=True)
    assert list(content) == sorted(content) and content[-1] > content[0]
    assert list(style) == sorted(style, reverse=True) and style[-1] < style[0]


def test_without_style_the_content_is_left_alone(model, pictures):
    ascent = transfer(model, *pictures, **CHOICE, **WEIGHTS | {"style_weight": 0.0, "steps": 5})
    torch.testing.assert_close(ascent.pictures, pictures[0])


def test_losses_are_those_of_the_definition(model, pictures):
    x = torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(1))
    content = torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(2))
    found = losses(model, x, content, pictures[1], "conv3", ["conv1", "conv2"])
    ours, theirs, kept = (read(model, p, ["0", "3", "5"]) for p in (x, pictures[1], content))
    f, t = torch.relu(ours["5"]), torch.relu(kept["5"])
    assert found[0] == pytest.approx(float(((f - t) ** 2).sum() / (t**2).sum()), rel=1e-5)
    expected = np.mean(
        [float((gram(ours[m]) - gram(theirs[m])).norm() ** 2 / gram(theirs[m]).norm() ** 2) for m in ("0", "3")]
    )
    assert found[1] == pytest.approx(expected, rel=1e-5)


def test_the_curves_are_the_losses(model, pictures):
    ascent = transfer(model, *pictures, **CHOICE, **WEIGHTS | {"steps": 3})
    _, style = losses(model, pictures[0], *pictures, "conv3", ["conv1", "conv2"])
    curve = ascent.curves["style conv1"][0, 0] + ascent.curves["style conv2"][0, 0]
    assert -curve / 1000 == pytest.approx(style, rel=1e-5)


def test_choice_of_layers(model):
    assert layers(model, "default", "default") == ("conv2", ["conv1", "conv2"])
    assert layers(model, "5", ["conv1", "3"]) == ("conv3", ["conv1", "conv2"])
    with pytest.raises(UserError, match="conv9"):
        layers(model, "conv9", "default")


def test_pictures_are_read_upright_at_their_size(tmp_path):
    image = Image.new("L", (80, 40), 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert picture(tmp_path / "turned.jpg", 60).shape == (60, 30, 3)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="broken.png"):
        picture(tmp_path / "broken.png", 60)


FIXED = """
from torch import nn

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
    def forward(self, x):
        assert x.shape[-1] == 32, "Wrong image height! Expected 32"
        return self.head(self.conv(x).relu().mean((2, 3)))
"""


def test_a_net_that_takes_its_own_size_only_is_told_apart_and_no_failure(make_job, tmp_path):
    (tmp_path / "fixed.py").write_text(FIXED)
    block = {"factory": f"{tmp_path}/fixed.py:Fixed", "preprocess": {"resize": [32, 32], "crop": None}}
    models.main(make_job(block))
    job = make_job(block, "style_transfer", parameters={"size": 48, "steps": 1})
    inputs = job.inputs | {name: Path(job.parameters[name]) for name in ("content", "style")}
    job = dataclasses.replace(job, inputs=inputs)
    style_transfer.main(job)
    left = result.read(job.outputs["result"])
    assert left.status == "not_applicable" and "own size only" in left.reason

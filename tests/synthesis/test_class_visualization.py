"""Class visualisation on a net whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.ascent.objectives import read
from cnnviz.models import Layer, Model
from cnnviz.preprocess import Preprocess
from cnnviz.synthesis.class_visualization import chosen, flat, judge, objective, takes, visualise

NAMES = ("red", "green", "blue, azure", "stripes")
PARAMETERS = {
    "size": None,
    "steps": 60,
    "total_variation": 0.0,
    "l2": 0.0,
    "border": 0.0,
    "score": None,
    "easing": 0.0,
    "batch": 4,
}


class Colours(nn.Module):
    """Scores: how red, green and blue the picture is, and how much it changes from left to right."""

    def __init__(self, shift: float = 0.0, fixed: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        weight = torch.zeros(4, 3, 3, 3)
        for c in range(3):
            weight[c, :, 1, 1] = -0.5
            weight[c, c, 1, 1] = 1
        weight[3, :, 1, 0], weight[3, :, 1, 2] = -0.1, 0.1
        self.conv.weight.data, self.conv.bias.data = weight * 10, torch.full((4,), float(shift))
        self.fixed = fixed

    def forward(self, x):
        maps = torch.relu(self.conv(x))
        return maps.reshape(len(x), 4, 30 * 30).mean(2) if self.fixed else maps.flatten(2).mean(2)


def colours(**arguments) -> Model:
    net = Colours(**arguments).eval().requires_grad_(False)
    return Model(
        "colours", net, Preprocess(resize=(32, 32)), (Layer("conv1", "conv", "Conv2d", 4, 30, 30),), ("conv1",),
        ("conv", "output"), "conv1", 4, NAMES, (3, None, 0), torch.device("cpu"), {},
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 5])
def test_pictures_of_a_net_of_other_than_three_channels_show_what_its_classes_are(channels):
    """Class c of this net is the brightness of channel c, the last class the darkness of all."""
    net = nn.Sequential(nn.Conv2d(channels, channels + 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net[0].weight.data = torch.cat([torch.eye(channels), -torch.ones(1, channels)])[:, :, None, None] * 5
    names = tuple(f"c{i}" for i in range(channels + 1))
    model = Model(
        *("net", net.eval().requires_grad_(False), Preprocess(resize=(16, 16), inputs=channels)),
        *((Layer("conv1", "0", "Conv2d", channels + 1, 16, 16),), ("conv1",), ("0", "output"), "conv1", 2, names, ()),
        *(torch.device("cpu"), {}, channels),
    )
    classes = list(range(channels + 1))
    ascent, _ = visualise(model, classes, classes, 9, PARAMETERS | {"steps": 30})
    assert ascent.pictures.shape == (channels + 1, channels, 16, 16)
    brightness = ascent.pictures.mean((2, 3))
    assert all(brightness[c, c] > 0.6 for c in range(channels)) and (brightness[-1] < 0.4).all()


@pytest.mark.parametrize("fixed", [False, True])
def test_pictures_show_what_the_classes_are(fixed):
    model = colours(shift=1.0, fixed=fixed)
    ascent, dead = visualise(model, [0, 1, 2, 3], [5, 6, 7, 8], 9, PARAMETERS)
    assert not dead.any()
    assert ascent.pictures.mean((2, 3))[:3].argmax(1).tolist() == [0, 1, 2]
    before, after = (judge(model, ascent.snapshots[step], [0, 1, 2, 3]) for step in (0, PARAMETERS["steps"]))
    assert after["ranks"][:3].tolist() == [1, 1, 1]
    assert (after["logits"] > before["logits"]).all()


def test_a_dead_score_falls_back_to_the_value_before_the_relu():
    """With a bias of -0.5 grey excites nobody: every score is flat, and the fallback finds the colours all the same."""
    model = colours(shift=-0.5)
    ascent, dead = visualise(model, [0, 1], [5, 6], 9, PARAMETERS)
    assert dead.tolist() == [True, True]
    assert ascent.pictures.mean((2, 3)).argmax(1).tolist() == [0, 1]
    assert (model.logits(ascent.pictures)[[0, 1], [0, 1]] > 0).all()


def test_only_dead_classes_are_changed():
    model = colours(shift=1.0)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = read(model, x, ["conv", ""])
    mixed = objective(model, [0, 3], torch.tensor([False, True])).value(seen)
    torch.testing.assert_close(mixed, torch.stack([seen[""][0, 0], seen["conv"][1, 3].mean()]))
    assert flat(model, [0, 3], x).tolist() == [False, False]


def test_judge_ranks_and_probabilities():
    model = colours(shift=1.0)
    pictures = np.zeros((2, 32, 32, 3), np.uint8)
    pictures[:, ..., 1] = 200
    found = judge(model, pictures, [1, 0])
    logits = model.logits(model.pictures(list(pictures)))
    assert found["ranks"].tolist() == [1, 3]  # green first, then stripes, then red and blue alike
    np.testing.assert_allclose(found["logits"], [logits[0, 1], logits[1, 0]])
    np.testing.assert_allclose(found["probabilities"], [logits.softmax(1)[0, 1], logits.softmax(1)[1, 0]], rtol=1e-5)


def test_takes_another_size():
    assert takes(colours(), (20, 20))
    assert not takes(colours(fixed=True), (20, 20))


def test_choice_of_classes():
    model = colours()
    assert chosen(model, "all") == [0, 1, 2, 3]
    assert chosen(model, ["blue", "red"]) == [2, 0]
    assert chosen(model, 2) == [0, 3]  # those of the image set
    assert chosen(model, 99) == [0, 1, 2, 3]
    assert set(chosen(model, 2)) < set(chosen(model, 3))

"""Class visualisation of a network with known answers."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz import config
from cnnviz.ascent.class_scores import chosen, flat, judge, objective
from cnnviz.ascent.climb import slope
from cnnviz.ascent.loop import to_bytes
from cnnviz.ascent.objective_functions import logit, read, takes
from cnnviz.ascent.parametrisations import fourier, pixels
from cnnviz.ascent.regularisers import GREY, blur, clip_small_contributions, clip_small_norms, decay
from cnnviz.network import loaded, network
from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.synthesis import checkerboard, class_visualization, published
from cnnviz.synthesis.class_visualization import compare, drawn, starts_and_rates, visualise

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
    """Scores: redness, greenness and blueness of the picture, and its change from left to right."""

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
    """With a bias of -0.5 all scores are 0 on grey and flat; the fallback still finds the colours."""
    model = colours(shift=-0.5)
    ascent, dead = visualise(model, [0, 1], [5, 6], 9, PARAMETERS)
    assert dead.tolist() == [True, True]
    assert ascent.pictures.mean((2, 3)).argmax(1).tolist() == [0, 1]
    assert (model.logits(ascent.pictures)[[0, 1], [0, 1]] > 0).all()


def test_a_score_that_becomes_flat_is_ascended_again_before_its_relu():
    """At the start one position responds to stripes; the smaller views smooth it away permanently."""
    start = fourier((32, 32), [5, 6])
    excited = colours().net.conv(start.picture(start.variable))[0, 3].max().item()
    model = colours(shift=1e-4 - excited)
    first, dead = visualise(model, [3, 1], [5, 6], 9, PARAMETERS)
    assert dead.tolist() == [False, False]
    assert (first.curves["score"][:, 0] == 0).all()
    found = drawn(model, [3, 1], [5, 6], 9, PARAMETERS)
    assert found["fallback"].tolist() == [True, False]
    assert (found["logits"] > 0).all() and found["ranks"][1] == 1
    np.testing.assert_array_equal(found["pictures"][1], to_bytes(first.pictures)[1])  # the other one is unchanged


def test_a_picture_of_another_class_is_tried_from_other_starts(monkeypatch):
    """Only lost classes are drawn again, and only a better picture replaces the one before."""
    ranks = {(1, 0): 1, (2, 0): 3, (2, 1): 2, (2, 2): 2, (3, 0): 4, (3, 1): 1}
    asked = []

    def fake(model, classes, seeds, views, parameters):
        asked.append((tuple(classes), views))
        found = {"ranks": np.array([ranks[pair] for pair in zip(classes, seeds, strict=True)])}
        return found | {"probabilities": 1 / (1.0 + np.array(seeds)), "pictures": 10 * np.array(classes) + seeds}

    monkeypatch.setattr(class_visualization, "drawn", fake)
    found = class_visualization.best_of_starts(None, [1, 2, 3], [[0, 1, 2]] * 3, 7, {})
    assert asked == [((1, 2, 3), 7), ((2, 3), 8), ((2,), 9)]
    assert found["pictures"].tolist() == [10, 21, 31] and found["tries"].tolist() == [1, 3, 2]


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
    assert chosen(model, 2) == [0, 3]  # classes of the image set
    assert chosen(model, 99) == [0, 1, 2, 3]
    assert set(chosen(model, 2)) < set(chosen(model, 3))


# -------------------------------------------------------------------------------------- on the demo's net, as published

DEMO = {
    "factory": "cnnviz/demo/nets.py:demo_net",
    "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
}


@pytest.fixture
def demo(make_job):
    """demo(weights) → the demo's net of that name."""

    def load(weights: str) -> Model:
        net = DEMO | {"checkpoint": f"cnnviz/demo/weights/{weights}.safetensors"}
        network.main(make_job(net))
        return loaded.load(make_job(net, "class_visualization", threads=1))

    return load


def test_the_demos_pictures_are_what_was_asked_for_and_its_twin_agrees(demo):
    """≥ 11 of 12 are the arg max of the net they were made with; the twin has ≥ 8 in its top 3. 8-bit pictures."""
    block = config.complete({"image_sets": {"a": {"kind": "demo"}}, "models": {"m": {"torchvision": "x"}}})
    given = {
        "score": 35,
        "border": 0.1,
        "total_variation": 0.007,
        "easing": 0.25,
        "steps": 64,
    }  # the demo's parameters with fewer steps
    classes = list(range(12))
    biased = demo("biased")
    ascent, _ = visualise(biased, classes, classes, 9, block["techniques"]["class_visualization"] | given)
    pictures = (ascent.pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert (judge(biased, pictures, classes)["ranks"] == 1).sum() >= 11
    assert (judge(demo("unbiased"), pictures, classes)["ranks"] <= 3).sum() >= 8


def test_published_settings_reach_their_class_and_keep_to_what_they_are(demo):
    found = compare(demo("biased"), [8], [1], {"settings_share": 0.01, "settings_l2": 3.0, "views": 4})
    stages = found["settings/stages"]
    assert stages.shape == (1, 7, 4, 64, 64, 3)
    assert (found["settings/ranks"] == 1).all()
    grey = np.round(np.array(GREY) * 255)
    assert (stages[0, :2, 0] == grey).all()  # these two start from grey
    names = [setting.name for setting in published.SETTINGS]
    kept = {name: (np.abs(stages[0, i, -1] - grey) <= 1).all(2).mean() for i, name in enumerate(names)}
    assert kept["blur, contribution"] > 0.85 and kept["blur, norm"] > 0.45 and kept["decay, norm"] > 0.15
    distance = dict(zip(names, found["settings/distance"][0], strict=True))
    assert distance["L2"] < distance["no regulariser"]


def test_the_distance_to_grey_falls_as_lambda_grows(demo):
    model = demo("biased")
    setting = published.SETTINGS[1]
    found = []
    for weight in (0.5, 2, 8):
        begin = published.start(model, "noise", [3], GREY)
        ascent = published.climb(
            *(model, setting, logit([8]), begin, GREY),
            **{"steps": 40, "l2": weight, "any_size": False, "seed": 0, "stages": ()},
        )
        found.append(float((ascent.pictures - torch.tensor(GREY)[:, None, None]).norm()))
    assert found == sorted(found, reverse=True) and found[-1] < found[0] / 2


def test_l2_stops_where_it_equals_the_gradient():
    """With a constant gradient: x - grey = g / (2 λ' mean |g|), as the docstring states."""
    rate, weight, g = 0.003, 3.0, 0.7
    x = momentum = 0.0
    for _ in range(2000):
        momentum = published.MOMENTUM * momentum + g / abs(g)
        x = (x + rate * momentum) * (1 - published.share_of_l2(rate, weight))
    assert x == pytest.approx(1 / (2 * weight), rel=1e-6)


@pytest.fixture
def picture_and_gradient():
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(2, 3, 9, 7, generator=generator, dtype=torch.float64),
            torch.randn(2, 3, 9, 7, generator=generator, dtype=torch.float64))  # fmt: skip


def test_decay_and_blur_equal_naive_loops(picture_and_gradient):
    from scipy.ndimage import gaussian_filter1d

    x, g = picture_and_gradient
    grey = np.array(GREY)[:, None, None]
    np.testing.assert_allclose(decay(0.3, GREY)(x, g, 1).numpy(), grey + 0.7 * (x.numpy() - grey))
    operation = blur(0.5, 4)
    assert torch.equal(operation(x, g, 3), x)
    expected = x.numpy()
    for axis in (2, 3):
        expected = gaussian_filter1d(expected, 0.5, axis, mode="mirror", truncate=4.0)
    np.testing.assert_allclose(operation(x, g, 8).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("percent", [20, 50, 90])
def test_clips_equal_naive_loops(picture_and_gradient, percent):
    """Norm: √Σ_c (x - grey)²; contribution: |Σ_c g · (x - grey)|; pixels below the percentile of them turn grey."""
    x, g = picture_and_gradient
    for operation, size in (
        (clip_small_norms, lambda p, q: np.sqrt(sum(v * v for v in p))),
        (clip_small_contributions, lambda p, q: abs(sum(v * w for v, w in zip(p, q, strict=True)))),
    ):
        found = operation(percent, GREY)(x, g, 1).numpy()
        for n in range(2):
            sizes = np.zeros((9, 7))
            for i in range(9):
                for j in range(7):
                    sizes[i, j] = size([float(x[n, c, i, j]) - GREY[c] for c in range(3)], g[n, :, i, j].tolist())
            small = sizes < np.percentile(sizes, percent)
            assert abs(small.mean() - percent / 100) < 0.02
            np.testing.assert_allclose(found[n][:, small], np.array(GREY)[:, None].repeat(small.sum(), 1))
            np.testing.assert_array_equal(found[n][:, ~small], x[n].numpy()[:, ~small])


def test_starts_and_rates(demo):
    """A photograph is visible at step 0; a rate far too low leaves the noise; the right one reaches the class."""
    photograph = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = starts_and_rates(demo("biased"), 8, 5, photograph, {"settings_share": 0.01})
    assert found["starts/stages"].shape == found["rates/stages"].shape == (3, 4, 64, 64, 3)
    assert np.array_equal(found["starts/stages"][2, 0], photograph)
    assert np.array_equal(found["starts/stages"][1], found["rates/stages"][1])
    assert found["rates/logits"][1] > found["rates/logits"][0] + 5
    assert found["rates/distance"][0] < 0.1 < found["rates/distance"][2]


def test_a_strided_convolution_leaves_its_grid_and_a_plain_one_none():
    size = {}
    for stride, kernel in ((1, 3), (2, 3), (4, 5)):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, kernel, stride), nn.ReLU(), nn.Conv2d(8, 2, 3), nn.AdaptiveAvgPool2d(1))
        net.append(nn.Flatten())
        x = torch.rand(24, 3, 64, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        (gradient,) = torch.autograd.grad(net(x)[:, 0].sum(), x)
        size[stride] = checkerboard.magnitude(gradient.numpy())[8:-8, 8:-8]
    for stride in (2, 4):
        uneven, even = (checkerboard.phases(size[s], stride) for s in (stride, 1))
        assert uneven.max() / uneven.min() > 1.3 > 1.1 > even.max() / even.min()
        amplitudes, plain = (checkerboard.spectrum(size[s], 4) for s in (stride, 1))
        assert checkerboard.peak(amplitudes, stride) > 10 > 5 > checkerboard.peak(plain, stride)


def test_phases_against_a_grid_made_by_hand():
    grid = np.ones((9, 10))
    grid[::2, ::2] = 4
    np.testing.assert_allclose(checkerboard.phases(grid, 2), np.array([[4, 1], [1, 1]]) / 1.75)
    assert checkerboard.phases(np.zeros((8, 8)), 2).tolist() == [[1, 1], [1, 1]]


def test_slope_is_the_gradient_of_the_score(demo):
    model = demo("biased")
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (expected,) = torch.autograd.grad(model.logits(x)[[0, 1], [3, 4]].sum(), x)
    torch.testing.assert_close(slope(model, logit([3, 4]), pixels(x.detach()).variable), expected)


def test_the_curve_of_an_ascent_with_a_limit_is_the_score_again():
    score = np.linspace(-30, 30, 13)
    objective = -np.log1p(np.exp(12 - score))
    np.testing.assert_allclose(class_visualization._unlimited(objective, 12.0), score, atol=1e-3)
    assert class_visualization._unlimited(objective, None) is objective

"""Oracles: captum's Occlusion, the masked pictures one by one, and the known map of a linear network."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from cnnviz.attribution import occlusion as technique
from cnnviz.attribution.incremental import Masked
from cnnviz.attribution.occlusion import occlusion, pixels, places, settled, spread
from cnnviz.demo.nets import demo_net
from cnnviz.demo.scenes import draw
from cnnviz.errors import UserError
from cnnviz.network import building, loaded, network
from cnnviz.run import result
from cnnviz.views import occlusion as drawn
from cnnviz.views.occlusion import starts


@pytest.fixture(autouse=True)
def _one_thread(_threads):
    torch.set_num_threads(1)  # the networks are tiny


def noise(*shape: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def lively(net: nn.Module, seed: int = 0) -> nn.Module:
    """Sets weights and statistics so that every input matters, and a wrong border shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5
            if module.bias is not None:
                module.bias.data = torch.randn(module.bias.shape, generator=generator) * 0.3
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.running_mean.shape, generator=generator) * 0.2
            module.running_var = torch.rand(module.running_var.shape, generator=generator) + 0.5
            module.bias.data = torch.randn(module.bias.shape, generator=generator) * 0.5
    return net.eval().requires_grad_(False)


class Residual(nn.Module):
    """A stem, two blocks with in-place ReLUs and additions (one with a shortcut), means, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.a, self.b = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.c, self.d, self.short = nn.Conv2d(8, 12, 3, 2, 1), nn.Conv2d(12, 12, 3, 1, 1), nn.Conv2d(8, 12, 1, 2)
        self.last = nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        y = self.b(F.relu(self.a(x)))
        y += x
        x = F.relu_(y)
        y = self.d(F.relu(self.c(x), inplace=True))
        x = torch.relu(y + self.short(x))
        return self.last(x.mean((2, 3)))


class Fire(nn.Module):
    """Two parallel paths of different reach, pools that round up, as in SqueezeNet."""

    def __init__(self):
        super().__init__()
        self.first, self.squeeze = nn.Conv2d(3, 8, 5, 2), nn.Conv2d(8, 4, 1)
        self.one, self.three, self.last = nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(12, 5, 1, 1, 1)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.first(x), inplace=True), 3, 2, ceil_mode=True)
        x = self.squeeze(x).relu_()
        x = torch.cat([self.one(x).relu(), F.relu(self.three(x))], 1)
        return F.adaptive_avg_pool2d(F.relu(self.last(x)), 1).flatten(1)


class Discarding(nn.Module):
    """In-place ReLUs whose return values are not used."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, 2, 1), nn.Linear(6, 4)

    def forward(self, x):
        x = self.a(x)
        F.relu(x, inplace=True)
        x = self.b(x)
        x.clamp_(min=0)
        return self.c(x.mean((2, 3)))


def sequential(seed: int) -> tuple[nn.Module, int]:
    """A random chain of convolutions, norms, activations, pools and paddings, and its input size."""
    draw = random.Random(seed)
    size, channels, layers = draw.choice([23, 32, 40]), 3, []
    for depth in range(draw.randint(2, 4)):
        kernel, dilation = draw.choice([1, 2, 3, 5]), draw.choice([1, 1, 2])
        stride = draw.choice([1, 1, 2, 3]) if depth == 0 else draw.choice([1, 1, 2])
        width = draw.choice([4, 6, 8])
        groups = 2 if channels % 2 == 0 and draw.random() < 0.3 else 1
        padding = "same" if stride == 1 and draw.random() < 0.3 else draw.choice([0, 1, (2, 1)])
        if draw.random() < 0.2:
            layers.append(nn.ZeroPad2d((0, 1, 2, 1)))
        layers.append(nn.Conv2d(channels, width, kernel, stride, padding, dilation, groups))
        channels = width
        if draw.random() < 0.5:
            layers.append(nn.BatchNorm2d(width))
        layers.append(draw.choice([nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Tanh(), nn.GELU(), nn.Hardswish()]))
        if draw.random() < 0.3:
            layers.append(nn.Dropout2d() if draw.random() < 0.3 else nn.Dropout())
        pools = [
            nn.MaxPool2d(3, 2, 1),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.MaxPool2d(2, 1, dilation=2),
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            nn.AvgPool2d(3, 2, 1, ceil_mode=True),
            nn.AvgPool2d(2, divisor_override=3),
            nn.LocalResponseNorm(3),
        ]
        layers += draw.sample(pools, draw.choice([0, 1]))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 5)), size


def both(net: nn.Module, size: int, window: int, stride: int) -> tuple[Masked, torch.Tensor, torch.Tensor]:
    """In float64, where both ways agree to the last digits: the incremental object, its logits, and the full ones."""
    x, blank = noise(1, 3, size, size + 3, dtype=torch.float64), noise(1, 3, 1, 1, seed=1, dtype=torch.float64)
    rows, columns = places(size, window, stride), places(size + 3, window, stride)
    masked = Masked(net.double(), x, blank, rows, columns)
    expected = []
    for top, bottom in rows:
        for left, right in columns:
            copy = x.clone()
            copy[:, :, top:bottom, left:right] = blank
            expected.append(net(copy)[0])
    return masked, masked.logits(7), torch.stack(expected).view(len(rows), len(columns), -1)


# -------------------------------------------------------------------------------------------------------------- captum


def captums(net, x, blank, target: int, window: int, stride: int, score=lambda logits: logits) -> torch.Tensor:
    def of_normalised(z):
        return score(net(z))

    c = x.shape[1]
    return Occlusion(of_normalised).attribute(
        x, (c, window, window), (c, stride, stride), baselines=blank.expand_as(x), target=target,
        perturbations_per_eval=16,
    )[0, 0]  # fmt: skip


def shipped(name: str) -> nn.Module:
    net = demo_net()
    net.load_state_dict(load_file(f"cnnviz/demo/weights/{name}.safetensors"))
    return net.requires_grad_(False)


@pytest.mark.parametrize(
    ("net", "size", "window", "stride"),
    [
        (shipped("biased"), 64, 9, 4),
        (shipped("unbiased"), 64, 9, 4),
        (lively(Residual()), 40, 8, 3),
        (lively(Fire()), 45, 10, 5),
    ],
    ids=["biased", "unbiased", "residual", "fire"],
)
def test_equals_captum(net, size, window, stride):
    x, blank = noise(1, 3, size, size), noise(1, 3, 1, 1, seed=1)
    if size == 64:
        x = (torch.from_numpy(draw(1, 10, size=64).image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    targets = torch.tensor([1, 3])
    for score in (lambda logits: logits, lambda logits: (logits / 4).softmax(-1)):
        made = occlusion(net, x, blank, targets, window=window, stride=stride, score=score)
        for i, target in enumerate(targets.tolist()):
            expected = captums(net, x, blank, target, window, stride, score)
            assert expected.abs().max() > 1e-3
            torch.testing.assert_close(made[i], expected, rtol=0, atol=1e-4)


# ------------------------------------------------------------------------------------------------------- incremental


@pytest.mark.parametrize("seed", range(24))
def test_incremental_is_exact_on_any_chain(seed):
    net, size = sequential(seed)
    for window, stride in [(7, 5), (4, 3)]:  # neither divides the size, so masks at the border are cut off
        masked, quick, full = both(lively(net, seed), size, window, stride)
        assert masked.incremental
        torch.testing.assert_close(quick, full, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("net", [Residual(), Fire(), Discarding()], ids=["residual", "fire", "discarding"])
def test_incremental_is_exact_where_paths_meet(net):
    masked, quick, full = both(lively(net), 45, 6, 3)
    assert masked.incremental
    torch.testing.assert_close(quick, full, rtol=1e-9, atol=1e-9)
    meets = [len(call.inputs) == 2 for call in masked.calls]
    assert any(meets) != isinstance(net, Discarding)  # it continues after a sum and a concatenation


def test_the_network_of_a_job_is_followed(make_job):
    """Its hooks, such as the one that copies the picture, are among the calls."""
    job = make_job({"factory": "cnnviz/demo/nets.py:demo_net", "preprocess": {"resize": [64, 64]}})
    net, x = building.build(job.model, "demo", 0).net, noise(1, 3, 64, 64)
    with torch.no_grad():
        masked = Masked(net, x, torch.zeros_like(x), places(64, 9, 20), places(64, 9, 20))
        assert masked.incremental and len(masked.calls) > 4  # into the second convolution, at least
        torch.testing.assert_close(masked.clean, net(x)[0])


class Scripted(nn.Module):
    """Reads an early map in compiled code, which no mode sees."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)
        self.hidden = torch.jit.script(nn.Sequential(nn.Sigmoid()))

    def forward(self, x):
        x = self.a(x)
        return F.relu(self.b(F.relu(x))).mean((2, 3)) + self.hidden(x).mean((2, 3))


class Choosing(nn.Module):
    """Makes other calls if a value says so."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)

    def forward(self, x):
        y = F.relu(self.a(x))
        if y.amax() > 1e6:
            return y.mean((2, 3))
        return self.b(y).mean((2, 3))


class Tokens(nn.Module):
    """Not a chain of maps."""

    def forward(self, x):
        return x.flatten(2).softmax(2).amax(2)


@pytest.mark.parametrize(("net", "quick"), [(Scripted(), False), (Choosing(), True), (Tokens(), False)])
def test_what_cannot_be_followed_is_noticed(net, quick):
    masked, found, full = both(lively(net), 24, 5, 4)
    assert masked.incremental == quick
    torch.testing.assert_close(found, full, rtol=1e-9, atol=1e-9)


def test_a_mask_over_everything():
    masked, found, full = both(lively(Residual()), 20, 20, 3)
    assert not masked.incremental
    torch.testing.assert_close(found, full, rtol=1e-9, atol=1e-9)


def test_neither_the_picture_nor_the_net_is_changed():
    net = lively(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 6, 3, 2), nn.Flatten(), nn.Linear(6 * 121, 4)))
    x = noise(1, 3, 24, 24)
    before = x.clone()
    occlusion(net, x, torch.zeros(1, 3, 1, 1), torch.tensor([0]), window=6, stride=3)
    assert torch.equal(x, before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_running_out_of_memory_halves_the_batch(monkeypatch, caplog):
    net, x = lively(Residual()), noise(1, 3, 24, 24)
    masked = Masked(net, x, torch.zeros(1, 3, 1, 1), places(24, 6, 4), places(24, 6, 4))
    expected, quick, seen = masked.logits(25), masked._quick, []

    def small(row, column):
        seen.append(len(row))
        if len(row) > 6:
            raise torch.OutOfMemoryError
        return quick(row, column)

    monkeypatch.setattr(masked, "_quick", small)
    torch.testing.assert_close(masked.logits(25), expected, rtol=1e-5, atol=1e-5)
    assert seen[:3] == [25, 12, 6] and max(seen[2:]) <= 6
    assert "batches of 6" in caplog.text


# --------------------------------------------------------------------------------------------------------- occlusion


def test_a_map_depends_on_no_batch_and_on_no_other_class():
    net, x, blank = lively(demo_net()), noise(1, 3, 64, 64), torch.zeros(1, 3, 1, 1)
    targets = torch.tensor([4, 0, 7])

    def made(targets, batch):
        return occlusion(net, x, blank, targets, window=12, stride=7, batch=batch)

    together = made(targets, 64)
    torch.testing.assert_close(together, made(targets, 5), rtol=0, atol=1e-5)
    assert torch.equal(together, torch.cat([made(t[None], 64) for t in targets]))
    assert torch.equal(together, made(targets, 64))


def test_places_cover_all_and_the_last_may_be_cut_off():
    np.testing.assert_array_equal(places(10, 4, 3), [[0, 4], [3, 7], [6, 10]])
    np.testing.assert_array_equal(places(11, 4, 3), [[0, 4], [3, 7], [6, 10], [9, 11]])
    np.testing.assert_array_equal(places(4, 4, 3), [[0, 4]])
    for length, window, stride in [
        (10, 4, 3),
        (11, 4, 3),
        (4, 4, 3),
        (227, 32, 8),
        (9, 1, 1),
    ]:  # the page says the same
        used = {"window": window, "stride": stride}
        assert list(starts(length, used)) == places(length, window, stride)[:, 0].tolist()


def test_a_pixel_gets_the_mean_of_the_masks_that_hide_it():
    rows, columns = places(7, 3, 2), places(5, 3, 2)
    fall = noise(len(rows), len(columns), 2)
    made = spread(fall, rows, columns, (7, 5))
    for p in range(7):
        for q in range(5):
            over = [
                fall[i, j]
                for i, (a, b) in enumerate(rows)
                for j, (c, d) in enumerate(columns)
                if a <= p < b and c <= q < d
            ]
            torch.testing.assert_close(made[:, p, q], torch.stack(over).mean(0))


def test_on_a_linear_net_each_mask_takes_what_lies_under_it():
    """With a mask as large as its stride every pixel is hidden once, and the falls sum to S(x) − S(blank)."""
    net = lively(nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, 4)))
    x, blank = noise(1, 3, 12, 12), torch.full((1, 3, 1, 1), 0.3)
    made = occlusion(net, x, blank, torch.tensor([2]), window=4, stride=4)[0]
    owed = ((x - blank) * net[1].weight[2].view(1, 3, 12, 12)).sum(1)[0]
    torch.testing.assert_close(made, owed.view(3, 4, 3, 4).sum((1, 3)).repeat_interleave(4, 0).repeat_interleave(4, 1))


def test_lengths_in_pixels_or_as_shares():
    assert [pixels(v, (227, 300)) for v in (32, 0.143, 0.036)] == [32, 32, 8]
    assert [pixels(v, (224, 224)) for v in (0.143, 0.036)] == [32, 8]
    block = {"window": 0.143, "stride": 0.036, "mask": "mean"}
    used = settled(block, (64, 64), [0.1, 0.2, 0.3])
    assert used == {"window": 9, "stride": 2, "mask": "mean", "colour": [0.1, 0.2, 0.3]}
    assert settled(used, (64, 64), [0.9, 0.9, 0.9]) == used  # attribution_check passes it in again
    assert settled(block | {"mask": 0.5}, (64, 64), [0.1, 0.2])["colour"] == [0.5, 0.5]
    with pytest.raises(UserError, match="would skip"):
        settled(block | {"stride": 10}, (64, 64), [0.0])
    with pytest.raises(UserError, match="3 numbers"):
        settled(block | {"mask": [0.5, 0.2]}, (64, 64), [0.0] * 3)


def test_the_job_masks_with_the_mean_colour_of_the_set(make_job, tmp_path, index):
    names = [("wolf-0000", 0), ("husky-0001", 1)]
    classes = [f"c{i}" for i in range(12)]
    index(tmp_path / "images.json", names, classes)
    block = {"factory": "cnnviz/demo/nets.py:demo_net", "preprocess": {"resize": [64, 64]}, "probes": 2}
    block["checkpoint"] = "cnnviz/demo/weights/biased.safetensors"
    network.main(make_job(block, set_classes=classes))
    job = make_job(block, "occlusion", parameters={"stride": 8})
    technique.main(job)
    left = result.read(job.outputs["result"])
    pictures = left.arrays["pictures"]
    np.testing.assert_allclose(left.parameters["colour"], pictures.mean((0, 1, 2)) / 255, atol=1e-4)
    assert (left.parameters["window"], left.parameters["stride"], left.parameters["score"]) == (9, 8, "auto")
    assert left.numbers["methods"] == [{"name": "occlusion", "signed": True, "caveat": ""}]
    json.dumps(left.parameters)

    net, model = shipped("biased"), loaded.load(job)
    z = model.normalise(model.pictures([pictures[1]]))
    blank = model.normalise(torch.tensor(left.parameters["colour"]).reshape(1, 3, 1, 1).expand_as(z))
    target = int(left.arrays["targets"][1, 0])
    expected = captums(net, z, blank, target, 9, 8, lambda logits: logits.softmax(-1))
    assert np.abs(expected).max() > technique.SATURATED and left.numbers["scored"][1] == "probability"
    np.testing.assert_allclose(left.arrays["maps/occlusion"][1, 0], expected, atol=1e-4)


@pytest.mark.parametrize(("kind", "bias", "score", "fall"), [
    ("softmax", 0, "probability", 1 / (1 + np.exp(-0.25)) - 0.5),
    ("softmax", 40, "logit", 0.25),  # p = 1 whatever is hidden
    ("regression", 0, "probability", 0.25),  # that is, the value: it has no probability that could be saturated
])  # fmt: skip
def test_where_the_probability_is_saturated_the_map_is_of_the_logit(kind, bias, score, fall):
    net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3, 2))
    net[2].weight.data, net[2].bias.data = torch.tensor([[4.0, 0, 0], [0, 4, 0]]), torch.tensor([float(bias), 0])
    x = torch.zeros(1, 3, 8, 8)
    x[:, 0, 2:4, 4:6] = 1
    model = SimpleNamespace(
        net=net, kind=kind, channels_last=False, normalise=lambda x: x, preprocess=SimpleNamespace(size=(8, 8)),
        probabilities=lambda logits: logits.softmax(-1) if kind == "softmax" else logits,
    )  # fmt: skip
    used = {"window": 2, "stride": 2, "mask": 0.0, "colour": [0.0] * 3, "score": "auto"}
    scored = []
    found = technique.maps(model, x, torch.tensor([0, 1]), used, None, scored)
    assert scored == [score]
    expected = torch.zeros(8, 8)
    expected[2:4, 4:6] = fall
    torch.testing.assert_close(found[0], expected)
    assert technique.maps(model, x, torch.tensor([0]), used | {"score": "logit"}, None).max() == pytest.approx(0.25)


def test_colours_end_no_nearer_to_0_than_what_matters_and_lie_over_the_picture():
    small, large = np.float32([[[0, 0.001]], [[-0.0005, 0]]]), np.float32([[[0, 0.4]], [[-0.2, 0]]])
    floored, plain = (drawn.mappings(maps, 0.05, 100, False) for maps in (small, large))
    assert [(one.low, one.high) for one in floored] == [(-0.05, 0.05)] * 2  # one range for all classes
    assert [one.high for one in plain] == [pytest.approx(0.4)] * 2
    assert [one.high for one in drawn.mappings(large, 0.05, 100, True)] == pytest.approx([0.4, 0.2])
    pale = floored[0](small[0])
    assert pale.min() > 225  # where the probability changes by 0.001, white
    picture = np.full((1, 2, 3), 90, np.uint8)
    grey = drawn.laid_over(picture, np.zeros((1, 2)), plain[0])
    assert np.ptp(grey) == 0 and grey.max() == round(drawn.PALE + 90 * (255 - drawn.PALE) / 255)
    red, blue = drawn.laid_over(picture, np.float32([[0.4, -0.4]]), plain[0])[0].astype(int)
    assert red[0] > 110 + red[2] - 20 and blue[2] > blue[0] + 60


def test_the_caption_says_where_the_strongest_square_is():
    from cnnviz.views.occlusion import where_in

    map = np.zeros((9, 12))
    said = []
    for place in ((0, 0), (4, 6), (8, 5), (3, 11)):
        map[:] = 0
        map[place] = 1
        said.append(where_in(map))
    assert said == ["top left", "middle", "bottom", "right"]

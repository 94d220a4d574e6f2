"""Properties of real-world networks, found with a few pictures."""

import contextlib
import itertools
import os
import random
import secrets
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnviz import config
from cnnviz.errors import UserError
from cnnviz.network import building, network, trial

SIZE = (32, 32)


class Net(nn.Module):
    """Two convolutions and a linear layer; the variants below differ in their forward() between them."""

    def __init__(self, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, 5)

    def maps(self, x):
        return torch.relu(self.two(torch.relu(self.one(x))))

    def forward(self, x):
        return self.fc(self.maps(x).mean((2, 3)))


def member(forward, base=Net, **more):
    """A network of ``base`` whose forward is ``forward(net, x)``."""
    return type("Member", (base,), {"forward": forward} | more)


@pytest.fixture
def described(tmp_path, monkeypatch):
    """described(class or function, size) → the facts, and the network, of a factory that makes it."""

    def describe(make, size=SIZE):
        block = {"factory": f"{__file__}:Net", "preprocess": {"resize": list(size), "mean": 0.5, "std": 0.5}}
        full = config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": block}})["models"]["m"]
        monkeypatch.setitem(building._BY_KEY, "factory", lambda *_: building.Built(make(), "a net", {}))
        built = building.build(full, "m", 0)
        return network.describe(built, full, "m", ()), built.net

    return describe


def flat(net, x):
    x = F.adaptive_max_pool2d(net.maps(x), 2)
    return net.fc(x.view(x.size(0), -1)[:, :8])


def strided(net, x):
    """Reads raw memory: no error with channels last, but other numbers."""
    x = net.maps(x)
    return net.fc(x.as_strided((len(x), 8), (8 * 16 * 16, 256)))


CONTIGUOUS_ONLY = [flat, strided, lambda net, x: net.fc(net.maps(x).view(-1, 8 * 256)[:, ::256])]


@pytest.mark.parametrize("forward", CONTIGUOUS_ONLY)
def test_channels_last_only_where_the_network_takes_it_and_says_the_same(described, forward):
    facts, _ = described(member(forward))
    assert not facts["trial"]["channels_last"]
    assert facts["trial"]["gradients"] == "" and facts["trial"]["answers"] == []


def test_a_plain_network_passes(described):
    facts, net = described(Net)
    assert facts["trial"] == {
        "batch": [1, None], "channels_last": True, "step": 1, "gradients": "", "no_gradient": [], "answers": [],
        "not_finite": [],
    }  # fmt: skip


class Drawn(Net):
    def forward(self, x):
        shift = int(torch.randint(4, ()))
        return super().forward(x[:, :, shift : shift + 24, shift : shift + 24])


RANDOM = [
    lambda net, x: net.fc(F.dropout(net.maps(x).mean((2, 3)))),
    lambda net, x: Net.forward(net, x + 0.1 * torch.randn_like(x)),
    lambda net, x: Net.forward(net, x) * (torch.rand(len(x), 1) > 0.5),  # stochastic depth
    lambda net, x: Net.forward(net, x + 0.1 * torch.from_numpy(np.random.rand(*x.shape)).float()),
    Drawn.forward,
]


@pytest.mark.parametrize("forward", RANDOM)
def test_scores_that_change_each_time_are_noticed_and_no_generator_is_moved(described, forward):
    torch.manual_seed(7), np.random.seed(7)
    wanted = torch.rand(3), np.random.rand(3)
    torch.manual_seed(7), np.random.seed(7)
    facts, _ = described(member(forward, Drawn))
    (words,) = facts["trial"]["answers"]
    assert "same scores twice" in words
    assert torch.equal(torch.rand(3), wanted[0]) and np.array_equal(np.random.rand(3), wanted[1])


class OwnGenerator(Net):
    """One pass in five differs; or none, if the generator is reset each time."""

    def __init__(self, again=False):
        super().__init__()
        self.again, self.generator = again, np.random.default_rng(3)

    def forward(self, x):
        draw = np.random.default_rng(3) if self.again else self.generator
        return super().forward(x) + float(draw.random() < 0.2)


@pytest.mark.parametrize("again", [True, False])
def test_a_generator_of_the_networks_own_is_seen_though_it_acts_seldom(described, again):
    assert len(described(lambda: OwnGenerator(again))[0]["trial"]["answers"]) == (not again)


def test_a_network_that_varies_without_a_known_generator_runs_more_than_twice(described):
    drawn = itertools.cycle([0, 0, 1])
    facts, _ = described(member(lambda net, x: Net.forward(net, x) + next(drawn)))
    assert "same scores twice" in facts["trial"]["answers"][0]


BESIDE = [
    lambda net, x: net.fc(F.batch_norm(net.maps(x).mean((2, 3)), None, None, training=True)),
    lambda net, x: net.fc(net.maps(x).mean((2, 3)) / net.maps(x).mean()),
    lambda net, x: Net.forward(net, x).softmax(0),
]


@pytest.mark.parametrize("forward", BESIDE)
def test_scores_that_depend_on_the_batch_are_noticed(described, forward):
    facts, _ = described(member(forward))
    (words,) = facts["trial"]["answers"]
    assert "other pictures in its batch" in words


def test_running_statistics_stay_as_they_were(described):
    class Running(Net):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(6, momentum=0.5)

        def maps(self, x):
            self.norm.train()
            return torch.relu(self.two(self.norm(self.one(x))))

    facts, net = described(Running)
    assert torch.equal(net.norm.running_mean, torch.zeros(6)) and int(net.norm.num_batches_tracked) == 0
    assert len(facts["trial"]["answers"]) == 1


def no_grad(net, x):
    with torch.no_grad():
        return Net.forward(net, x)


def inference(net, x):
    with torch.inference_mode():
        return Net.forward(net, x)


def late(net, x):
    """The gradient reaches the maps, but not later values."""
    return net.fc(net.maps(x).mean((2, 3)).detach())


def middle(net, x):
    with torch.no_grad():
        x = torch.relu(net.one(x))
    return net.fc(torch.relu(net.two(x)).mean((2, 3)))


def chosen(net, x):
    return net.fc(F.one_hot(net.maps(x).mean((2, 3)).argmax(1), 8).float())


def in_place(net, x):
    x = torch.sigmoid(net.maps(x))
    y = x.mean((2, 3))
    x.mul_(2)
    return net.fc(y)


class Doubled(torch.autograd.Function):
    """An operator without a backward pass."""

    @staticmethod
    def forward(context, x):
        return 2 * x


WITHOUT = {
    lambda net, x: net.fc(Doubled.apply(net.maps(x)).mean((2, 3))): ["fc1"],
    lambda net, x: net.fc(net.maps(Doubled.apply(x)).mean((2, 3))): ["conv1", "conv2", "fc1"],
    lambda net, x: net.fc(Doubled.apply(net.maps(x)).mean((2, 3))).argmax(1, keepdim=True).expand(-1, 5) + 0.0: ["fc1"],
    no_grad: ["conv1", "conv2", "fc1"],
    inference: ["conv1", "conv2", "fc1"],
    lambda net, x: Net.forward(net, x).detach(): [],
    lambda net, x: net.fc(net.maps(x).mean((2, 3)).detach_()): ["fc1"],
    late: ["fc1"],
    middle: ["conv1", "conv2", "fc1"],
    chosen: ["fc1"],
    lambda net, x: net.fc(torch.round(4 * net.maps(x)).mean((2, 3))): ["fc1"],
    lambda net, x: net.fc((net.maps(x) > 0.1).float().mean((2, 3))): ["fc1"],
    lambda net, x: torch.from_numpy(Net.forward(net, x).detach().numpy()): [],
}


@pytest.mark.parametrize("forward", WITHOUT)
def test_where_gradients_end_is_known(described, forward):
    facts, _ = described(member(forward))
    assert "gradient" in facts["trial"]["gradients"]
    assert facts["trial"]["no_gradient"] == WITHOUT[forward]
    assert facts["trial"]["answers"] == []


@pytest.mark.parametrize(
    "forward", [lambda net, x: Net.forward(net, x).softmax(1) * 0, lambda net, x: 1e-3 * flat(net, x)]
)
def test_scores_that_are_constant_or_small_are_no_lack_of_gradients(described, forward):
    facts, _ = described(member(forward))
    assert facts["trial"]["gradients"] == ""


def alone(net, x):
    assert len(x) == 1
    return Net.forward(net, x)


def few(net, x):
    assert len(x) <= 3
    return Net.forward(net, x)


BATCHES = {
    few: [1, 1],
    lambda net, x: torch.cat([Net.forward(net, part) for part in x.split(4)]): [1, 1],
    lambda net, x: net.fc(F.adaptive_avg_pool2d(net.maps(x), 1).squeeze()): [2, None],
    alone: [1, 1],
    lambda net, x: net.fc(net.maps(x[:1]).mean((2, 3))): [1, 1],
    lambda net, x: torch.cat([Net.forward(net, picture) for picture in x.split(1)]): [1, 1],
    lambda net, x: net.fc(net.maps(x).mean((2, 3)).view(8, -1)): [8, 8],
    lambda net, x: net.fc(torch.stack([net.maps(x).mean((2, 3))[i] for i in range(4)])): [4, 4],
}


@pytest.mark.parametrize("forward", BATCHES)
def test_a_network_for_some_numbers_of_pictures_takes_all_and_its_modules_are_read_rightly(described, forward):
    from cnnviz.network.hooks import capture

    facts, net = described(member(forward))
    assert facts["trial"]["batch"] == BATCHES[forward]
    plain = Net().eval()
    for count in (1, 2, 5, 9, 16):
        x = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(count))
        with torch.no_grad(), capture(net, ["one", "two", ""]) as captured:
            torch.testing.assert_close(net(x), plain(x))
        torch.testing.assert_close(captured["two"], plain.two(torch.relu(plain.one(x))).detach())
        torch.testing.assert_close(captured[""], plain(x).detach())


def in_threads(call, items):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(call, items))


THREADS = [
    lambda net, x: torch.cat(in_threads(lambda part: Net.forward(net, part), x.split(1))),
    lambda net, x: net.fc(sum(in_threads(lambda scale: net.maps(scale * x).mean((2, 3)), (1, 2)))),
]


@pytest.mark.parametrize("forward", THREADS)
def test_layers_that_run_in_threads_are_refused(described, forward):
    with pytest.raises(UserError, match=r"^model m: .* in several threads .* one after the other in its forward\(\)$"):
        described(member(forward))


def folded(net, x):
    return Net.forward(net, F.pixel_unshuffle(x, 2)[:, :3])


def halves(times):
    def forward(net, x):
        small = x
        for _ in range(times):
            small = F.max_pool2d(small, 2)
        return Net.forward(net, x + F.interpolate(small, scale_factor=2**times))

    return forward


STEPS = {
    (folded, SIZE): 2,
    (halves(3), SIZE): 8,
    (halves(3), (24, 40)): 8,
    (lambda net, x: net.fc(net.maps(x).view(len(x), 8, 256).mean(2)), SIZE): 0,
    (lambda net, x: Net.forward(net, F.pixel_unshuffle(x, 3)[:, :3]), (33, 27)): 3,
    (Net.forward, (31, 33)): 1,
}


@pytest.mark.parametrize("case", STEPS)
def test_other_sizes_are_multiples_of_what_the_network_takes(described, case):
    forward, size = case
    facts, _ = described(member(forward), size)
    assert facts["trial"]["step"] == STEPS[case]


PRECISIONS = {
    "autocast": lambda net, x: torch.autocast("cpu", torch.bfloat16)(Net.forward)(net, x),
    "half scores": lambda net, x: Net.forward(net, x).half(),
    "double scores": lambda net, x: Net.forward(net, x).double(),
}


@pytest.mark.parametrize("name", PRECISIONS)
def test_scores_come_as_float32(described, name):
    facts, net = described(member(PRECISIONS[name]))
    assert net(torch.rand(2, 3, *SIZE)).dtype == torch.float32
    assert facts["trial"]["answers"] == [] and facts["trial"]["gradients"] == ""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("casts", [True, False])
def test_weights_of_another_precision(described, dtype, casts):
    """A network that casts its pictures keeps its weights' precision, another one's become float32."""
    forward = (lambda net, x: Net.forward(net, x.to(dtype))) if casts else Net.forward
    facts, net = described(lambda: member(forward)().to(dtype))
    assert net(torch.rand(2, 3, *SIZE)).dtype == torch.float32
    assert net.one.weight.dtype == (dtype if casts else torch.float32)
    assert facts["trial"]["answers"] == []


def test_a_backbone_of_16_bits_before_a_head_of_32(described):
    def make():
        net = member(lambda net, x: net.fc(net.maps(x.bfloat16()).mean((2, 3)).float()))()
        net.one.bfloat16(), net.two.bfloat16()
        return net

    facts, net = described(make)
    assert (net.one.weight.dtype, net.fc.weight.dtype) == (torch.bfloat16, torch.float32)
    assert facts["trial"]["gradients"] == ""


def of_one_size_alone(net, x):
    return net.fc(net.maps(x).reshape(1, 8, 16 * 16).mean(2))


def test_a_pass_in_parts_that_ends_early_does_so_in_each_part(described):
    from cnnviz.network.hooks import capture, forward

    facts, net = described(member(of_one_size_alone))
    assert facts["trial"]["batch"] == [1, 1]
    x = torch.rand(3, 3, 48, 48)  # of another size than the last layer takes
    with torch.no_grad(), capture(net, ["one", "two"], stop=True) as captured:
        assert forward(net, x, captured)["two"].shape == (3, 8, 24, 24)
        torch.testing.assert_close(captured["one"], net.one(x))


def test_weights_of_16_bits_are_settled_before_operators_are_stood_in_for():
    from cnnviz.network import precision

    net = precision.settle(Net().half())
    precision.decide(net, torch.rand(2, 3, *SIZE))
    assert {p.dtype for p in net.parameters()} == {torch.float32} and net.forward.settled


# ------------------------------------------------------------------------------- what a stranger's forward() may do


def on_its_pictures(net, x):
    x.sub_(0.5).mul_(2)
    return Net.forward(net, x)


def on_its_leaf(net, x):
    x[:, :, 0] = 0
    return Net.forward(net, x)


def on_its_data(net, x):
    x.data.mul_(0.5)
    return Net.forward(net, x)


@pytest.mark.parametrize("forward", [on_its_pictures, on_its_leaf, on_its_data])
def test_a_network_that_changes_its_pictures_has_its_own_and_keeps_its_gradients(described, forward):
    facts, net = described(member(forward))
    assert facts["trial"]["answers"] == [] and facts["trial"]["gradients"] == ""
    x = torch.rand(2, 3, *SIZE, requires_grad=True)
    before = x.detach().clone()
    scores = net(x)
    assert torch.equal(x, before) and torch.equal(net(x), scores)
    assert torch.autograd.grad(scores.sum(), x)[0].any()


def tiles(net, x):
    parts = F.unfold(x, 16, stride=16).transpose(1, 2).reshape(-1, 3, 16, 16)
    return net.fc(net.maps(parts).mean((2, 3)).view(len(x), -1, 8).mean(1))


def one_by_one(net, x):
    return torch.vmap(lambda picture: net.fc(net.maps(picture[None]).mean((2, 3)))[0])(x)


def with_nothing(net, x):
    net.two(net.one(x)[:0])
    return net.fc(net.one(x).mean((2, 3)).repeat(1, 2)[:, :8])


class Waves(Net):
    def __init__(self):
        super().__init__()
        self.two = nn.Conv2d(6, 8, 3, dtype=torch.complex64)

    def forward(self, x):
        return self.fc(self.two(self.one(x).to(torch.complex64)).abs().mean((2, 3)))


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (member(tiles), ["fc1"]),
        (member(one_by_one), []),
        (member(with_nothing), ["conv1", "fc1"]),
        (Waves, ["conv1", "fc1"]),
    ],
)
def test_only_modules_with_a_row_of_real_numbers_for_each_picture_are_layers(described, make, left):
    facts, net = described(make)
    assert [layer["name"] for layer in facts["layers"]] == left
    assert net(torch.rand(3, 3, *SIZE)).shape == (3, 5)


class Signs(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()


@pytest.mark.parametrize("net", [Signs.apply, torch.round, torch.sign])
def test_layers_behind_an_operation_without_derivative_have_gradients_no_more_than_the_scores(described, net):
    facts, _ = described(member(lambda self, x: self.fc(self.two(net(self.one(x))).mean((2, 3)))))
    assert facts["trial"]["no_gradient"] == ["conv2", "fc1"] and "no gradient" in facts["trial"]["gradients"]


def masked(net, x):
    hidden = torch.tensor([True, False, False, False, False])
    return Net.forward(net, x + 0.1 * torch.rand(x.shape)).masked_fill(hidden, -torch.inf)


@pytest.mark.parametrize(
    ("hidden", "said"),
    [([], ""), ([1, 3], r"2 of its 5 outputs \(1, 3\) .* -inf"), ([*range(5)], r"5 of its 5 outputs \(all\)")],
)
@pytest.mark.parametrize("value", [-torch.inf, torch.nan])
def test_outputs_that_are_never_finite_are_named(described, hidden, said, value):
    def forward(net, x):
        return Net.forward(net, x).index_fill(1, torch.tensor(hidden, dtype=torch.long), value)

    facts, _ = described(member(forward))
    assert facts["trial"]["not_finite"] == hidden
    with pytest.raises(UserError, match=said) if hidden else contextlib.nullcontext():
        network.check_scores(facts)


class Seldom(Net):
    """Gives other scores in every ninth pass, and draws a random number in each."""

    def __init__(self, ask):
        super().__init__()
        self.ask, self.passes = ask, 0

    def forward(self, x):
        self.passes, _ = self.passes + 1, self.ask()
        return super().forward(x) + (self.passes % 9 == 0) * torch.arange(5)


class Harmless(Seldom):
    def forward(self, x):
        self.passes, _ = self.passes + 1, self.ask()
        return Net.forward(self, x)


UNSEEDED = {
    "os": lambda: os.urandom(4),
    "secrets": lambda: secrets.randbelow(9),
    "clock": lambda: time.time(),
    "uuid": lambda: uuid.uuid4(),
    "torch": lambda: torch.rand(2, generator=torch.Generator().manual_seed(1)),
    "numpy": lambda: np.random.default_rng().normal(),
    "python": lambda: random.Random(0).gauss(0, 1),
}


@pytest.mark.parametrize("ask", UNSEEDED)
def test_numbers_of_generators_of_its_own_that_matter_seldom_are_found(ask):
    assert seldom(UNSEEDED[ask]) and not seldom(UNSEEDED[ask], Harmless)


def seldom(ask, kind=Seldom) -> list[str]:
    made, x = kind(ask).eval(), torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return trial._answers(made, x, made(x), made(x[:1]))


def test_scores_that_differ_are_told_beside_those_that_are_masked(described):
    (words,) = described(member(masked))[0]["trial"]["answers"]
    assert "same scores twice" in words and "by up to 0%" not in words


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_rounding_of_scores_that_are_nearly_alike_is_no_difference(scale):
    b = scale * (100 + 1e-6 * torch.rand(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double))
    assert trial.difference(b * (1 + 1e-7), b) < trial.SAME
    assert trial.difference(b * 1.01, b) > trial.ALIKE
    assert trial.difference(torch.zeros(2, 5), torch.zeros(2, 5)) == 0
    assert trial.difference(torch.ones(2, 5), torch.zeros(2, 5)) == trial.difference(b / 0, b) == torch.inf


@pytest.mark.parametrize(
    ("forward", "last"),
    [
        (lambda net, x: net.fc(net.maps(x).mean((2, 3))), "fc1"),
        (lambda net, x: net.fc(net.maps(x).mean((2, 3))).flip(1), ""),  # unit 0 is the last class
        (lambda net, x: torch.relu(net.two(net.one(x))).mean((2, 3)), "conv2"),
        (lambda net, x: net.maps(x).amax((2, 3)), ""),
        (lambda net, x: net.maps(x).mean((2, 3)).log_softmax(1), "conv2"),
    ],
    ids=["linear", "in another order", "pooled", "maxima", "less a number of the picture"],
)
def test_the_layer_whose_units_are_the_classes(described, forward, last):
    assert described(member(forward))[0]["scores_layer"] == last


def test_a_single_output_has_no_layer_of_scores():
    net = nn.Sequential(nn.Conv2d(3, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layer = SimpleNamespace(name="conv", module="0", units=1, maps=lambda x: x)
    assert trial.scores_layer(net, lambda x: x, 3, (8, 8), [layer], 1) == ""


def test_a_network_of_odd_sides_only_is_not_said_to_take_any():
    odd = nn.Sequential(
        nn.Conv2d(3, 4, 4), nn.PixelUnshuffle(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2)
    )
    with torch.no_grad():
        assert trial._step(odd.eval(), lambda x: x, 3, (21, 21), 2) == 0
        assert trial._step(odd[2:], lambda x: x.repeat(1, 6, 1, 1)[:, :16], 3, (21, 21), 2) == 1

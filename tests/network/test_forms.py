"""Common forms of networks and their inputs: each is read as any other, or refused in words."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from cnnviz import config
from cnnviz.activations.forward_pass import ForwardPass
from cnnviz.errors import UserError
from cnnviz.network import building, hooks, network
from cnnviz.run import user_code


class Net(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Around(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


@pytest.fixture
def opened(monkeypatch):
    """opened(function that makes the network, **keys of its preprocess) → (frozen network, its facts)."""

    def open(make, size=(16, 16), **preprocess) -> tuple[nn.Module, dict]:
        monkeypatch.setattr(user_code, "function", lambda place, where: make)
        model = {"factory": "mine.py:net", "preprocess": {"resize": list(size)} | preprocess}
        full = config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": model}, "sections": []})
        block = full["models"]["m"]
        built = building.build(block, "m", 0)
        return built.net, network.describe(built, block, "m", ())

    monkeypatch.setattr("cnnviz.config.exists", lambda where, path: None)
    return open


def scores_of(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return net(x)


# --------------------------------------------------------------------------------------------------- its own methods


class TrainReturnsNothing(Net):
    def train(self, mode=True):
        super().train(mode)
        self.norm.train()


class EvalWantsPictures(Net):
    def eval(self, loader):
        raise AssertionError


class NothingWorks(Net):
    def train(self, epochs, loader):
        raise AssertionError

    def float(self):
        raise RuntimeError("not supported")

    def requires_grad_(self, requires_grad=True):
        raise RuntimeError("not supported")


class ByKeyword(Net):
    def forward(self, *, image):
        return super().forward(image)


class MoreArguments(Net):
    def forward(self, x, mask=None, *others, scale=1.0, **more):
        return super().forward(x)


@pytest.mark.parametrize("kind", [TrainReturnsNothing, EvalWantsPictures, NothingWorks, ByKeyword, MoreArguments])
def test_whatever_a_networks_methods_do_it_comes_out_in_eval_mode_and_frozen(opened, kind):
    net, facts = opened(kind)
    assert not any(m.training for m in net.modules()) and not any(p.requires_grad for p in net.parameters())
    assert facts["default_layers"] == ["conv1"]
    x = torch.randn(3, 3, 16, 16)
    plain = Net().eval()
    plain.load_state_dict(net.state_dict())
    assert torch.equal(scores_of(net, x), scores_of(plain, x))


# ------------------------------------------------------------------------------------------------------ what is around


def inference_made():
    with torch.inference_mode():
        return Net()


WRAPPED = {
    "compiled": lambda: torch.compile(Net()),
    "compiled part": lambda: Around(torch.compile(Net())),
    "parallel": lambda: nn.DataParallel(Net()),
    "parallel part": lambda: Around(nn.DataParallel(Net())),
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(Net()),
    "traced by fx": lambda: torch.fx.symbolic_trace(Net()),
    "half": lambda: Net().half(),
    "double": lambda: Net().double(),
    "bfloat16": lambda: Net().bfloat16(),
    "made in inference mode": inference_made,
}


@pytest.mark.parametrize("how", WRAPPED)
def test_what_stands_around_a_network_is_taken_off(opened, how):
    net, facts = opened(WRAPPED[how])
    assert [layer["kind"] for layer in facts["layers"]] == ["Conv2d", "Linear"]
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    x = torch.randn(2, 3, 16, 16, requires_grad=True)
    with hooks.capture(net, [facts["layers"][0]["module"]]) as seen:
        net(x).sum().backward()
    assert x.grad.abs().sum() > 0 and len(seen) == 1


def test_a_network_compiled_in_place_is_watched_too(opened):
    def make():
        net = Net()
        net.compile()
        return net

    net, facts = opened(make)
    assert facts["default_layers"] == ["conv1"] and scores_of(net, torch.zeros(1, 3, 16, 16)).shape == (1, 3)


@pytest.mark.parametrize(
    "how",
    [nn.utils.spectral_norm, nn.utils.weight_norm, parametrizations.spectral_norm, parametrizations.weight_norm]
    + [lambda layer: prune.l1_unstructured(layer, "weight", 0.5)],
)
def test_parametrised_layers_become_plain_ones_that_compute_the_same(opened, how):
    def make():
        torch.manual_seed(0)
        return nn.Sequential(how(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Flatten(), how(nn.Linear(784, 3)))

    x = torch.randn(2, 3, 16, 16)
    net, facts = opened(make)
    torch.testing.assert_close(scores_of(net, x), scores_of(make().eval(), x))
    assert type(net[0]) is nn.Conv2d and [name for name, _ in net[0].named_parameters()] in (
        ["weight", "bias"],
        ["bias", "weight"],
    )
    copy.deepcopy(net)
    assert [layer["kind"] for layer in facts["layers"]] == ["Conv2d", "Linear"]


def quantised():
    net = Net().eval()
    net.fc = torch.ao.nn.quantized.dynamic.Linear(4, 3)
    return net


def on_meta():
    with torch.device("meta"):
        return Net()


def exported():
    return torch.export.export(Net().eval(), (torch.zeros(2, 3, 16, 16),))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.jit.script(Net().eval()), r"TorchScript.*state_dict\(\)"),
        (lambda: torch.jit.trace(Net().eval(), torch.zeros(1, 3, 16, 16)), r"TorchScript.*state_dict\(\)"),
        (
            lambda: Around(torch.jit.script(Net().eval())),
            r"part inner is TorchScript.*; use the Python module [^.]*, without torch.jit",
        ),
        (exported, r"torch.export.*state_dict\(\)"),
        (lambda: exported().module(), r"torch.export.*state_dict\(\)"),
        (quantised, "part fc is quantised"),
        (on_meta, "meta device, so it has no weights"),
    ],
)
def test_what_cannot_be_looked_into_says_what_it_is_and_what_to_give(opened, make, said):
    with pytest.raises(UserError, match=said):
        opened(make)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.LazyLinear(3)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("channels", [1, 3])
def test_lazy_layers_take_their_sizes_from_a_picture_and_fit_the_checkpoint(opened, tmp_path, monkeypatch, channels):
    trained = Lazy()
    trained(torch.randn(2, channels, 16, 16))
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    complete = config.complete

    def with_checkpoint(given):
        given["models"]["m"]["checkpoint"] = str(tmp_path / "w.pt")
        return complete(given)

    monkeypatch.setattr(config, "complete", with_checkpoint)
    net, facts = opened(Lazy)
    x = torch.randn(2, channels, 16, 16)
    assert facts["channels"] == channels and type(net.conv) is nn.Conv2d
    assert torch.equal(scores_of(net, x), scores_of(trained.eval(), x))
    with pytest.raises(UserError, match="lazy layers"):
        opened(Lazy, size=(20, 20))


@pytest.mark.filterwarnings("ignore")
def test_lazy_layers_without_a_checkpoint_are_the_same_in_each_job(opened):
    first, second = (opened(Lazy)[0] for _ in range(2))
    assert torch.equal(first.conv.weight, second.conv.weight) and first.fc.weight.shape == (3, 784)


# ------------------------------------------------------------------------------------------------------------- layers


class CalledByKeyword(Net):
    def forward(self, x):
        return self.fc(input=torch.relu(self.norm(input=self.conv(input=x))).mean((2, 3)))


def test_layers_called_by_keyword_are_found_and_so_is_the_feature(opened):
    net, facts = opened(CalledByKeyword)
    assert [layer["name"] for layer in facts["layers"]] == ["conv1", "fc1"]
    assert facts["feature"]["at"] == ["fc", "input"]
    x = torch.randn(2, 3, 16, 16)
    with ForwardPass(net, {}, {}, 1, ("fc", "input"), 2, 2) as run:
        _, features = run(x)
    expected = torch.relu(net.norm(net.conv(x))).mean((2, 3))
    torch.testing.assert_close(features, expected)


class OwnConvolution(nn.Module):
    def __init__(self, channels, units):
        super().__init__()
        self.filters = nn.Parameter(torch.randn(units, channels, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.filters - self.filters.mean())


class Standardised(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight / self.weight.std(), self.bias)


@pytest.mark.parametrize(
    "kind", [OwnConvolution, lambda channels, units: Standardised(channels, units, 3)], ids=["own", "derived"]
)
def test_convolutions_of_a_class_of_the_networks_own_are_layers_like_others(opened, kind):
    _, facts = opened(lambda: nn.Sequential(kind(3, 4), nn.ReLU(), kind(4, 5), nn.Flatten(), nn.Linear(5 * 12 * 12, 3)))
    assert facts["default_layers"] == ["conv1", "conv2"] and facts["layers"][1]["units"] == 5
    assert [layer["kind"] for layer in facts["layers"]] == ["Conv2d", "Conv2d", "Linear"]


class WithoutLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.filters, self.weights = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(3, 4))

    def forward(self, x):
        return F.linear(torch.relu(F.conv2d(x, self.filters)).mean((2, 3)), self.weights)


def test_a_network_without_any_layer_is_read_by_its_scores(opened):
    _, facts = opened(WithoutLayers)
    assert facts["layers"] == [] and facts["feature"] == {
        "at": ["", "output"],
        "name": "the scores of the classes",
        "size": 3,
    }


# ----------------------------------------------------------------------------------------------------- what it takes


class Folded(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(4 * channels, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.conv(F.pixel_unshuffle(x, 2)).mean((2, 3)))


class Coordinates(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(channels + 2, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        grid = torch.linspace(-1, 1, x.shape[3]).expand(len(x), 1, *x.shape[2:])
        return self.fc(self.conv(torch.cat([x, grid, grid.mT], 1)).mean((2, 3)))


class GateFirst(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gate, self.conv, self.fc = nn.Conv2d(4, 4, 1), nn.Conv2d(channels, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        x = self.conv(x)
        return self.fc((x * self.gate(x).sigmoid()).mean((2, 3)))


class Repeated(Net):
    def forward(self, x):
        return super().forward(x.repeat(1, 3, 1, 1))


class OnPixels(nn.Module):
    def __init__(self, channels, side=16):
        super().__init__()
        self.first, self.fc = nn.Linear(channels * side**2, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.first(x.reshape(-1, self.first.in_features)).relu())


class Planes(nn.Module):
    """Treats its input as grey pictures, so that three channels become three pictures."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.conv(x.view(-1, 1, 16, 16)).mean((2, 3)))


@pytest.mark.parametrize(
    ("make", "channels"),
    [
        *[(lambda kind=kind, n=n: kind(n), n) for kind in (Folded, Coordinates, GateFirst) for n in (1, 3, 4)],
        *[(lambda n=n: OnPixels(n), n) for n in (1, 3, 6)],
        *[(lambda n=n: nn.Sequential(nn.BatchNorm2d(n), nn.Flatten(), nn.Linear(256 * n, 3)), n) for n in (2, 13)],
        (lambda: Net(13), 13),
        (lambda: Net(200), 200),
        (Repeated, 1),
        (Planes, 1),
        (lambda: nn.Sequential(OwnConvolution(1, 4), nn.Flatten(), nn.Linear(784, 3)), 1),
    ],
)
def test_the_number_of_channels_is_found_by_trying(opened, make, channels):
    net, facts = opened(make)
    assert facts["channels"] == channels and facts["input"] == [channels, 16, 16]
    assert scores_of(net, torch.zeros(2, channels, 16, 16)).shape == (2, 3)


class Any(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(256, 3)

    def forward(self, x):
        return self.fc(x.mean(1).flatten(1))


def test_where_several_numbers_of_channels_would_do_the_config_says_which(opened):
    assert opened(Any)[1]["channels"] == 3
    assert opened(Any, mean=[0.5] * 5, std=1)[1]["channels"] == 5
    facts = opened(Any, input_channels=4)[1]
    assert facts["channels"] == 4 and facts["preprocess"]["mean"] == 0
    with pytest.raises(UserError, match=r"takes 16 × 16 pixels and 3 channels; write preprocess: \{input_channels: 3"):
        opened(Net, input_channels=4)


class LeNet(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.one, self.two, self.fc = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(16 * side**2, 3)

    def forward(self, x):
        x = F.max_pool2d(self.two(F.max_pool2d(self.one(x), 2)), 2)
        return self.fc(x.view(-1, self.fc.in_features))


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3, 4))


class Asks(Net):
    def forward(self, x):
        return super().forward(x.to("cuda:7"))


class Leaves(Net):
    def forward(self, x):
        raise SystemExit("not today")


def casting(kind, first=False):
    """A network that converts its pictures, or with ``first`` the input of its normalisation, to another type."""

    class Casting(Net):
        def forward(self, x):
            x = self.norm(self.conv(x).to(kind)) if first else self.norm(self.conv(x.to(kind)))
            return self.fc(torch.relu(x).mean((2, 3)))

    return Casting


@pytest.mark.parametrize(
    ("make", "size", "said"),
    [
        (lambda: LeNet(5), (64, 64), r"resize: \[32, 32\]\}$"),
        (lambda: LeNet(4), (50, 50), r"resize: \[28, 28\]\}$"),
        (lambda: OnPixels(1, 28), (16, 16), r"28 × 28 pixels and 1 channel; .*\[28, 28\], input_channels: 1\}$"),
        (lambda: OnPixels(3, 10), (20, 20), r"4 rows of scores for one picture.*resize: \[10, 10\]\}$"),
        (Clip, (16, 16), "signals, volumes or videos"),
        (Asks, (16, 16), "by x.device"),
        (Leaves, (16, 16), "SystemExit: not today"),
        *(
            (casting(kind), (16, 16), r"float32 here\. Remove \.half\(\), .* or write \.float\(\)")
            for kind in (torch.half, torch.bfloat16, torch.double, torch.uint8)
        ),
        (casting(torch.double, first=True), (16, 16), "mixed dtype"),
        (casting(torch.long, first=True), (16, 16), r"float32 here\. Remove .*'Long'"),
    ],
)
def test_what_a_network_does_not_take_is_told_with_what_to_write(opened, make, size, said):
    with pytest.raises(UserError, match=said) as told:
        opened(make, size=size)
    assert len(str(told.value).splitlines()) == 1

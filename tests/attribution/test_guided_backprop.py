"""Oracles: captum if every ReLU is its own module, and else the replacement of all ReLUs."""

import pytest
import torch
import torchvision
from captum.attr import GuidedBackprop
from torch import nn
from torch.nn import functional as F

from cnnviz.attribution.guided_backprop import METHODS
from cnnviz.attribution.probes import NotApplicable
from cnnviz.attribution.projections import of_classes
from cnnviz.network import layers
from cnnviz.network.loaded import Model
from cnnviz.network.relu import DECONVNET, GUIDED
from cnnviz.pictures.preprocess import Preprocess

TARGETS = torch.tensor([2, 0])


def model_of(net: nn.Module, size: int) -> Model:
    net = net.double().eval().requires_grad_(False)
    calls = layers.trace(net, torch.zeros(1, 3, size, size, dtype=torch.float64), "test")
    found, outputs = layers.named(net, calls), calls[""].output[1]
    return Model(
        *("m", net, Preprocess(resize=(size, size)), tuple(found), tuple(layers.default(found)), ("", "input"), "", 0),
        *(tuple(str(i) for i in range(outputs)), (), torch.device("cpu"), {}),
    )


def picture(size: int) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Clone(nn.Module):
    """conv – ReLU – conv – ReLU – pool – linear, with the ReLU called in any way."""

    def __init__(self, relu):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5 * 36, 4)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator) / 3
        self.one, self.other, self.relu = nn.ReLU(), nn.ReLU(), relu

    def forward(self, x):
        x = (self.relu or self.one)(self.first(x))
        x = (self.relu or self.other)(self.second(x))
        return self.last(F.max_pool2d(x, 2).flatten(1))


def discarded(x):
    F.relu(x, inplace=True)
    return x


@pytest.mark.filterwarnings("ignore::UserWarning:captum")
def test_equals_captum_where_every_relu_is_a_module():
    x = picture(16)
    expected = GuidedBackprop(Clone(None).double()).attribute(x.expand(2, -1, -1, -1).clone(), TARGETS)
    got = of_classes(model_of(Clone(None), 16), x, TARGETS, GUIDED)
    assert (got - expected).norm() <= 1e-6 * expected.norm()
    maps = METHODS["guided_backprop"].maps(model_of(Clone(None), 16), x, TARGETS, {}, torch.Generator())
    torch.testing.assert_close(maps, expected.abs().amax(1))


@pytest.mark.parametrize(
    "relu",
    [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, lambda x: x.clamp(min=0), discarded],
    ids=["reused", "reused in place", "F.relu", "torch.relu", "clamp", "discarded"],
)
def test_a_clone_that_calls_its_relus_in_another_way_gives_the_same(relu):
    x = picture(16)
    expected = of_classes(model_of(Clone(None), 16), x, TARGETS, GUIDED)
    assert torch.equal(of_classes(model_of(Clone(relu), 16), x, TARGETS, GUIDED), expected)


class Naive(torch.autograd.Function):
    """min(max(x, 0), high) with an explicit rule."""

    @staticmethod
    def forward(ctx, x, high, rule):
        ctx.save_for_backward((x > 0) & (x < high))
        ctx.rule = rule
        return x.clamp(0, high)

    @staticmethod
    def backward(ctx, g):
        passes = (g > 0) if ctx.rule == DECONVNET else (g > 0) & ctx.saved_tensors[0]
        return torch.where(passes, g, 0.0), None, None


def naively(net, x, targets, rule, monkeypatch):
    """The projections with every ReLU of torch.nn.functional replaced: modules call it too."""
    x = x.expand(len(targets), -1, -1, -1).clone().requires_grad_()
    with monkeypatch.context() as patch:
        patch.setattr(F, "relu", lambda x, inplace=False: Naive.apply(x, float("inf"), rule))
        for name in ("relu6", "hardtanh"):
            patch.setattr(F, name, lambda x, *rest: Naive.apply(x, 6.0, rule))
        score = net(x).gather(1, targets[:, None]).sum()
    return torch.autograd.grad(score, x)[0]


@pytest.mark.parametrize("rule", [GUIDED, DECONVNET])
@pytest.mark.parametrize(
    ("name", "size"),
    [("densenet121", 64), ("mobilenet_v2", 32), ("resnet18", 32), ("squeezenet1_1", 64), ("googlenet", 64)],
)
def test_is_right_on_real_architectures(name, size, rule, monkeypatch):
    torch.manual_seed(0)
    extra = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    model, x = model_of(torchvision.models.get_model(name, weights=None, num_classes=5, **extra), size), picture(size)
    expected = naively(model.net, x, TARGETS, rule, monkeypatch)
    got = of_classes(model, x, TARGETS, rule)
    assert expected.norm() > 0
    assert (got - expected).norm() <= 1e-9 * expected.norm()


def test_real_relu6_nets_are_cut_at_both_ends(monkeypatch):
    """MobileNet's own activations rarely reach 6 with random weights; these do."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 8, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(1152, 4)
    )
    torch.manual_seed(0)
    for p in net.parameters():
        nn.init.normal_(p, std=3)
    x = picture(16)
    got, expected = of_classes(model_of(net, 16), x, TARGETS, GUIDED), naively(net, x, TARGETS, GUIDED, monkeypatch)
    assert (net[0](x) > 6).any() and expected.norm() > 0
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.GELU(), nn.Tanh()])
def test_a_net_without_relus_is_told_so(activation):
    with pytest.raises(NotApplicable, match="no ReLU was seen"):
        of_classes(model_of(Clone(activation), 16), picture(16), TARGETS, GUIDED)


def test_what_bends_beside_the_relus_is_said():
    caveat, x = METHODS["guided_backprop"].caveat, picture(16)
    assert caveat(model_of(Clone(F.relu), 16), x) == ""
    assert "plain gradient" in caveat(model_of(Clone(lambda x: F.relu(x) * x.sigmoid()), 16), x)


def test_a_map_does_not_depend_on_the_other_classes():
    model, x = model_of(Clone(None), 16), picture(16)
    alone = torch.cat([of_classes(model, x, t[None], GUIDED) for t in TARGETS])
    torch.testing.assert_close(of_classes(model, x, TARGETS, GUIDED), alone, rtol=1e-12, atol=1e-15)

"""The rule reaches every ReLU, however it is called, and changes nothing but the backward pass."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from cnnviz.attribution.projections import to_pixels
from cnnviz.errors import NotApplicable
from cnnviz.network.relu import DECONVNET, GRADIENT, GUIDED, ReluRule, leftover


class Net(nn.Module):
    """conv – ReLU – conv – ReLU – pool – linear, the ReLU called in the way that ``call`` says."""

    def __init__(self, call):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, 4)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator)
        self.call, self.relu = call, nn.ReLU()

    def forward(self, x):
        for convolution in (self.first, self.second):
            x = self.call(self, convolution(x))
        return self.last(F.max_pool2d(x, 2).mean((2, 3)))


def discarded(net, x):
    F.relu(x, inplace=True)
    return x


def discarded_method(net, x):
    x.clamp_(min=0)
    return x


CALLS = {
    "module used twice": lambda net, x: net.relu(x),
    "module in place": lambda net, x: nn.ReLU(inplace=True)(x),
    "F.relu": lambda net, x: F.relu(x),
    "F.relu in place": lambda net, x: F.relu(x, inplace=True),
    "F.relu_": lambda net, x: F.relu_(x),
    "torch.relu": lambda net, x: torch.relu(x),
    "torch.relu_": lambda net, x: torch.relu_(x),
    "method": lambda net, x: x.relu(),
    "method in place": lambda net, x: x.relu_(),
    "clamp": lambda net, x: x.clamp(min=0),
    "clamp by position": lambda net, x: torch.clamp(x, 0),
    "clamp_min": lambda net, x: torch.clamp_min(x, 0.0),
    "clamp_": lambda net, x: x.clamp_(min=0.0),
    "threshold": lambda net, x: F.threshold(x, 0, 0),
    "maximum": lambda net, x: torch.maximum(x, torch.zeros(())),
    "result discarded": discarded,
    "clamp_ discarded": discarded_method,
}


class NaiveGuided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, rule):
        ctx.rule = rule
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        masks = {"gradient": x > 0, "deconvnet": g > 0, "guided": (x > 0) & (g > 0)}
        return g * masks[ctx.rule], None


def gradient(net, x, rule=None):
    x = x.clone().requires_grad_()
    if rule is None:
        return torch.autograd.grad(net(x)[:, 1].sum(), x)[0], 0
    with ReluRule(rule) as mode:
        return torch.autograd.grad(net(x)[:, 1].sum(), x)[0], mode.sites


@pytest.fixture
def x():
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("rule", [GRADIENT, DECONVNET, GUIDED])
@pytest.mark.parametrize("call", CALLS)
def test_equals_a_relu_with_that_backward_pass_however_it_is_called(call, rule, x):
    expected, _ = gradient(Net(lambda net, x: NaiveGuided.apply(x, rule)), x)
    got, sites = gradient(Net(CALLS[call]), x, rule)
    assert sites == 2
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


@pytest.mark.parametrize("call", CALLS)
def test_the_forward_pass_is_untouched_and_nothing_stays(call, x):
    net = Net(CALLS[call])
    before = copy.deepcopy(net.state_dict())
    plain, _ = gradient(net, x)
    with ReluRule(GUIDED):
        inside = net(x)
    torch.testing.assert_close(inside, net(x), rtol=0, atol=0)
    assert torch.equal(gradient(net, x)[0], plain)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    with pytest.raises(RuntimeError), ReluRule(GUIDED):
        net(x[:, :2])
    assert torch.equal(gradient(net, x)[0], plain)


def test_relu6_is_cut_at_both_ends(x):
    x = x[:, :, :4, :4] * 5
    for call in (nn.ReLU6(), nn.Hardtanh(0, 6), lambda x: x.clamp(0, 6), lambda x: F.relu6(x, inplace=True)):
        inner = (x * 1.0).requires_grad_()
        with ReluRule(GUIDED) as rule:
            y = call(inner * 1)
        upward = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
        (g,) = torch.autograd.grad(y, inner, upward)
        assert rule.sites == 1
        torch.testing.assert_close(g, upward * ((x > 0) & (x < 6) & (upward > 0)))


def test_equals_captum_on_a_net_of_relu_modules(x):
    from captum.attr import Deconvolution, GuidedBackprop

    def net():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)),
        ).eval()  # fmt: skip

    for rule, method in ((GUIDED, GuidedBackprop), (DECONVNET, Deconvolution)):
        got, _ = gradient(net(), x, rule)
        expected = method(net()).attribute(x.clone().requires_grad_(), target=1)
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("call", CALLS)
def test_without_its_relus_such_a_net_is_affine(call, x):
    assert leftover(Net(CALLS[call]).double(), x.double()) < 1e-9


@pytest.mark.parametrize(
    "call",
    [
        lambda net, x: x * (x > 0),
        lambda net, x: torch.where(x > 0, x, 0.0),
        lambda net, x: F.gelu(x),
        lambda net, x: F.silu(x),
        lambda net, x: F.leaky_relu(x, 0.1),
        lambda net, x: torch.relu(x) * x.mean((2, 3), keepdim=True).sigmoid(),
        lambda net, x: torch.jit.script(nn.ReLU())(x),
    ],
)
def test_what_escapes_the_rule_is_noticed(call, x):
    assert leftover(Net(call).double(), x.double()) > 1e-3


def test_a_net_without_relus_has_no_sites(x):
    got, sites = gradient(Net(lambda net, x: F.silu(x)), x, GUIDED)
    assert sites == 0
    torch.testing.assert_close(got, gradient(Net(lambda net, x: F.silu(x)), x)[0])
    with pytest.raises(ValueError, match="deconvnet"):
        ReluRule("guide")


def test_a_network_that_computes_its_values_again_for_the_gradient_is_told():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.ReLU(), nn.Flatten())
    with pytest.raises(NotApplicable, match="gradient checkpointing"):
        to_pixels(lambda x: checkpoint(net, x, use_reentrant=False).sum(1), torch.randn(1, 3, 8, 8), GUIDED)

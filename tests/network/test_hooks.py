import pytest
import torch
from torch import nn

from cnnviz.network.hooks import capture, forward


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(80, 2))


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) for m in module.modules())


def test_the_value_before_an_in_place_relu_is_kept():
    model, x = net(), torch.randn(2, 3, 8, 8)
    with capture(model, ["0"]) as captured:
        forward(model, x, captured)
    assert torch.equal(captured["0"], model[0](x)) and (captured["0"] < 0).any()


def test_stop_ends_the_pass_early_and_keeps_the_graph():
    model, x = net(), torch.randn(1, 3, 8, 8, requires_grad=True)
    ran = []
    model[4].register_forward_hook(lambda *a: ran.append(1))
    with capture(model, ["0", "2"], stop=True) as captured:
        forward(model, x, captured)
    assert not ran and set(captured) == {"0", "2"}
    captured["2"].sum().backward()
    assert x.grad.abs().sum() > 0


def test_hooks_are_gone_afterwards_also_after_an_error():
    model = net()
    with capture(model, ["0", "2"]):
        assert hooks(model) == 2
    assert hooks(model) == 0
    with pytest.raises(RuntimeError), capture(model, ["0"]):
        model(torch.zeros(1, 9, 8, 8))
    assert hooks(model) == 0
    with pytest.raises(AttributeError), capture(model, ["0", "nowhere"]):
        pass
    assert hooks(model) == 0

"""The operations that make and read a layer's values: modules and functions, in place or not, through pooling."""

import torch
from torch import nn
from torch.nn import functional as F

from cnnviz.activations.rectified import around


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.plain, self.normed, self.pooled, self.both, self.open = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(5))
        self.joined = nn.Identity()
        self.bn, self.block = nn.BatchNorm2d(3), nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True))

    def forward(self, x):
        x = F.relu(self.plain(x), inplace=True)
        x = torch.relu(self.bn(self.normed(x)))
        x = F.relu6(F.max_pool2d(self.pooled(x), 2))
        y = self.both(x)
        x = torch.clamp_min(y, 0) + y
        x = self.block(F.leaky_relu(self.open(x)))
        return self.joined(torch.cat([F.relu(x), F.max_pool2d(F.relu(-x), 3, 1, 1)], 1)).mean((2, 3))


def test_functional_in_place_and_pooled_relus_are_found():
    net = Net().eval().requires_grad_(False)
    got = around(net, ["plain", "normed", "pooled", "both", "open", "block", "joined"], (3, 8, 8))
    assert got["plain"] == {"made_by": "convolution", "read_by": ["ReLU"], "rectified": True}
    assert got["normed"]["read_by"] == ["batch normalisation"] and not got["normed"]["rectified"]
    assert got["pooled"] == {"made_by": "convolution", "read_by": ["ReLU6"], "rectified": True}
    assert set(got["both"]["read_by"]) == {"ReLU", "addition"} and not got["both"]["rectified"]
    assert got["open"]["read_by"] == ["leaky ReLU"] and not got["open"]["rectified"]
    assert got["block"]["made_by"] == "ReLU" and got["block"]["rectified"]
    assert got["joined"]["made_by"] == "ReLU and concatenation" and got["joined"]["rectified"]
    assert not any(module._forward_hooks for module in net.modules())


def test_a_clamp_at_another_bound_is_not_a_relu():
    class Clamped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return torch.clamp_min(self.conv(x), -1).mean((2, 3))

    assert not around(Clamped().eval(), ["conv"], (3, 4, 4))["conv"]["rectified"]


def test_a_view_that_is_the_tensor_itself_and_joins_that_repeat_it_come_to_an_end():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x):
            x = self.conv(x).contiguous()  # contiguous already: the same tensor
            for _ in range(12):
                x = torch.cat([x, x], 1)[:, :2].contiguous()
            return torch.relu(x).mean((2, 3))

    got = around(Dense().eval().requires_grad_(False), ["conv"], (3, 8, 8))
    assert got["conv"]["made_by"] == "convolution"

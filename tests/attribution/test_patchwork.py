"""Looking maps up must change nothing, on any net; where that cannot be, all is computed in full."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnviz.attribution.incremental import _Watch
from cnnviz.attribution.patchwork import Patchwork, _sights, coloured

SIDE = 32
QUARTERS = torch.arange(SIDE)[:, None] // 8 * 4 + torch.arange(SIDE) // 8  # 16 squares of 8 × 8 pixels


class Functional(nn.Module):
    """No activation is a module; padding, ceil_mode, dilation and a map that is used in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=2, dilation=2)
        self.c = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.a(x), inplace=True)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return self.c(F.relu(self.b(x)).mean((2, 3)))


class Residual(nn.Module):
    """The first map is needed again later, so that only what follows the sum may be looked up."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 4)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        x = self.a(x)
        x = F.avg_pool2d(F.relu(self.norm(self.b(x))) + x, 2)
        return self.c(x.square().mean((2, 3)))


class Twice(nn.Module):
    """The picture itself is needed at the end: nothing can be looked up."""

    def __init__(self):
        super().__init__()
        self.a, self.c = nn.Conv2d(3, 6, 3), nn.Linear(9, 4)

    def forward(self, x):
        return self.c(torch.cat([self.a(x).relu().mean((2, 3)), x.square().mean((2, 3))], 1))


def made(net: nn.Module, patches=QUARTERS, most=256) -> tuple[Patchwork, torch.Tensor]:
    torch.manual_seed(0)
    net = net().double().eval().requires_grad_(False)
    z, other = torch.rand(2, 1, 3, SIDE, SIDE, dtype=torch.float64)
    first = torch.rand(40, int(patches.max()) + 1) < 0.5
    return Patchwork(net, z, other, patches, batch=16, most=most), first


def scripted():
    return torch.jit.trace(Functional().double().eval(), torch.rand(1, 3, SIDE, SIDE, dtype=torch.float64))


@pytest.mark.parametrize(("net", "quick"), [(Functional, True), (Residual, True), (Twice, False), (scripted, False)])
def test_it_says_what_the_network_says(net, quick):
    patchwork, first = made(net)
    assert patchwork.quick == quick
    pictures = torch.where(first[:, QUARTERS][:, None], patchwork.z, patchwork.other)
    expected = torch.cat([patchwork.net(p[None]) for p in pictures])
    torch.testing.assert_close(patchwork.logits(first), expected, rtol=1e-10, atol=1e-12)


def test_patches_of_any_form():
    torch.manual_seed(1)
    ragged = (QUARTERS + (torch.rand(SIDE, SIDE) < 0.02).long()).clamp(max=15)
    patchwork, first = made(Functional, ragged, most=1 << 16)
    assert patchwork.quick
    torch.testing.assert_close(patchwork.logits(first), patchwork._full(first), rtol=1e-10, atol=1e-12)


def test_a_table_that_does_not_pay_is_not_made():
    assert not made(Functional, most=3)[0].quick


def test_a_network_that_looks_elsewhere_is_noticed():
    class Sneaky(Functional):
        def forward(self, x):
            return super().forward(x) + x.data.sum((1, 2, 3))[:, None]  # past what torch functions tell

    patchwork, first = made(Sneaky)
    pictures = torch.where(first[:, QUARTERS][:, None], patchwork.z, patchwork.other)
    torch.testing.assert_close(patchwork.logits(first), patchwork.net(pictures))


def test_every_position_sees_the_patches_that_its_gradient_reaches():
    torch.manual_seed(0)
    net, x = Functional().double().eval(), torch.rand(1, 3, SIDE, SIDE, dtype=torch.float64)
    with torch.no_grad(), _Watch(x) as seen:
        net(x)
    sights = list(_sights(x, seen.calls, QUARTERS))
    assert len(sights) == len(seen.calls) >= 4
    for patch in (0, 5, 15):
        changed = torch.where(patch == QUARTERS, torch.rand(x.shape, dtype=torch.float64), x)
        with torch.no_grad(), _Watch(changed) as other:
            net(changed)
        for sight, a, b in zip(sights, seen.calls, other.calls, strict=True):
            differs = (a.clean != b.clean).any(1).flatten().numpy()
            assert not (differs & ~sight[:, patch]).any()
            assert differs.sum() > 0.5 * sight[:, patch].sum()


def test_no_two_patches_in_sight_are_of_one_colour():
    sight = np.random.default_rng(0).random((50, 20)) < 0.15
    colours = coloured(sight)
    for one in sight:
        assert len(set(colours[one])) == one.sum()
    assert colours.min() == 0 and set(colours) == set(range(colours.max() + 1))
    assert (coloured(np.eye(4, dtype=bool)) == 0).all()

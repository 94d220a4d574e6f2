"""Receptive fields: published sizes, exactness on both sides, and a search over every pixel."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnviz.network.receptive_field import receptive_fields

torchvision = pytest.importorskip("torchvision")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # nets this small only wait for each other's threads


def convolutions(net: nn.Module) -> list[str]:
    return [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]


class Odd(nn.Module):
    """Uneven padding, dilation, groups, rounding up, an uneven stride, a branch and a ReLU written by hand."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, (3, 5), (2, 1), padding=(0, 2))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.same = nn.Conv2d(4, 4, 4, padding="same", groups=2)
        self.wide = nn.Conv2d(4, 4, 3, dilation=2, padding=2, groups=4)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 5, 2)

    def forward(self, x):
        x = F.relu6(self.first(F.pad(x, (0, 1, 2, 0))), inplace=True)
        x = self.pool(torch.where(x > 0, x, 0.1 * x))
        return self.last(self.norm(torch.cat([self.same(x), F.avg_pool2d(self.wide(x), 3, 1, 1)], 1)))


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 4, 3)
        self.classes = nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x)
        x = self.last(x * self.gate(F.adaptive_avg_pool2d(x, 1)).sigmoid())
        return self.classes(x.mean((2, 3)))


def output(net: nn.Module, module: str, x: torch.Tensor) -> torch.Tensor:
    kept = []
    handle = net.get_submodule(module).register_forward_hook(lambda m, i, o: kept.append(o.clone()))
    with torch.no_grad():
        net(x)
    handle.remove()
    return kept[-1]


@pytest.mark.parametrize(
    "name, modules, sizes",
    [
        ("alexnet", None, [11, 51, 99, 131, 163]),
        ("resnet18", ["conv1", "layer1", "layer2", "layer3"], [7, 43, 99, 211]),
    ],
)
def test_published_sizes(name, modules, sizes):
    net = torchvision.models.get_model(name, weights=None).eval()
    modules = modules or convolutions(net)
    fields = receptive_fields(net, modules, (224, 224))
    assert [fields[m].size for m in modules] == [(s, s) for s in sizes]


def test_published_sizes_of_vgg16_and_of_resnet18s_end_on_a_larger_picture():
    plan = [4 if isinstance(units, int) else units for units in torchvision.models.vgg.cfgs["D"]]
    vgg = torchvision.models.vgg.make_layers(plan).eval()  # how many units there are changes no field
    names = convolutions(vgg)
    fields = receptive_fields(vgg, names, (224, 64))
    assert [fields[m].size[0] for m in names] == [3, 5, 10, 14, 24, 32, 40, 60, 76, 92, 132, 164, 196]
    net = torchvision.models.resnet18(weights=None).eval()
    assert receptive_fields(net, ["layer4"], (512, 64))["layer4"].size == (435, 64)


@pytest.mark.parametrize("size", [(40, 32), (37, 41)])
def test_equals_a_search_over_every_pixel(size):
    """The brute-force way: NaN in one pixel at a time, in float64."""
    net = Odd().double().eval()
    net.forward = lambda x: plain_odd(net, x)  # torch.where drops NaN: the same arithmetic without it
    h, w = size
    field = receptive_fields(net.float(), ["last"], size)["last"]
    net.double()
    x = torch.randn(h * w, 3, h, w, dtype=torch.float64)
    for i in range(h * w):
        x[i, :, i // w, i % w] = torch.nan
    hit = output(net, "last", x).isnan().any(1).reshape(h, w, len(field.rows), len(field.columns)).numpy()
    for y in range(hit.shape[2]):
        for column in range(hit.shape[3]):
            inside = np.zeros((h, w), bool)
            top, left, bottom, right = field.box(y, column)
            inside[top:bottom, left:right] = True
            rows, columns = hit[:, :, y, column].nonzero()
            assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (top, left, bottom, right)
            assert not hit[:, :, y, column][~inside].any()


def plain_odd(net, x):
    x = F.relu6(net.first(F.pad(x, (0, 1, 2, 0))))
    x = net.pool(x)
    return net.last(net.norm(torch.cat([net.same(x), F.avg_pool2d(net.wide(x), 3, 1, 1)], 1)))


def test_a_relu_by_where_changes_nothing():
    net = Odd().eval()
    hand = receptive_fields(net, ["last"], (40, 32))["last"]
    net.forward = lambda x: plain_odd(net, x)
    plain = receptive_fields(net, ["last"], (40, 32))["last"]
    assert all(np.array_equal(vars(hand)[k], vars(plain)[k]) for k in vars(hand))


def two_sided(net: nn.Module, module: str, size: tuple[int, int], positions: int, seed: int = 0) -> None:
    """Pixels outside the box have no effect, in every bit; each edge row and column of the box affects some unit."""
    net = net.double().eval()
    field = receptive_fields(net, [module], size)[module]
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 3, *size, dtype=torch.float64, generator=generator)
    before = output(net, module, x)
    for _ in range(positions):
        y = int(torch.randint(len(field.rows), (), generator=generator))
        column = int(torch.randint(len(field.columns), (), generator=generator))
        top, left, bottom, right = field.box(y, column)
        other = torch.randn(x.shape, dtype=torch.float64, generator=generator)
        other[:, :, top:bottom, left:right] = x[:, :, top:bottom, left:right]
        assert (output(net, module, other) - before)[0, :, y, column].abs().max() == 0.0
        for edge in (
            np.s_[top, left:right],
            np.s_[bottom - 1, left:right],
            np.s_[top:bottom, left],
            np.s_[top:bottom, right - 1],
        ):
            moved = x.repeat(8, 1, 1, 1)  # a max-pool may ignore one change
            moved[:, :, edge[0], edge[1]] += 30 * torch.randn(moved[:, :, edge[0], edge[1]].shape, generator=generator)
            assert (output(net, module, moved) - before)[:, :, y, column].abs().max() > 1e-9


@pytest.mark.parametrize("module", ["first", "same", "wide", "last"])
def test_boxes_are_exact_on_both_sides(module):
    two_sided(Odd(), module, (40, 33), 6)


@pytest.mark.parametrize("module", ["0", "3", "6"])
def test_alexnets_boxes_are_exact_on_both_sides(module):
    torch.manual_seed(0)
    two_sided(torchvision.models.alexnet(weights=None).features[: int(module) + 1], module, (127, 127), 2)


def test_a_global_gate_sees_the_whole_picture_and_so_does_a_linear_layer():
    fields = receptive_fields(SqueezeExcite().eval(), ["first", "gate", "last", "classes"], (20, 24))
    assert fields["first"].size == (3, 3)
    for name in ("gate", "last", "classes"):
        assert (fields[name].rows == (0, 20)).all() and (fields[name].columns == (0, 24)).all()
    assert not fields["classes"].crosses(0, 0)


def test_who_sees_padding_is_known_from_the_unclipped_box():
    """One convolution by hand: kernel 5, stride 3, padding 1 on 20 rows has unclipped tops −1, 2, 5, 8, 11, 14."""
    net = nn.Sequential(nn.Conv2d(3, 2, 5, 3, padding=1)).eval()
    field = receptive_fields(net, ["0"], (20, 20))["0"]
    assert field.rows.tolist() == [[0, 4], [2, 7], [5, 10], [8, 13], [11, 16], [14, 19]]
    assert field.rows_cross.tolist() == [True, False, False, False, False, False]
    pooled = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True)).eval()
    field = receptive_fields(pooled, ["0"], (8, 9))["0"]
    assert field.rows.tolist() == [[0, 3], [2, 5], [4, 7], [6, 8]]
    assert field.rows_cross.tolist() == [False, False, False, True]
    assert not field.columns_cross.any()


def test_probing_leaves_the_network_as_it_was():
    net = Odd().eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    receptive_fields(net, ["last"], (40, 32))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_a_module_that_is_never_called_is_named():
    net = SqueezeExcite().eval()
    net.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="unused"):
        receptive_fields(net, ["first", "unused"], (20, 20))

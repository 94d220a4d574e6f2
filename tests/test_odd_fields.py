"""Receptive fields of networks that move, select, sort and sample, compared with a search by changing pictures.

The search does not use marks. In float64 it changes one row (or column) of a picture at a time, and records the neurons
whose values change. The changes must be inside the field. If every path through a network is visible (``exact``), the
field is no larger than that.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnviz.network.receptive_field import Field, receptive_fields

torchvision = pytest.importorskip("torchvision")
SIZE = (14, 11)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class Net(nn.Module):
    """A convolution, then ``odd`` of its maps, which is the tested layer."""

    def __init__(self, odd, first=None):
        super().__init__()
        self.first = first or nn.Conv2d(3, 4, 3, padding=1)
        self.odd = odd if isinstance(odd, nn.Module) else Function(odd)

    def forward(self, x):
        return self.odd(self.first(x)).mean((2, 3))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.offsets = nn.Conv2d(4, 18, 3, padding=1)
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.book = nn.Embedding(16, 4)
        self.gate = nn.Linear(4, 6)

    def forward(self, x):
        return self.function(self, x)


@torch.library.custom_op("cnnviz_tests::fragile", mutates_args=())
def fragile(x: torch.Tensor) -> torch.Tensor:
    """A user's own operator, which fails on NaN."""
    assert not x.isnan().any(), "a crash"
    return x + x.flatten(1).sort(1).values[:, -1, None, None, None]


def deformed(net, x):
    return torchvision.ops.deform_conv2d(x, net.offsets(x), net.weight, padding=1)


def transformed(net, x):
    theta = net.gate(x.mean((2, 3))).tanh().view(-1, 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def looked_up(net, x):
    return net.book((x.mean(1) * 4).long() % 16).permute(0, 3, 1, 2)


def routed(net, x):
    weights = torch.stack([net.weight, -net.weight])
    choice = (x.mean((1, 2, 3)) > 0).long()
    return torch.cat([F.conv2d(x[i : i + 1], weights[choice[i]], padding=1) for i in range(len(x))])


def through_numpy(net, x):
    return x * torch.from_numpy(1 + np.tanh(x.detach().numpy().mean((1, 2, 3), keepdims=True)))


def by_if(net, x):
    return x if x[:1].mean() > 0 else -x


def own_relu(net, x):
    x = x.clone()
    x[x < 0] = 0
    return x


def dynamic(net, x):
    weights = net.weight * x.mean((0, 2, 3)).view(1, 4, 1, 1)
    return F.conv2d(x, weights, padding=1)


def unpooled(net, x):
    values, places = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(values, places, 2, output_size=x.shape[2:])


def inference(net, x):
    with torch.inference_mode():
        return torch.where(x > 0, F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1), 0.1 * x)


WITHIN = {  # all neurons see the whole picture, or may
    "deformable convolution": deformed,
    "spatial transformer": transformed,
    "route by argmax": routed,
    "sorted rows": lambda net, x: x.sort(2).values,
    "median of the map": lambda net, x: x - x.flatten(2).median(2).values[..., None, None],
    "the best nine": lambda net, x: x * (x >= x.flatten(2).topk(9).values[..., -1, None, None]),
    "chosen by the mean": lambda net, x: torch.where(x.mean((1, 2, 3), keepdim=True) > 0, x, -x),
    "bright or dark": lambda net, x: x * (x.mean((1, 2, 3), keepdim=True) > 0),
    "clamped gate": lambda net, x: x * x.mean((2, 3), keepdim=True).nan_to_num().clamp(-1, 1).sign(),
    "if": by_if,
    "somebody's own operator": lambda net, x: fragile(x),
    "through numpy": through_numpy,
    "dynamic convolution": dynamic,
    "spectrum": lambda net, x: torch.fft.irfft2(torch.fft.rfft2(x) * 0.5, s=x.shape[2:]) + x.mean((2, 3), True),
    "instance norm": nn.InstanceNorm2d(4),
}
SAFE = {"unpooled": unpooled, "looked up": looked_up}  # might see more, as far as is known
EXACT = {
    "dilated even kernel": nn.Conv2d(4, 4, 4, padding="same", dilation=2),
    "moved sideways": lambda net, x: F.pad(x, (1, -1, 2, -2)),
    "skips columns": nn.Conv2d(4, 4, 1, stride=2, padding=1),
    "looks far aside": nn.Conv2d(4, 4, (3, 2), padding=(1, 3), dilation=(1, 6)),
    "a hole beside a point": lambda net, x: x + F.conv2d(x, net.weight[..., ::2, ::2], padding=3, dilation=6),
    "circular border": nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    "rolled": lambda net, x: x.roll((3, 2), (2, 3)),
    "upside down": lambda net, x: x.flip(2, 3),
    "index_select": lambda net, x: x.index_select(2, torch.arange(13, -1, -2)),
    "own ReLU": own_relu,
    "NaN to number": lambda net, x: torch.nan_to_num(x).clamp(0, 6) * x.isfinite() * (x > 0).float(),
    "masked": lambda net, x: x.masked_fill(x < 0, -1).masked_fill_(x > 2, 2),
    "upsampled": nn.ConvTranspose2d(4, 4, 2, stride=2),
    "space to depth": nn.PixelUnshuffle(1),
    "unfolded": lambda net, x: F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1),
    "inference mode": inference,
    "layer norm of channels": lambda net, x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2),
    "one picture at a time": lambda net, x: x.reshape(1, 4, *x.shape[2:]) * 2,
}


def searched(net: nn.Module, axis: int) -> np.ndarray:
    """(neurons' rows, pixels' rows) bool: whether a neuron row changes with a pixel row; axis 1: columns."""
    generator = torch.Generator().manual_seed(1)
    kept = []
    handle = net.odd.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))
    x = torch.randn(1, 3, *SIZE, dtype=torch.float64, generator=generator)
    net(x)
    found = []
    for row in range(SIZE[axis]):
        changes = 0
        for strength in (0.3, 3, -30):
            moved = x.clone()
            part = moved.select(2 + axis, row)
            part += strength * torch.rand(part.shape, dtype=torch.float64, generator=generator)
            net(moved)
            changes = changes + (kept.pop() - kept[0]).abs().amax(1)[0]
        found.append((changes > 1e-9).any(1 - axis).numpy())
    handle.remove()
    return np.stack(found, 1)


@pytest.fixture
def made(request) -> tuple[Net, Field]:
    torch.manual_seed(0)
    net = Net((WITHIN | SAFE | EXACT)[request.param]).eval()
    field = receptive_fields(net, ["first", "odd"], SIZE)
    assert field["first"].size == (3, 3) and not field["first"].note
    return net.double(), field["odd"]


@pytest.mark.parametrize("made", [*WITHIN, *SAFE], indirect=True)
@torch.no_grad()
def test_what_may_look_anywhere_is_given_the_whole_picture(made):
    net, field = made
    for sides, length in ((field.rows, SIZE[0]), (field.columns, SIZE[1])):
        assert (sides == (0, length)).all()
    if getattr(net.odd, "function", None) not in SAFE.values():
        assert max(searched(net, axis).sum(1).max() for axis in (0, 1)) > 5  # it does look further than a convolution


@pytest.mark.parametrize("made", EXACT, indirect=True)
@torch.no_grad()
def test_what_moves_and_skips_sees_what_a_search_finds(made):
    net, field = made
    assert not field.note
    for axis, sides in enumerate((field.rows, field.columns)):
        for (first, end), seen in zip(sides, searched(net, axis), strict=True):
            places = np.flatnonzero(seen)
            assert (first, end) == ((places[0], places[-1] + 1) if len(places) else (0, 0))

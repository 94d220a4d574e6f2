"""Random networks, from a seed, made of building blocks and idioms of real code.

``plan(number)`` states a network's parts and its config; ``build(number)`` makes it, as a config's ``factory:`` does.
Blocks map feature maps (n, c, h, w) to feature maps. A block that does not accept the maps before it is left out.
"""

import math
import random
import warnings
from collections import namedtuple
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore", module="torch.nn.modules.lazy")


class Of(nn.Module):
    """A block from a function of (block, x) with modules or tensors of any name."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.sign()

    @staticmethod
    def backward(context, gradient):
        return gradient


class _Doubled(torch.autograd.Function):
    """An operator without a backward pass, since its author did not need one."""

    @staticmethod
    def forward(context, x):
        return 2 * x


class _Scripted(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(0) > 0:
            x = torch.relu(self.conv(x))
        return x


class _ByKeyword(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, *, features, scale=1.0):
        return self.conv(input=features) * scale


class _Pair(nn.Module):
    """A block that returns two values."""

    def __init__(self, c):
        super().__init__()
        self.a, self.b = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return self.a(x), {"gate": self.b(x)}


def _grid(x):
    """Positions from −1 to 1: (n, h, w, 2)."""
    n, _, h, w = x.shape
    y, z = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    return torch.stack([z, y], -1).to(x).expand(n, -1, -1, -1)


def _coordinates(block, x):
    return block.conv(torch.cat([x, _grid(x).permute(0, 3, 1, 2)], 1))


def _attention(block, x):
    n, c, h, w = x.shape
    tokens = x.flatten(2).transpose(1, 2)
    return (tokens + block.attention(tokens, tokens, tokens, need_weights=False)[0]).transpose(1, 2).view(n, c, h, w)


def _deformable(block, x):
    from torchvision.ops import deform_conv2d

    return deform_conv2d(x, block.offsets(x), block.conv.weight, block.conv.bias, padding=1)


def _space_to_depth(block, x):
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def _shuffled(block, x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def _codes(block, x):
    """Replaces the vector at each position by the nearest of eight code vectors, as in vector quantisation."""
    distances = torch.cdist(x.permute(0, 2, 3, 1).flatten(1, 2), block.codes.weight[None])
    n, c, h, w = x.shape
    return block.codes(distances.argmin(-1)).view(n, h, w, c).permute(0, 3, 1, 2)


def _tokens_by_level(block, x):
    level = (x.mean(1).sigmoid() * 7.99).long()
    return x + block.codes(level).permute(0, 3, 1, 2)


def _loop(block, x):
    for step in block.steps:
        x = x + step(x)
    return x


def _branches(block, x):
    return torch.cat([branch(x) for branch in block.branches.values()], 1)


def _exits_early(block, x):
    y = block.first(x)
    return y if float(y.detach().abs().mean()) > 10 else block.second(y)


def _unpooled(block, x):
    y, indices = block.pool(x)
    return block.unpool(y, indices, output_size=x.shape)


def _unfolded(block, x):
    n, c, h, w = x.shape
    return (block.weight @ F.unfold(x, 3, padding=1)).view(n, -1, h, w)


def _weighted(kind, c):
    return {
        "weight": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(c, c, 3, padding=1)),
        "spectral": lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(c, c, 3, padding=1)),
        "old": lambda: nn.utils.weight_norm(nn.Conv2d(c, c, 3, padding=1)),
    }[kind]()


def _depth(c, mode):
    from torchvision.ops import StochasticDepth

    return Of(lambda b, x: x + b.drop(b.conv(x)), conv=nn.Conv2d(c, c, 3, padding=1), drop=StochasticDepth(0.3, mode))


def _top(block, x):
    """Keeps the strongest half of each map's positions."""
    k = max(1, x[0, 0].numel() // 2)
    least = x.flatten(2).topk(k, -1).values[..., -1:, None]
    return torch.where(x >= least, x, torch.zeros_like(x))


def _padding(amounts):
    return Of(lambda b, x: F.pad(x, amounts))


# Blocks by name: (input channels, random generator) → a module.
BLOCKS = {
    # convolutions
    "conv": lambda c, r: nn.Conv2d(c, r.choice((4, 6, 8)), 3, padding=1),
    "conv 1x1": lambda c, r: nn.Conv2d(c, r.choice((3, 8)), 1),
    "conv 5x5, no padding": lambda c, r: nn.Conv2d(c, 6, 5),
    "conv, even kernel": lambda c, r: nn.Conv2d(c, 6, r.choice((2, 4)), padding=r.choice((0, 1))),
    "conv, even kernel, dilated": lambda c, r: nn.Conv2d(c, 6, 2, padding=2, dilation=4),
    "conv, same": lambda c, r: nn.Conv2d(c, 6, (2, 5), padding="same"),
    "conv, stride 2": lambda c, r: nn.Conv2d(c, 8, 3, stride=2, padding=1, bias=False),
    "conv, stride above kernel": lambda c, r: nn.Conv2d(c, 8, 2, stride=3),
    "conv 1x1, stride 2, padded": lambda c, r: nn.Conv2d(c, 8, 1, stride=2, padding=1),
    "conv, depthwise": lambda c, r: nn.Sequential(nn.Conv2d(c, 2 * c, 3, padding=1, groups=c), nn.Conv2d(2 * c, 6, 1)),
    "conv, grouped": lambda c, r: nn.Sequential(nn.Conv2d(c, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4)),
    "conv, dilated": lambda c, r: nn.Conv2d(c, 6, 3, padding=3, dilation=3),
    "conv 1x7, 7x1": lambda c, r: nn.Sequential(nn.Conv2d(c, 4, (1, 7), padding=(0, 3)), nn.Conv2d(4, 6, (7, 1))),
    "conv, transposed": lambda c, r: nn.ConvTranspose2d(c, 4, 4, stride=2, padding=1),
    "conv, reflected": lambda c, r: nn.Conv2d(c, 6, 3, padding=1, padding_mode=r.choice(("reflect", "circular"))),
    "conv, one unit": lambda c, r: nn.Conv2d(c, 1, 3, padding=1),
    "conv, functional": lambda c, r: Of(
        lambda b, x: F.conv2d(x, b.weight, b.bias, padding=1),
        weight=nn.Parameter(torch.randn(6, c, 3, 3) / 3),
        bias=nn.Parameter(torch.zeros(6)),
    ),
    "conv, unfolded": lambda c, r: Of(_unfolded, weight=nn.Parameter(torch.randn(6, 9 * c) / 3)),
    "conv, lazy": lambda c, r: nn.LazyConv2d(6, 3, padding=1),
    "conv, normed weights": lambda c, r: _weighted(r.choice(("weight", "spectral", "old")), c),
    "conv, scripted": lambda c, r: torch.jit.script(_Scripted(c)),
    "conv, of one row": lambda c, r: Of(
        lambda b, x: b.conv(x.flatten(2)).unflatten(2, x.shape[2:]), conv=nn.Conv1d(c, 6, 3, padding=1)
    ),
    "conv, three dimensions": lambda c, r: Of(
        lambda b, x: b.conv(x[:, None]).mean(2), conv=nn.Conv3d(1, 6, 3, padding=1)
    ),
    # norms
    "batch norm": lambda c, r: nn.BatchNorm2d(c),
    "batch norm, batch statistics": lambda c, r: nn.BatchNorm2d(c, track_running_stats=False),
    "instance norm": lambda c, r: nn.InstanceNorm2d(c, affine=True),
    "group norm": lambda c, r: nn.GroupNorm(1, c),
    "layer norm, channels last": lambda c, r: Of(
        lambda b, x: b.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm=nn.LayerNorm(c)
    ),
    "local response norm": lambda c, r: nn.LocalResponseNorm(3),
    "unit length": lambda c, r: Of(lambda b, x: F.normalize(x, dim=1)),
    # activations
    "relu in place": lambda c, r: nn.ReLU(inplace=True),
    "relu in place, functional": lambda c, r: Of(lambda b, x: F.relu_(x + 0.1)),
    "relu by where": lambda c, r: Of(lambda b, x: torch.where(x > 0, x, torch.zeros_like(x))),
    "prelu": lambda c, r: nn.PReLU(c),
    "glu": lambda c, r: nn.Sequential(nn.Conv2d(c, 12, 1), nn.GLU(1)),
    "hard swish in place": lambda c, r: nn.Hardswish(inplace=True),
    "sine": lambda c, r: Of(lambda b, x: torch.sin(3 * x)),
    "clamp in place": lambda c, r: Of(lambda b, x: x.clone().clamp_(0, 6)),
    "dead relu": lambda c, r: Of(lambda b, x: F.relu(x - 1e6)),
    "sign, straight through": lambda c, r: Of(lambda b, x: _Sign.apply(x)),
    "function without gradient": lambda c, r: Of(lambda b, x: _Doubled.apply(x)),
    "nan to num": lambda c, r: Of(lambda b, x: torch.nan_to_num(x)),
    "softmax over channels": lambda c, r: nn.Softmax(1),
    "dropout left on": lambda c, r: Of(lambda b, x: F.dropout(x, 0.3)),
    "dropout 2d": lambda c, r: nn.Dropout2d(0.5),
    # structure
    "residual": lambda c, r: Of(
        lambda b, x: F.relu(x + b.two(F.relu(b.one(x)))),
        one=nn.Conv2d(c, c, 3, padding=1),
        two=nn.Conv2d(c, c, 3, padding=1),
    ),
    "concatenated": lambda c, r: Of(lambda b, x: torch.cat([x, b.conv(x)], 1), conv=nn.Conv2d(c, 4, 3, padding=1)),
    "squeeze and excite": lambda c, r: Of(
        lambda b, x: x * b.gate(x),
        gate=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, 2, 1), nn.ReLU(), nn.Conv2d(2, c, 1), nn.Sigmoid()),
    ),
    "gate of linear layers": lambda c, r: Of(
        lambda b, x: x * b.gate(x.mean((2, 3))).sigmoid()[..., None, None], gate=nn.Linear(c, c)
    ),
    "spatial gate": lambda c, r: Of(lambda b, x: x * b.gate(x).sigmoid(), gate=nn.Conv2d(c, 1, 7, padding=3)),
    "spatial transformer": lambda c, r: Of(
        lambda b, x: F.grid_sample(
            x,
            F.affine_grid(b.where(F.adaptive_avg_pool2d(x, 2).flatten(1)).view(-1, 2, 3) + b.same, x.shape, False),
            align_corners=False,
        ),
        where=nn.Linear(4 * c, 6),
        same=torch.tensor([[1.0, 0, 0], [0, 1, 0]]),
    ),
    "warped": lambda c, r: Of(lambda b, x: F.grid_sample(x, _grid(x).flip(2) ** 3, align_corners=True)),
    "deformable": lambda c, r: Of(
        _deformable, offsets=nn.Conv2d(c, 18, 3, padding=1), conv=nn.Conv2d(c, 6, 3, padding=1)
    ),
    "pixel shuffle": lambda c, r: nn.Sequential(nn.Conv2d(c, 8, 1), nn.PixelShuffle(2)),
    "pixel unshuffle": lambda c, r: nn.PixelUnshuffle(2),
    "space to depth": lambda c, r: Of(_space_to_depth),
    "coordinates": lambda c, r: Of(_coordinates, conv=nn.Conv2d(c + 2, 6, 3, padding=1)),
    "attention": lambda c, r: nn.Sequential(
        nn.Conv2d(c, 8, 4, 4), Of(_attention, attention=nn.MultiheadAttention(8, 2, batch_first=True))
    ),
    "channels last": lambda c, r: Of(
        lambda b, x: x + b.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        mlp=nn.Sequential(nn.Linear(c, 8), nn.GELU(), nn.Linear(8, c)),
    ),
    "viewed": lambda c, r: Of(lambda b, x: x.view(x.size(0), x.size(1), -1).view(x.shape)),
    "channel shuffle": lambda c, r: Of(_shuffled),
    "reused": lambda c, r: Of(lambda b, x: b.conv(F.relu(b.conv(x))), conv=nn.Conv2d(c, c, 3, padding=1)),
    "by keyword": lambda c, r: Of(lambda b, x: b.inner(features=x, scale=0.5), inner=_ByKeyword(c)),
    "two results": lambda c, r: Of(lambda b, x: (lambda y: y[0] * y[1]["gate"])(b.pair(x)), pair=_Pair(c)),
    "loop": lambda c, r: Of(_loop, steps=nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(2))),
    "branches": lambda c, r: Of(
        _branches, branches=nn.ModuleDict({"a": nn.Conv2d(c, 3, 1), "b": nn.Conv2d(c, 3, 5, padding=2)})
    ),
    "early exit": lambda c, r: Of(_exits_early, first=nn.Conv2d(c, 6, 1), second=nn.Conv2d(6, 6, 3, padding=1)),
    "stochastic depth": lambda c, r: _depth(c, r.choice(("row", "batch"))),
    "shifted": lambda c, r: _padding(r.choice(((1, -1), (-2, 2, 1, -1), (0, 0, 5, -5)))),
    "rolled": lambda c, r: Of(lambda b, x: x.roll(3, -1)),
    "fourier": lambda c, r: Of(lambda b, x: torch.fft.irfft2(torch.fft.rfft2(x) * 0.5, s=x.shape[2:])),
    "complex numbers": lambda c, r: Of(lambda b, x: torch.complex(x, x.flip(1)).abs()),
    "code book": lambda c, r: Of(_codes, codes=nn.Embedding(8, c)),
    "embedding of levels": lambda c, r: Of(_tokens_by_level, codes=nn.Embedding(8, c)),
    "strongest places": lambda c, r: Of(_top),
    "sorted channels": lambda c, r: Of(lambda b, x: x.sort(1).values),
    "argmax mask": lambda c, r: Of(lambda b, x: x * F.one_hot(x.argmax(1), x.shape[1]).permute(0, 3, 1, 2)),
    "enlarged": lambda c, r: nn.Upsample(scale_factor=2, mode=r.choice(("nearest", "bilinear", "bicubic"))),
    "max pool": lambda c, r: nn.MaxPool2d(3, 2, padding=r.choice((0, 1)), ceil_mode=r.random() < 0.5),
    "max pool, undone": lambda c, r: Of(_unpooled, pool=nn.MaxPool2d(2, return_indices=True), unpool=nn.MaxUnpool2d(2)),
    "average pool": lambda c, r: nn.AvgPool2d(2, ceil_mode=r.random() < 0.5),
    "lp pool": lambda c, r: nn.LPPool2d(2, 2),
    "fractional pool": lambda c, r: nn.FractionalMaxPool2d(2, output_ratio=0.6),
    "adaptive pool": lambda c, r: nn.AdaptiveMaxPool2d((5, 7)),
    "detached branch": lambda c, r: Of(lambda b, x: x + b.conv(x.detach()), conv=nn.Conv2d(c, c, 1)),
    "bfloat16 inside": lambda c, r: Of(lambda b, x: b.conv(x.bfloat16().float()), conv=nn.Conv2d(c, 6, 3, padding=1)),
    "float64 inside": lambda c, r: Of(
        lambda b, x: F.conv2d(x.double(), b.conv.weight.double(), padding=1).float(), conv=nn.Conv2d(c, 6, 3)
    ),
    "own module list, twice": lambda c, r: nn.Sequential(*[nn.Conv2d(c, c, 3, padding=1)] * 2),
    "flips itself": lambda c, r: Of(
        lambda b, x: (b.conv(x) + b.conv(x.flip(-1)).flip(-1)) / 2, conv=nn.Conv2d(c, 6, 3, padding=1)
    ),
}


class _Rows(nn.Module):
    """A recurrent network over the rows of the maps."""

    def __init__(self, c, h, w, classes):
        super().__init__()
        self.rnn, self.out = nn.LSTM(c * w, 8, batch_first=True), nn.Linear(8, classes)

    def forward(self, x):
        states, _ = self.rnn(x.transpose(1, 2).flatten(2))
        return self.out(states[:, -1])


def _linear(c, h, w, k):
    return nn.Linear(c * h * w, k)


# How maps become scores, by name: (c, h, w, classes) → a module.
HEADS = {
    "view": lambda c, h, w, k: Of(lambda b, x: b.fc(x.view(x.size(0), -1)), fc=_linear(c, h, w, k)),
    "view(-1, number)": lambda c, h, w, k: Of(lambda b, x: b.fc(x.view(-1, c * h * w)), fc=_linear(c, h, w, k)),
    "reshape": lambda c, h, w, k: Of(lambda b, x: b.fc(x.reshape(len(x), -1)), fc=_linear(c, h, w, k)),
    "flatten": lambda c, h, w, k: nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, 8), nn.ReLU(True), nn.Linear(8, k)),
    "squeeze": lambda c, h, w, k: Of(lambda b, x: b.fc(F.adaptive_avg_pool2d(x, 1).squeeze()), fc=nn.Linear(c, k)),
    "squeeze twice": lambda c, h, w, k: Of(lambda b, x: b.fc(x.mean(3).mean(2)), fc=nn.Linear(c, k)),
    "adaptive pool": lambda c, h, w, k: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * c, k)),
    "global maximum": lambda c, h, w, k: Of(lambda b, x: b.fc(x.amax((2, 3))), fc=nn.Linear(c, k)),
    "conv and mean": lambda c, h, w, k: Of(lambda b, x: b.conv(x).mean((2, 3)), conv=nn.Conv2d(c, k, 1)),
    "conv over all": lambda c, h, w, k: nn.Conv2d(c, k, (h, w)),
    "class token": lambda c, h, w, k: Of(
        lambda b, x: b.fc(
            b.norm(torch.cat([b.token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1))[:, 0] + x.mean((2, 3))
        ),
        token=nn.Parameter(torch.zeros(1, 1, c)),
        norm=nn.LayerNorm(c),
        fc=nn.Linear(c, k),
    ),
    "lazy": lambda c, h, w, k: nn.Sequential(nn.Flatten(), nn.LazyLinear(k)),
    "own product": lambda c, h, w, k: Of(
        lambda b, x: torch.einsum("nchw,kc->nk", x, b.weight), weight=nn.Parameter(torch.randn(k, c) / 9)
    ),
    "cosine": lambda c, h, w, k: Of(
        lambda b, x: 9 * F.linear(F.normalize(x.mean((2, 3))), F.normalize(b.weight)),
        weight=nn.Parameter(torch.randn(k, c)),
    ),
    "rows": _Rows,
    "log softmax": lambda c, h, w, k: nn.Sequential(nn.Flatten(), _linear(c, h, w, k), nn.LogSoftmax(1)),
    "bilinear": lambda c, h, w, k: Of(
        lambda b, x: b.fc(torch.einsum("nchw,ndhw->ncd", x, x).flatten(1)), fc=nn.Linear(c * c, k)
    ),
    "batch norm at the end": lambda c, h, w, k: nn.Sequential(nn.Flatten(), _linear(c, h, w, k), nn.BatchNorm1d(k)),
}

Answer = namedtuple("Answer", ["logits", "embedding"])


@dataclass
class Returned:
    logits: torch.Tensor
    hidden: list = field(default_factory=list)


# Forms of the returned scores s, by name: the function and the config's ``outputs``.
FORMS = {
    "scores": (lambda s, x: s, {}),
    "tuple": (lambda s, x: (s, x), {"select": 0}),
    "list": (lambda s, x: [x, s], {"select": -1}),
    "dict": (lambda s, x: {"logits": s, "maps": x}, {"select": "logits"}),
    "named tuple": (lambda s, x: Answer(s, x), {"select": "logits"}),
    "dataclass": (lambda s, x: Returned(s), {"select": "logits"}),
    "nested": (lambda s, x: {"head": [s, None]}, {"select": "head.0"}),
    "half": (lambda s, x: s.half(), {}),
    "bfloat16": (lambda s, x: s.bfloat16(), {}),
    "float64": (lambda s, x: s.double(), {}),
    "probabilities": (lambda s, x: s.softmax(1), {"returns": "probabilities"}),
    "sigmoid": (lambda s, x: s.sigmoid(), {"returns": "probabilities", "kind": "sigmoid"}),
    "multi-label": (lambda s, x: s, {"kind": "sigmoid"}),
    "not contiguous": (lambda s, x: s.t().contiguous().t(), {}),
    "a view that is expanded": (lambda s, x: s + x.new_zeros(1).expand_as(s), {}),
    "squeezed": (lambda s, x: s.squeeze(), {}),
    "wrong select": (lambda s, x: (s, x), {"select": 5}),
    "nothing selected": (lambda s, x: (s, x), {}),
    "none": (lambda s, x: None, {}),
    "maps": (lambda s, x: x, {}),
    "nan": (lambda s, x: s * float("nan"), {}),
    "very large": (lambda s, x: s * 1e30, {}),
    "constant": (lambda s, x: s * 0, {}),
    "argmax": (lambda s, x: s.argmax(1), {}),
}


def _fixed_batch(net, x):
    if len(x) != 4:
        raise RuntimeError(f"expected 4 pictures, got {len(x)}")
    return net.scores(x)


def _in_place(net, x):
    return net.scores(x.mul_(2).sub_(0.1))


def _measured(net, x):
    assert x.shape[2:] == net.size, f"Input size must be {net.size}"
    return net.scores(x)


def _by_numpy(net, x):
    return net.scores(torch.from_numpy(x.detach().cpu().numpy().copy()).to(x))


def _autocast(net, x):
    with torch.autocast(x.device.type, torch.bfloat16):
        return net.scores(x)


def _padded(net, x):
    """Pads to multiples of 8, as networks with several scales do."""
    h, w = (-side % 8 for side in x.shape[2:])
    return net.scores(F.pad(x, (0, w, 0, h)))


def _crops(net, x):
    """The mean over five crops."""
    h, w = (side - 2 for side in x.shape[2:])
    corners = [x[..., i : i + h, j : j + w] for i, j in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))]
    return torch.stack([net.scores(F.interpolate(c, x.shape[2:])) for c in corners]).mean(0)


def _one_by_one(net, x):
    return torch.cat([net.scores(picture) for picture in x.split(1)])


# Operations of a whole network around its blocks, by name.
IDIOMS = {
    "plain": lambda net, x: net.scores(x),
    "no_grad": torch.no_grad()(lambda net, x: net.scores(x)),
    "inference mode": torch.inference_mode()(lambda net, x: net.scores(x)),
    "detach": lambda net, x: net.scores(x.detach()),
    "autocast": _autocast,
    "fixed batch": _fixed_batch,
    "fixed size": _measured,
    "in place": _in_place,
    "by numpy": _by_numpy,
    "channels last": lambda net, x: net.scores(x.contiguous(memory_format=torch.channels_last)),
    "grey of three": lambda net, x: net.scores(x.mean(1, keepdim=True).expand_as(x)),
    "noise": lambda net, x: net.scores(x + 0.01 * torch.randn_like(x)),
    "padded": _padded,
    "crops": _crops,
    "one by one": _one_by_one,
    "own constants": lambda net, x: net.scores((x - torch.tensor(0.5)) / torch.tensor(0.25)),
    "contiguous only": lambda net, x: net.scores(x.view(-1).view(x.shape)),
}
# Operations on a finished network, by name.
DRESS = {
    "bare": lambda net: net,
    "half weights": lambda net: net.half(),
    "float64 weights": lambda net: net.double(),
    "channels-last weights": lambda net: net.to(memory_format=torch.channels_last),
    "data parallel": lambda net: nn.DataParallel(net),
    "in a sequence": lambda net: nn.Sequential(net),
    "train() of its own": lambda net: _Trains(net),
    "frozen": lambda net: net.requires_grad_(False),
    "with a hook": lambda net: _hooked(net),
    "call of its own": lambda net: _Called(net),
    "optional arguments": lambda net: _Optional(net),
}


class _Trains(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def train(self, mode=True):
        self.training = mode
        self.net.train(mode)

    def forward(self, x):
        return self.net(x)


class _Called(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def __call__(self, x, *more, **others):
        return super().__call__(x)

    def forward(self, x):
        return self.net(x)


class _Optional(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixel_values, labels=None, *, return_dict=None):
        return self.net(pixel_values)


def _hooked(net):
    net.register_forward_hook(lambda module, inputs, output: output)
    return net


@dataclass(frozen=True)
class Plan:
    """Parts of a network. outputs: its config's block; size: (height, width) of its input."""

    channels: int
    size: tuple[int, int]
    classes: int
    blocks: tuple[str, ...]
    head: str
    form: str
    idiom: str
    dress: str

    @property
    def outputs(self) -> dict:
        asked = dict(FORMS[self.form][1])
        return asked | ({"kind": "binary"} if self.classes == 1 and "kind" not in asked else {})

    def __str__(self) -> str:
        size = f"{self.channels} × {self.size[0]} × {self.size[1]}"
        parts = [size, *self.blocks, self.head, f"{self.classes} classes", self.form, self.idiom, self.dress]
        return " | ".join(p for p in parts if p not in ("scores", "plain", "bare"))


def plan(number: int) -> Plan:
    """The plan of a network. Within len(BLOCKS) numbers every block, head, form, idiom and wrapper occurs."""
    hand = random.Random(number)
    blocks = hand.choices(list(BLOCKS), k=hand.choice((0, 1, 2, 3, 5)))
    blocks.insert(hand.randrange(len(blocks) + 1), list(BLOCKS)[number % len(BLOCKS)])
    if hand.random() < 0.8:
        blocks.insert(0, hand.choice([name for name in BLOCKS if name.startswith("conv")]))

    def drawn(table: dict, share: float, turn: int) -> str:
        """One in ``share`` of the numbers gets another than the first: the next one in turn."""
        return list(table)[1:][number // turn % (len(table) - 1)] if hand.random() < share else next(iter(table))

    return Plan(
        channels=hand.choice((1, 3, 3, 3, 4, 13)),
        size=hand.choice(((32, 32), (32, 32), (28, 28), (33, 33), (17, 17), (24, 40), (48, 16))),
        classes=hand.choice((1, 2, 2, 3, 3, 10, 200)),
        blocks=tuple(blocks),
        head=list(HEADS)[(number * 5) % len(HEADS)],
        form=drawn(FORMS, 0.4, 1),
        idiom=drawn(IDIOMS, 0.35, 2),
        dress=drawn(DRESS, 0.25, 3),
    )


class Assembled(nn.Module):
    def __init__(self, made: Plan, hand: random.Random):
        super().__init__()
        self.size, self._form, self._idiom = made.size, FORMS[made.form][0], IDIOMS[made.idiom]
        self.body = nn.Sequential()
        x = torch.randn(2, made.channels, *made.size)
        for name in made.blocks:
            try:
                block = BLOCKS[name](x.shape[1], hand).eval()
                with torch.no_grad():
                    y = block(x.clone())
            except (RuntimeError, ValueError, AssertionError):  # the block does not accept these maps
                continue
            if y.ndim == 4 and min(y.shape) > 0 and math.prod(y.shape) < 200_000:
                self.body.append(block)
                x = y
        self.head = HEADS[made.head](*x.shape[1:], made.classes)

    def scores(self, x):
        maps = self.body(x)
        scores = self.head(maps)
        return self._form(scores.flatten(1) if scores.ndim == 4 else scores, maps)

    def forward(self, x):
        return self._idiom(self, x)


def build(number: int) -> nn.Module:
    made = plan(number)
    return DRESS[made.dress](Assembled(made, random.Random(number)))

"""Exact and fast inference on many copies of a picture that each differ from it in one rectangle.

A changed rectangle changes a rectangle of each early feature map. That rectangle has the size of the first one divided
by the strides, plus the kernels' reach. Only it is computed again, for many copies at once, with the clean maps around
it. When it covers most of a map, it is put into the clean map, and the network continues from there as usual
(incremental inference: Nakandala, Kumar, Papakonstantinou 2019, "Incremental and Approximate Inference for Faster
Occlusion-based Deep CNN Explanations", SIGMOD, doi:10.1145/3299869.3319874).

The first operations are read from the torch functions that the network calls on the clean picture, not from its
modules. The reach of a call is known if it is a convolution, a pooling, or works position by position (ReLU, batch
norm, sums, concatenation …). The network computes in full from the first other call, or from a map that is used again
later.

TorchScript hides its calls. So a few copies are computed both ways first; if they differ, all are computed in full.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cnnviz.network.halving import in_batches

MOST = 0.7  # largest mean changed share of a map; beyond it the network computes in full
CLASSES = 6  # number of rectangle sizes along an axis: those at the border are smaller
TOLERANCE = 1e-4

ADD = {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__}
CAT = {torch.cat, torch.concat}
NORM = {F.batch_norm, torch.batch_norm}
POINTWISE = {
    *(F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.hardtanh, F.hardtanh_),
    *(F.leaky_relu, F.leaky_relu_, F.elu, F.elu_, F.celu, F.selu, F.prelu, F.threshold, F.threshold_),
    *(F.silu, F.gelu, F.mish, F.hardswish, F.hardsigmoid, F.softplus, F.sigmoid, F.tanh, F.local_response_norm),
    *(torch.sigmoid, Tensor.sigmoid, torch.tanh, Tensor.tanh, torch.sigmoid_, Tensor.sigmoid_, Tensor.tanh_),
    *(torch.clamp, Tensor.clamp, Tensor.clamp_, torch.clamp_min, Tensor.clamp_min, Tensor.clamp_min_),
    *(torch.clone, Tensor.clone),  # every built network copies its input
}
# Reading these properties of a map does not use its values.
ABOUT = {Tensor.dim, Tensor.size, Tensor.numel, Tensor.is_floating_point, Tensor.is_contiguous, Tensor.stride} | {
    getattr(Tensor, name).__get__ for name in ("shape", "ndim", "dtype", "device", "layout", "is_cuda", "requires_grad")
}


@dataclass(frozen=True)
class Slide:
    """A convolution or pooling. kernel (with its dilation), stride, padding before: (rows, columns).

    fill: the value beyond the border. run: maps with their border → output. scale: factors (h, w) of the output.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    fill: float
    run: Callable[[Tensor], Tensor]
    scale: Tensor | None = None


@dataclass(frozen=True)
class Call:
    """One of the network's first calls. function: the called function. inputs: indices of the maps it takes; 0 is the
    picture, k + 1 the output of call k. step: a Slide, or a function of each position of the inputs' maps. in_place:
    the output is the input's tensor. clean: the output for the clean picture, (1, c, h, w).
    """

    function: Callable
    inputs: tuple[int, ...]
    step: Slide | Callable[..., Tensor]
    in_place: bool
    clean: Tensor


@dataclass(frozen=True)
class Window:
    """Changed rectangles of feature maps. top, left: (n,). values: (n, h, w, c), contiguous."""

    top: Tensor
    left: Tensor
    values: Tensor


class Clean:
    """A clean map with its border as a table: row r, column q of the map are in line (r + top) · width + q + left.

    map: (1, c, h, w). slide: the next operation, with an output of ``size``; None if no border is needed. The lines
    beyond the map have room for windows.
    """

    def __init__(self, map: Tensor, slide: Slide | None = None, size: tuple[int, int] = (0, 0)):
        self.top, self.left = slide.padding if slide else (0, 0)
        if slide:
            right, bottom = (
                max(0, (size[axis] - 1) * slide.stride[axis] + slide.kernel[axis] - map.shape[2 + axis] - before)
                for axis, before in ((1, self.left), (0, self.top))  # ceil_mode goes beyond the padding
            )
            map = F.pad(map, (self.left, right, self.top, bottom), value=slide.fill)
        self.width = map.shape[3]
        self.table = map[0].permute(1, 2, 0).reshape(-1, map.shape[1])
        self.lines = len(self.table)

    def around(self, window: Window, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        """(n, c, height, width), channels last: this map from (top, left) on, with the window's values inserted."""
        n, h, w, c = window.values.shape
        device = window.values.device
        row = top[:, None] + torch.arange(height, device=device)
        column = left[:, None] + torch.arange(width, device=device)
        clean = ((row + self.top) * self.width)[:, :, None] + (column + self.left)[:, None]
        row, column = row - window.top[:, None], column - window.left[:, None]
        inside = ((row >= 0) & (row < h))[:, :, None] & ((column >= 0) & (column < w))[:, None]
        first = torch.arange(n, device=device)[:, None] * h
        changed = ((first + row) * w)[:, :, None] + column[:, None] + self.lines
        end = self.lines + n * h * w
        if end > len(self.table):
            self.table = torch.cat([self.table[: self.lines], window.values.view(-1, c)])
        else:
            self.table[self.lines : end] = window.values.view(-1, c)
        taken = self.table.index_select(0, torch.where(inside, changed, clean).flatten())
        return taken.view(n, height, width, c).permute(0, 3, 1, 2)


# ------------------------------------------------------------------------------------------- reading the network


class _Watch(TorchFunctionMode):
    """Records the network's first calls. ``later``: their maps that the network uses again afterwards."""

    def __init__(self, x: Tensor):
        super().__init__()
        self.calls: list[Call] = []
        self.later: set[int] = set()
        self._tensors = [x]  # kept alive, since maps are told apart by identity
        self._map_of = {id(x): 0}
        self._over = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        touched = [self._map_of[id(t)] for t in _tensors(args, kwargs) if id(t) in self._map_of]
        if not touched or function in ABOUT:
            return function(*args, **kwargs)
        step = None if self._over else _step(function, args, kwargs, len(touched))
        output = function(*args, **kwargs)
        if step is None or not isinstance(output, Tensor) or output.ndim != 4:
            self._over = True
            self.later.update(touched)
            return output
        in_place = id(output) in self._map_of
        self.calls.append(Call(function, tuple(touched), step, in_place, output.clone()))
        self._tensors.append(output)
        self._map_of[id(output)] = len(self.calls)
        return output


def _tensors(args: Sequence, kwargs: dict) -> list[Tensor]:
    """The tensors among a call's arguments, including those in lists."""
    flat = itertools.chain.from_iterable(
        a if isinstance(a, list | tuple) else (a,) for a in itertools.chain(args, kwargs.values())
    )
    return [a for a in flat if isinstance(a, Tensor)]


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (tuple(value) * 2)[:2]


def _step(function: Callable, args: Sequence, kwargs: dict, maps: int) -> Slide | Callable[..., Tensor] | None:
    """The call as a function of a part of its maps; None if that is not known.

    maps: number of its tensors that are feature maps.
    """

    def given(position: int, name: str, default=None):
        return args[position] if len(args) > position else kwargs.get(name, default)

    if function in CAT and given(1, "dim", 0) in (1, -3) and len(_tensors(args, kwargs)) == maps:
        return lambda *parts: torch.cat(parts, 1)
    if function in ADD:
        alike = maps == len(args) == 2 and not kwargs and args[0].shape == args[1].shape
        return torch.add if alike else None
    if not args or not isinstance(args[0], Tensor) or args[0].ndim != 4 or maps != 1:
        return None
    others = len(_tensors(args, kwargs)) - 1
    if (function in POINTWISE and not others) or (function in NORM and not given(5, "training", False)):
        return lambda part: function(part, *args[1:], **kwargs)
    if function in (F.prelu, torch.prelu) or (function is F.dropout and not given(2, "training", True)):
        return lambda part: function(part, *args[1:], **kwargs)
    if function is F.pad:
        left, right, top, bottom = (*given(1, "pad"), 0, 0)[:4]
        if (
            given(2, "mode", "constant") == "constant"
            and len(given(1, "pad")) <= 4
            and min(left, right, top, bottom) >= 0
        ):
            return Slide((1, 1), (1, 1), (top, left), given(3, "value") or 0.0, lambda part: part)
        return None
    if function in (torch.conv2d, F.conv2d):
        return _convolution(*(given(*which) for which in (
            (1, "weight"), (2, "bias"), (3, "stride", 1), (4, "padding", 0), (5, "dilation", 1), (6, "groups", 1),
        )))  # fmt: skip
    if function in (F.max_pool2d, torch.max_pool2d) and not given(6, "return_indices", False):
        kernel, dilation = _pair(given(1, "kernel_size")), _pair(given(4, "dilation", 1))
        stride = _pair(given(2, "stride") or kernel)
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        padding = _pair(given(3, "padding", 0))
        return Slide(
            reach, stride, padding, -torch.inf, lambda part: F.max_pool2d(part, kernel, stride, dilation=dilation)
        )
    if function is F.avg_pool2d:
        kernel = _pair(given(1, "kernel_size"))
        stride = _pair(given(2, "stride") or kernel)
        settings = [given(3, "padding", 0), given(4, "ceil_mode", False), given(5, "count_include_pad", True)]
        ones = torch.ones_like(args[0][:1, :1])
        mean = F.avg_pool2d(ones, kernel, stride, *settings, given(6, "divisor_override"))
        total = F.avg_pool2d(ones, kernel, stride, *settings, 1)  # divisors differ at the border
        return Slide(
            kernel, stride, _pair(settings[0]), 0.0,
            lambda part: F.avg_pool2d(part, kernel, stride, divisor_override=1), (mean / total)[0, 0],
        )  # fmt: skip
    return None


def _convolution(weight: Tensor, bias: Tensor | None, stride, padding, dilation, groups: int) -> Slide:
    stride, dilation = _pair(stride), _pair(dilation)
    reach = tuple((k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True))
    if padding == "same":
        padding = tuple((r - 1) // 2 for r in reach)
    padding = (0, 0) if padding == "valid" else _pair(padding)
    return Slide(
        reach, stride, padding, 0.0, lambda part: F.conv2d(part, weight, bias, stride, dilation=dilation, groups=groups)
    )


# -------------------------------------------------------------------------------------- which rectangle changes what


def _reached(low: np.ndarray, high: np.ndarray, slide: Slide, axis: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """[low, high) of a map along an axis → the part of the slide's output, of length ``length``, that depends on it.

    That part is never empty.
    """
    kernel, stride, padding = slide.kernel[axis], slide.stride[axis], slide.padding[axis]
    low = -(-(low + padding - kernel + 1) // stride)
    high = (high - 1 + padding) // stride + 1
    low = np.clip(low, 0, length - 1)
    return low, np.clip(high, low + 1, length)


class _Axis:
    """Each mask's [low, high) in every map along one axis, and the classes of masks that are computed together.

    size[k, s]: length of the rectangles of class s in map k. start[k, i]: start of mask i's rectangle.
    """

    def __init__(self, spans: np.ndarray, lengths: list[int], calls: Sequence[Call], axis: int):
        self.low, self.high, self.lengths = [spans[:, 0]], [spans[:, 1]], lengths
        for call, length in zip(calls, lengths[1:], strict=True):
            low = np.min([self.low[k] for k in call.inputs], 0)
            high = np.max([self.high[k] for k in call.inputs], 0)
            if isinstance(call.step, Slide):
                low, high = _reached(low, high, call.step, axis, length)
            self.low.append(low)
            self.high.append(high)

    def share(self, map: int) -> float:
        return float((self.high[map] - self.low[map]).mean() / self.lengths[map])

    def classify(self, maps: int) -> None:
        """Puts masks whose rectangles in the last of ``maps`` maps are about equally long into one class."""
        last = self.high[maps - 1] - self.low[maps - 1]
        self.label = (last - last.min()) // -(-(last.max() - last.min() + 1) // CLASSES)
        labels = range(self.label.max() + 1)
        sizes = [self.high[k] - self.low[k] for k in range(maps)]
        self.size = np.array([[s[self.label == label].max(initial=1) for label in labels] for s in sizes])
        self.start = np.array(
            [np.minimum(self.low[k], self.lengths[k] - self.size[k][self.label]) for k in range(maps)]
        )


# ----------------------------------------------------------------------------------------------- the masked pictures


class Masked:
    """A picture under a mask at each of rows × columns places, and the network's logits for each.

    x, blank: network inputs (1, c, h, w); the mask shows ``blank``. rows, columns: (m, 2) and (k, 2) int, [low, high)
    in pixels. channels_last: whether the network takes pictures in the channels-last memory format. ``clean``: logits
    (classes,) of x. ``incremental``: whether incremental inference is used.
    """

    @torch.no_grad()
    def __init__(
        self,
        net: nn.Module,
        x: Tensor,
        blank: Tensor,
        rows: np.ndarray,
        columns: np.ndarray,
        *,
        channels_last: bool = False,
    ):
        self.net, self.x, self.blank = net, x, blank.expand_as(x)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.spans = rows, columns
        copy = x.clone()
        with _Watch(copy) as seen:
            self.clean = net(copy)[0]
        maps = [x, *(call.clean for call in seen.calls)]
        self.axes = [
            _Axis(spans, [m.shape[2 + axis] for m in maps], seen.calls, axis) for axis, spans in enumerate(self.spans)
        ]
        small = [self.axes[0].share(k) * self.axes[1].share(k) <= MOST for k in range(len(maps))]
        calls = seen.calls[: max(0, small.index(False) - 1) if False in small else len(seen.calls)]
        while calls and not isinstance(calls[-1].step, Slide):
            calls.pop()  # cheap, and perhaps in place: left to the network
        self.calls = calls
        self.incremental = False
        if calls:
            later = seen.later | {k for call in seen.calls[len(calls) :] for k in call.inputs}
            self._prepare(maps[: len(calls) + 1], [k for k in sorted(later) if k <= len(calls)])
            self.incremental = self._agrees()

    @torch.no_grad()
    def logits(self, batch: int) -> Tensor:
        """Logits (m, k, classes) of the picture under each mask. batch: copies per pass, halved if memory runs out."""
        rows, columns = (np.arange(len(spans)) for spans in self.spans)
        row, column = (v.ravel() for v in np.meshgrid(rows, columns, indexing="ij"))
        if self.incremental:  # one class of masks at a time
            order = np.lexsort((self.axes[1].label[column], self.axes[0].label[row]))
            row, column = row[order], column[order]
        found = torch.empty((len(rows), len(columns), len(self.clean)), dtype=self.clean.dtype, device=self.x.device)
        scores = self._quick if self.incremental else self._full
        made = in_batches(lambda part: scores(row[part], column[part]), np.arange(len(row)), batch)
        found[row, column] = torch.cat(list(made))
        return found

    def _full(self, row: np.ndarray, column: np.ndarray) -> Tensor:
        copies = self.x.repeat(len(row), 1, 1, 1)
        for copy, (top, bottom), (left, right) in zip(copies, self.spans[0][row], self.spans[1][column], strict=True):
            copy[:, top:bottom, left:right] = self.blank[0, :, top:bottom, left:right]
        if copies.device.type == "cpu":
            copies = copies.contiguous(memory_format=self.layout)  # CPUs convolve faster with channels last
        return self.net(copies)

    # ------------------------------------------------------------------------------------------- incremental inference

    def _prepare(self, maps: list[Tensor], live: list[int]) -> None:
        """live: maps that the network uses after the calls."""
        for axis in self.axes:
            axis.classify(len(maps))
        self.shapes = [tuple(m.shape[1:]) for m in maps]
        self.live = {k: Clean(maps[k]) for k in live}
        self.read = [
            [Clean(maps[k], call.step, call.clean.shape[2:]) for k in call.inputs]
            if isinstance(call.step, Slide)
            else [Clean(maps[k]) for k in call.inputs if len(call.inputs) > 1]
            for call in self.calls
        ]
        self.pixels = torch.cat([Clean(picture).table for picture in (self.x, self.blank)])

    def _agrees(self) -> bool:
        """Whether both ways agree on the first mask, a middle one and the last."""
        row, column = (np.array([0, len(spans) // 2, len(spans) - 1]) for spans in self.spans)
        try:
            quick, full = self._quick(row, column), self._full(row, column)
        except RuntimeError:  # the network made other calls, or a call refuses the placeholders
            return False
        return bool((quick - full).abs().max() <= TOLERANCE * full.abs().max().clamp(min=1))  # False for NaN

    def _quick(self, row: np.ndarray, column: np.ndarray) -> Tensor:
        kinds = np.stack([self.axes[0].label[row], self.axes[1].label[column]])
        ends = np.flatnonzero((np.diff(kinds) != 0).any(0)) + 1
        parts = [self._group(*group) for group in zip(np.split(row, ends), np.split(column, ends), strict=True)]
        values = {k: torch.cat([part[k] for part in parts]) for k in self.live}
        if self.layout is torch.contiguous_format:
            values = {k: value.contiguous() for k, value in values.items()}
        nothing = [_nothing(self.x, len(row), shape) for shape in self.shapes]
        start = values.get(0, nothing[0])
        with _Resume(self.calls, start, values, nothing):
            return self.net(start)

    def _group(self, row: np.ndarray, column: np.ndarray) -> dict[int, Tensor]:
        """The live maps (n, c, h, w) for masks of one class."""
        rows, columns = self.axes
        kind = rows.label[row[0]], columns.label[column[0]]
        windows: list[Window] = []

        def place(k: int) -> tuple[Tensor, Tensor, int, int]:
            starts = torch.from_numpy(np.stack([rows.start[k][row], columns.start[k][column]])).to(self.x.device)
            return starts[0], starts[1], int(rows.size[k][kind[0]]), int(columns.size[k][kind[1]])

        top, left, height, width = place(0)
        windows.append(Window(top, left, self._masked(row, column, top, left, height, width)))
        for k, (call, read) in enumerate(zip(self.calls, self.read, strict=True), 1):
            top, left, height, width = place(k)
            inputs = [windows[i] for i in call.inputs]
            if isinstance(call.step, Slide):
                values = self._slid(call.step, read[0], inputs[0], top, left, height, width)
            elif len(inputs) == 1:
                values = call.step(inputs[0].values.permute(0, 3, 1, 2))
            else:
                values = call.step(*(r.around(w, top, left, height, width) for r, w in zip(read, inputs, strict=True)))
            windows.append(Window(top, left, values.permute(0, 2, 3, 1).contiguous()))
        zero = torch.zeros_like(top)
        return {k: clean.around(windows[k], zero, zero, *self.shapes[k][1:]) for k, clean in self.live.items()}

    def _masked(self, row, column, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        """The rectangles of one class of masks, with the picture's pixels around each mask: (n, height, width, c)."""
        device, (h, w) = self.x.device, self.x.shape[2:]
        rows = top[:, None] + torch.arange(height, device=device)
        columns = left[:, None] + torch.arange(width, device=device)
        spans = (torch.from_numpy(self.spans[a][i]).to(device) for a, i in enumerate((row, column)))
        under = [(at >= s[:, :1]) & (at < s[:, 1:]) for at, s in zip((rows, columns), spans, strict=True)]
        blank = (under[0][:, :, None] & under[1][:, None]) * (h * w)
        at = (rows * w)[:, :, None] + columns[:, None] + blank
        return self.pixels.index_select(0, at.flatten()).view(len(row), height, width, -1)

    @staticmethod
    def _slid(slide: Slide, clean: Clean, window: Window, top, left, height: int, width: int) -> Tensor:
        """The slide's output from (top, left) on, (n, c, height, width)."""
        (sy, sx), (ky, kx), (py, px) = slide.stride, slide.kernel, slide.padding
        size = (height - 1) * sy + ky, (width - 1) * sx + kx
        values = slide.run(clean.around(window, top * sy - py, left * sx - px, *size))
        if slide.scale is not None:
            rows = top[:, None] + torch.arange(height, device=top.device)
            columns = left[:, None] + torch.arange(width, device=top.device)
            values = values * slide.scale[rows[:, :, None], columns[:, None]][:, None]
        return values


def _nothing(like: Tensor, n: int, shape: tuple[int, ...]) -> Tensor:
    """A NaN tensor (n, *shape) without memory: a placeholder for values that must not be used. Any use shows in the
    result.
    """
    return torch.full((), torch.nan, dtype=like.dtype, device=like.device).expand(n, *shape)


class _Resume(TorchFunctionMode):
    """Runs a network with given outputs of its first calls: those in ``values`` (map → tensor), else those in
    ``nothing``.
    """

    def __init__(self, calls: Sequence[Call], start: Tensor, values: dict[int, Tensor], nothing: list[Tensor]):
        super().__init__()
        self.calls, self.values, self.nothing = calls, values, nothing
        self._answered = 0
        self._tensors = [start]
        self._map_of = {id(start): 0}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._answered == len(self.calls) or function in ABOUT:
            return function(*args, **kwargs)
        touched = tuple(self._map_of[id(t)] for t in _tensors(args, kwargs) if id(t) in self._map_of)
        if not touched:
            return function(*args, **kwargs)
        call = self.calls[self._answered]
        if (function, touched) != (call.function, call.inputs):
            raise RuntimeError("the network's first calls differ from those for the clean picture")
        self._answered += 1
        output = self.values.get(self._answered, self.nothing[self._answered])
        if call.in_place:
            output = args[0].set_(output)  # the network may use either
        self._tensors.append(output)
        self._map_of[id(output)] = self._answered
        return output

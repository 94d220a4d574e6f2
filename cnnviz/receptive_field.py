"""Receptive fields: exactly which input pixels a neuron can see, as boxes in pixels of the network's input.

Found by probing, not by a formula for known layer types: one row of the input is NaN ("not a number") at a time, and
the neurons whose value turns NaN are those that see the row. NaN survives where gradients die (behind a ReLU, beside
the winner of a max-pool), so the answer is exact for any net of convolutions, pools, activations, normalisations, sums
and concatenations. Columns likewise, each on pictures as thin as the net takes. The field of neuron (y, x) is
rows[y] × columns[x].

Two operations are answered by their structure instead of their arithmetic (class _Probing). A convolution turns NaN
where any NaN lies under its kernel: counted with one channel of ones, a hundred times cheaper than the real weights
and safe from fast algorithms that smear NaN. And to learn which fields hang over the picture's edge, one more pass pads
with NaN instead of zeros.

Measuring what a neuron sees: Zhou et al. 2015, "Object Detectors Emerge in Deep Scene CNNs". The arithmetic for plain
nets: Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural Networks".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

ROWS, COLUMNS = 0, 1
_ACROSS = 256  # thin pictures a forward pass × their width: more no longer fits the CPU's cache


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer's neurons, in pixels of the input, clipped to the picture.

    rows: (h, 2) int32, for each row of neurons the first row of pixels it sees and the one after the last.
    columns: (w, 2) int32, left and right likewise.
    rows_cross: (h,) bool, the unclipped field hangs over the upper or lower edge: the neuron sees padding.
    columns_cross: (w,) bool, over the left or right edge.
    """

    rows: np.ndarray
    columns: np.ndarray
    rows_cross: np.ndarray
    columns_cross: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the field of a neuron that sees no padding; where every one does, of the largest."""
        return _longest(self.rows, self.rows_cross), _longest(self.columns, self.columns_cross)

    def box(self, y: int, x: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of what neuron (y, x) sees: the picture's pixels [top:bottom, left:right]."""
        (top, bottom), (left, right) = self.rows[y].tolist(), self.columns[x].tolist()
        return top, left, bottom, right

    def crosses(self, y: int, x: int) -> bool:
        """Whether neuron (y, x) sees padding beside its box."""
        return bool(self.rows_cross[y] or self.columns_cross[x])


@torch.no_grad()  # not inference_mode: there, composite operations would not be split into those _Probing knows
def receptive_fields(
    net: nn.Module,
    modules: Sequence[str] | Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    size: tuple[int, int],
    channels: int = 3,
) -> dict[str, Field]:
    """The fields of all neurons of the modules (dotted names) for an input of ``size`` (height, width).

    modules: names, or name → the function that turns the module's output into maps (n, units, h, w), see Layer.maps.
    A module whose output is (n, units) sees the whole picture, as one neuron at (0, 0). Where a module is called
    several times the last call counts. The net must be in eval mode. Raises ValueError for a module never called.
    """
    modules = modules if isinstance(modules, Mapping) else dict.fromkeys(modules, _as_it_is)
    like = next(net.parameters(), torch.zeros(()))
    picture = torch.zeros(1, channels, *size, dtype=like.dtype, device=like.device)
    with _Seen(net, modules) as seen, _Probing():
        seen.run(net, picture)
        missing = [name for name in modules if name not in seen.marks]
        if missing:
            raise ValueError(f"module {missing[0]} is not called, or returns no single tensor")
        maps = {name: marks.shape[-2:] for name, marks in seen.marks.items() if marks.ndim == 3}
    whole = Field(
        np.array([[0, size[0]]], np.int32), np.array([[0, size[1]]], np.int32), np.zeros(1, bool), np.zeros(1, bool)
    )
    fields = dict.fromkeys(modules, whole)
    if maps:
        sides = [_side(net, modules, maps, picture, axis) for axis in (ROWS, COLUMNS)]
        for name in maps:
            (rows, rows_cross), (columns, columns_cross) = (side[name] for side in sides)
            fields[name] = Field(rows, columns, rows_cross, columns_cross)
    return fields


def _side(
    net: nn.Module, modules: Mapping, maps: dict, picture: torch.Tensor, axis: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each module its (h, 2) rows of pixels seen and (h,) whether padding is, or the same for columns."""
    with _Seen(net, {name: modules[name] for name in maps}) as seen, _Probing(pad_nan=axis):
        seen.run(net, picture)
        cross = {name: marks.any(2 - axis)[0].cpu().numpy() for name, marks in seen.marks.items()}

    length = picture.shape[2 + axis]
    hits = {name: np.zeros((length, shape[axis]), bool) for name, shape in maps.items()}

    def probe(left: Sequence[str], rows: Sequence[int]) -> None:
        with _Seen(net, {name: modules[name] for name in left}) as seen, _Probing():
            thin = _thinnest(net, seen, {name: maps[name] for name in left}, picture, axis)
            step = max(1, _ACROSS // thin)
            for start in range(0, len(rows), step):
                probed = list(rows[start : start + step])
                x = picture.narrow(3 - axis, 0, thin).repeat(len(probed), 1, 1, 1)
                for i, row in enumerate(probed):
                    x[i].select(1 + axis, row).fill_(torch.nan)
                seen.run(net, x)
                for name, marks in seen.marks.items():
                    hits[name][probed] = marks.any(2 - axis).cpu().numpy()

    # Where every neuron sees the first and the last row there is nothing left to ask: deep layers, and tokens that
    # attend to all others, would cost most of the time.
    ends = sorted({0, length - 1})
    probe(list(maps), ends)
    left = [name for name, hit in hits.items() if not hit[ends].all()]
    if left:
        probe(left, [row for row in range(length) if row not in ends])
    sides = {}
    for name, hit in hits.items():
        first, last = hit.argmax(0), length - hit[::-1].argmax(0)
        sees = hit.any(0)  # a neuron whose whole field is padding sees nothing: an empty box
        sides[name] = np.stack([first * sees, last * sees], 1).astype(np.int32), cross[name]
    return sides


def _thinnest(net: nn.Module, seen: "_Seen", maps: dict, picture: torch.Tensor, axis: int) -> int:
    """The least width (a power of 2, or the full one) at which the net runs and its maps keep their height."""
    across = picture.shape[3 - axis]
    width = 1
    while width < across:
        try:
            seen.run(net, picture.narrow(3 - axis, 0, width))
        except Exception:  # whatever a net raises on a picture that is too thin for it
            width *= 2
            continue
        if all(seen.marks[name].shape[1 + axis] == shape[axis] for name, shape in maps.items()):
            return width
        width *= 2
    return across


class _Seen:
    """Where the outputs of modules are NaN in the last forward pass: ``marks``, name → (n, h, w) or (n,) bool."""

    def __init__(self, net: nn.Module, modules: Mapping[str, Callable[[torch.Tensor], torch.Tensor]]):
        self.marks: dict[str, torch.Tensor] = {}
        self._calls, self._enough = 0, None
        self._handles = []
        for name, maps in modules.items():
            self._handles.append(net.get_submodule(name).register_forward_hook(self._keep(name, maps)))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for handle in self._handles:
            handle.remove()

    def _keep(self, name: str, maps: Callable[[torch.Tensor], torch.Tensor]):
        def hook(module, inputs, output):
            if isinstance(output, torch.Tensor):
                self.marks[name] = (output if output.ndim == 2 else maps(output)).sum(1).isnan()
            self._calls += 1
            if self._calls == self._enough:
                raise _Deepest

        return hook

    def run(self, net: nn.Module, x: torch.Tensor) -> None:
        """One forward pass; from the second on only as deep as the deepest module."""
        self.marks.clear()
        self._calls = 0
        try:
            net(x)
        except _Deepest:
            return
        self._enough = self._calls


class _Deepest(Exception):
    pass


def _as_it_is(maps: torch.Tensor) -> torch.Tensor:
    return maps


class _Probing(TorchDispatchMode):
    """Runs a net on marks: NaN where a neuron sees what is asked about, any number elsewhere.

    pad_nan: None, or the axis (ROWS, COLUMNS) along which padding is NaN, so that seeing padding is seen.
    """

    def __init__(self, pad_nan: int | None = None):
        super().__init__()
        self.axis = pad_nan

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        aten = torch.ops.aten
        kind = operation.overloadpacket
        if kind is aten.convolution and args[0].ndim == 4:
            return self._convolution(*args)
        if kind is aten.where and len(args) == 3:  # a ReLU in disguise: the condition is false for NaN
            result = operation(*args)
            for branch in args[1:]:
                if isinstance(branch, torch.Tensor):
                    result = torch.where(branch.isnan(), torch.nan, result)
            return result
        if self.axis is not None:
            if kind in (aten.max_pool2d_with_indices, aten.avg_pool2d):
                return self._pool(kind, *args)
            if kind in (aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d):
                # amounts come last side first; six of them pad a picture whose channels are last (Swin)
                side = 1 - self.axis + (len(args[1]) == 6)
                along = [p if i // 2 == side else 0 for i, p in enumerate(args[1])]
                rest = [0 if i // 2 == side else p for i, p in enumerate(args[1])]
                return F.pad(F.pad(args[0], along, value=torch.nan), rest)
        return operation(*args, **(kwargs or {}))

    def _convolution(self, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
        """NaN where a NaN of any channel of the group is under the kernel, else 0; shapes as the real one's."""
        marks = x.unflatten(1, (groups, -1)).sum(2).isnan().float()
        padding = _pair(padding)
        if self.axis is not None and not transposed:
            marks = self._pad(marks, padding[self.axis], padding[self.axis], 1.0)
            padding[self.axis] = 0
        ones = torch.ones(groups, 1, *weight.shape[2:], device=x.device)
        seen = torch.ops.aten.convolution(
            marks, ones, None, stride, padding, dilation, transposed, output_padding, groups
        )
        units = weight.shape[1] if transposed else weight.shape[0] // groups
        seen = torch.where(seen > 0.5, torch.nan, 0.0).to(x.dtype)
        return seen.unsqueeze(2).expand(-1, -1, units, -1, -1).flatten(1, 2).contiguous()

    def _pool(self, kind, x, kernel, stride=(), padding=0, *rest):
        """The pool with its padding along the axis, also what rounding up adds, turned into NaN first."""
        is_max = kind is torch.ops.aten.max_pool2d_with_indices
        dilation = _pair(rest[0] if is_max and rest else 1)[self.axis]
        ceil = bool(rest[1 if is_max else 0]) if len(rest) > (1 if is_max else 0) else False
        padding, kernel, stride = _pair(padding), _pair(kernel), _pair(stride or kernel)
        span = dilation * (kernel[self.axis] - 1) + 1
        room = x.shape[2 + self.axis] + 2 * padding[self.axis] - span
        over = -room % stride[self.axis] if ceil else 0
        if over and room + over >= x.shape[2 + self.axis] + padding[self.axis]:
            over = 0  # a window that would start beyond the picture is left out
        x = self._pad(x, padding[self.axis], padding[self.axis] + over, torch.nan)
        padding[self.axis] = 0
        return kind(x, kernel, stride, padding, *rest)

    def _pad(self, x, before: int, after: int, value: float):
        return F.pad(x, (0, 0, before, after) if self.axis == ROWS else (before, after, 0, 0), value=value)


def _pair(value) -> list[int]:
    value = [value] if isinstance(value, int) else list(value)
    return value * 2 if len(value) == 1 else value


def _longest(sides: np.ndarray, cross: np.ndarray) -> int:
    lengths = sides[:, 1] - sides[:, 0]
    return int((lengths if cross.all() else lengths[~cross]).max())

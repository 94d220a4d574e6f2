"""Receptive fields: exactly which input pixels a neuron can see, as boxes in pixels of the network's input.

They are found by probing, not by formulas for known layer types. One row of the input is marked at a time, and the
neurons whose value becomes marked see the row (:mod:`cnnviz.network.marks`). Marks pass where gradients vanish (behind
a ReLU, beside the maximum of a max-pool). So the result is exact for any network of convolutions, pools, activations,
normalisations, sums and concatenations. Columns are probed likewise, each on the thinnest pictures that the network
takes. The field of neuron (y, x) is rows[y] × columns[x]. To find the fields that extend beyond the picture, one more
pass pads with marks instead of zeros.

The result is checked with a noise picture: changing some of its rows must change only neurons that see one of them. If
other neurons change, the thin pictures were too thin, and the layer is probed again at full width. If that does not
help, or an operator is not known to the marks, neurons may see the whole picture, and ``note`` states why.

Measuring what a neuron sees: Zhou et al. 2015, "Object Detectors Emerge in Deep Scene CNNs". The arithmetic for plain
networks: Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural Networks".
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.network import hooks
from cnnviz.network.marks import COLUMNS, ROWS, Marks

Maps = Callable[[Tensor], Tensor]
_ACROSS = 256  # thin pictures per pass × their width; more does not fit the CPU's cache


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer's neurons, in pixels of the input, clipped to the picture.

    rows: (h, 2) int32, for each row of neurons the first visible row of pixels and the one after the last. columns:
    (w, 2) int32, left and right likewise. rows_cross: (h,) bool, whether the unclipped field extends beyond the upper
    or lower edge: the neuron sees padding. columns_cross: (w,) bool, beyond the left or right edge. note: "", or why
    probing failed, so that each field is the whole picture.
    """

    rows: np.ndarray
    columns: np.ndarray
    rows_cross: np.ndarray
    columns_cross: np.ndarray
    note: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the field of a neuron that sees no padding; if every one does, of the largest field."""
        return _longest(self.rows, self.rows_cross), _longest(self.columns, self.columns_cross)

    def box(self, y: int, x: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the field of neuron (y, x): the picture's pixels [top:bottom, left:right]."""
        (top, bottom), (left, right) = self.rows[y].tolist(), self.columns[x].tolist()
        return top, left, bottom, right

    def crosses(self, y: int, x: int) -> bool:
        """Whether neuron (y, x) sees padding outside its box."""
        return bool(self.rows_cross[y] or self.columns_cross[x])


@torch.no_grad()  # not inference_mode, which does not split composite operations into those that marks know
def receptive_fields(
    net: nn.Module, modules: Sequence[str] | Mapping[str, Maps], size: tuple[int, int], channels: int = 3
) -> dict[str, Field]:
    """The fields of all neurons of the modules (dotted names) for an input of ``size`` (height, width).

    modules: names, or name → conversion of the module's output to maps (n, units, h, w), see Layer.maps. A module with
    an output of (n, units) sees the whole picture, as one neuron at (0, 0). If a module is called several times, the
    last call counts. The network must be in eval mode. Raises ValueError for a module that is never called.
    """
    modules = modules if isinstance(modules, Mapping) else dict.fromkeys(modules, hooks.as_it_is)
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(()))
    picture = torch.zeros(1, channels, *size, dtype=like.dtype, device=like.device)
    with _Outputs(net, modules) as outputs:
        outputs.run(picture)
        missing = [name for name in modules if name not in outputs.kept]
        if missing:
            raise ValueError(f"module {missing[0]} is not called, or returns no single tensor")
        calls, shapes = outputs.calls, {name: tuple(maps.shape[2:]) for name, maps in outputs.kept.items()}
    fields = {name: _whole(shape or (1, 1), size) for name, shape in shapes.items()}
    left = {name: modules[name] for name in shapes if shapes[name]}
    for thin in (True, False):
        if left:
            fields |= _Probe(net, left, calls, shapes, picture).fields(thin)
            left = {name: left[name] for name in _contradicted(net, left, fields, picture)}
    note = "a change of a trial picture reached further than probing found"
    return fields | {name: _whole(shapes[name], size, note) for name in left}


def _whole(shape: Sequence[int], size: Sequence[int], note: str = "") -> Field:
    """The field of a layer of ``shape`` (h, w) whose neurons may each see the whole picture."""
    sides = (np.tile(np.array([[0, length]], np.int32), (n, 1)) for n, length in zip(shape, size, strict=True))
    return Field(*sides, *(np.zeros(n, bool) for n in shape), note)


class _Probe:
    """Finds by marks the pixels that the neurons of some modules see.

    modules: name → its maps. calls: number of each one's calls in a pass. shapes: (h, w) of the maps. picture: zeros,
    (1, c, height, width).
    """

    def __init__(self, net: nn.Module, modules: Mapping[str, Maps], calls: Counter, shapes: dict, picture: Tensor):
        self.net, self.modules, self.calls, self.shapes, self.picture = net, modules, calls, shapes, picture
        self.refused: dict[str, str] = {}  # module → an operator before it that marks cannot pass

    def fields(self, thin: bool) -> dict[str, Field]:
        """thin: whether to probe on the thinnest pictures that the network takes, which is faster."""
        size = self.picture.shape[2:]
        names, failed = self._reached()
        fields = {name: _whole(self.shapes[name], size, failed) for name in self.modules if name not in names}
        if not names:
            return fields
        try:
            (rows, rows_cross), (columns, columns_cross) = (self._side(names, axis, thin) for axis in (ROWS, COLUMNS))
        except Exception as error:  # networks raise anything on synthetic pictures
            return fields | {name: _whole(self.shapes[name], size, _said(error)) for name in names}
        for name in names:
            field = Field(rows[name], columns[name], rows_cross[name], columns_cross[name])
            all_of_it = (field.rows == (0, size[0])).all() and (field.columns == (0, size[1])).all()
            if name in self.refused and all_of_it:
                note = f"what the operator {self.refused[name]} looks at cannot be found by probing"
                field = _whole(self.shapes[name], size, note)
            elif not (field.rows[:, 1].any() and field.columns[:, 1].any()):
                field = _whole(self.shapes[name], size, "nothing in a picture was found to change it")
            fields[name] = field
        return fields

    def _reached(self) -> tuple[list[str], str]:
        """The modules that a pass on marks reaches, and why it does not reach the others."""
        x = self.picture.clone()
        x[:, :, x.shape[2] // 2] = torch.nan
        failed = ""
        with _Outputs(self.net, self.modules) as outputs:
            try:
                outputs.run(x, Marks())
            except Exception as error:  # as above
                failed = _said(error)
            reached = [
                name
                for name in outputs.kept
                if outputs.calls[name] == self.calls[name] and outputs.kept[name].shape[1:] == self.shapes[name]
            ]
        return reached, failed

    def _side(self, names: list[str], axis: int, thin: bool) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(h, 2) visible rows of pixels of each module, and (h,) whether padding is visible; or of columns."""
        with self._outputs(names) as outputs:
            outputs.run(self.picture, Marks(pad_nan=axis))
            cross = {name: seen.any(2 - axis)[0].cpu().numpy() for name, seen in outputs.kept.items()}

        length, across = self.picture.shape[2 + axis], self.picture.shape[3 - axis]
        width = self._thinnest(names, axis) if thin else across
        hits = {name: np.zeros((length, self.shapes[name][axis]), bool) for name in names}

        def probe(left: list[str], rows: list[int]) -> None:
            for name, hit in self._hits(left, axis, rows, width).items():
                hits[name][rows] = hit

        # If every neuron sees the first and the last row, no more probing is needed: deep layers, and tokens that
        # attend to all others, would take most of the time.
        ends = sorted({0, length - 1})
        probe(names, ends)
        left = [name for name, hit in hits.items() if not hit[ends].all()]
        rest = [row for row in range(length) if row not in ends]
        if left and rest:
            probe(left, rest)
        sides = {}
        for name, hit in hits.items():
            first, last = hit.argmax(0), length - hit[::-1].argmax(0)
            sees = hit.any(0)  # a neuron whose whole field is padding has an empty box
            sides[name] = np.stack([first * sees, last * sees], 1).astype(np.int32)
        return sides, cross

    def _hits(self, names: list[str], axis: int, rows: list[int], width: int) -> dict[str, np.ndarray]:
        """Module → (len(rows), h) bool: whether its rows of neurons see each of these rows of a picture of ``width``.

        axis COLUMNS: the same for columns and height.
        """
        step = max(1, _ACROSS // width)
        parts = [rows[start : start + step] for start in range(0, len(rows), step)]
        try:
            found = [self._asked(names, axis, part, width) for part in parts]
        except Exception:  # a network may take only one picture at a time
            if step == 1:
                raise
            found = [self._asked(names, axis, [row], width) for row in rows]
        return {name: np.concatenate([hits[name] for hits in found]) for name in names}

    def _asked(self, names: list[str], axis: int, rows: list[int], width: int) -> dict[str, np.ndarray]:
        """The same in one forward pass, with a picture for each row."""
        x = self.picture.narrow(3 - axis, 0, width).repeat(len(rows), 1, 1, 1)
        for picture, row in zip(x, rows, strict=True):
            picture.select(1 + axis, row).fill_(torch.nan)
        with self._outputs(names) as outputs:
            outputs.run(x, Marks())
        self.refused |= outputs.refused
        return {name: seen.any(2 - axis).reshape(len(rows), -1).cpu().numpy() for name, seen in outputs.kept.items()}

    def _thinnest(self, names: list[str], axis: int) -> int:
        """The smallest width (a power of 2, or the full one) at which the network sees some rows as at full width.

        A network that moves values sideways, or skips columns, may see nothing of a picture that is too thin.
        """
        length, across = self.picture.shape[2 + axis], self.picture.shape[3 - axis]
        rows = sorted({length // 4, length // 2, (length + 1) // 2})
        full = self._hits(names, axis, rows, across)
        width = 1
        while width < across:
            try:
                found = self._hits(names, axis, rows, width)
                if all(np.array_equal(found[name], full[name]) for name in names):
                    return width
            except Exception:  # networks raise anything for a picture that is too thin
                pass
            width *= 2
        return across

    def _outputs(self, names: list[str]) -> "_Outputs":
        enough = sum(self.calls[name] for name in names)
        return _Outputs(self.net, {name: self.modules[name] for name in names}, enough)


def _contradicted(net: nn.Module, modules: Mapping[str, Maps], fields: dict[str, Field], picture: Tensor) -> list[str]:
    """Modules with neurons that change in a noise picture although their fields exclude the changed rows."""
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0)).to(picture)
    wrong = set()
    with _Outputs(net, modules) as outputs:

        def put_out(x: Tensor) -> dict[str, Tensor]:
            outputs.run(x)
            return dict(outputs.kept)

        try:
            before = put_out(noise)
            for axis in (ROWS, COLUMNS):
                cut, length = round(0.4 * picture.shape[2 + axis]), picture.shape[2 + axis]
                for first, last in ((0, cut), (cut, length)):
                    x = noise.clone()
                    x.narrow(2 + axis, first, last - first).mul_(-2).add_(1)
                    for name, after in put_out(x).items():
                        changes = (after - before[name]).abs().amax(1)[0]
                        changed = (changes > 1e-4 * changes.max()).any(1 - axis).cpu().numpy()
                        sides = (fields[name].rows, fields[name].columns)[axis]
                        if (changed & ~((sides[:, 0] < last) & (sides[:, 1] > first))).any():
                            wrong.add(name)
            again = put_out(noise) if wrong else before
            # a module whose output is not deterministic changes anyway
            wrong = {name for name in wrong if torch.equal(again[name], before[name])}
        except Exception:  # a network may refuse noise; then the fields are not checked
            pass
    return [name for name in modules if name in wrong]


class _Outputs:
    """Outputs of some modules in the last forward pass.

    kept: name → maps (n, units, h, w), or vectors (n, units); in a pass on marks whether any unit is marked, (n, h, w)
    or (n,) bool. calls: name → number of calls. refused: name → an operator before it that marks cannot pass. enough:
    total number of calls after which a pass ends; 0 for never.
    """

    def __init__(self, net: nn.Module, modules: Mapping[str, Maps], enough: int = 0):
        self.kept: dict[str, Tensor] = {}
        self.calls: Counter = Counter()
        self.refused: dict[str, str] = {}
        self._net, self._enough, self._mode = net, enough, None
        self._handles = [hooks.hook(net, name, self._keep(name, maps)) for name, maps in modules.items()]

    def __enter__(self) -> "_Outputs":
        return self

    def __exit__(self, *error) -> None:
        for handle in self._handles:
            handle.remove()

    def run(self, x: Tensor, mode: Marks | None = None) -> None:
        """One forward pass, on marks in that mode."""
        self.kept.clear()
        self.calls.clear()
        self._mode = mode
        with contextlib.suppress(_Deepest), mode or contextlib.nullcontext():
            self._net(x)
        if mode:  # marks can be read as NaN only outside the mode
            self.kept = {name: sums.isnan() for name, sums in self.kept.items()}

    def _keep(self, name: str, maps: Maps):
        def keep(output) -> None:
            self.calls[name] += 1
            if isinstance(output, Tensor):
                seen = output if output.ndim == 2 else maps(output)
                self.kept[name] = self._marked(name, seen) if self._mode else seen.clone()
            if self.calls.total() == self._enough:
                raise _Deepest

        return keep

    def _marked(self, name: str, maps: Tensor) -> Tensor:
        """(n, h, w) or (n,), NaN where any unit is marked."""
        if self._mode.refused:
            self.refused[name] = self._mode.refused[0]
        sums = (maps if maps.is_floating_point() or maps.is_complex() else maps.float()).sum(1)
        return torch.full_like(sums, torch.nan) if self._mode.left else sums


class _Deepest(Exception):
    pass


def _said(error: Exception) -> str:
    """A network's error on a picture of marks, as a reason."""
    words = " ".join(str(error).split())
    return f"the network does not run on a probing picture ({type(error).__name__}: {words[:100]})"


def _longest(sides: np.ndarray, cross: np.ndarray) -> int:
    lengths = sides[:, 1] - sides[:, 0]
    return int((lengths if cross.all() else lengths[~cross]).max())

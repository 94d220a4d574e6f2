"""What a network says of many pictures that are put together from the patches of two, exactly and faster.

An early feature map sees little of a picture at each of its positions: a handful of patches, so a handful of bits, and
there are few ways to set them. Colour the patches so that no two within sight of one position are alike; with k colours
2ᵏ pictures, in which all patches of a colour come from the same of the two, hold every value that this map can have
anywhere. For all other pictures the map is looked up, position by position, and the network goes on from there.

As in :mod:`cnnviz.attribution.incremental`, the network's beginning is read from the torch functions that it calls, a
few pictures are computed both ways first, and if they differ all are computed in full.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.attribution.incremental import TOLERANCE, Call, Slide, _nothing, _Resume, _Watch

MEMORY = 1 << 28  # bytes of the table, at most


class Patchwork:
    """net: on what it takes, z and ``other``, (1, c, h, w) each. patches: (h, w) int64 in 0 … s − 1.

    ``quick``: whether maps are looked up. batch: pictures in a forward pass. most: of the table, else it does not pay.
    """

    @torch.no_grad()
    def __init__(self, net: nn.Module, z: Tensor, other: Tensor, patches: Tensor, *, batch: int, most: int):
        self.net, self.z, self.other, self.patches, self.batch = net, z, other.expand_as(z), patches.to(z.device), batch
        copy = z.clone()
        with _Watch(copy) as seen:
            net(copy)
        self.calls, self.quick, best = [], False, None
        for cut, sight in enumerate(_sights(z, seen.calls, patches), 1):
            if 1 << int(sight.sum(1).max()) > most:  # and so it is from here on
                break
            later = seen.later | {k for call in seen.calls[cut:] for k in call.inputs}
            if isinstance(seen.calls[cut - 1].step, Slide) and {k for k in later if k <= cut} == {cut}:
                colours = coloured(sight)
                count = 1 << int(colours.max() + 1)
                if count <= most and count * seen.calls[cut - 1].clean.nbytes <= MEMORY:
                    best = cut, sight, colours, count
        if best is not None:
            self.calls = seen.calls[: best[0]]
            self._prepare(*best[1:])
            self.quick = self._agrees()

    @torch.no_grad()
    def logits(self, first: Tensor) -> Tensor:
        """(n, classes) of the pictures whose patches are z's where ``first`` (n, s) bool, and the other's elsewhere."""
        one = self._looked_up if self.quick else self._full
        return torch.cat([one(some) for some in first.to(self.z.device).split(self.batch)])

    def _pictures(self, first: Tensor) -> Tensor:
        pictures = torch.where(first[:, self.patches][:, None], self.z, self.other)
        return pictures.contiguous(memory_format=torch.channels_last)  # CPUs convolve faster so

    def _full(self, first: Tensor) -> Tensor:
        return self.net(self._pictures(first))

    def _prepare(self, sight: np.ndarray, colours: np.ndarray, count: int) -> None:
        """The table: the last call's map of every combination of colours, (count · h · w, c)."""
        bits = (np.arange(count)[:, None] >> colours & 1).astype(bool)
        maps = [self._beginning(some) for some in torch.from_numpy(bits).to(self.z.device).split(self.batch)]
        self.table = torch.cat([m.permute(0, 2, 3, 1).flatten(0, 2) for m in maps])
        self.values = torch.from_numpy(sight * 2.0**colours).to(self.z.device, torch.float32).T  # exact up to 2²⁴
        self.shapes = [tuple(self.z.shape[1:]), *(tuple(call.clean.shape[1:]) for call in self.calls)]

    def _beginning(self, first: Tensor) -> Tensor:
        x = self._pictures(first)
        with contextlib.suppress(_Enough), _Beginning(x, len(self.calls)) as seen:
            self.net(x)
        return seen.calls[-1].clean

    def _looked_up(self, first: Tensor) -> Tensor:
        channels, height, width = self.shapes[-1]
        places = torch.arange(height * width, device=first.device)
        lines = (first.float() @ self.values).long() * len(places) + places
        map = self.table.index_select(0, lines.flatten()).view(-1, height, width, channels).permute(0, 3, 1, 2)
        nothing = [_nothing(self.z, len(first), shape) for shape in self.shapes]
        with _Resume(self.calls, nothing[0], {len(self.calls): map}, nothing):
            return self.net(nothing[0])

    def _agrees(self) -> bool:
        """Whether both ways say the same of three pictures: all z's, every other patch, all but every third."""
        s = torch.arange(self.values.shape[0], device=self.z.device)
        first = torch.stack([s >= 0, s % 2 == 0, s % 3 > 0])
        try:
            quick, full = self._looked_up(first), self._full(first)
        except RuntimeError:  # the network took another way, or what it calls refuses the stand-ins
            return False
        return bool((quick - full).abs().max() <= TOLERANCE * full.abs().max().clamp(min=1))  # False for NaN


def coloured(sight: np.ndarray) -> np.ndarray:
    """sight: (positions, s) bool, which patches each sees. Colours (s,) from 0, none of which is seen twice at once."""
    together = sight.T.astype(np.float32) @ sight > 0
    free = np.ones(together.shape, bool)  # (patches, colours)
    colours = np.full(len(together), -1)
    for _ in colours:  # next the patch with the fewest colours left, of these the one with the most neighbours (DSATUR)
        patch = max(np.flatnonzero(colours < 0), key=lambda p: (-free[p].sum(), together[p].sum()))
        colours[patch] = free[patch].argmax()
        free[together[patch], colours[patch]] = False
    return colours


def _sights(z: Tensor, calls: Sequence[Call], patches: Tensor) -> Iterator[np.ndarray]:
    """For each call's map (c, h, w) which patches each of its positions depends on at most: (h · w, s) bool."""
    count = int(patches.max()) + 1
    # above[y, x, s]: pixels of patch s above row y and left of column x
    above = np.pad((patches.cpu().numpy()[..., None] == np.arange(count)).cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    spans = [[(np.arange(n), np.arange(n) + 1) for n in z.shape[2:]]]  # map → axis → [low, high) of each position
    for call in calls:
        spans.append([_seen(call, [spans[k][axis] for k in call.inputs], axis) for axis in (0, 1)])
        (top, bottom), (left, right) = spans[-1]
        box = above[bottom][:, right] - above[top][:, right] - above[bottom][:, left] + above[top][:, left]
        yield box.reshape(-1, count) > 0


def _seen(call: Call, inputs: list[tuple[np.ndarray, np.ndarray]], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """What of the picture, [low, high), each position of a call's output depends on along an axis."""
    low, high = np.min([low for low, _ in inputs], 0), np.max([high for _, high in inputs], 0)
    if not isinstance(call.step, Slide):
        return low, high
    first = np.arange(call.clean.shape[2 + axis]) * call.step.stride[axis] - call.step.padding[axis]
    ends = np.clip([first, first + call.step.kernel[axis] - 1], 0, len(low) - 1)
    return low[ends[0]], high[ends[1]]


class _Enough(Exception):
    pass


class _Beginning(_Watch):
    """Stops the network after so many of its calls."""

    def __init__(self, x: Tensor, enough: int):
        super().__init__(x)
        self.enough = enough

    def __torch_function__(self, function, types, args=(), kwargs=None):
        output = super().__torch_function__(function, types, args, kwargs)
        if len(self.calls) == self.enough:
            raise _Enough
        return output

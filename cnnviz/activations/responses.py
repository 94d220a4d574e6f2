"""Statistics of a layer's units, accumulated batch by batch: see :mod:`cnnviz.activations.forward`."""

from dataclasses import dataclass

import numpy as np
import torch

SAMPLES = 16  # largest number of a map's neurons in the histograms
ENOUGH = 16_000  # values of a unit in a histogram: the share in a bin is then exact to 0.8 percentage points
# Six bins per decade from 0.001 to 10 000, on both sides of a bin around 0. They are the same for every network, so
# histograms can be added in any order, and compared between networks.
_MAGNITUDES = 10 ** (np.arange(-18, 25) / 6)
EDGES = np.concatenate([-_MAGNITUDES[::-1], _MAGNITUDES]).astype(np.float32)


@dataclass(frozen=True)
class Top:
    """The strongest neurons of each unit so far, strongest first: tensors (units, k).

    values; images: index of the picture, −1 for none; positions: y · w + x in the maps.
    """

    values: torch.Tensor
    images: torch.Tensor
    positions: torch.Tensor

    @classmethod
    def none(cls, units: int, k: int, like: torch.Tensor) -> "Top":
        missing = torch.full((units, k), -1, device=like.device)
        return cls(torch.full((units, k), -torch.inf, dtype=like.dtype, device=like.device), missing, missing)

    def after(self, maps: torch.Tensor, best: torch.Tensor, first: int) -> "Top":
        """Adds the later pictures ``first``, ``first`` + 1, …: maps (m, units, h, w), with their maxima best."""
        k, best = self.values.shape[1], best.T
        if not (best > self.values[:, -1:]).any():
            return self
        # A stable sort, so the first of equal values wins; torch.topk would select any.
        values, order = torch.cat([self.values, best], 1).sort(dim=1, descending=True, stable=True)
        values, order = values[:, :k], order[:, :k]
        new = order >= k
        picture = torch.where(new, order - k, 0)
        kept = torch.where(new, 0, order)
        positions = self.positions.gather(1, kept)
        unit, _ = new.nonzero(as_tuple=True)
        positions[new] = maps[picture[new], unit].flatten(1).argmax(1)
        return Top(values, torch.where(new, picture + first, self.images.gather(1, kept)), positions)

    def joined(self, later: "Top") -> "Top":
        """Adds the result of later pictures; the first of equal values wins, as above."""
        values, order = torch.cat([self.values, later.values], 1).sort(dim=1, descending=True, stable=True)
        k = self.values.shape[1]
        order = order[:, :k]
        images, positions = (
            torch.cat(pair, 1).gather(1, order)
            for pair in ((self.images, later.images), (self.positions, later.positions))
        )
        return Top(values[:, :k], images, positions)


@dataclass(frozen=True)
class Responses:
    """Statistics of a layer. inside, everywhere: see :class:`Top`, positions in their own maps.

    total: (units,) float64 sum over all neurons; active: (units,) int64 neurons above 0; neurons: number per unit;
    peaks: (units,) float64 sum over pictures of the strongest neuron's value, negative ones as 0. histogram:
    (units, bins) int64 sampled neurons.
    """

    inside: Top
    everywhere: Top
    total: torch.Tensor
    active: torch.Tensor
    neurons: int
    peaks: torch.Tensor
    histogram: torch.Tensor

    @classmethod
    def none(cls, maps: torch.Tensor, k: int) -> "Responses":
        units = maps.shape[1]
        zero = torch.zeros(units, dtype=torch.float64, device=maps.device)
        top = Top.none(units, k, maps)
        histogram = torch.zeros(units, len(EDGES) + 1, dtype=torch.int64, device=maps.device)
        return cls(top, top, zero, zero.long(), 0, zero, histogram)

    def after(self, maps: torch.Tensor, first: int, interior: tuple[slice, slice], samples: int) -> "Responses":
        """Adds the pictures ``first``, … whose maps are (m, units, h, w). ``interior``: see forward_pass.interior."""
        inner = maps[:, :, interior[0], interior[1]]
        if maps.device.type == "cpu":  # one picture at a time, in the processor's cache: four times as fast
            reductions = [reduced(*pair) for pair in zip(maps, inner, strict=True)]
            best, best_inside, total, active = (torch.stack(each) for each in zip(*reductions, strict=True))
        else:
            best, best_inside, total, active = reduced(maps, inner)
        everywhere = self.everywhere.after(maps, best, first)
        if inner.shape == maps.shape:
            inside = everywhere
        else:
            inside = self.inside.after(inner, best_inside, first) if inner.numel() else self.inside
        return Responses(
            inside,
            everywhere,
            self.total + total.double().sum(0),
            self.active + active.long().sum(0),
            self.neurons + maps.numel() // maps.shape[1],
            self.peaks + best.clamp(min=0).double().sum(0),
            self.histogram + histogram(maps, first, samples),
        )


def reduced(maps: torch.Tensor, inner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Largest, largest of ``inner``, sum, and number above 0: (…, units) each, for (…, units, h, w) maps.

    inner: a block of the maps. If it is empty or the whole map, the second is the first.
    """
    # 0.0 and 1.0 are made and summed twice as fast as bools; a map is small enough for exact counts
    active = torch.gt(maps, 0, out=torch.empty_like(maps)).sum((-2, -1))
    best = largest(maps)
    best_inside = largest(inner) if inner.numel() and inner.shape != maps.shape else best
    return best, best_inside, maps.sum((-2, -1)), active


def largest(maps: torch.Tensor) -> torch.Tensor:
    """maps.amax((-2, -1)), which is many times slower in NHWC layout."""
    return maps.movedim(-3, -1).amax(-3).amax(-2) if maps.stride(-3) == 1 else maps.amax((-2, -1))


def sampled(first: int, count: int, height: int, width: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """y and x, (count, samples) each, of the sampled neurons of pictures ``first``, …; all neurons of a smaller map.

    They are successive points of a low-discrepancy sequence (Roberts 2018, R₂), so even a few pictures cover the map.
    """
    if height * width <= samples:
        y, x = np.divmod(np.arange(height * width), width)
        return np.tile(y, (count, 1)), np.tile(x, (count, 1))
    t = np.arange(first * samples, (first + count) * samples).reshape(count, samples)
    y, x = (0.5 + t * 0.7548776662466927) % 1, (0.5 + t * 0.5698402909980532) % 1
    return (y * height).astype(np.int64), (x * width).astype(np.int64)


def histogram(maps: torch.Tensor, first: int, samples: int) -> torch.Tensor:
    """Number of sampled neurons per bin, from (m, units, h, w) maps of pictures ``first``, …: (units, bins) int64."""
    m, units, height, width = maps.shape
    y, x = (torch.from_numpy(places).to(maps.device) for places in sampled(first, m, height, width, samples))
    values = maps[torch.arange(m, device=maps.device)[:, None], :, y, x]
    bins = torch.bucketize(values, torch.from_numpy(EDGES).to(values), right=True)
    bins += torch.arange(units, device=maps.device) * (len(EDGES) + 1)
    return torch.bincount(bins.flatten(), minlength=units * (len(EDGES) + 1)).view(units, -1)

"""A unit as an objective: the size of its picture, the views, and its activation in the finished picture."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from cnnviz.ascent.objective_functions import Objective, past_relus, read, takes, unit, waking
from cnnviz.ascent.transforms import Transform, robust
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.network.units import boxes

LEAST = 128  # pixels for which the views' shifts are stated; smallest side of a picture, if the network takes it
RATE = 0.03  # with Olah et al.'s 0.05 pictures of small networks are all black, white and pure colours


def picture_size(model: Model, layer: Layer, kept: Mapping[str, np.ndarray], wanted: int | None) -> tuple[int, int]:
    """Size of a layer's pictures: ``wanted``, or twice the receptive field; the network's own if it takes no other."""
    own = model.preprocess.size
    if layer.height * layer.width == 1:
        return own
    sees = max(int((kept[side][:, 1] - kept[side][:, 0]).max()) for side in ("rows", "columns"))
    size = (wanted, wanted) if wanted else tuple(min(side, max(LEAST, 2 * sees)) for side in own)
    size = tuple(map(model.fitting, size))
    return size if takes(model, size, layer) else own


def excited(layer: Layer, units: Sequence[int]) -> Objective:
    """The mean of a unit over all positions, plus the mean over the strongest quarter of them."""
    return waking(past_relus(unit(layer.module, units) + unit(layer.module, units, 0.25)))


def views_of(model: Model, layer: Layer, size: tuple[int, int]) -> Transform:
    """Small random views. They have the network's own size if the layer takes no other."""
    # Views have many sizes, so one that works is not enough: a layer may need even sides, for example.
    step = max(1, model.trial.get("step", 1))
    larger = [tuple(model.fitting(side * 1.25) + i * step for side in size) for i in range(4)]
    free = layer.height * layer.width > 1 and all(takes(model, tried, layer) for tried in larger)
    return robust(None if free else model.preprocess.size, min(1.0, min(size) / LEAST), model.fitting)


def largest(model: Model, layer: Layer, pictures: np.ndarray, units: Sequence[int]) -> np.ndarray:
    """The largest value over all positions of (n, h, w, c) uint8 pictures, for one unit each: (n,) float32."""
    own = _maps(model, layer, pictures, units)
    return own.reshape(len(own), -1).max(1)


def _maps(model: Model, layer: Layer, pictures: np.ndarray, units: Sequence[int]) -> np.ndarray:
    maps = read(model, model.pictures(list(pictures)), [layer.module])[layer.module]
    return maps[torch.arange(len(maps)), torch.tensor(units)].float().cpu().numpy()


def strongest(
    model: Model, layer: Layer, pictures: np.ndarray, units: Sequence[int], kept: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`largest`, and the field of the strongest neuron, by one pass over the pictures.

    Fields (n, 4) int32, top, left, bottom, right in the pictures' pixels, half open: of the neurons with a field inside
    the picture if there are any. kept: the fields of the layer's neurons in a picture of the network's own size, which
    pictures do not exceed: rows, columns, rows_cross, columns_cross.
    """
    own, sides = _maps(model, layer, pictures, units), pictures.shape[1:3]
    value = own.reshape(len(own), -1).max(1)
    rows, columns = kept["rows"][: own.shape[1]], kept["columns"][: own.shape[2]]
    own = own[:, : len(rows), : len(columns)]
    down = ~kept["rows_cross"][: len(rows)] & (rows[:, 1] <= sides[0])
    across = ~kept["columns_cross"][: len(columns)] & (columns[:, 1] <= sides[1])
    inside = down[:, None] & across
    own = np.where(inside, own, -np.inf) if inside.any() else own
    y, x = np.divmod(own.reshape(len(own), -1).argmax(1), own.shape[2])
    field = np.minimum(boxes(np.stack([y, x], 1), rows, columns), [*sides, *sides])
    return value, field.astype(np.int32)

"""One unit as something to climb: how large its picture is, under which views, and how much the picture excites it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from cnnviz.ascent.objectives import Objective, past_relus, read, takes, unit
from cnnviz.ascent.transforms import Transform, robust
from cnnviz.network.layers import Layer
from cnnviz.network.models import Model

LEAST = 128  # pixels, for which the shifts of the views are stated; a picture's side, where the network takes so many
RATE = 0.03  # Olah et al. take 0.05; small nets' pictures are then all black, white and pure colours


def picture_size(model: Model, layer: Layer, kept: Mapping[str, np.ndarray], wanted: int | None) -> tuple[int, int]:
    """Of a layer's pictures: ``wanted``, or twice what it sees; the network's own where it has to be."""
    own = model.preprocess.size
    if layer.height * layer.width == 1:
        return own
    sees = max(int((kept[side][:, 1] - kept[side][:, 0]).max()) for side in ("rows", "columns"))
    size = (wanted, wanted) if wanted else tuple(min(side, max(LEAST, 2 * sees)) for side in own)
    size = tuple(map(model.fitting, size))
    return size if takes(model, size, layer) else own


def excited(layer: Layer, units: Sequence[int]) -> Objective:
    """The mean of a unit over all positions and that over the strongest quarter of them, added."""
    return past_relus(unit(layer.module, units) + unit(layer.module, units, 0.25))


def views_of(model: Model, layer: Layer, size: tuple[int, int]) -> Transform:
    """Small random changes, ending at the network's own size where the layer takes no other."""
    # Views are of many sizes. One that fits would not tell: a layer may want even sides, say.
    step = max(1, model.trial.get("step", 1))
    larger = [tuple(model.fitting(side * 1.25) + i * step for side in size) for i in range(4)]
    free = layer.height * layer.width > 1 and all(takes(model, tried, layer) for tried in larger)
    return robust(None if free else model.preprocess.size, min(1.0, min(size) / LEAST), model.fitting)


def largest(model: Model, layer: Layer, pictures: np.ndarray, units: Sequence[int]) -> np.ndarray:
    """Of (n, h, w, c) uint8 pictures, a unit each, the largest value over all positions: (n,) float32."""
    maps = read(model, model.pictures(list(pictures)), [layer.module])[layer.module]
    own = maps[torch.arange(len(maps)), torch.tensor(units)]
    return own.reshape(len(own), -1).amax(1).float().cpu().numpy()

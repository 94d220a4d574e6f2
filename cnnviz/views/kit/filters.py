"""Filters of a first layer as pictures, and a description of the drawing."""

import numpy as np

from cnnviz.views.kit import colour
from cnnviz.views.kit.tiles import montage

GAP = 1  # pixels between filters, and between channels of a filter
MOST_CHANNELS = 8  # largest number of channels that are drawn separately


def tiles(weights: np.ndarray, per_filter: bool) -> np.ndarray:
    """(units, c, h, w) weights → (units, h, W, 3 or 4) uint8, a picture per filter.

    Three channels are red, green and blue. Other numbers are grey: up to MOST_CHANNELS of them side by side with
    transparent gaps, more as their mean. per_filter: each filter is symmetric about 0 to its own largest magnitude;
    else smallest to largest of the layer.
    """
    shown = drawn(weights)
    whole = colour.min_max(shown)
    levels = np.stack([(colour.symmetric(w, colour.GREY) if per_filter else whole).grey(w) for w in shown])
    if weights.shape[1] == 3:
        return levels.transpose(0, 2, 3, 1)
    grey = np.repeat(levels[..., None], 3, axis=4)  # (units, channels, h, w, 3)
    return grey[:, 0] if grey.shape[1] == 1 else np.stack([montage(channels, len(channels), GAP) for channels in grey])


def drawn(weights: np.ndarray) -> np.ndarray:
    """The drawn weights: all, or the mean of too many channels, (units, 1, h, w)."""
    return weights if weights.shape[1] <= MOST_CHANNELS else weights.mean(1, keepdims=True)


def as_what(channels: int) -> str:
    """How filters with this number of input channels are drawn, in words."""
    if channels == 3:
        return "as red, green and blue"
    if channels == 1:
        return "grey, as the input is"
    if channels <= MOST_CHANNELS:
        return f"its {channels} input channels side by side, each grey"
    return f"grey, averaged over the {channels} input channels"

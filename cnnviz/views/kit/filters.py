"""Filters of a first layer as pictures, and a description of the drawing."""

import numpy as np

from cnnviz.views.kit import colour, findings
from cnnviz.views.kit.findings import Finding, Measured
from cnnviz.views.kit.tiles import montage

GAP = 1  # pixels between filters, and between channels of a filter
MARGIN = 0.1  # a correlation of neighbouring weights is found beyond this, above the control
SMOOTH = 0.3  # from this correlation on, kernels are called smooth
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


def smoothness(weights: np.ndarray) -> np.ndarray:
    """(units, c, h, w) → correlation of neighbouring weights of each unit's kernels, horizontally and vertically.

    Units with flat kernels are left out, and all of them if a kernel is a single weight.
    """
    units, channels, height, width = weights.shape
    pairs = channels * (height * (width - 1) + width * (height - 1))
    centred = weights - weights.mean((2, 3), keepdims=True, dtype=float)
    power = np.square(centred).mean((1, 2, 3))
    if not pairs:
        return np.empty(0)
    across = (centred[..., 1:] * centred[..., :-1]).sum((1, 2, 3))
    down = (centred[..., 1:, :] * centred[..., :-1, :]).sum((1, 2, 3))
    told = power > 1e-12 * max(float(np.square(weights, dtype=float).mean()), 1e-300)
    return (across + down)[told] / pairs / power[told]


def found(weights: np.ndarray, key: str, what: str, figure: str) -> tuple[Finding, Measured | None]:
    """Whether the kernels of a layer are smoother than the same weights in random order.

    In random order two different weights of a kernel of n correlate by −1 / (n − 1) on average, exactly. what: the
    kernels in words, "Filters of conv1".
    """
    each, size = smoothness(weights), weights.shape[2] * weights.shape[3]
    if len(each) < 2:
        words = f"{what} have a single weight for each input" if size == 1 else "Fewer than two of them differ from 0"
        return Finding(key, f"{words}: nothing can be said about smoothness.", findings.NOT, figure=figure), None
    mean, low, high = findings.mean_interval(each)
    control, low, high = -1 / (size - 1), max(low, -1.0), min(high, 1.0)
    strength = findings.strength(low - control, high - control, MARGIN)
    smooth = "are smooth" if mean > SMOOTH else "are smoother than noise"
    verdict = {findings.FOUND: smooth, findings.WEAK: "are hardly smoother than noise"}.get(strength, "look like noise")
    finding = Finding(
        key, f"{what} {verdict}: neighbouring weights correlate by {mean:.2f}.".replace("-", "−"), strength,
        f"{findings.span(low - control, high - control)} above the control",
        f"{control:.2f}, the same weights in random order".replace("-", "−"), f"{len(each)} units", figure,
    )  # fmt: skip
    low, effect, high = ((value - control) / (1 - control) for value in (low, mean, high))
    return finding, Measured(f"correlation {mean:.2f}", effect, max(low, -1.0), high)

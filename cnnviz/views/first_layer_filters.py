"""First-layer filters as tiles: one range for the whole layer, and one range a filter."""

import numpy as np

from cnnviz.result import Result
from cnnviz.views import colour, section
from cnnviz.views.section import Context, Paper, Subject

GAP = 1


def tiles(weights: np.ndarray, per_filter: bool) -> np.ndarray:
    """(units, c, h, w) weights → (units, h, w, 3) uint8. Three channels are a colour; else the channels' mean is grey.

    per_filter: each filter symmetric about 0 to its own largest magnitude; else smallest to largest of the layer.
    """
    shown = weights if weights.shape[1] == 3 else weights.mean(1, keepdims=True)
    whole = colour.min_max(shown)
    levels = np.stack([(colour.symmetric(w, "gray") if per_filter else whole).grey(w) for w in shown])
    return np.broadcast_to(levels.transpose(0, 2, 3, 1), (*levels.transpose(0, 2, 3, 1).shape[:3], 3))


def montage(pictures: np.ndarray, columns: int, gap: int = GAP) -> np.ndarray:
    """(n, h, w, 3) tiles in reading order, with transparent gaps: (H, W, 4) uint8."""
    n, h, w, _ = pictures.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap, 4), np.uint8)
    for i, tile in enumerate(pictures):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        sheet[y : y + h, x : x + w, :3] = tile
        sheet[y : y + h, x : x + w, 3] = 255
    return sheet


def view(result: Result, context: Context) -> dict:
    weights = result.arrays["weights"]
    units, channels, height, width = weights.shape
    layer = result.numbers["layer"]
    columns = max(1, round((units * 1.6) ** 0.5))
    scale = max(1, min(8, 760 // (columns * (width + GAP))))
    what = "as red, green and blue" if channels == 3 else f"averaged over its {channels} input channels"
    subjects = (Subject("layer", layer),)
    common = {"data": "weights", "subjects": subjects, "scale": scale, "pixelated": True}
    return {
        "figures": (
            context.picture(
                "per-filter",
                montage(tiles(weights, per_filter=True), columns),
                alt=f"{units} filters of {height} by {width} pixels in {columns} columns, each at full contrast.",
                caption=f"All {units} filters of {layer}, {height} × {width} weights each, {what}; every filter has "
                "its own range, so weak ones are as visible as strong ones.",
                mapping="each filter symmetric about 0 to its own largest magnitude; mid-grey is 0; enlarged by "
                "repeating pixels",
                **common,
            ),
            context.picture(
                "shared-range",
                montage(tiles(weights, per_filter=False), columns),
                alt=f"The same {units} filters with one range: strong filters stand out, weak ones are near grey.",
                caption="The same filters with one range for the whole layer: what is grey here has small weights.",
                mapping=colour.min_max(weights if channels == 3 else weights.mean(1)).words,
                **common,
            ),
        ),
        "metrics": (section.Metric("filters", units),),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="first_layer_filters",
        title="First-layer filters",
        question="What does the network look for first, in the pixels themselves?",
        how_to_read="A filter answers most strongly to a patch that looks like it. Oriented light–dark stripes are "
        "edge detectors, coloured blobs answer to colour. Smooth, varied filters are a sign of a well-trained network.",
        do_not_conclude="Noisy filters do not prove a bad network: a small learning rate, little weight decay or "
        "short training leave noise in weights that hardly matter. Only the first layer can be read this way.",
        equation="score(x) = Σ w · x + b",
        papers=(
            Paper(
                "A. Krizhevsky, I. Sutskever, G. Hinton",
                2012,
                "ImageNet Classification with Deep Convolutional Neural Networks",
                "NeurIPS",
                "https://doi.org/10.1145/3065386",
            ),
        ),
    )

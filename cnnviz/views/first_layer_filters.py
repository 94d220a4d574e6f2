"""First-layer filters as tiles: one range for the whole layer, and one range a filter."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.section import Context, Subject

GAP = 1
STRIP_GAP = 4  # between filters that are rows of tiles themselves
MOST_CHANNELS = 8  # drawn one by one
SIDE = 760  # of a sheet at most, in CSS pixels


def tiles(weights: np.ndarray, per_filter: bool) -> np.ndarray:
    """(units, c, h, w) weights → (units, h, W, 3 or 4) uint8, a picture a filter.

    Three channels are red, green and blue. Another number are grey: up to MOST_CHANNELS of them side by side with
    transparent gaps, more as their mean. per_filter: each filter symmetric about 0 to its own largest magnitude; else
    smallest to largest of the layer.
    """
    shown = drawn(weights)
    whole = colour.min_max(shown)
    levels = np.stack([(colour.symmetric(w, colour.GREY) if per_filter else whole).grey(w) for w in shown])
    if weights.shape[1] == 3:
        return levels.transpose(0, 2, 3, 1)
    grey = np.repeat(levels[..., None], 3, axis=4)  # (units, channels, h, w, 3)
    return grey[:, 0] if grey.shape[1] == 1 else np.stack([montage(channels, len(channels)) for channels in grey])


def drawn(weights: np.ndarray) -> np.ndarray:
    """The weights that are drawn: all, or the mean of too many channels, (units, 1, h, w)."""
    return weights if weights.shape[1] <= MOST_CHANNELS else weights.mean(1, keepdims=True)


def montage(pictures: np.ndarray, columns: int, gap: int = GAP) -> np.ndarray:
    """(n, h, w, 3 or 4) tiles in reading order, with transparent gaps: (H, W, 4) uint8."""
    n, h, w, bands = pictures.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap, 4), np.uint8)
    for i, tile in enumerate(pictures):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        sheet[y : y + h, x : x + w, 3] = 255
        sheet[y : y + h, x : x + w, :bands] = tile
    return sheet


def as_what(channels: int) -> str:
    """How filters of so many input channels are drawn, in words."""
    if channels == 3:
        return "as red, green and blue"
    if channels == 1:
        return "grey, as the input is"
    if channels <= MOST_CHANNELS:
        return f"its {channels} input channels side by side, each grey"
    return f"grey, averaged over the {channels} input channels"


def view(result: Result, context: Context) -> dict:
    weights = result.arrays["weights"]
    units, channels, height, width = weights.shape
    layer = result.numbers["layer"]
    each, shared = tiles(weights, per_filter=True), tiles(weights, per_filter=False)
    gap = GAP if channels in (1, 3) or channels > MOST_CHANNELS else STRIP_GAP
    pitch = each.shape[2] + gap
    columns = max(1, round((units * 1.6 * (height + gap) / pitch) ** 0.5))
    scale = max(2, min(8, SIDE // (columns * pitch)))  # many large filters, as a ViT's, get more rows instead
    columns = max(1, min(columns, SIDE // (pitch * scale)))
    # a patch embedding cuts the picture into squares and looks at each once
    patches = min(height, width) > 1 and list(result.numbers["stride"]) == [height, width]
    apart = (
        f" Its stride is the filter's size: the picture is cut into patches of {height} × {width}, each seen once."
        if patches
        else ""
    )
    common = {"data": "weights", "subjects": (Subject("layer", layer),), "scale": scale, "pixelated": True}
    common["from_dataset"] = False
    return {
        "figures": (
            context.picture(
                "per-filter",
                montage(each, columns, gap),
                alt=f"{units} filters of {height} by {width} pixels in {columns} columns, each at full contrast.",
                caption=f"All {units} filters of {layer}, {height} × {width} weights each, {as_what(channels)}; every "
                f"filter has its own range, so weak ones are as visible as strong ones.{apart}",
                mapping="each filter symmetric about 0 to its own largest magnitude; mid-grey is 0; enlarged by "
                "repeating pixels",
                **common,
            ),
            context.picture(
                "shared-range",
                montage(shared, columns, gap),
                alt=f"The same {units} filters with one range: strong filters stand out, weak ones are near grey.",
                caption="The same filters with one range for the whole layer: what is grey here has small weights.",
                mapping=colour.min_max(drawn(weights)).words + "; enlarged by repeating pixels",
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
        tour="The weights that touch the pixels: edges and colours, if anything was learnt.",
        how_to_read="A filter answers most strongly to a patch that looks like it. Oriented light–dark stripes are "
        "edge detectors, coloured blobs answer to colour. Smooth, varied filters are a sign of a well-trained network.",
        do_not_conclude="Noisy filters do not prove a bad network: a small learning rate, little weight decay or "
        "short training leave noise in weights that hardly matter. Only the first layer can be read this way.",
        equation="score(x) = Σ w · x + b",
        papers=(papers.KRIZHEVSKY_2012,),
    )

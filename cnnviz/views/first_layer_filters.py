"""First-layer filters as tiles: with one range for the whole layer, and with one range per filter."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.filters import as_what, drawn, found, tiles
from cnnviz.views.kit.section import Context, Subject
from cnnviz.views.kit.tiles import montage

WIDTH, WIDE, HEIGHT = 760, 600, 520  # of a sheet in CSS pixels; many large filters, as of a ViT, have more rows
LARGEST, SMALLEST, BETWEEN = 160, 2, 6  # side of a filter, that of a weight, and the gap between filters
NEAR = 0.8  # share of the largest zoom that is given up for full rows
SMALL = 3  # a kernel up to this side holds no stripes


def layout(count: int, height: int, width: int) -> tuple[int, int]:
    """Columns, and CSS pixels per weight, with which ``count`` filters (height × width weights) fill a sheet best.

    Of the whole zooms with which all fit and that are near the largest, it takes one that leaves the fewest places
    empty, of a sheet that is wide if there is one.
    """

    def zoom(columns: int) -> int:
        rows = -(-count // columns)
        across = (WIDTH - (columns - 1) * BETWEEN) // (columns * width)
        down = (HEIGHT - (rows - 1) * BETWEEN) // (rows * height)
        return min(across, down, max(SMALLEST, LARGEST // max(height, width)))

    largest = max(map(zoom, range(1, count + 1)))
    if largest >= SMALLEST:
        near = [n for n in range(1, count + 1) if zoom(n) >= NEAR * largest]
        columns = max(near, key=lambda n: (n * (width * zoom(n) + BETWEEN) >= WIDE, -(-count % n), zoom(n), n))
        return columns, zoom(columns)
    return max(1, (WIDTH + BETWEEN) // (SMALLEST * width + BETWEEN)), SMALLEST


def view(result: Result, context: Context) -> dict:
    weights = result.arrays["weights"]
    units, channels, height, width = weights.shape
    layer = result.numbers["layer"]
    each, shared = tiles(weights, per_filter=True), tiles(weights, per_filter=False)
    columns, zoom = layout(units, height, each.shape[2])
    # a patch embedding splits the picture into squares and reads each once
    patches = min(height, width) > 1 and list(result.numbers["stride"]) == [height, width]
    apart = (
        f" Its stride is the filter's size: the picture is cut into patches of {height} × {width}, each seen once."
        if patches
        else ""
    )
    common = {"data": "weights", "subjects": (Subject("layer", layer),), "pixelated": True}
    common["from_dataset"] = False
    said, measured = found(weights, "smoothness of the first layer", f"The filters of {layer}", "per-filter")
    return {
        "findings": (said,),
        "measured": {said.key: measured} if measured else {},
        "figures": (
            context.picture(
                "per-filter",
                _sheet(each, columns, zoom),
                alt=f"{units} filters of {height} by {width} pixels in {columns} columns, each at full contrast.",
                caption=f"All {units} filters of {layer}, {height} × {width} weights each, {as_what(channels)}; every "
                f"filter has its own range, so weak ones are as visible as strong ones.{apart}",
                mapping="each filter symmetric about 0 to its own largest magnitude; mid-grey is 0; enlarged by "
                "repeating pixels",
                **common,
            ),
            context.picture(
                "shared-range",
                _sheet(shared, columns, zoom),
                alt=f"The same {units} filters with one range: strong filters stand out, weak ones are near grey.",
                caption="The same filters with one range for the whole layer: what is grey here has small weights.",
                mapping=colour.min_max(drawn(weights)).words + "; enlarged by repeating pixels",
                **common,
            ),
        ),
        "metrics": (section.Metric("filters", units),),
        "how_to_read": HOW_TO_READ if max(height, width) > SMALL else OF_SMALL,
    }


def _sheet(filters: np.ndarray, columns: int, zoom: int) -> np.ndarray:
    """Filters (n, h, w, 3 or 4) as a :func:`montage`, each weight ``zoom`` × ``zoom`` pixels."""
    return montage(filters.repeat(zoom, 1).repeat(zoom, 2), columns, BETWEEN)


HOW_TO_READ = (
    "A filter answers most strongly to a patch that looks like it: stripes to edges, coloured blobs to colour. Noise "
    "in place of both says that little was learnt here."
)
OF_SMALL = (
    "A filter answers most strongly to a patch that looks like it: light beside dark to an edge, one colour to that "
    "colour. So small a filter has no room for stripes."
)


if __name__ == "__main__":
    section.run(
        view,
        id="first_layer_filters",
        title="First-layer filters",
        question="What does the network look for first, in the pixels themselves?",
        tour="The weights that touch the pixels: edges and colours, if anything was learnt.",
        how_to_read=HOW_TO_READ,
        do_not_conclude="Noisy filters do not prove a bad network: a small learning rate or short training leaves "
        "noise in weights that hardly matter. Smooth filters do not prove a good one: they can be smooth from the "
        "start. Only the first layer can be read this way.",
        equation="score(x) = Σ w · x + b",
        papers=(papers.KRIZHEVSKY_2012,),
    )

"""First-layer filters as tiles: with one range for the whole layer, and with one range per filter."""

from dataclasses import replace

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, kernels, section
from cnnviz.views.kit.filters import as_what, drawn, found, tiles
from cnnviz.views.kit.section import Context, Subject
from cnnviz.views.kit.tiles import FRAME, montage

WIDTH, WIDE, HEIGHT = 760, 600, 520  # of a sheet in CSS pixels; many large filters, as of a ViT, have more rows
LARGEST, SMALLEST, BETWEEN = 160, 2, 6  # side of a filter, that of a weight, and the gap between filters
NEAR = 0.8  # share of the largest zoom that is given up for full rows
NEARLY, EDGE = 0.05, 3  # largest share of the strongest filter's norm that hardly weighs, and width of its frame
WEAK, MARKED = "with hardly any weight", " Orange frame: hardly any weight."
KINDS = ("colour", "even brightness", "edge", "spot", "stripe")  # after colour, in the order of kernels.PARTS
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
    are = np.array(kinds(weights))
    weak = np.flatnonzero(are == WEAK)
    counted = ", ".join(f"{n} {kind}" for kind in (*KINDS, WEAK) if (n := int((are == kind).sum())))
    listed = "; ".join(f"{kind}: {_units(are == kind)}" for kind in (*KINDS, WEAK) if (are == kind).any())
    said, measured = found(weights, "smoothness of the first layer", f"The filters of {layer}", "per-filter")
    return {
        "findings": (said,),
        "measured": {said.key: measured} if measured else {},
        "figures": (
            context.picture(
                "per-filter",
                _framed(_sheet(each, columns, zoom), weak, columns, each.shape[1] * zoom, each.shape[2] * zoom),
                alt=f"{units} filters of {height} by {width} pixels in {columns} columns, each at full contrast: "
                f"{counted}.",
                caption=f"All {units} filters of {layer}, {height} × {width} weights each, {as_what(channels)}: "
                f"{counted}. Every filter has its own range.{apart}" + (MARKED if len(weak) else ""),
                more=listed,
                mapping="each filter symmetric about 0 to its own largest magnitude; mid-grey is 0; enlarged by "
                "repeating pixels",
                **common,
            ),
            replace(
                context.picture(
                    "shared-range",
                    _sheet(shared, columns, zoom),
                    alt=f"The same {units} filters with one range: strong filters stand out, weak ones are near grey.",
                    caption="The same filters with one range for the whole layer: what is grey here has small weights.",
                    mapping=colour.min_max(drawn(weights)).words + "; enlarged by repeating pixels",
                    **common,
                ),
                folded=True,
            ),
        ),
        "metrics": (section.Metric("filters", units),),
        "how_to_read": HOW_TO_READ if max(height, width) > SMALL else OF_SMALL,
    }


def kinds(weights: np.ndarray) -> list[str]:
    """What each filter (n, c, h, w) answers to: nearly nothing, a colour, or the largest part of its brightness kernel.

    A colour filter has most of its energy in differences of the channels.
    """
    energy = np.square(weights, dtype=float).sum((1, 2, 3))
    grey = weights.mean(1, keepdims=True, dtype=float)
    in_grey = np.square(grey).sum((1, 2, 3)) * weights.shape[1] / np.where(energy > 0, energy, 1)
    part = [kernels.PARTS[k] for k in kernels.energies(grey).sum(2).argmax(0)]
    little = NEARLY**2 * energy.max(initial=0)
    coloured = weights.shape[1] == 3
    return [
        WEAK if e <= little else "colour" if coloured and g < 0.5 else KINDS[1 + kernels.PARTS.index(kind)]
        for e, g, kind in zip(energy, in_grey, part, strict=True)
    ]


def _units(chosen: np.ndarray) -> str:
    return ", ".join(map(str, np.flatnonzero(chosen)))


def _framed(sheet: np.ndarray, which: np.ndarray, columns: int, height: int, width: int) -> np.ndarray:
    """The sheet with an orange frame in the gaps around these filters, or within its edge."""
    sheet = np.pad(sheet, ((EDGE, EDGE), (EDGE, EDGE), (0, 0))) if len(which) else sheet
    for i in which.tolist():
        y, x = i // columns * (height + BETWEEN), i % columns * (width + BETWEEN)
        frame = np.zeros(sheet.shape[:2], bool)
        frame[y : y + height + 2 * EDGE, x : x + width + 2 * EDGE] = True
        frame[y + EDGE : y + EDGE + height, x + EDGE : x + EDGE + width] = False
        sheet[frame] = (*FRAME, 255)[: sheet.shape[2]]
    return sheet


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

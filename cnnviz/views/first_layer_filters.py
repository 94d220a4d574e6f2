"""First-layer filters as tiles: with one range for the whole layer, and with one range per filter."""

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.filters import GAP, MOST_CHANNELS, as_what, drawn, found, tiles
from cnnviz.views.kit.section import Context, Subject
from cnnviz.views.kit.tiles import montage

STRIP_GAP = 4  # gap between filters that are rows of tiles
SIDE = 760  # largest side of a sheet in CSS pixels


def view(result: Result, context: Context) -> dict:
    weights = result.arrays["weights"]
    units, channels, height, width = weights.shape
    layer = result.numbers["layer"]
    each, shared = tiles(weights, per_filter=True), tiles(weights, per_filter=False)
    gap = GAP if channels in (1, 3) or channels > MOST_CHANNELS else STRIP_GAP
    pitch = each.shape[2] + gap
    columns = max(1, round((units * 1.6 * (height + gap) / pitch) ** 0.5))
    scale = max(2, min(8, SIDE // (columns * pitch)))  # many large filters, as of a ViT, have more rows instead
    columns = max(1, min(columns, SIDE // (pitch * scale)))
    # a patch embedding splits the picture into squares and reads each once
    patches = min(height, width) > 1 and list(result.numbers["stride"]) == [height, width]
    apart = (
        f" Its stride is the filter's size: the picture is cut into patches of {height} × {width}, each seen once."
        if patches
        else ""
    )
    common = {"data": "weights", "subjects": (Subject("layer", layer),), "scale": scale, "pixelated": True}
    common["from_dataset"] = False
    said, measured = found(weights, "smoothness of the first layer", f"The filters of {layer}", "per-filter")
    return {
        "findings": (said,),
        "measured": {said.key: measured} if measured else {},
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
        how_to_read="A filter answers most strongly to a patch that looks like it: stripes to edges, coloured blobs to "
        "colour. Noise in place of both says that little was learnt here.",
        do_not_conclude="Noisy filters do not prove a bad network: a small learning rate or short training leaves "
        "noise in weights that hardly matter. Smooth filters do not prove a good one: they can be smooth from the "
        "start. Only the first layer can be read this way.",
        equation="score(x) = Σ w · x + b",
        papers=(papers.KRIZHEVSKY_2012,),
    )

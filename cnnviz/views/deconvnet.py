"""Deconvnet: one neuron on three pictures, then units with their strongest patches and two backward passes of each."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import projections, section
from cnnviz.views.kit.findings import NOT, WEAK, Finding, Measured, mean_interval
from cnnviz.views.kit.projections import COLOURS, coloured, sheet_of
from cnnviz.views.kit.section import Context, Figure, Subject

WARNING = (
    "Of the picture, only the places of max-pooled maxima enter a deconvnet map; the rest is the network's weights. "
    "So it hardly explains a class (Nie et al. 2018). Colours are directions of change."
)
DECONVNET, GUIDED = "deconvnet", "guided"  # rules of cnnviz.network.relu
# Rows of a unit's figure: label, and the arrays of the projections and of their largest magnitudes.
ROWS = ((DECONVNET, "projection", "largest"), ("guided backprop", GUIDED, f"{GUIDED}_largest"))
SIDE = 200  # of a picture of the first figure, in pixels
SAME = 0.9  # cosine from which two maps are called the same
IGNORED = 0.995  # mean cosine from which nothing of the picture is said to enter


def view(result: Result, context: Context) -> dict:
    """One neuron on several pictures comes first; of the class scores one picture is enough, since they look alike."""
    return projections.view(
        result,
        context,
        WARNING,
        rows=ROWS,
        lit="",
        said=agreement,
        unit_finding=of_the_picture,
        lead=neuron_figure(result, context),
        most_classes=1,
    )


def neuron_figure(result: Result, context: Context) -> Figure | None:
    """The neuron of a unit's strongest patch on that picture and on two others: deconvnet above guided backprop.

    It is of the deeper layers' unit that the other pictures excite most, so that guided backprop has something to show.
    """
    chosen = _neuron(result)
    if chosen is None:
        return None
    layer, u = chosen
    name = layer["name"]
    kept = {what: result.arrays[f"{name}/{what}"][u] for what in ("unit", "image", "box", "projection", GUIDED)}
    again = {rule: result.arrays[f"{name}/again/{rule}"][u] for rule in (DECONVNET, GUIDED)}
    unit, (top, left, bottom, right) = int(kept["unit"]), kept["box"][0]
    images = [int(i) for i in kept["image"][: 1 + len(again[GUIDED])]]
    inputs, show = context.as_seen(result, images), context.image_set.config.get("show")
    rows = {"what the neuron sees": [inputs[i][top:bottom, left:right] for i in images]}
    for rule, (label, key, _) in zip(again, ROWS, strict=True):
        maps = [map[: bottom - top, : right - left].astype(np.float32) for map in (kept[key][0], *again[rule])]
        rows[label] = [coloured(map, context.show["percentile"], show) for map in maps]
    pictures = [context.image_set.pictures[i].name for i in images]
    pixels, places = sheet_of(rows, SIDE, [False] * len(images))
    return context.picture(
        "neuron",
        pixels,
        alt=f"{len(images)} pictures; below each the map of one neuron of {name} unit {unit}, by deconvnet and by "
        "guided backprop.",
        caption=f"One neuron of {context.unit(name, unit)} on {len(images)} pictures.{agreement(result, layer, u)}",
        mapping=f"maps: {COLOURS.format(percentile=context.show['percentile'])}",
        data=", ".join(f"{name}/{key}[{u}]" for key in ("projection", GUIDED, *(f"again/{rule}" for rule in again))),
        subjects=(Subject("unit", str(unit), name), Subject("layer", name), *(Subject("image", p) for p in pictures)),
        marks=[context.mark(image, "", box) for row in places for image, box in zip(images, row, strict=True)],
    )


def _neuron(result: Result) -> tuple[dict, int] | None:
    """Layer and index of the unit of :func:`neuron_figure`; None if no neuron has maps on three pictures."""
    deepest, ranks = max((layer["sites"] for layer in result.numbers["layers"]), default=0), []
    for i, layer in enumerate(result.numbers["layers"]):
        name = layer["name"]
        if not layer["sites"] or f"{name}/again/{GUIDED}" not in result.arrays:
            continue
        own = result.arrays[f"{name}/{GUIDED}_largest"][:, 0]
        others = result.arrays[f"{name}/again/{GUIDED}_largest"].min(1)
        drawn = (result.arrays[f"{name}/again/{DECONVNET}_largest"] > 0).all(1) & (np.minimum(own, others) > 0)
        deep = 2 * layer["sites"] >= deepest
        ranks += [(deep, min(1.0, float(others[u] / own[u])), i, int(u)) for u in np.flatnonzero(drawn)]
    return (result.numbers["layers"][max(ranks)[2]], max(ranks)[3]) if ranks else None


def agreement(result: Result, layer: dict, u: int) -> str:
    """How far a neuron's maps stay the same on another picture; "" where all maps are its weights, without a ReLU."""
    if not layer["sites"]:
        return ""
    deconvnet, guided = (result.arrays[f"{layer['name']}/elsewhere/{rule}"][u] for rule in (DECONVNET, GUIDED))
    if not np.isfinite(deconvnet):
        return " On another picture it has no map."
    beside = (
        f"by guided backprop {max(0, guided):.2f}" if np.isfinite(guided) else "guided backprop's is 0 on one of them"
    )
    return f" Its maps on two pictures agree by {max(0, deconvnet):.2f}, {beside}."


def of_the_picture(result: Result, title: str, figure: str) -> tuple[Finding, dict[str, Measured]] | None:
    """In how many layers a neuron's map is the same on another picture; guided backprop's maps are the control."""
    same, means, controls, measured = [], [], [], {}
    for layer in result.numbers["layers"]:
        name = layer["name"]
        own, guided = (result.arrays[f"{name}/elsewhere/{rule}"] for rule in (DECONVNET, GUIDED))
        own, guided = own[np.isfinite(own)], guided[np.isfinite(guided)]
        if not layer["sites"] or len(own) < 2:
            continue
        mean, low, high = mean_interval(own)
        beside = f", guided {guided.mean():.2f}" if len(guided) else ""
        measured[f"{title} of one neuron: {name}"] = Measured(f"{mean:.2f}{beside}", 1 - mean, 1 - high, 1 - low)
        same.append(low >= SAME)
        means.append(float(mean))
        controls += guided.tolist()
    if not means or not controls:
        return None
    own, guided = float(np.mean(means)), float(np.mean(controls))
    if own >= IGNORED:
        which = "Deconvnet ignores the picture: maps of one neuron on two pictures"
    elif any(same):
        several = f"all {len(same)}" if all(same) else f"{sum(same)} of {len(same)}"
        which = f"In {several} layers deconvnet draws a neuron the same on any picture: maps on two pictures"
    else:
        which = "Deconvnet's map of a neuron depends on the picture: maps on two pictures"
    return Finding(
        f"{title} of one neuron",
        f"{which} agree by {own:.2f}, guided backprop's by {guided:.2f}.",
        NOT if all(same) else WEAK,  # with random weights, too, the pools have maxima
        f"agree by {max(0.0, min(means)):.2f} to {max(means):.2f}, layer by layer; 1 is the same map",
        f"guided backprop of the same neurons: {guided:.2f}",
        f"{len(means)} layers behind a ReLU",
        figure,
    ), measured


if __name__ == "__main__":
    section.run(
        view,
        id="deconvnet",
        title="Deconvnet",
        question="What in its strongest patches does each unit respond to?",
        tour="The first such maps, beside guided backprop's, which came after.",
        how_to_read="Each column is one picture or patch, with the way back to its pixels by two methods below. If "
        "deconvnet's row repeats itself, it shows the weights and not the picture: then read guided backprop's.",
        do_not_conclude=WARNING,
        equation="at y = max(0, x) the gradient g goes back as g · [g > 0]",
        papers=(papers.ZEILER_2014, papers.SIMONYAN_2014, papers.NIE_2018),
    )

"""Deconvnet: units with their strongest patches, and what three backward passes make of each; then classes."""

from functools import partial

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import projections, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import NOT, WEAK, Finding, Measured, mean_interval
from cnnviz.views.kit.patches import over_the_edge, patches_that_excite
from cnnviz.views.kit.projections import coloured, range_words, window
from cnnviz.views.kit.section import Context, Figure, Subject
from cnnviz.views.kit.tiles import BETWEEN, LABEL, cell, labelled, montage

WARNING = (
    "Of the picture, only the places of max-pooled maxima enter a deconvnet map; the rest is the network's weights. "
    "Without max-pooling it is the same for every picture. Deconvnet partly restores the picture and hardly "
    "explains a class (Nie et al. 2018). Colours are directions of change."
)
DECONVNET, GUIDED, GRADIENT = "deconvnet", "guided", "gradient"  # rules of cnnviz.network.relu
# The columns: label, and the arrays of the projection and of its largest magnitude.
COLUMNS = (
    ("guided backprop", GUIDED, f"{GUIDED}_largest"),
    ("deconvnet", "projection", "largest"),
    ("plain gradient", GRADIENT, f"{GRADIENT}_largest"),
)
SIDE, GAP = 132, 3
SAME = 0.9  # cosine from which two maps are called the same


def unit_figure(result: Result, context: Context, layer: dict, u: int, inputs: dict[int, np.ndarray]) -> Figure | None:
    """A unit's patches, one per row, each beside its projections; None if deconvnet gives nothing for any of them."""
    name, percentile = layer["name"], context.show["percentile"]
    names = ("unit", "image", "value", "box", "border", *(key for column in COLUMNS for key in column[1:]))
    kept = {what: result.arrays[f"{name}/{what}"][u] for what in names}
    unit, box = int(kept["unit"]), kept["box"]
    seen = [p for p in np.flatnonzero(kept["image"] >= 0) if (box[p, 2:] > box[p, :2]).all()]
    if not kept["largest"][seen].any():
        return None
    patches, maps = _cut(kept, seen, inputs)
    edge = kept["border"][seen]
    columns = [[cell(patch, SIDE, bool(over)) for patch, over in zip(patches, edge, strict=True)]]
    for column in maps:
        shown = [coloured(map, percentile, context.image_set.config.get("show")) for map in column]
        columns.append([cell(map, SIDE, False) for map in shown])
    some, values = patches_that_excite(len(seen)), ", ".join(number(value) for value in kept["value"][seen])
    outside, pictures = (
        over_the_edge(int(edge.sum())),
        [context.image_set.pictures[kept["image"][p]].name for p in seen],
    )
    ends = np.concatenate([kept[largest][seen] for _, _, largest in COLUMNS])
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        labelled([montage(np.stack(column), 1, GAP) for column in columns], ["patch", *(c[0] for c in COLUMNS)]),
        alt=f"One below the other {some} {name} unit {unit} most; beside each, on grey, three projections of the "
        f"unit's neuron.{outside}",
        caption=f"{context.unit(name, unit)}.{_agreement(result, layer, u)}",
        more=f"The first column holds {some} it most ({values}), cut to where guided backprop has 98 % of its energy. "
        f"The others are the projections of the neuron that won there.{outside}",
        mapping="patches: the input's own pixels, in an orange frame if the neuron sees over the picture's edge; "
        "projections, column by column: "
        + range_words([map for column in maps for map in column], ends, percentile)
        + " (values of the neuron per unit of pixel value)",
        data=f"{name}/guided[{u}], {name}/projection[{u}], {name}/gradient[{u}], {name}/box[{u}]",
        subjects=(Subject("unit", str(unit), name), Subject("layer", name), *(Subject("image", p) for p in pictures)),
        group=name,
        marks=[
            context.mark(
                int(kept["image"][p]),
                f"activation {number(kept['value'][p])}",
                (column * (SIDE + BETWEEN), LABEL + row * (SIDE + GAP), SIDE, SIDE),
            )
            for row, p in enumerate(seen)
            for column in range(len(columns))
        ],
    )


def _cut(kept: dict[str, np.ndarray], seen: list[int], inputs: dict[int, np.ndarray]) -> tuple[list, list[list]]:
    """A unit's patches ``seen`` and their projections in the order of COLUMNS, cut to what guided backprop shows."""
    patches, maps = [], [[] for _ in COLUMNS]
    for p in seen:
        top, left, bottom, right = kept["box"][p]
        patches.append(inputs[int(kept["image"][p])][top:bottom, left:right])
        for column, (_, key, _) in zip(maps, COLUMNS, strict=True):
            whole = kept[key][p, : bottom - top, : right - left].astype(np.float32)
            column.append(whole / 127 if kept[key].dtype == np.int8 else whole)
    parts = window(maps[0] if any(map.any() for map in maps[0]) else maps[-1])
    cut = [[whole[part] for whole, part in zip(column, parts, strict=True)] for column in (patches, *maps)]
    return cut[0], cut[1:]


def _agreement(result: Result, layer: dict, u: int) -> str:
    """How far the maps of a unit's neurons stay the same on another picture."""
    if not layer["sites"]:
        return " No ReLU lies on the way: all three are the unit's weights."
    deconvnet, guided = (result.arrays[f"{layer['name']}/elsewhere/{rule}"][u] for rule in (DECONVNET, GUIDED))
    if not np.isfinite([deconvnet, guided]).all():
        return ""
    return (
        f" On another picture the first neuron's map agrees by {max(0, deconvnet):.2f}, by guided backprop "
        f"{max(0, guided):.2f}."
    )


def of_the_picture(result: Result, title: str, figures: dict[str, str]) -> tuple[Finding, dict[str, Measured]] | None:
    """In how many layers a neuron's map is the same on another picture; guided backprop's maps are the control."""
    same, every, shown, measured = [], [], [], {}
    for layer in result.numbers["layers"]:
        name = layer["name"]
        own, guided = (result.arrays[f"{name}/elsewhere/{rule}"] for rule in (DECONVNET, GUIDED))
        both = np.isfinite(own) & np.isfinite(guided)
        if not layer["sites"] or both.sum() < 2:
            continue
        mean, low, high = mean_interval(own[both])
        every.append((float(mean), float(guided[both].mean())))
        key = f"{title} of one neuron: {name}"
        measured[key] = Measured(f"{mean:.2f}, guided {every[-1][1]:.2f}", 1 - mean, 1 - high, 1 - low)
        same.append(low >= SAME)
        shown.append(name)
    if not every:
        return None
    (own, guided), least, most = np.mean(every, 0), max(0.0, np.min(every, 0)[0]), np.max(every, 0)[0]
    proof = shown[-1] if all(same) else shown[int(np.argmin([mean for mean, _ in every]))]
    which = (
        f"In {'all' if all(same) else f'{sum(same)} of'} {len(same)} layers deconvnet draws a neuron the same, "
        "whatever the picture"
        if any(same)
        else "Deconvnet's map of a neuron depends on the picture"
    )
    return Finding(
        f"{title} of one neuron",
        f"{which}: maps on two pictures agree by {own:.2f} on average, guided backprop's by {guided:.2f}.",
        NOT if all(same) else WEAK,  # with random weights, too, the pools have maxima
        f"agree by {least:.2f} to {most:.2f}; 1 is the same map",
        f"guided backprop of the same neurons: {guided:.2f}",
        f"{len(every)} layers; the first is left out, whose maps are its weights",
        figures.get(proof, ""),
    ), measured


if __name__ == "__main__":
    section.run(
        partial(projections.view, do_not_conclude=WARNING, unit_figure=unit_figure, unit_finding=of_the_picture),
        id="deconvnet",
        title="Deconvnet",
        question="What in its strongest patches does each unit respond to?",
        tour="The first such maps, beside the two that came after.",
        how_to_read="Each row is one of a unit's strongest patches; beside it are three ways back to its pixels. If "
        "deconvnet's column repeats itself, it shows the weights, not the patch: then compare guided backprop's.",
        do_not_conclude=WARNING,
        equation="at y = max(0, x) the gradient g goes back as g · [g > 0]",
        papers=(papers.ZEILER_2014, papers.SIMONYAN_2014, papers.NIE_2018),
    )

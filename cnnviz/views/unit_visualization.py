"""Unit visualisations: sheets with every unit's picture, and some units beside their best real patch."""

from math import ceil

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.patches import patch
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import COLUMNS, cell, fitted, labelled

MOST_FIGURES = 190  # a page shows at most 200 pictures
MOST_SHEETS = 60
SIDE, SMALL, GAP = 224, 150, 12  # side of a picture in pixels, beside its patch and on a sheet


def view(result: Result, context: Context) -> dict:
    counts = [len(_of(result, layer, "unit")) for layer in result.numbers["layers"]]
    figures = _figures(result, context, counts)
    covers = [figure.id for figure in figures if "sheet" in figure.id]
    better = [_of(result, layer, "value") > _of(result, layer, "best") for layer in result.numbers["layers"]]
    share = float(np.mean(np.concatenate(better)))
    return {
        "figures": tuple(figures),
        "cover": covers[len(covers) * 2 // 3],
        "tables": (_layers(result),),
        "metrics": (
            Metric("units", sum(counts)),
            Metric("units_excited_more_than_by_real_pictures", share, "share", "higher"),
        ),
    }


def _of(result: Result, layer: dict, what: str) -> np.ndarray:
    return result.arrays[f"{layer['name']}/{what}"]


def _figures(result: Result, context: Context, counts: list[int]) -> list[Figure]:
    """Sheets with all units of each layer, and some units by themselves, up to the page's limit."""
    layers = result.numbers["layers"]
    a_sheet = max(4, ceil(sum(counts) / MOST_SHEETS / COLUMNS)) * COLUMNS
    sheets = sum(ceil(count / a_sheet) for count in counts)
    each = min(context.show.get("units", 6), max(0, MOST_FIGURES - sheets) // len(layers))
    pictures = context.as_seen(result, [i for layer in layers for i in _of(result, layer, "image")[:each]])
    figures = []
    for layer, count in zip(layers, counts, strict=True):
        for first in range(0, count, a_sheet):
            figures.append(_sheet_figure(result, context, layer["name"], range(first, min(first + a_sheet, count))))
        for i, image in enumerate(_of(result, layer, "image")[:each].tolist()):
            figures.append(_unit_figure(result, context, layer, i, pictures.get(image)))
    return figures


def _layers(result: Result) -> Table:
    """Comparison of a layer's synthetic pictures with real ones."""
    rows = []
    for layer in result.numbers["layers"]:
        value, best = _of(result, layer, "value"), _of(result, layer, "best")
        living = best > 0
        ratio = float(np.median(value[living] / best[living])) if living.any() else 0.0
        _, height, width, _ = _of(result, layer, "pictures").shape
        shown, better = f"{len(value)} of {layer['units']}", f"{(value > best).mean():.0%}"
        rows.append((layer["name"], shown, f"{height} × {width}", better, round(ratio, 2)))
    return Table(
        "layers",
        "Both numbers of a unit are its largest value anywhere in a picture: in the synthetic one as published "
        f"(8 bits), and in the best of {result.numbers['pictures']} real ones.",
        ("layer", "units shown", "pixels", "excited more than by any real picture", "times as much (median)"),
        tuple(rows),
    )


def _sheet_figure(result: Result, context: Context, name: str, part: range) -> Figure:
    pictures = context.rgb(result.arrays[f"{name}/pictures"][part])
    unit, value, best = (result.arrays[f"{name}/{what}"][part] for what in ("unit", "value", "best"))
    labels = [f"unit {u}: {v / b:.1f}x" if b > 0 else f"unit {u}" for u, v, b in zip(unit, value, best, strict=True)]
    return context.picture(
        f"{slug(name)}-sheet-{part[0]}",
        labelled([fitted(picture, SMALL) for picture in pictures], labels),
        alt=f"Synthetic pictures for {len(unit)} units of {name}, in rows of {min(COLUMNS, len(unit))}.",
        caption=f"{name}: a picture for each of {len(unit)} units, made from noise to excite it, the most selective "
        "units first. The number after the unit's says how many times as strongly its picture excites it as the best "
        f"real one ({(value > best).mean():.0%} of these are above 1).",
        mapping="the pictures themselves: levels 0 … 255 are what was optimised; "
        f"{pictures.shape[1]} × {pictures.shape[2]} pixels, shown at {SMALL}",
        data=f"{name}/pictures[{part[0]}:{part[-1] + 1}]",
        subjects=(Subject("layer", name), *(Subject("unit", str(u), name) for u in unit)),
        group=name,
        lossless=False,
        from_dataset=False,
    )


def _unit_figure(result: Result, context: Context, layer: dict, i: int, picture: np.ndarray | None) -> Figure:
    name = layer["name"]
    unit, value, best, image, box, border = (
        result.arrays[f"{name}/{what}"][i] for what in ("unit", "value", "best", "image", "box", "border")
    )
    synthetic = context.rgb(result.arrays[f"{name}/pictures"][i])
    pair = np.zeros((SIDE, 2 * SIDE + GAP, 4), np.uint8)
    pair[:, :SIDE] = fitted(synthetic, SIDE)
    crop = patch(picture, box, tuple(result.numbers["size"])) if picture is not None else np.zeros((0, 0, 3), np.uint8)
    whole = tuple(box) == (0, 0, *result.numbers["size"])
    if crop.size:
        pair[:, SIDE + GAP :] = cell(crop, SIDE, bool(border) and not whole)
    shown = context.image_set.pictures[image].name if image >= 0 else ""
    times = f", {value / best:.1f} times as much" if best > 0 else ""
    edge = " The orange frame: the neuron's field reaches over the picture's edge." if border and not whole else ""
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        pair,
        alt=f"Left a synthetic picture for {name} unit {unit}, right the patch of {shown or 'no picture'} that excites "
        "it most.",
        caption=f"{name}, unit {unit}. Left: made from noise in {result.parameters['steps']} steps, excites the unit "
        f"to {number(value)}. Right: the patch of the image set that does so most, to {number(best)}{times}.{edge}",
        mapping="synthetic: levels 0 … 255 are what was optimised; patch: the input's own pixels",
        data=f"{name}/pictures[{i}], {name}/value[{i}], {name}/best[{i}]",
        subjects=(
            Subject("unit", str(unit), name),
            Subject("layer", name),
            *((Subject("image", shown),) if shown else ()),
        ),
        group=name,
        lossless=False,
    )


if __name__ == "__main__":
    section.run(
        view,
        id="unit_visualization",
        title="Unit visualisation",
        question="What is each unit of the network looking for?",
        tour="The same for single units, beside the real patches that excite them most.",
        how_to_read="Each picture was made from noise, step by step, to excite one unit (a channel of a layer) as much "
        "as possible. From layer to layer edges become textures, textures patterns, patterns parts of things. Where a "
        "unit's real patch shows the same thing, the two tell the same story; what the patch has beside it the unit "
        "may not need. The most selective units come first: those that few pictures excite far more than the rest do.",
        do_not_conclude="A unit may answer to several things, of which one picture shows one or mixes them; the "
        "diversity section shows more. A higher value than any real picture's does not mean that the picture is what "
        "the unit is for. Colours and repetition come in part from the way the pictures are made, and position means "
        "nothing.",
        equation="I* = argmax E_v[mean a_u(v(I)) + mean of its strongest quarter]",
        papers=(papers.ERHAN_2009, papers.OLAH_2017),
    )

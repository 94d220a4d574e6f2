"""Unit visualisations: sheets with every unit's picture, and some units beside their best real patch."""

from math import ceil

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import findings, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.patches import patch
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import COLUMNS, EXACT, boxes, cell, fitted, labelled

MOST_FIGURES = 190  # a page shows at most 200 pictures
MOST_SHEETS = 60
NEAR = 12  # side of a receptive field, in pixels, up to which a picture is cut to one neuron's part
SIDE, SMALL, GAP = 224, 150, 12  # side of a picture in pixels, beside its patch and on a sheet


def view(result: Result, context: Context) -> dict:
    counts = [len(_of(result, layer, "unit")) for layer in result.numbers["layers"]]
    share = float(np.mean(np.concatenate([_more(result, layer) for layer in result.numbers["layers"]])))
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(_figures(result, context, counts)),
        "tables": (_layers(result),),
        "metrics": (
            Metric("units", sum(counts)),
            Metric("units_excited_more_than_by_real_pictures", share, "share", "higher"),
            Metric("units_without_a_picture", _lost(result) / sum(counts), "share", "lower"),
        ),
    }


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """In how many units a synthetic picture does better than all real ones; half would, if both did equally well."""
    layers = result.numbers["layers"]
    more = np.concatenate([_more(result, layer) for layer in layers])
    key = "units that a synthetic picture excites more than any real one"
    measured = findings.share(int(more.sum()), len(more), control=0.5)
    layer = max(layers, key=lambda layer: (_times(result, layer), -layers.index(layer)))
    times = _times(result, layer)
    finding = Finding(
        key,
        f"In {measured.short} units a picture made from noise excites the unit more than any real picture"
        + (f"; in {layer['name']} {times:.1f} times as much." if times else "."),
        findings.weakly(measured.low),
        f"{between(*findings.share_interval(int(more.sum()), len(more)))} of the units",
        f"the best of {result.numbers['pictures']} real pictures; {findings.UNTRIED}",
        figure=f"{slug(layer['name'])}-sheet-0",
    )
    return finding, {key: measured}


def _more(result: Result, layer: dict) -> np.ndarray:
    """Whether each unit's synthetic picture activates it more than any real one."""
    return (_of(result, layer, "value") > _of(result, layer, "best")) & ~_of(result, layer, "lost")


def _lost(result: Result) -> int:
    """Number of units for which no start led to a picture."""
    return sum(int(_of(result, layer, "lost").sum()) for layer in result.numbers["layers"])


def _times(result: Result, layer: dict) -> float:
    """Activation by synthetic pictures relative to the best real ones: median of a layer's live units, or 0."""
    value, best = _of(result, layer, "value"), _of(result, layer, "best")
    living = best > 0
    return float(np.median(value[living] / best[living])) if living.any() else 0.0


def _of(result: Result, layer: dict, what: str) -> np.ndarray:
    return result.arrays[f"{layer['name']}/{what}"]


def _drawn(result: Result, context: Context, name: str, part: range | list[int]) -> tuple[list[np.ndarray], str]:
    """The pictures of some units, and the size of the part that is shown in words, "" for whole pictures.

    A unit of an early layer sees a few pixels, and its picture repeats them. So it is cut to the field of the neuron
    with the largest activation.
    """
    pictures = [context.rgb(result.arrays[f"{name}/pictures"][i]) for i in part]
    fields = result.arrays.get(f"{name}/field", np.zeros((0, 4), int))
    if not len(fields) or (fields[:, 2:] - fields[:, :2]).max() > NEAR:
        return pictures, ""
    boxes = zip(pictures, fields[list(part)], strict=True)
    cut = [picture[top:bottom, left:right] for picture, (top, left, bottom, right) in boxes]
    height, width = (fields[:, 2:] - fields[:, :2]).max(0)
    return cut, f"{height} × {width}"


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
        _, height, width, _ = _of(result, layer, "pictures").shape
        more = _more(result, layer)
        shown, better = f"{len(more)} of {layer['units']}", f"{more.mean():.0%}"
        lost = int(_of(result, layer, "lost").sum())
        rows.append((layer["name"], shown, f"{height} × {width}", better, round(_times(result, layer), 2), lost))
    return Table(
        "layers",
        "A unit's number is its largest value anywhere in a picture: in the synthetic one (8 bits a channel), and in "
        f"the best of {result.numbers['pictures']} real ones.",
        (
            *("layer", "units shown", "pixels", "excited more than by any real picture", "times as much (median)"),
            "no picture found",
        ),
        tuple(rows),
    )


def _sheet_figure(result: Result, context: Context, name: str, part: range) -> Figure:
    pictures, cut = _drawn(result, context, name, part)
    height, width = result.arrays[f"{name}/pictures"].shape[1:3]
    unit, value, best, lost = (result.arrays[f"{name}/{what}"][part] for what in ("unit", "value", "best", "lost"))
    labels = [
        context.tag(name, u) + (": none found" if gone else f": {v / b:.1f}x" if b > 0 else ": dead")
        for u, v, b, gone in zip(unit, value, best, lost, strict=True)
    ]
    places = boxes(len(unit), SMALL, SMALL)
    return context.picture(
        f"{slug(name)}-sheet-{part[0]}",
        labelled([fitted(picture, SMALL) for picture in pictures], labels),
        alt=f"Synthetic pictures for {len(unit)} units of {name}, in rows of {min(COLUMNS, len(unit))}.",
        caption=f"{name}{_sheet_words(value, best, lost, cut)}{_none_found(unit[lost])}",
        more=f"A picture made from noise for each unit, the most selective first; {height} × {width} pixels"
        + (f", cut to the {cut} that the most excited neuron sees." if cut else f", shown at {SMALL}."),
        mapping=f"{EXACT}; 1.5x: it excites the unit 1.5 times as much as the best real picture"
        + "; dead: no real picture brings it above 0" * bool((best <= 0).any())
        + "; none found: it hardly excites the unit, from any start" * bool(lost.any()),
        data=f"{name}/pictures[{part[0]}:{part[-1] + 1}]",
        subjects=(
            Subject("layer", name),
            *(Subject("unit", str(u), name, box) for u, box in zip(unit, places, strict=True)),
        ),
        group=name,
        lossless=False,
        from_dataset=False,
    )


def _sheet_words(value: np.ndarray, best: np.ndarray, lost: np.ndarray, cut: str) -> str:
    """How much the pictures excite their units, relative to real ones, and which part is shown."""
    living = (best > 0) & ~lost
    less = int((value[living] <= best[living]).sum())
    times = f"{np.median(value[living] / best[living]):.1f} times" if living.any() else ""
    words = f": a picture excites its unit {times} as much as the best real one (median)." if times else "."
    words += f" {less} of {len(value)} units are excited less." * bool(less)
    return words + f" Shown: the {cut} pixels that one neuron sees." * bool(cut)


def _none_found(units: np.ndarray) -> str:
    """A sentence about the units for which no start led to a picture; "" if there are none."""
    if not len(units):
        return ""
    names = f"{'unit' if len(units) == 1 else 'units'} {', '.join(map(str, units[:8]))}" + ", …" * (len(units) > 8)
    return f" No picture was found for {names}: the ascent hardly excites {'it' if len(units) == 1 else 'them'}."


def _unit_figure(result: Result, context: Context, layer: dict, i: int, picture: np.ndarray | None) -> Figure:
    name = layer["name"]
    unit, value, best, image, box, border, starts, lost = (
        result.arrays[f"{name}/{what}"][i]
        for what in ("unit", "value", "best", "image", "box", "border", "starts", "lost")
    )
    (synthetic,), cut = _drawn(result, context, name, [i])
    pair = np.zeros((SIDE, 2 * SIDE + GAP, 4), np.uint8)
    pair[:, :SIDE] = fitted(synthetic, SIDE)
    crop = patch(picture, box, tuple(result.numbers["size"])) if picture is not None else np.zeros((0, 0, 3), np.uint8)
    whole = tuple(box) == (0, 0, *result.numbers["size"])
    if crop.size:
        pair[:, SIDE + GAP :] = cell(crop, SIDE, bool(border) and not whole)
    shown = context.image_set.pictures[image].name if image >= 0 else ""
    part = f", the {cut} pixels that one neuron sees" if cut else ""
    beside = (SIDE + GAP, 0, SIDE, SIDE)
    real = [context.mark(int(image), f"activation {number(best)}", beside)] if crop.size else []
    times = f", {value / best:.1f} times its best real patch" if best > 0 else "; dead: no real picture excites it"
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        pair,
        alt=f"Left a synthetic picture for {name} unit {unit}, right the patch of {shown or 'no picture'} that excites "
        "it most.",
        caption=f"{context.unit(name, unit)}: {number(value)}{times}."
        + " No picture was found: this is the best of the starts." * bool(lost),
        more=f"The picture excites the unit to {number(value)}, the real patch to {number(best)}. "
        f"{'1 start' if starts == 1 else f'{starts} starts'} tried.",
        mapping=f"left: made from noise{part}; right: the real patch that excites the unit most, in an orange frame if "
        "the neuron sees over the picture's edge",
        data=f"{name}/pictures[{i}], {name}/value[{i}], {name}/best[{i}]",
        subjects=(
            Subject("unit", str(unit), name),
            Subject("layer", name),
            *((Subject("image", shown),) if shown else ()),
        ),
        group=name,
        lossless=False,
        marks=real,
    )


if __name__ == "__main__":
    section.run(
        view,
        id="unit_visualization",
        title="Unit visualisation",
        question="What is each unit of the network looking for?",
        tour="What excites a single unit most, beside the real patches that do.",
        how_to_read="Each picture was made from noise to excite one unit (a channel of a layer) as much as possible. "
        "Where a unit's real patch shows the same thing, both say what the unit looks for.",
        do_not_conclude="A unit may look for several things, and one picture shows one of them or a mixture. A higher "
        "value than any real picture's does not mean that the picture is what the unit is for. Colours and repetition "
        "come in part from the method, and position means nothing.",
        equation="I* = argmax E_v[mean a_u(v(I)) + mean of its strongest quarter]",
        papers=(papers.ERHAN_2009, papers.OLAH_2017),
    )

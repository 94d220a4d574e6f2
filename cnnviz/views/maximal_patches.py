"""Maximal patches: a picture for each of some units of every layer, and sheets with all units."""

import tempfile
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from cnnviz.network.units import choose, selectivity
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import findings, patches, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured, difference, percent
from cnnviz.views.kit.patches import in_proportion, over_the_edge, part, patch, patches_that_excite, unprobed
from cnnviz.views.kit.section import About, Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import COLUMNS, LABEL, block, boxes, cell, labelled, montage
from cnnviz.views.kit.tiles import places as tile_places

MOST_FIGURES = 190  # a page shows at most 200 pictures
MOST_SHEETS = 100
ROWS, QUALITY = 2, 80  # of a sheet, and of its file: a unit's page loads the whole sheet
LARGE, SMALL = 96, 56  # side of a patch in pixels, in a unit's own picture and on a sheet
GAP, SMALL_GAP = 3, 2  # between patches, in pixels
LEAD, LEADING = "rows", 4  # the first figure, and its units
MARGIN = 0.1  # a share of patches of one class is found to differ from random pictures' beyond this
DRAWS = 1000  # of random pictures
MAPPING = (
    "the picture's own pixels, in the network's proportions; orange frame: the neuron sees over the picture's edge"
)
SCALED = "Patches are enlarged by repeating pixels, reduced by Lanczos' filter (from fourfold on, averaged first)."
FEW = 3  # pictures of the median class below which patches cannot show whether a unit prefers one
LIKE = 6  # number of units with the same best pictures that a unit's page links to


def view(result: Result, context: Context) -> dict:
    layers = result.numbers["layers"]
    total = sum(layer["units"] for layer in layers)
    dead = sum(int((result.arrays[f"{layer['name']}/max"] <= 0).sum()) for layer in layers)
    chosen, firsts = _chosen(result, context, total)
    shown = {f"{slug(name)}-unit-{unit:04d}": name for name, units in chosen.items() for unit in units}
    said, measured = found(result, labels_of(context), set(shown))
    first = said.figure or _most_selective(result, set(shown), context.model.get("scores_layer"))
    figures = _figures(result, context, chosen, firsts, shown.get(first, ""))
    return {
        "findings": (replace(said, figure=LEAD) if said.figure else said,),
        "measured": measured,
        "figures": tuple(figures),
        "cover": LEAD if first else "",
        "tables": (_layers(result),),
        "about": tuple(_about(result, context, layer["name"]) for layer in layers),
        "metrics": (
            Metric("units", total),
            Metric("units_never_above_0", dead / total, "share", "lower"),
            Metric("patches_over_the_edge", sum(int(result.arrays[f"{x['name']}/border"].sum()) for x in layers)),
        ),
    }


def labels_of(context: Context) -> np.ndarray:
    """Each picture's class of the set, or −1."""
    return np.array([-1 if p.label is None else p.label for p in context.image_set.pictures])


def found(result: Result, labels: np.ndarray, shown: set[str]) -> tuple[Finding, dict[str, Measured]]:
    """The layer whose units' best patches most often show one class, beside random pictures and weights.

    labels: (pictures,) classes, or −1. shown: ids of the figures; one of a unit of that layer proves it.
    """
    measured, candidates, key = {}, [], "patches of one class"
    counts = np.bincount(labels[labels >= 0])
    if len(counts) and np.median(counts[counts > 0]) < FEW:
        words = "Too few pictures of each class: whether units answer to one class cannot be told."
        return Finding(key, words, findings.UNMEASURED), {}
    for layer in result.numbers["layers"]:
        units, shares, drawn = one_class(result.arrays[f"{layer['name']}/image"], labels)
        if len(units) < 2 or drawn.mean() == 1:
            continue
        control, words = _against(result, layer["name"], labels, drawn)
        gap, low, high = (v / (1 - drawn.mean()) for v in difference(_mean(shares), control))
        measured[f"{key}: {layer['name']}"] = Measured(f"{percent(shares.mean())}, {words}", gap, low, high)
        candidates.append((low, layer["name"], units, shares, words))
    if not candidates:
        words = "Too few of the best patches have a class: whether units answer to one class cannot be told."
        return Finding(key, words, findings.UNMEASURED), measured
    low, name, units, shares, words = max(candidates, key=lambda candidate: candidate[0])
    ids = [f"{slug(name)}-unit-{unit:04d}" for unit in units[np.argsort(-shares, kind="stable")]]
    share = _mean(shares)
    strength = findings.strength(low, measured[f"{key}: {name}"].high, MARGIN)
    if result.numbers["untrained"] < result.numbers["pictures"]:  # among fewer pictures, fewer are of one class
        strength = findings.not_learned(strength)
    says = f"{name}: {percent(share.effect)} of a unit's best patches show one class."
    if strength == findings.NOT:
        says = f"Units are not shown to prefer a class. {says}"
    finding = Finding(
        f"{key}: {name}", says, strength, findings.between(share.low, share.high), words, f"{len(units)} units",
        next((id for id in ids if id in shown), ""),
    )  # fmt: skip
    return finding, measured


def _most_selective(result: Result, shown: set[str], scores_layer: str | None = None) -> str:
    """The figure of the most selective unit, of layers that see things; "" if none of them is shown.

    The classes' scores are selective by their making, and of a whole picture nobody knows which part excites a unit. So
    a layer before the scores comes first, and one that sees a part of the picture.
    """
    size = min(result.numbers["size"])
    scores = {
        f"{slug(layer['name'])}-unit-{unit:04d}": (
            layer["name"] != scores_layer,
            min(layer["field"]) < size,
            float(score),
        )
        for layer in result.numbers["layers"]
        if _sees_things(result, layer)
        for unit, score in enumerate(selectivity(*(result.arrays[f"{layer['name']}/{w}"] for w in ("value", "peak"))))
    }
    return max(shown & scores.keys(), key=lambda id: (scores[id], id), default="")


def _mean(shares: np.ndarray) -> Measured:
    mean, low, high = findings.mean_interval(shares)
    return Measured("", mean, max(low, 0.0), min(high, 1.0))


def _against(result: Result, name: str, labels: np.ndarray, drawn: np.ndarray) -> tuple[Measured, str]:
    """The larger of a layer's controls, and both in words: random pictures, and the same units with random weights."""
    words, control = f"{percent(drawn.mean())} of as many random pictures", _mean(drawn)
    if f"{name}/untrained" not in result.arrays:
        return control, f"{words}, {findings.UNTRIED}"
    _, before, _ = one_class(result.arrays[f"{name}/untrained"], labels)
    if len(before) > 1:
        words += f", {percent(before.mean())} with random weights"
        control = max(control, _mean(before), key=lambda one: one.effect)
    return control, words


def one_class(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units with at least two labelled patches, with the share of each unit's most frequent class among its patches.

    Returns their numbers, these shares, and the same shares for random labelled pictures. image: (units, k) pictures,
    or −1.
    """
    label = np.where(image >= 0, labels[image], -1)
    counts = (label >= 0).sum(1)
    units, classes = np.flatnonzero(counts > 1), labels.max(initial=-1) + 1
    shares = np.array([np.bincount(own[own >= 0]).max() / (own >= 0).sum() for own in label[units]])
    rng, all = np.random.default_rng(0), np.bincount(labels[labels >= 0], minlength=classes)
    drawn = {n: rng.multivariate_hypergeometric(all, n, DRAWS).max(1).mean() / n for n in np.unique(counts[units])}
    return units, shares, np.array([drawn[n] for n in counts[units]])


def _chosen(result: Result, context: Context, total: int) -> tuple[dict[str, np.ndarray], dict[str, range]]:
    """By layer: units that are shown by themselves, and the first unit of each sheet, up to the page's limit."""
    layers = result.numbers["layers"]
    a_sheet = max(ROWS, ceil(total / MOST_SHEETS / COLUMNS)) * COLUMNS
    firsts = {layer["name"]: range(0, layer["units"] * context.show.get("sheets", True), a_sheet) for layer in layers}
    sheets = sum(map(len, firsts.values()))
    units = min(context.show.get("units", 12), max(0, MOST_FIGURES - sheets) // len(layers))
    chosen = {}
    for layer in layers:
        kept = {what: result.arrays[f"{layer['name']}/{what}"] for what in ("value", "peak")}
        chosen[layer["name"]] = choose(context.show.get("order", "selective"), units, **kept)
    return chosen, firsts


def _figures(
    result: Result, context: Context, chosen: dict[str, np.ndarray], firsts: dict[str, range], lead: str
) -> list[Figure]:
    """First some units of the layer ``lead``, if it is not "", in rows; then the units and sheets of each layer."""
    figures, layers = [], result.numbers["layers"]
    with tempfile.TemporaryDirectory() as folder:
        small, large = _cut(result, context, chosen, Path(folder))
        if lead:
            figures.append(_rows_figure(result, context, lead, chosen[lead].tolist(), large[lead]))
        for layer in layers:
            name, count = layer["name"], layer["units"]
            a_sheet = firsts[name].step
            figures += [
                _unit_figure(result, context, layer, int(unit), cells)
                for unit, cells in zip(chosen[name], large[name], strict=True)
            ]
            figures += [
                _sheet_figure(result, context, layer, range(first, min(first + a_sheet, count)), small[name])
                for first in firsts[name]
            ]
        del small, large  # their files are in the folder
    return figures


def _layers(result: Result) -> Table:
    rows = []
    for layer in result.numbers["layers"]:
        border, largest = (result.arrays[f"{layer['name']}/{what}"] for what in ("border", "max"))
        field = "the whole picture" if layer["unprobed"] else f"{layer['field'][0]} × {layer['field'][1]}"
        inside, never = f"{layer['inside'] / layer['neurons']:.0%}", int((largest <= 0).sum())
        edge = f"{_at_the_border(result, layer['name']).mean():.0%}"
        there = result.arrays[f"{layer['name']}/image"] >= 0
        whole = (result.arrays[f"{layer['name']}/box"][there] == (0, 0, *result.numbers["size"])).all()
        over = "all see the whole picture" if whole and there.any() else f"{border.mean():.0%}"
        rows.append((layer["name"], layer["units"], field, inside, over, edge, never))
    return Table(
        "layers",
        f"What the neurons of each layer can see, in pixels of the network's input. {SCALED}"
        + unprobed(result.numbers["layers"]),
        (
            *("layer", "units", "receptive field", "neurons whose field is inside the picture"),
            *("patches over the edge of the picture", "units excited most at the border", "units never above 0"),
        ),
        tuple(rows),
    )


def _at_the_border(result: Result, name: str) -> np.ndarray:
    """Whether a neuron at the border does more than all of a unit's patches: (units,) bool."""
    shown = result.arrays[f"{name}/value"].max(1)
    return (result.arrays[f"{name}/max"] > shown) & (result.arrays[f"{name}/image"][:, 0] >= 0)


def _dead(result: Result, layer: dict) -> np.ndarray:
    """Whether the ReLU at a unit's output gives 0 for every picture: (units,) bool."""
    return (result.arrays[f"{layer['name']}/max"] <= 0) & layer["rectified"]


def _about(result: Result, context: Context, name: str) -> About:
    """Each unit's strongest value, the class most of its patches show, and units with the same pictures.

    The control of a class's share of the patches is its share of all pictures.
    """
    image, largest = result.arrays[f"{name}/image"], result.arrays[f"{name}/max"]
    pictures = context.image_set.pictures
    label = labels_of(context)
    units, slots = (image >= 0).nonzero()
    has = csr_array((np.ones(len(units), np.int32), (units, image[units, slots])), (len(image), len(pictures)))
    common = (has @ has.T).toarray()  # pictures that two units share
    np.fill_diagonal(common, 0)
    rows = {}
    for unit, found in enumerate(image):
        found = found[found >= 0]
        classes = label[found][label[found] >= 0]
        counts = np.bincount(classes, minlength=1)
        most, often = int(counts.argmax()), counts.max() > 1  # a class that occurs once is not frequent
        of_all = f"{percent((label == most).mean())} of all pictures"
        said = f"{context.called(most)} ({counts[most]} of {len(found)}; {of_all})" if often else ""
        like = np.argsort(-common[unit], kind="stable")[:LIKE]
        rows[str(unit)] = (float(largest[unit]), said, [str(u) for u in like if common[unit, u] >= 2])
    columns = ("largest value", "most frequent class of its patches", "units with the same best pictures")
    return About("unit", columns, rows, name, from_dataset=False)


def _cut(result: Result, context: Context, chosen: dict, folder: Path) -> tuple[dict, dict]:
    """Patches by layer; each picture is opened once. Small ones (units, k, 56, 56, 4) on disk, for sheets if there are
    any; large ones of chosen units.
    """
    small, large, wanted = {}, {}, {}
    sheets = context.show.get("sheets", True)
    for order, (name, units) in enumerate(chosen.items()):
        image = result.arrays[f"{name}/image"]
        shape = (len(image) * sheets, image.shape[1], SMALL, SMALL, 4)
        small[name] = np.lib.format.open_memmap(folder / f"{order}.npy", "w+", np.uint8, shape)
        large[name] = np.zeros((len(units), image.shape[1], LARGE, LARGE, 4), np.uint8)
        place = {int(unit): i for i, unit in enumerate(units)}
        for unit, slot in np.argwhere(image >= 0).tolist():
            if sheets or unit in place:
                wanted.setdefault(int(image[unit, slot]), []).append((name, unit, slot, place.get(unit)))
    indices = sorted(wanted)
    size = tuple(result.numbers["size"])
    originals = context.show.get("pixels", "original") == "original"
    pictures = context.image_set.arrays(
        part(Preprocess(**result.numbers["geometry"]), size, originals), indices, shown=True
    )
    for index, picture in zip(indices, pictures, strict=True):
        for name, unit, slot, i in wanted[index]:
            crop = patch(picture, result.arrays[f"{name}/box"][unit, slot], size)
            border = bool(result.arrays[f"{name}/border"][unit, slot])
            if not crop.size:  # a neuron that sees only padding
                continue
            crop = in_proportion(crop, result.arrays[f"{name}/box"][unit, slot])
            if sheets:
                small[name][unit, slot] = cell(crop, SMALL, border)
            if i is not None:
                large[name][i, slot] = cell(crop, LARGE, border)
    return small, large


def _rows_figure(result: Result, context: Context, name: str, units: list[int], cells: np.ndarray) -> Figure:
    """The patches of some of a layer's units, a row each: those with most patches of one class, or the most selective.

    units: the most selective first. cells: (units, k, side, side, 4).
    """
    image = result.arrays[f"{name}/image"]
    label = np.where(image[units] >= 0, labels_of(context)[image[units]], -1)
    often = np.array([np.bincount(own[own >= 0], minlength=1).max() for own in label])
    order = np.argsort(-np.where(often > 1, often, 0), kind="stable")[:LEADING]
    rows, places, marks = [], [], []
    for r, i in enumerate(order):
        unit, top = units[i], r * (LARGE + LABEL) + LABEL
        classes = _classes(context, [p for p in image[unit].tolist() if p >= 0])
        said = context.tag(name, unit) + (f": {classes}" if classes.isascii() and classes else "")
        rows.append(labelled([montage(cells[i], len(cells[i]), GAP)], [said]))
        places.append((0, top, rows[-1].shape[1], LARGE))
        for p, (left, down, *size) in enumerate(tile_places(len(cells[i]), LARGE, LARGE, GAP)):
            if image[unit, p] >= 0:
                excites = f"activation {number(result.arrays[f'{name}/value'][unit, p])}"
                marks.append(context.mark(int(image[unit, p]), excites, (left, top + down, *size)))
    shown = [units[i] for i in order]
    return context.picture(
        LEAD,
        np.vstack(rows),
        alt=f"{len(rows)} rows of patches: those that excite units {', '.join(map(str, shown))} of {name} most.",
        caption=f"{name}: the patches that excite {len(rows)} of its units most, a row each.",
        mapping=MAPPING,
        data=", ".join(f"{name}/image[{unit}]" for unit in shown),
        subjects=(
            Subject("layer", name),
            *(Subject("unit", str(unit), name, box) for unit, box in zip(shown, places, strict=True)),
        ),
        lossless=False,
        quality=70,  # it is shown at once, and noisy pictures are large
        marks=marks,
    )


def _unit_figure(result: Result, context: Context, layer: dict, unit: int, cells: np.ndarray) -> Figure:
    name = layer["name"]
    image, value, box = (result.arrays[f"{name}/{what}"][unit] for what in ("image", "value", "box"))
    found = [i for i in image.tolist() if i >= 0]
    pictures, largest = [context.image_set.pictures[i] for i in found], result.arrays[f"{name}/max"][unit]
    classes = _classes(context, found) if _sees_things(result, layer) else ""
    caption = f"{context.unit(name, unit)}: {classes or number(value[0])}."
    if _dead(result, layer)[unit]:
        caption = f"{context.unit(name, unit)} is dead: it is never above 0, so no patch excites it."
    elif largest <= 0:
        caption += " Never above 0 in any picture: a ReLU after it would always give 0."
    elif _at_the_border(result, name)[unit]:
        caption += f" At the picture's border it reaches {number(largest)}, inside {number(value[0])}."
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        block(cells, GAP),
        alt=f"In rows of {ceil(len(cells) ** 0.5)}, {patches_that_excite(len(found))} {name} unit {unit} most"
        + (f", from pictures of {classes}." if classes else ".")
        if found
        else f"Empty: no patch excites {name} unit {unit}.",
        caption=caption,
        more=_shown(result, name, unit) if found else "",
        mapping=MAPPING,
        data=f"{name}/image[{unit}], {name}/box[{unit}], {name}/value[{unit}]",
        subjects=(
            Subject("unit", str(unit), name),
            Subject("layer", name),
            *(Subject("image", p.name) for p in pictures),
        ),
        group=name,
        lossless=False,
        marks=patches.marks(context, image, value, box, side=LARGE, gap=GAP),
    )


def _sees_things(result: Result, layer: dict) -> bool:
    """Whether a neuron sees so much of the picture that the picture's class says something of the patch."""
    return bool(layer["unprobed"]) or 2 * min(layer["field"]) >= min(result.numbers["size"])


def _shown(result: Result, name: str, unit: int) -> str:
    """What a unit's patches are, with their values and the size of their fields."""
    value, box, border, image = (result.arrays[f"{name}/{what}"][unit] for what in ("value", "box", "border", "image"))
    count = int((image >= 0).sum())
    heights, widths = (box[:count, 2:] - box[:count, :2]).T
    largest = f"{heights.max()} × {widths.max()} pixels"
    alike = heights.min() == heights.max() and widths.min() == widths.max()
    whole = alike and (heights.max(), widths.max()) == tuple(result.numbers["size"])
    seen = "the whole picture" if whole else largest if alike else f"at most {largest}"
    first, last = (number(value[i]) for i in (0, count - 1))
    order = "strongest first" if (np.diff(value[:count]) <= 0).all() else "those inside the picture first"
    values = f"{first}; it" if count == 1 else f"{order}, {first} … {last}; each"
    inside = ", of the neurons that see no padding" * bool(_at_the_border(result, name)[unit])
    return (
        f"Shown: {patches_that_excite(count)} it most{inside}, {values} is what the winning neuron can see, {seen}."
        f"{over_the_edge(int(border.sum()))}"
    )


def _sheet_figure(result: Result, context: Context, layer: dict, units: range, cells: np.ndarray) -> Figure:
    name = layer["name"]
    dead = _dead(result, layer)[units.start : units.stop]
    labels = [
        f"{context.tag(name, u)}   {'dead' if never else 'max ' + number(result.arrays[f'{name}/max'][u])}"
        for u, never in zip(units, dead, strict=True)
    ]
    at_the_border = int(_at_the_border(result, name)[units.start : units.stop].sum())
    k = cells.shape[1]
    outside = result.arrays[f"{name}/border"][units.start : units.stop].mean()
    height, width = layer["field"]
    edge = f" {outside:.0%} of the patches reach over the picture's edge." if outside else ""
    blocks = [block(cells[u], SMALL_GAP) for u in units]
    places = boxes(len(blocks), *blocks[0].shape[:2])
    kept = [[result.arrays[f"{name}/{what}"][u] for what in ("image", "value", "box")] for u in units]
    return context.picture(
        f"{slug(name)}-sheet-{units.start:04d}",
        labelled(blocks, labels),
        alt=f"{len(units)} blocks of patches, one block for each of {name}'s units {units[0]} to {units[-1]}.",
        caption=f"{name}, units {units[0]}–{units[-1]} of {layer['units']}, each with its largest value."
        + f" {dead.sum()} dead: never above 0." * bool(dead.any()),
        more=f"The strongest patches of each unit ({k}){_inside_first(at_the_border)}. A neuron here sees up to "
        f"{height} × {width} pixels.{edge}",
        mapping=MAPPING,
        data=f"{name}/image[{units.start}:{units.stop}], {name}/box[{units.start}:{units.stop}]",
        subjects=(
            Subject("layer", name),
            *(Subject("unit", str(u), name, box) for u, box in zip(units, places, strict=True)),
        ),
        group=name,
        lossless=False,
        quality=QUALITY,
        marks=[
            mark
            for own, (left, top, *_) in zip(kept, places, strict=True)
            for mark in patches.marks(context, *own, side=SMALL, gap=SMALL_GAP, at=(left, top))
        ],
    )


def _inside_first(count: int) -> str:
    """Says of how many units the largest value is that of a neuron at the border, which is not shown; "" if of none."""
    if not count:
        return ""
    return f", of neurons that see no padding; of {count}, one at the picture's border has the largest value"


def _classes(context: Context, found: list[int]) -> str:
    """The classes of these pictures, most frequent first, four at most; "" without labels or if all differ."""
    counts: dict[str, int] = {}
    for i in found:
        label = context.image_set.pictures[i].label
        if label is not None:
            name = context.called(label)
            counts[name] = counts.get(name, 0) + 1
    if len(counts) > 1 and max(counts.values()) == 1:
        return ""
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    words = [name if counts[name] == 1 else f"{name} ({counts[name]})" for name in ranked[:4]]
    return ", ".join(words) + (f" and {len(ranked) - 4} more" if len(ranked) > 4 else "")


if __name__ == "__main__":
    section.run(
        view,
        id="maximal_patches",
        title="Maximally activating patches",
        question="Which pieces of real pictures excite each unit most?",
        tour="Which pieces of pictures excite a unit most?",
        how_to_read="Each patch is what one neuron of the unit sees, and comes from another picture. Look for what a "
        "unit's patches share: a colour, an edge, a texture, a part, or a class.",
        do_not_conclude="A few strongest patches show only the top of a unit's range, and only what these pictures "
        "contain. What they share need not be what the unit computes: nine patches of one class may be nine patches of "
        "its background. An orange frame marks a field that reaches over the picture's edge, where padding takes part.",
        equation="p_i = max over (y, x) of a_u(i, y, x); the k pictures i with the largest p_i",
        papers=(papers.GIRSHICK_2014, papers.ZEILER_2014),
    )

"""Projections of units and of class scores to the pixels, beside their patches and pictures."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from scipy.ndimage import gaussian_filter

from cnnviz.network.kinds import REGRESSION
from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views.kit import colour, explained
from cnnviz.views.kit.attributions import row, sheet
from cnnviz.views.kit.findings import UNTRIED, Finding, Measured, mean_interval, span, weakly
from cnnviz.views.kit.patches import over_the_edge, patches_that_excite, unprobed
from cnnviz.views.kit.section import Context, Figure, Metric, Subject
from cnnviz.views.kit.tiles import LABEL, cell, labelled, montage

MOST_FIGURES = 190  # a page shows at most 200 pictures
WIDTH, GAP = 516, 3  # least width of a unit's figure, so that several fit side by side, and gap, in pixels
LEAST_SIDE = 48  # smallest side of a tile, in pixels
LEAST = 8  # smallest side of a unit's patches as they are shown, in pixels of the input
FAINT = 0.1  # end of a channel's range, at least, as a share of that of the strongest channel
SPREAD, DARK = 0.03, 45  # of lit patches: blur as a share of their side, and the level where a map is 0
VARIED = 0.999  # cosine from which a layer's maps are all its weights
OWN = (("guided backprop", "projection", "largest"),)  # rows of projections: label, their array, and its magnitudes
COLOURS = (
    "each channel of each projection by itself, 0 is mid-grey, symmetric about 0, ends at the {percentile:g}th "
    "percentile of its magnitude"
)


def view(
    result: Result,
    context: Context,
    do_not_conclude: str,
    *,
    rows=OWN,
    lit: str = "projection",
    said=None,
    unit_finding=None,
    lead: Figure | None = None,
    most_classes: int | None = None,
) -> dict:
    """A group for all units, the deepest layer's first, and one for the pictures' classes if they have projections.

    rows, lit, said: see :func:`unit_figure`. unit_finding: what tells of all units, by default :func:`of_units`. lead:
    a figure for the page's top. most_classes: pictures whose classes are shown, those of the finding first.
    """
    layers = result.numbers["layers"]
    units = max(0, MOST_FIGURES - len(result.arrays["index"])) // max(1, len(layers))
    whence = [i for layer in layers for i in result.arrays[f"{layer['name']}/image"].flat]
    pictures = context.as_seen(result, whence)
    figures = {
        layer["name"]: [
            made
            for u in range(min(units, len(result.arrays[f"{layer['name']}/unit"])))
            if (made := unit_figure(result, context, layer, u, pictures, rows, lit, said))
        ]
        for layer in layers
    }
    name = result.numbers["methods"][0]["name"]
    title = f"the {TITLES.get(name, name)} map"
    best = lead.id if lead else telling(result, context, {figure.id for made in figures.values() for figure in made})
    findings, measured = found(result, context, name, title, (unit_finding or of_units)(result, title, best))
    classes, shown = _class_figures(result, context, findings, most_classes)
    nothing = result.arrays["largest"][result.arrays["targets"] >= 0] == 0
    notes = (do_not_conclude, result.numbers["methods"][0]["caveat"], shown, unprobed(layers).strip())
    return {
        "findings": findings,
        "measured": measured,
        "figures": (
            *((lead,) if lead else ()),
            explained.lead(result, context, name, TITLES.get(name, name)),
            *(one for made in reversed(figures.values()) for one in made),
            *classes,
        ),
        "cover": best,
        "metrics": (
            Metric("units", sum(len(made) for made in figures.values())),
            Metric("empty_class_projections", float(nothing.mean()), "share", "lower"),
        ),
        "do_not_conclude": " ".join(filter(None, notes)),
    }


TITLES = {"guided_backprop": "guided backpropagation", "deconvnet": "deconvnet"}


def found(result: Result, context: Context, name: str, title: str, units: tuple | None) -> tuple[tuple, dict]:
    """What was found about ``units``, whether the map depends on the class, and how much of it lies on the object."""
    said, measured = explained.found(result, context, {name: title}, explained.LEAD)
    of_class = context.kind != REGRESSION and explained.of_class(result, context, name, title, "classes--")
    if of_class:
        said = [of_class[0], *(one for one in said if one.key != of_class[0].key)]
        measured |= {of_class[0].key: of_class[1]}
    if units:
        said, measured = [units[0], *said], measured | units[1]
    return tuple(said), measured


def telling(result: Result, context: Context, shown: set[str]) -> str:
    """The figure, of those ``shown``, of the unit whose patches tell most; "" if there is none.

    It is of the deeper half of the layers but those that give the scores; there of the unit with the most patches of
    one class, and where all classes differ, with the maps that are more alike than those of two units.
    """
    deepest = max((layer["sites"] for layer in result.numbers["layers"]), default=0)
    label = np.array([-1 if p.label is None else p.label for p in context.image_set.pictures])
    ranks = {}
    for layer in result.numbers["layers"]:
        name = layer["name"]
        images = result.arrays[f"{name}/image"]
        own, other = alike(np.abs(result.arrays[f"{name}/projection"]), images >= 0)
        deep = 2 * layer["sites"] >= deepest and name != context.model.get("scores_layer")
        for u, (unit, image) in enumerate(zip(result.arrays[f"{name}/unit"].tolist(), images, strict=True)):
            classes = label[image[image >= 0]]
            most = np.bincount(classes[classes >= 0], minlength=1).max() / max(1, len(classes))
            gap = float(np.nan_to_num(own[u] - other[u]))
            ranks[f"{slug(name)}-unit-{unit:04d}"] = deep, most if most * len(classes) > 1 else 0.0, gap
    return max(shown & ranks.keys(), key=lambda id: (ranks[id], id), default="")


def of_units(result: Result, title: str, figure: str) -> tuple[Finding, dict[str, Measured]] | None:
    """Whether the projections of a unit's patches are more alike than those of two units, in all layers together.

    Left out are layers whose maps are the same in all patches, since they are the units' weights. A unit's weights are
    the same in all of its patches, so this holds for random weights, too. figure: that proves it.
    """
    measured, apart, left_out = {}, {}, []
    for layer in result.numbers["layers"]:
        name = layer["name"]
        own, other = alike(result.arrays[f"{name}/projection"], result.arrays[f"{name}/image"] >= 0)
        told = np.isfinite(own) & np.isfinite(other)
        if told.sum() < 2:
            continue
        if not layer["sites"] or own[told].mean() > VARIED:
            left_out.append(name)
            continue
        apart[name] = np.stack([own[told], other[told]])
        measured[f"{title} of one unit: {name}"] = _likeness(*apart[name])
    if not apart:
        return None
    own, other = np.concatenate(list(apart.values()), 1)
    key = f"{title} of one unit: all layers"
    measured[key] = _likeness(own, other)
    low, high = measured[key].low, measured[key].high
    without = f"; without {', '.join(left_out)}, whose maps are the weights" if left_out else ""
    return Finding(
        key,
        f"Maps of a unit's patches are {'' if low > 0 else 'hardly '}more alike than those of two units: "
        f"{own.mean():.2f} against {other.mean():.2f}.",
        weakly(low),
        f"{span(low, high)} apart; 1 is the same map",
        f"patches of other units; {UNTRIED}",
        f"{len(own)} units of {len(apart)} layers{without}",
        figure,
    ), measured


def _likeness(own: np.ndarray, other: np.ndarray) -> Measured:
    gap, low, high = (float(np.clip(v, -1, 1)) for v in mean_interval(own - other))
    return Measured(f"{own.mean():.2f}, of two units {other.mean():.2f}", gap, low, high)


def alike(maps: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean cosine of each unit's maps with one another, and with those of the other units: (units,) each.

    maps: (units, k, h, w, c). there: (units, k) bool. NaN for units with fewer than two maps that are not empty.
    """
    flat = maps.reshape(*there.shape, -1).astype(np.float32)
    there = there & flat.any(2)
    there[there.sum(1) < 2] = False
    means = np.full((2, len(there)), np.nan)
    owner = np.nonzero(there)[0]
    if len(set(owner.tolist())) > 1:
        unit = flat[there] / np.linalg.norm(flat[there], axis=1, keepdims=True)
        cosines, same = unit @ unit.T, owner[:, None] == owner
        for pairs, row in zip((same & ~np.eye(len(owner), dtype=bool), ~same), means, strict=True):
            for u in set(owner.tolist()):
                row[u] = cosines[owner == u][pairs[owner == u]].mean()
    return means[0], means[1]


def window(maps: Sequence[np.ndarray]) -> list[tuple[slice, slice]]:
    """The part of each map (h, w, c) around what it shows: squares of one side, as far as the maps reach.

    Receptive fields are much larger than the part that matters. In each direction 98 % of the energy lie inside.
    """
    ends = []
    for map in maps:
        energy = np.square(map.astype(np.float32)).sum(2)
        for along in (energy.sum(1), energy.sum(0)):
            total = along.cumsum()
            found = np.searchsorted(total, np.array([0.01, 0.99]) * total[-1]) if total[-1] > 0 else (0, len(along) - 1)
            ends.append((*found, len(along)))
    side = max([LEAST, *(last - first + 1 for first, last, length in ends)])
    side += 2 * round(0.08 * side)

    def part(first: int, last: int, length: int) -> slice:
        start = min(max(0, round((first + last + 1 - side) / 2)), max(0, length - side))
        return slice(start, min(length, start + side))

    return [(part(*down), part(*across)) for down, across in zip(ends[::2], ends[1::2], strict=True)]


def coloured(shares: np.ndarray, percentile: float, show: int | list[int] | None) -> np.ndarray:
    """A signed projection (h, w, c) as (h, w, 3) uint8: 0 is mid-grey, larger values are brighter in each channel.

    Each channel has its own range: in some networks one strong filter of the first layer would give all its colour.
    """
    ends = _ends(shares, percentile)
    return colour.rgb(colour.fixed(-1, 1).grey(shares / np.where(ends > 0, ends, 1)), show)


def range_words(shares: list[np.ndarray], largest: np.ndarray, percentile: float) -> str:
    """The mapping of :func:`coloured`, with the widest end of these projections. largest: (n,) their magnitudes."""
    ends = [_ends(share, percentile).max() * float(most) for share, most in zip(shares, largest, strict=True)]
    return f"{COLOURS.format(percentile=percentile)}: ±{colour.number(max(ends, default=0), 2)}"


def _ends(shares: np.ndarray, percentile: float) -> np.ndarray:
    """The largest magnitude that is shown of each channel (c,), or 0 if all are: see FAINT."""
    sizes = np.abs(shares.astype(np.float32)).reshape(-1, shares.shape[-1])
    ends = np.percentile(sizes, percentile, axis=0)
    ends = np.where(ends > 0, ends, sizes.max(0))  # almost all pixels are 0
    return np.maximum(ends, FAINT * ends.max())


def lit_by(shares: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """A patch (h, w, 3) uint8, bright where its projection (h, w, c) is strong, and dark elsewhere."""
    strong = np.abs(shares.astype(np.float32)).max(2)
    strong = gaussian_filter(strong, SPREAD * max(strong.shape))
    end = float(np.percentile(strong, 97)) or float(strong.max())
    light = np.clip(strong / (end or 1), 0, 1)[..., None]
    return np.rint(patch * light + DARK * (1 - light)).astype(np.uint8)


def sheet_of(rows: dict[str, list[np.ndarray]], side: int, border: Sequence[bool]) -> tuple[np.ndarray, list[list]]:
    """Rows of pictures (h, w, 3), as large as fits a square of ``side`` pixels, under strips with their labels.

    border: whether each picture of the first row has a frame. Returns (H, W, 4) uint8, and in rows each picture's left,
    top, width and height.
    """
    height = ceil(side * min(1, max(len(tile) / tile.shape[1] for tiles in rows.values() for tile in tiles)))
    top, blocks = (side - height) // 2, []
    for i, (label, tiles) in enumerate(rows.items()):
        cells = [cell(tile, side, bool(over) and i == 0) for tile, over in zip(tiles, border, strict=True)]
        blocks.append(labelled([montage(np.stack(cells)[:, top : top + height], len(cells), GAP)], [label]))
    down = LABEL + height
    places = [
        [(c * (side + GAP), LABEL + r * down, side, height) for c in range(len(border))] for r in range(len(rows))
    ]
    return np.vstack(blocks), places


def classes_of(result: Result, context: Context, i: int) -> tuple[list[str], str]:
    """The classes of probe picture i, and a sentence about why each was chosen."""
    kinds, classes = result.numbers["kinds"][i], context.model["classes"]
    targets = result.arrays["targets"][i, : len(kinds)].tolist()
    names = [classes[target] for target in targets]
    probabilities = result.arrays["probabilities"][i]
    said = "; ".join(
        row(name, kind, context.says(target, p))
        for target, name, kind, p in zip(targets, names, kinds, probabilities, strict=False)
    )
    label = result.arrays["label"][i]
    truth = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {classes[label]}."
    return names, f"{said}.{truth}"


def _class_figures(
    result: Result, context: Context, findings: Sequence[Finding], most: int | None
) -> tuple[list[Figure], str]:
    """The figures of the probe pictures' classes, ``most`` at most, and a sentence about those without any."""
    pictures = context.image_set.pictures
    lively = [i for i, largest in enumerate(result.arrays["largest"]) if largest.any()]
    asked = {finding.figure for finding in findings}
    if most is not None:
        lively.sort(key=lambda i: f"classes--{pictures[result.arrays['index'][i]].id}" not in asked)
    empty = len(result.arrays["index"]) - len(lively)
    none = (
        f"Of {empty} probe picture{'s' * (empty > 1)} no {context.explained}'s score comes back to the pixels."
        if empty
        else ""
    )
    return [_class_figure(result, context, i) for i in lively[:most]], none


def _class_figure(result: Result, context: Context, i: int) -> Figure:
    arrays, percentile = result.arrays, context.show["percentile"]
    picture, show = context.image_set.pictures[arrays["index"][i]], context.image_set.config.get("show")
    names, said = classes_of(result, context, i)
    shares = [share.astype(np.float32) for share in arrays["projection"][i, : len(names)]]
    panels = [colour.rgb(arrays["pictures"][i], show), *(coloured(share, percentile, show) for share in shares)]
    empty = [name for name, most in zip(names, arrays["largest"][i], strict=False) if most == 0]
    grey = f" All grey: nothing of {', '.join(empty)} comes back to the pixels." if empty else ""
    return context.picture(
        f"classes--{picture.id}",
        sheet([panels], max(1, 192 // arrays["pictures"].shape[1])),
        alt=f"{picture.name}, then the projections of {', '.join(names)}, in colours on grey.{grey}",
        caption=f"{picture.name}, then {said}{grey}",
        mapping=range_words(shares, arrays["largest"][i, : len(shares)], percentile)
        + f" ({context.score}s per unit of pixel value)",
        data=f"projection[{i}], largest[{i}]",
        subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
        group="Class scores",
    )


def unit_figure(
    result: Result, context: Context, layer: dict, u: int, inputs: dict[int, np.ndarray], rows=OWN, lit="", said=None
) -> Figure | None:
    """A unit's patches in a row, above their projections and the patches lit by them; None for no projection.

    rows: see OWN; lit: the array by whose projections patches are lit, or "". All are cut to where the last row has 98
    % of its energy. said: (result, layer, u) → a sentence for the caption, or "" to leave the figure out.
    """
    name, percentile, show = layer["name"], context.show["percentile"], context.image_set.config.get("show")
    names = ("unit", "image", "value", "box", "border", *(key for row in rows for key in row[1:]))
    kept = {what: result.arrays[f"{name}/{what}"][u] for what in names}
    unit, box = int(kept["unit"]), kept["box"]
    seen = [p for p in np.flatnonzero(kept["image"] >= 0) if (box[p, 2:] > box[p, :2]).all()]
    words = said(result, layer, u) if said else _of_one_class(context, kept["image"][seen])
    if not kept[rows[0][2]][seen].any() or (said and not words):
        return None
    patches, maps = _cut(kept, seen, inputs, rows)
    side = max(LEAST_SIDE, WIDTH // len(seen) - GAP)
    shown = {"patches": patches}
    shown |= {label: [coloured(map, percentile, show) for map in maps[key]] for label, key, _ in rows}
    if lit:
        shown["patches, lit by it"] = [lit_by(*pair) for pair in zip(maps[lit], patches, strict=True)]
    edge, some = over_the_edge(int(kept["border"][seen].sum())), patches_that_excite(len(seen))
    heights, widths = (box[:, 2:] - box[:, :2]).max(0)
    plain = "" if layer["sites"] else " No ReLU lies on the way: this is the plain gradient."
    empty = sum(not map.any() for map in maps[rows[-1][1]])
    grey = f" {empty} all grey: nothing comes back to the pixels." if empty else ""
    values = ", ".join(colour.number(value) for value in kept["value"][seen])
    drawn = [map for _, key, _ in rows for map in maps[key]]
    largest = np.concatenate([kept[most][seen] for *_, most in rows])
    pixels, places = sheet_of(shown, side, kept["border"][seen])
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        pixels,
        alt=f"In a row {some} {name} unit {unit} most; below, on grey, what the network makes of each.{edge}{grey}",
        caption=f"{context.unit(name, unit)}.{words}{grey}",
        more=f"Above, {some} it most{', strongest first' if len(seen) > 1 else ''} ({values}), cut to where the map "
        "has 98 % of its energy; below each the projection of the neuron that won there. It sees up to "
        f"{heights} × {widths} pixels.{plain}{edge}",
        mapping="patches: the input's own pixels, in an orange frame if the neuron sees over the picture's edge; maps: "
        + range_words(drawn, largest, percentile)
        + " (values of the neuron per unit of pixel value)"
        + "; lit: bright where the map is strong, after a blur" * bool(lit),
        data=", ".join(f"{name}/{what}[{u}]" for what in (*(key for _, key, _ in rows), "box")),
        subjects=(
            Subject("unit", str(unit), name),
            Subject("layer", name),
            *(Subject("image", context.image_set.pictures[kept["image"][p]].name) for p in seen),
        ),
        group="Units, from the deepest layer to the first",
        lossless=False,  # a quarter of the bytes of many pictures
        marks=[
            context.mark(int(kept["image"][p]), f"activation {colour.number(kept['value'][p])}", box)
            for row in places
            for p, box in zip(seen, row, strict=True)
        ],
    )


def _of_one_class(context: Context, images: np.ndarray) -> str:
    """A sentence about the class of most of these pictures, "" if all differ."""
    labels = [label for i in images if (label := context.image_set.pictures[i].label) is not None]
    most = max(set(labels), key=labels.count, default=None)
    if most is None or labels.count(most) < 2:
        return ""
    return f" {labels.count(most)} of {len(images)} patches show one class: {context.called(most)}."


def _cut(kept: dict[str, np.ndarray], seen: list[int], inputs: dict[int, np.ndarray], rows) -> tuple[list, dict]:
    """A unit's patches ``seen`` and the projections of each of ``rows``, cut to what the last row shows."""
    patches, maps = [], {key: [] for _, key, _ in rows}
    for p in seen:
        top, left, bottom, right = kept["box"][p]
        patches.append(inputs[int(kept["image"][p])][top:bottom, left:right])
        for key, own in maps.items():
            whole = kept[key][p, : bottom - top, : right - left].astype(np.float32)
            own.append(whole / 127 if kept[key].dtype == np.int8 else whole)
    parts = window(next(own for own in reversed(maps.values()) if any(map.any() for map in own)))

    def cut(pictures: list) -> list:
        return [picture[part] for picture, part in zip(pictures, parts, strict=True)]

    return cut(patches), {key: cut(own) for key, own in maps.items()}

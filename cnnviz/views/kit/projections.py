"""Projections of units and of class scores to the pixels, beside their patches and pictures."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from cnnviz.network.kinds import REGRESSION
from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views.kit import colour, explained, patches
from cnnviz.views.kit.attributions import row, sheet
from cnnviz.views.kit.findings import UNTRIED, Finding, Measured, mean_interval, span, weakly
from cnnviz.views.kit.patches import over_the_edge, patches_that_excite, unprobed
from cnnviz.views.kit.section import Context, Figure, Metric, Subject
from cnnviz.views.kit.tiles import block, cell

MOST_FIGURES = 190  # a page shows at most 200 pictures
WIDTH, GAP = 516, 16  # width of a unit's figure and gap, so that several fit side by side
BETWEEN = 3  # patches, in pixels
LEAST = 8  # smallest side of a unit's patches as they are shown, in pixels of the input


def view(result: Result, context: Context, do_not_conclude: str, unit_figure=None, unit_finding=None) -> dict:
    """A group for each layer with its units, and one for the probe pictures' classes, if they have projections.

    unit_figure, unit_finding: what draws a unit and tells of all of them, by default :func:`_unit_figure`, which is
    None for a unit with nothing to show, and :func:`of_units`.
    """
    method = result.numbers["methods"][0]
    lively = [i for i, largest in enumerate(result.arrays["largest"]) if largest.any()]
    classes = tuple(_class_figure(result, context, i) for i in lively)
    empty = len(result.arrays["index"]) - len(classes)
    left_out = (
        f"Of {empty} probe pictures no {context.explained}'s score comes back to the pixels; they are left out."
        if empty
        else ""
    )
    layers = result.numbers["layers"]
    units = max(0, MOST_FIGURES - len(classes)) // max(1, len(layers))
    whence = [i for layer in layers for i in result.arrays[f"{layer['name']}/image"].flat]
    pictures = context.as_seen(result, whence)
    figures = {
        layer["name"]: [
            made
            for u in range(min(units, len(result.arrays[f"{layer['name']}/unit"])))
            if (made := (unit_figure or _unit_figure)(result, context, layer, u, pictures))
        ]
        for layer in layers
    }
    deep = [made for made in figures.values() if made][-2:-1] or [made for made in figures.values() if made]
    notes = (do_not_conclude, method["caveat"], left_out, unprobed(layers).strip())
    nothing = result.arrays["largest"][result.arrays["targets"] >= 0] == 0
    name, title = method["name"], TITLES.get(method["name"], method["name"])
    first = {layer: made[0].id for layer, made in figures.items() if made}
    units_said = (unit_finding or of_units)(result, f"the {title} map", first)
    said, measured = found(result, context, name, f"the {title} map", units_said)
    return {
        "findings": said,
        "measured": measured,
        "figures": (
            explained.lead(result, context, name, title),
            *(figure for made in figures.values() for figure in made),
            *classes,
        ),
        "cover": deep[0][0].id if deep else "",
        "metrics": (
            Metric("units", sum(len(made) for made in figures.values())),
            Metric("empty_class_projections", float(nothing.mean()), "share", "lower"),
        ),
        "do_not_conclude": " ".join(filter(None, notes)),
    }


TITLES = {"guided_backprop": "guided backpropagation", "deconvnet": "deconvnet"}


def found(result: Result, context: Context, name: str, title: str, units: tuple | None) -> tuple[tuple, dict]:
    """Whether the map depends on the class, how much of it lies on the object, and what was found about ``units``."""
    said, measured = explained.found(result, context, {name: title}, explained.LEAD)
    of_class = context.kind != REGRESSION and explained.of_class(result, context, name, title, "classes--")
    if of_class:
        said = [of_class[0], *(one for one in said if one.key != of_class[0].key)]
        measured |= {of_class[0].key: of_class[1]}
    if units:
        said, measured = [*said, units[0]], measured | units[1]
    return tuple(said), measured


def of_units(result: Result, title: str, figures: dict[str, str]) -> tuple[Finding, dict[str, Measured]] | None:
    """Whether the projections of a unit's patches are more alike than those of two units, in the deepest such layer.

    A unit's weights are the same in all of its patches, so this holds for random weights, too.
    """
    measured, best = {}, None
    for layer in result.numbers["layers"]:
        name = layer["name"]
        own, other = alike(result.arrays[f"{name}/projection"], result.arrays[f"{name}/image"] >= 0)
        if len(own) < 2:
            continue
        gap, low, high = (float(np.clip(v, -1, 1)) for v in mean_interval(own - other))
        key, said = f"{title} of one unit: {name}", f"{own.mean():.2f}, of two units {other.mean():.2f}"
        measured[key] = Measured(said, gap, low, high)
        if best is None or low > 0:
            best = Finding(
                key, f"Maps of a unit's patches in {name} are alike by {own.mean():.2f}, those of two units by "
                f"{other.mean():.2f}.", weakly(low), f"{span(low, high)} apart; 1 is the same map",
                f"patches of other units; {UNTRIED}", f"{len(own)} units",
                figures.get(name, ""),
            )  # fmt: skip
    return (best, measured) if best else None


def alike(maps: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean cosine of each unit's maps with one another, and with those of the other units: (units,) each.

    maps: (units, k, h, w, c). there: (units, k) bool. Units with fewer than two maps that are not empty are left out.
    """
    flat = maps.reshape(*there.shape, -1).astype(np.float32)
    there = there & flat.any(2)
    units = there.sum(1) > 1
    flat, there = flat[units], there[units]
    if len(flat) < 2:
        return np.empty(0), np.empty(0)
    owner = np.nonzero(there)[0]
    unit = flat[there] / np.linalg.norm(flat[there], axis=1, keepdims=True)
    cosines, same = unit @ unit.T, owner[:, None] == owner
    own, other = same & ~np.eye(len(owner), dtype=bool), ~same
    return tuple(
        np.array([cosines[owner == u][pairs[owner == u]].mean() for u in range(len(flat))]) for pairs in (own, other)
    )


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
    """A signed projection (h, w, c) as (h, w, 3) uint8: 0 is mid-grey, larger values are brighter in each channel."""
    return colour.rgb(_range(shares, percentile).grey(shares), show)


def range_words(shares: list[np.ndarray], largest: np.ndarray, percentile: float) -> str:
    """The mapping of :func:`coloured`: the two ends of each projection."""
    ends = [_range(share, percentile).high * float(most) for share, most in zip(shares, largest, strict=False)]
    return (
        f"each channel by itself, 0 is mid-grey, symmetric about 0, ends at the {percentile:g}th percentile of each "
        f"projection's magnitude: {', '.join(f'±{colour.number(end, 2)}' for end in ends)}"
    )


def _range(shares: np.ndarray, percentile: float) -> colour.Mapping:
    mapping = colour.symmetric(shares, colour.GREY, percentile)
    return mapping if mapping.high > 0 else colour.symmetric(shares, colour.GREY)  # almost all pixels are 0


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
        mapping=range_words(shares, arrays["largest"][i], percentile) + f" ({context.score}s per unit of pixel value)",
        data=f"projection[{i}], largest[{i}]",
        subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
        group="Class scores",
    )


def _unit_figure(result: Result, context: Context, layer: dict, u: int, inputs: dict[int, np.ndarray]) -> Figure:
    name, percentile, show = layer["name"], context.show["percentile"], context.image_set.config.get("show")
    kept = {
        what: result.arrays[f"{name}/{what}"][u]
        for what in ("unit", "image", "value", "box", "border", "projection", "largest")
    }
    unit, found = int(kept["unit"]), [p for p in range(len(kept["image"])) if kept["image"][p] >= 0]
    across = ceil(len(kept["image"]) ** 0.5)
    side = (WIDTH - GAP) // (2 * across) - BETWEEN
    pair = np.zeros((2, len(kept["image"]), side, side, 4), np.uint8)
    shares, seen = [], []
    for p in found:
        top, left, bottom, right = kept["box"][p]
        if top == bottom or left == right:  # a neuron that sees only padding
            continue
        seen.append(p)
        shares.append(kept["projection"][p, : bottom - top, : right - left].astype(np.float32))
        patch = inputs[int(kept["image"][p])][top:bottom, left:right]
        for half, crop in enumerate((patch, coloured(shares[-1], percentile, show))):
            pair[half, p] = cell(crop, side, bool(kept["border"][p]))
    shown, projected = (block(cells, BETWEEN) for cells in pair)
    whose = [kept[what] for what in ("image", "value", "box")]
    pictures = [context.image_set.pictures[kept["image"][p]] for p in found]
    heights, widths = (kept["box"][:, 2:] - kept["box"][:, :2]).max(0)
    outside, empty = int(kept["border"].sum()), sum(not share.any() for share in shares)
    values = ", ".join(colour.number(value) for value in kept["value"][found])
    plain = "" if layer["sites"] else " No ReLU lies on the way: this is the plain gradient."
    edge, some = over_the_edge(outside), patches_that_excite(len(found))
    notes = f" {empty} all grey: nothing comes back to the pixels." if empty else ""
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        np.concatenate([shown, np.zeros((len(shown), GAP, 4), np.uint8), projected], 1),
        alt=f"On the left {some} {name} unit {unit} most; beside, on grey, what the network makes of it.{edge}{notes}",
        caption=f"{context.unit(name, unit)}.{notes}",
        more=f"Left, {some} it most{', strongest first' if len(found) > 1 else ''} ({values}); right, in the same "
        f"places, the projection of the neuron that won there. It sees up to {heights} × {widths} pixels.{plain}{edge}",
        mapping="left: the input's own pixels, in an orange frame if the neuron sees over the picture's edge; right: "
        + range_words(shares, kept["largest"][seen], percentile)
        + " (values of the neuron per unit of pixel value)",
        data=f"{name}/projection[{u}], {name}/largest[{u}], {name}/box[{u}]",
        subjects=(
            Subject("unit", str(unit), name),
            Subject("layer", name),
            *(Subject("image", picture.name) for picture in pictures),
        ),
        group=name,
        lossless=False,  # a quarter of the bytes of many pictures
        marks=[
            mark
            for left in (0, shown.shape[1] + GAP)
            for mark in patches.marks(context, *whose, side=side, gap=BETWEEN, at=(left, 0))
        ],
    )

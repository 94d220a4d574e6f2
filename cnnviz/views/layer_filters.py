"""A later layer's filters: the clearest kernels of each pattern, and sheets with a row per unit, a column per input."""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, findings, kernels, section
from cnnviz.views.kit.filters import GAP, found
from cnnviz.views.kit.findings import Finding, Measured, percent
from cnnviz.views.kit.section import Context, Figure, Subject, Table
from cnnviz.views.kit.svg import Drawing, document, embedded, text, upwards
from cnnviz.views.kit.tiles import montage

SIDE = 720  # approximate side of a sheet in CSS pixels
ACROSS = 32  # most tiles per row for units with one input each
LARGEST = 18  # CSS pixels per weight
LEFT, TOP, EDGE, FONT = 46, 48, 4, 12
OFTEN = {kind: (f"more often {kind}", f"less often {kind}") for kind in ("edges", "spots", "stripes")}
OFTEN |= {"flat": ("flatter", "less flat")}
SHOWN, TILE, LINE = 8, 64, 30  # kernels of a pattern, the side of one, and a line of words in CSS pixels


def tiles(weights: np.ndarray, ends: tuple[float, float] | None = None) -> np.ndarray:
    """(u, c, h, w) weights → (u × c, h, w, 3) uint8 grey tiles, unit after unit.

    ends: the numbers that are black and white; None gives each unit its own range, symmetric about 0.
    """
    if ends:
        levels = colour.fixed(*ends).grey(weights)
    else:
        levels = np.stack([colour.symmetric(unit, colour.GREY).grey(unit) for unit in weights])
    return np.repeat(levels.reshape(-1, *weights.shape[2:])[..., None], 3, axis=3)


@dataclass(frozen=True)
class Sheet:
    """Layout of a layer's tiles.

    columns: tiles per row. rows, across: labels of rows and of columns. down, along: meaning of these labels. words:
    what the sheet shows.
    """

    columns: int
    rows: list[str]
    across: list[str]
    down: str
    along: str
    words: str


def view(result: Result, context: Context) -> dict:
    layers = result.numbers["layers"]
    said, patterns = [], []
    for layer in layers:
        name, weights = layer["name"], result.arrays[f"{layer['name']}/weights"]
        wide = weights.shape[2] * weights.shape[3] > 1
        figure = _id(name, "patterns" if wide else "per-unit")
        said.append(found(weights, f"smoothness of {name}", f"The kernels of {name}", figure))
        if wide:
            patterns.append((name, *kernels.found(weights, name, figure, len(layers))))
            said.append(patterns[-1][1:])
    said.sort(key=lambda pair: (findings.STRENGTHS.index(pair[0].strength), -(pair[1].effect if pair[1] else -1)))
    return {
        "findings": (_over_layers(patterns) or said[0][0],),
        "measured": {finding.key: measured for finding, measured in said if measured},
        "figures": tuple(f for layer in layers for f in _figures(result, context, layer)),
        "tables": (_layers(result),),
        "how_to_read": READ + DEPTHWISE * any(layer["shape"][1] == 1 for layer in layers),
    }


def _over_layers(patterns: list[tuple[str, Finding, Measured]]) -> Finding | None:
    """The clearest layer's finding in words about all layers with a pattern, if these are two or more."""
    told = [each for each in patterns if each[1].strength != findings.NOT]
    if len(told) < 2:
        return None
    parted = [measured.short.split(" ", 1) for _, _, measured in told]  # "flat 26 %"
    kinds, shares = [kind for kind, _ in parted], [measured.effect for _, _, measured in told]
    if len(set(kinds)) == 1 and (rises := all(np.diff(shares) > 0)) != all(np.diff(shares) < 0):
        listed = ", ".join(
            f"{share} of the energy in {name}" for (name, *_), (_, share) in zip(told, parted, strict=True)
        )
        says = f"Kernels are {OFTEN[kinds[0]][not rises]} with depth: {listed}."
    else:
        each = zip(told, parted, strict=True)
        says = (
            f"Most typical kernels: {', '.join(f'{kind} in {name} ({share})' for (name, *_), (kind, share) in each)}."
        )
    name, best, _ = max(told, key=lambda each: each[2].low)
    return replace(best, says=says, interval=f"{best.interval} in {name}", control=f"{best.control}, in {name}")


def _figures(result: Result, context: Context, layer: dict) -> list[Figure]:
    """The patterns; the sheets of all kernels are folded below them."""
    height, width = layer["shape"][2:]
    sheets = [figure(result, context, layer) for figure in (_per_unit, _shared_range)]
    if height * width == 1:
        return sheets
    return [_patterns(result, context, layer), *(replace(sheet, folded=True) for sheet in sheets)]


def _patterns(result: Result, context: Context, layer: dict) -> Figure:
    """A row of the clearest kernels of each pattern, the pattern that is most above chance first."""
    name, (all_units, all_inputs, h, w) = layer["name"], layer["shape"]
    weights, units, inputs = (result.arrays[f"{name}/{what}"] for what in ("weights", "units", "inputs"))
    shares, even = kernels.energies(weights), kernels.chance(h, w)
    of_part, named = shares.sum(2).mean(1), shares.argmax(0)
    parts, y, said = [], 0, []
    for k in np.argsort(-(of_part - even), kind="stable"):
        kind, means = kernels.ARE[kernels.PARTS[k]]
        own = np.where((named == k) & (shares[k] > 0), shares[k], -1).ravel()
        said.append(f"{kind} {percent(of_part[k])} ({percent(even[k])})")
        parts.append(text(f"{kind}: {percent(of_part[k])}", "strong", x=0, y=y + 20))
        parts.append(text(f"noise: {percent(even[k])}; {means}", "quiet end", x=SHOWN * (TILE + 8) - 8, y=y + 20))
        for i, at in enumerate(np.argsort(-own, kind="stable")[:SHOWN]):
            if own[at] < 0:
                break
            u, c = divmod(int(at), len(inputs))
            kernel = weights[u, c]
            tile = colour.symmetric(kernel)(kernel)
            x, title = i * (TILE + 8), f"{units[u]}" if all_inputs == 1 else f"{units[u]} ← {inputs[c]}"
            parts.append(embedded(tile, TILE, TILE, x=x, y=y + LINE, crisp=True, stretched=True))
            parts.append(f'<rect class="plate" x="{x}" y="{y + LINE}" width="{TILE}" height="{TILE}"/>')
            parts.append(text(title, "small middle quiet", x=x + TILE / 2, y=y + LINE + TILE + 13))
        y += LINE + (TILE + 22) * bool(own.max() >= 0)
    drawn = f"{_of(len(units), all_units)} units" + (
        f" and {len(inputs)} of their {all_inputs} inputs" * (len(inputs) < all_inputs)
    )
    return context.drawing(
        _id(name, "patterns"),
        document(SHOWN * (TILE + 8) - 8, y - 6, parts, style="text{font-size:16px}.small{font-size:12px}"),
        alt=f"Kernels of {name} in rows by their pattern: {', '.join(said)}; in brackets, of random weights.",
        caption=f"{name}: the clearest {h} × {w} kernels of each pattern, and its share of the energy.",
        more=f"Energy: squared weights. Over {drawn.lower()}. Below a kernel: its unit"
        + ("." if all_inputs == 1 else " ← the channel that it reads."),
        mapping="red adds, blue subtracts, white is 0; each kernel to its own largest magnitude, enlarged by repeating "
        "pixels",
        data=f"{name}/weights",
        subjects=(Subject("layer", name),),
        group=f"{name}: {all_units} × {all_inputs} × {h} × {w}",
        from_dataset=False,
    )


def _layers(result: Result) -> Table:
    rows = []
    for layer in result.numbers["layers"]:
        name, (units, inputs, h, w) = layer["name"], layer["shape"]
        count, shown = result.arrays[f"{name}/weights"].shape[:2]
        rows.append((name, units, inputs, f"{h} × {w}", layer["groups"], *layer["range"], f"{count} × {shown}"))
    caption = "The layers above: their units, the input channels that each unit sees, and how much of them is drawn."
    columns = ("layer", "units", "inputs of a unit", "kernel", "groups", "smallest", "largest weight", "drawn")
    return Table("layers", caption, columns, tuple(rows))


def _single(result: Result, layer: dict) -> Sheet:
    """Units with one input channel each, in reading order."""
    name, (all_units, _, h, w), order = layer["name"], layer["shape"], result.parameters["order"]
    units = result.arrays[f"{name}/units"]
    count = len(units)
    columns = min(count, ACROSS, 8 * ceil((2 * count) ** 0.5 / 8))  # about twice as wide as high
    rows = [f"{units[i]}" if order == "index" else f"{i + 1}." for i in range(0, count, columns)]
    # a single row is labelled by its units, several rows by their first unit
    labels = (rows, [f"+{i}" for i in range(columns)]) if len(rows) > 1 else ([""], [str(u) for u in units])
    words = (
        f"{_of(count, all_units)} units of {name}, in reading order{_sorted(result) if order == 'norm' else ''}. It is "
        f"a depthwise convolution: each unit has one filter of {h} × {w}, on one input channel."
    )
    return Sheet(columns, *labels, "unit" if order == "index" or len(rows) == 1 else "rank", "", words)


def _several(result: Result, layer: dict) -> Sheet:
    """A row per unit, a column per input."""
    name, (all_units, all_inputs, h, w), groups = layer["name"], layer["shape"], layer["groups"]
    units, inputs = (result.arrays[f"{name}/{what}"] for what in ("units", "inputs"))
    tile = (
        f"a tile is the {h} × {w} weights of one unit on one input channel"
        if h * w > 1
        else "a square is the one weight of one unit on one input channel: the layer mixes channels and looks at no "
        "neighbours"
    )
    grouped = (
        f". The layer has {groups} groups of {all_units // groups} units; a column is a place within the "
        "unit's own group, not one channel for all rows"
        if groups > 1
        else ""
    )
    words = (
        f"{_of(len(units), all_units)} units of {name} (rows) and {_of(len(inputs), all_inputs).lower()} of each "
        f"unit's inputs (columns){_sorted(result)}; {tile}{grouped}."
    )
    return Sheet(len(inputs), [str(u) for u in units], [str(i) for i in inputs], "unit", "input", words)


def _sorted(result: Result) -> str:
    return ", those of the largest norm first" if result.parameters["order"] == "norm" else " in their order"


def _figure(
    result: Result, context: Context, layer: dict, ends: tuple | None, *, id: str, alt: str, words: str, mapping: str
) -> Figure:
    name, (all_units, all_inputs, h, w) = layer["name"], layer["shape"]
    weights = result.arrays[f"{name}/weights"]
    sheet = (_single if all_inputs == 1 else _several)(result, layer)
    rows = -(-weights.shape[0] * weights.shape[1] // sheet.columns)
    return context.drawing(
        _id(name, id),
        _drawn(tiles(weights, ends), sheet),
        alt=f"{name}: {rows} rows of {sheet.columns} grey tiles, {h} by {w} weights each, {alt}.",
        caption=f"{name}. {words}",
        more=sheet.words,
        mapping=f"{mapping}; enlarged by repeating pixels",
        data=f"{name}/weights",
        subjects=(Subject("layer", name),),
        group=f"{name}: {all_units} × {all_inputs} × {h} × {w}",
        from_dataset=False,
    )


def _id(layer: str, which: str) -> str:
    return f"{layer.replace('/', '_')}-{which}"


def _per_unit(result: Result, context: Context, layer: dict) -> Figure:
    """Each unit with its own range."""
    each, single = ("filter", True) if layer["shape"][1] == 1 else ("unit", False)
    return _figure(
        result,
        context,
        layer,
        None,
        id="per-unit",
        alt=f"each {each} at full contrast",
        words=f"Every {each} has its own range, so that weak ones are as visible as strong ones"
        + ("." if single else "; along a row tiles can be compared."),
        mapping=f"each {each} symmetric about 0 to its own largest magnitude; mid-grey is 0",
    )


def _shared_range(result: Result, context: Context, layer: dict) -> Figure:
    """One range for the whole layer."""
    low, high = layer["range"]
    return _figure(
        result,
        context,
        layer,
        (low, high),
        id="shared-range",
        alt="with one range: strong weights stand out, weak ones are alike",
        words="One range for the whole layer: what is nearly as grey as 0 has small weights.",
        mapping=colour.Mapping(low, high, colour.GREY, "smallest to largest weight of the layer").words
        + f"; 0 is grey level {colour.fixed(low, high).grey(np.zeros(1))[0]} of 255",
    )


def _of(count: int, all: int) -> str:
    return f"All {all}" if count == all else f"{count} of the {all}"


def _drawn(pictures: np.ndarray, layout: Sheet) -> Drawing:
    """The enlarged tiles, with a label before every row and above every column."""
    _, h, w, _ = pictures.shape
    gap = GAP if h * w > 1 else 0
    sheet = montage(pictures, layout.columns, gap)
    scale = max(1, min(LARGEST, SIDE // max(sheet.shape[:2])))
    width, height = LEFT + sheet.shape[1] * scale + EDGE, TOP + sheet.shape[0] * scale + EDGE
    pixels = sheet.repeat(scale, 0).repeat(scale, 1)
    parts = [embedded(pixels, pixels.shape[1], pixels.shape[0], x=LEFT, y=TOP)]
    for i in range(0, len(layout.rows), _every(scale * (h + gap))):
        y = TOP + (i * (h + gap) + h / 2) * scale + FONT / 3
        parts.append(text(layout.rows[i], "end", x=LEFT - 6, y=f"{y:.1f}"))
    for i in range(0, len(layout.across), _every(scale * (w + gap))):
        x = LEFT + (i * (w + gap) + w / 2) * scale + FONT / 3
        parts.append(upwards(layout.across[i], "", f"{x:.1f}", TOP - 6))
    parts += [text(layout.down, x=2, y=TOP - 6), text(layout.along, x=LEFT, y=FONT)]
    return document(width, height, parts, style=f"text{{font-size:{FONT}px}}")


def _every(pitch: float) -> int:
    """Smallest spacing of labels in tiles."""
    return int(-(-FONT // pitch))


READ = (
    "A kernel says where around its place a channel speaks for a unit (red, bright) or against it (blue, dark). Flat "
    "ones only add up; edges and spots compare places."
)
DEPTHWISE = " A depthwise kernel reads one channel alone."

if __name__ == "__main__":
    section.run(
        view,
        id="layer_filters",
        title="Filters of later layers",
        question="What do the kernels of later layers do?",
        tour="Deeper weights are no pictures any more: they read what the layer before found.",
        how_to_read=READ,
        do_not_conclude="The channels are not colours: without knowing what each one stands for, a tile does not say "
        "what the unit looks for. A small weight on a channel with large values may count more than a large weight on "
        "a quiet channel.",
        equation="y_u(p) = b_u + Σ_c Σ_d w[u, c, d] · x_c(p + d)",
        papers=(papers.VOSS_2021,),
    )

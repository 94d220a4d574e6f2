"""Unit statistics: activity of layers over depth, each layer's sorted units and histograms, dead units."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.statistics.ranks import ranks
from cnnviz.views import papers
from cnnviz.views.kit import colour, findings, section, svg
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import About, Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import BLUE, ORANGE, Axis, Drawing, Mark, embedded, text, ticks_left, upwards

WIDE = 600  # CSS pixels of the first figure
MOST_ROWS = 200
PANEL, TALL = 200, 130  # width and height of a panel of sorted values in CSS pixels
STRIP, ROW, BARS = 640, 5, 24  # width of a strip, height of a bin, and of the bars below
SMALL, ACROSS, MOST_SMALL = (270, 84), 4, 24  # a small strip's size, how many stand in a row, and in all
DEAD, MARGIN = 0.01, 0.05  # shares of dead units and of active neurons that are found to differ beyond this
FEWEST, ORDERS = 5, 10_000  # layers that can show a trend (2 of 5! orders are monotonic), and random orders of them
EACH = "Each layer"  # group of the figures of single layers
STATES = ("lives", "dead", "constant")

STYLE = (
    f"text{{font-size:12px}}.curve{{fill:none;stroke:{BLUE};stroke-width:2}}.area{{fill:{BLUE};fill-opacity:.25}}"
    f".box{{fill:{BLUE};fill-opacity:.35}}.middle-line{{stroke:{BLUE};stroke-width:2.5}}"
    f".zero{{stroke:#8a9099;stroke-dasharray:3 3}}.dead{{fill:{ORANGE}}}.tick{{stroke:#8a9099}}"
    ".share{fill:#15171c;font-size:10px;font-weight:600}"
)
DARK = ".curve,.middle-line{stroke:#62a8f5}"


def document(width: int, height: int, parts: list[str], marks: list[Mark]) -> Drawing:
    return svg.document(width, height, parts, style=STYLE, dark=DARK, marks=marks)


def by_depth(names: list[str], active: list[np.ndarray], dead: list[float]) -> Drawing:
    """A box per layer: quartiles and median of its units' active shares, a line from lowest to highest; dead below."""
    step = min(72, max(34, 760 // len(names)))
    left, top, tall, marks = 66, 10, 190, []
    bottom, right = top + tall, left + step * len(names)
    labels = round(5 * max(map(len, names))) + 16
    y = Axis(0, 1, bottom, top)
    parts = [
        f'<rect class="plate" x="{left}" y="{top}" width="{right - left}" height="{tall}"/>',
        *ticks_left(y, left - 6, "{:.0%}".format, 5, "end"),
        upwards("active neurons", "middle quiet", 14, top + tall / 2),
    ]
    for i, (name, values, share) in enumerate(zip(names, active, dead, strict=True)):
        x, half = left + (i + 0.5) * step, step * 0.28
        low, first, middle, third, high = (y(q) for q in np.percentile(values, [0, 25, 50, 75, 100]))
        parts.append(
            f'<path class="tick" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
            f'<rect class="box" x="{x - half:.1f}" y="{third:.1f}" width="{2 * half:.1f}" '
            f'height="{first - third:.1f}"/>'
            f'<path class="middle-line" d="M{x - half:.1f} {middle:.1f}h{2 * half:.1f}"/>'
        )
        parts.append(upwards(name, "end", f"{x + 4:.0f}", bottom + 32, -50))
        quarters = "quartiles {:.1%}, {:.1%}, {:.1%}".format(*np.percentile(values, [25, 50, 75]))
        said = f"active neurons of its units: {quarters}; {share:.1%} dead"
        marks.append(Mark(x - step / 2, top, name, said, step, tall, "layer", name))
        if share:
            parts.append(
                f'<rect class="dead" x="{x - half:.1f}" y="{bottom + 6}" width="{2 * half:.1f}" height="12" rx="2"/>'
            )
            parts.append(text(f"{share:.0%}", "middle share", x=f"{x:.1f}", y=bottom + 16))
    if any(dead):
        parts.append(text("dead", "end quiet", x=left - 6, y=bottom + 17))
    height = bottom + 26 + labels
    return document(right + 12, height, parts, marks)


def panels(series: dict[str, np.ndarray], layer: str) -> Drawing:
    """A panel for each of ``series`` (name → (units,) values) with the values in descending order; 0 is dashed.

    layer: of the units.
    """
    parts, marks, left, gap, top = [], [], 56, 66, 26
    for i, (what, values) in enumerate(series.items()):
        x0 = left + i * (PANEL + gap)
        order = np.argsort(-values.astype(float), kind="stable")
        values = values[order].astype(float)
        share = what.startswith("active")
        low, high = (0.0, 1.0) if share else (min(0.0, values[-1]), max(0.0, values[0]))
        high = high if high > low else low + 1
        across, up = Axis(0, max(1, len(values) - 1), x0, x0 + PANEL), Axis(low, high, top + TALL, top)
        zero, say = up(0), "{:.0%}".format if share else number
        places = list(zip(across(np.arange(len(values))).tolist(), up(values).tolist(), strict=True))
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        for k in range(0, len(places), -(-len(places) // PANEL)):  # no more than a unit a pixel
            said = f"{what} {values[k]:.1%}" if share else f"{what} {values[k]:.4g}"
            marks.append(Mark(*places[k], f"unit {order[k]}", said, kind="unit", of=str(order[k]), layer=layer))
        parts += [
            f'<rect class="plate" x="{x0}" y="{top}" width="{PANEL}" height="{TALL}"/>',
            f'<polygon class="area" points="{x0},{zero:.1f} {points} {x0 + PANEL},{zero:.1f}"/>',
            f'<polyline class="curve" points="{points}"/>',
            f'<path class="zero" d="M{x0} {zero:.1f}h{PANEL}"/>',
            text(what, x=x0, y=top - 9),
            text(say(high), "end", x=x0 - 5, y=top + 9),
            text(say(low), "end", x=x0 - 5, y=top + TALL),
            text(f"{len(values)} units, in order", "middle quiet", x=x0 + PANEL / 2, y=top + TALL + 17),
        ]
    width, height = left + len(series) * (PANEL + gap) - gap + 12, top + TALL + 26
    return document(width, height, parts, marks)


def strip(count: np.ndarray, edges: np.ndarray, colours: colour.Mapping, units: np.ndarray, layer: str) -> Drawing:
    """A column per unit, a row per bin, large values at the top, and below them bars: each unit's share at 0.

    count (units, bins): a unit's neurons. units: their numbers, in the order of the columns.
    """
    first, last = _used(count)
    left, top, rows, zero = 74, 8, last - first, len(edges) // 2
    height = rows * ROW
    parts = _columns(count, first, last, colours, left, top, STRIP, height)
    at, marks = [], [(zero, "0")]
    for sign in (1, -1):
        marks += [
            (int(np.abs(edges - np.float32(sign * 10.0**d)).argmin()), f"{sign * 10.0**d:g}") for d in range(-3, 5)
        ]
    for edge, words in marks:  # an edge is between its bin and the next
        y = top + (last - edge - (edge < zero)) * ROW
        if top - 1 <= y <= top + height + 1 and all(abs(y - other) > 12 for other in at):
            at.append(y)
            parts.append(f'<path class="tick" d="M{left - 5} {y:.1f}h5"/>')
            parts.append(text(words, "end", x=left - 8, y=f"{y + 4:.1f}"))
    bottom = top + height + 4 + BARS
    parts.append(upwards("value", "middle quiet", 13, f"{top + height / 2:.0f}"))
    parts.append(text("at 0", "end quiet", x=left - 8, y=bottom - 8))
    below = f"{len(count)} units, the most active at the left"
    parts.append(text(below, "middle quiet", x=left + STRIP / 2, y=bottom + 18))
    step, wide = -(-len(units) // STRIP), STRIP / len(units)
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    marks = [
        Mark(left + k * wide, top, f"unit {units[k]}",
             f"{share[k, zero + 1 :].sum():.1%} of its neurons above 0, {share[k, zero]:.1%} at 0",
             wide, bottom - top, "unit", str(units[k]), layer)
        for k in range(0, len(units), step)
    ]  # fmt: skip
    return document(left + STRIP + 8, bottom + 26, parts, marks)


def all_strips(counts: dict[str, np.ndarray], colours: colour.Mapping) -> Drawing:
    """A small :func:`strip` for each layer, {name: (units, bins)}, all with the same rows."""
    ends = [_used(count) for count in counts.values()]
    first, last = min(a for a, _ in ends), max(b for _, b in ends)
    zero, parts, marks, left = next(iter(counts.values())).shape[1] // 2, [], [], 42
    heat, down = SMALL[1], SMALL[1] + BARS + 48
    for i, (name, count) in enumerate(counts.items()):
        x, y = left + i % ACROSS * (SMALL[0] + 18), i // ACROSS * down + 24
        parts += _columns(count, first, last, colours, x, y, SMALL[0], heat)
        idle = count[:, zero].sum() / max(1, count.sum())
        parts.append(text(name, "strong", x=x, y=y - 7))
        parts.append(text(f"{findings.percent(idle)} at 0", "end quiet", x=x + SMALL[0], y=y - 7))
        marks.append(Mark(x, y, name, f"{idle:.1%} of its neurons at 0", *SMALL, "layer", name))
        if not i % ACROSS:
            parts += [
                text("+", "end", x=left - 8, y=y + 14),
                text("0", "end", x=left - 8, y=f"{y + (last - zero) / (last - first) * heat + 5:.0f}"),
                text("at 0", "end quiet", x=left - 6, y=y + heat + BARS - 4),
            ]
    across = min(ACROSS, len(counts))
    return document(left + across * (SMALL[0] + 18), -(-len(counts) // ACROSS) * down, parts, marks)


def _used(count: np.ndarray) -> tuple[int, int]:
    """The first and the last bin of a layer's values, at least one above that of 0."""
    used, zero = np.flatnonzero(count.any(0)), count.shape[1] // 2
    return int(min(used[0], zero)), int(max(used[-1], zero + 1))


def _columns(
    count: np.ndarray, first: int, last: int, colours, x: float, y: float, width: int, height: int
) -> list[str]:
    """A unit's column: its neurons that are not at 0, by value, and below it a bar of those that are."""
    if len(count) > width:  # no more than a unit a pixel, the first and the last among them
        count = count[np.linspace(0, len(count) - 1, width).round().astype(int)]
    zero = count.shape[1] // 2
    rows = [b for b in range(last, first - 1, -1) if b != zero]
    pixels = colours(_not_at_zero(count)[:, rows].T)
    line, bottom = y + (last - zero) / len(rows) * height, y + height + 4 + BARS
    share = count[:, zero] / np.maximum(count.sum(1), 1)
    tops = "".join(f"V{bottom - BARS * v:.1f}H{x + (k + 1) * width / len(share):.1f}" for k, v in enumerate(share))
    return [
        embedded(pixels, width, height, x=x, y=y, stretched=True, crisp=True),
        f'<path class="zero" d="M{x} {line:.1f}h{width}"/>',
        f'<rect class="plate" x="{x}" y="{bottom - BARS}" width="{width}" height="{BARS}"/>',
        f'<path class="box" d="M{x} {bottom}{tops}V{bottom}Z"/>',
    ]


def _not_at_zero(count: np.ndarray) -> np.ndarray:
    """(units, bins) → the share of each unit's neurons outside the bin of 0 that is in each bin; 0 in that of 0."""
    zero, rest = count.shape[1] // 2, count.astype(float)
    rest[:, zero] = 0
    return rest / np.maximum(rest.sum(1, keepdims=True), 1)


def view(result: Result, context: Context) -> dict:
    layers, arrays = result.numbers["layers"], result.arrays
    figures = [_depth(layers, arrays, context), _values(layers, arrays, context)]
    for layer in layers:
        figures += [_sorted(layer, arrays, context), _histogram(layer, arrays, context)]
    silent = any(arrays[f"{layer['name']}/state"].any() for layer in layers)
    said, measured = found(result)
    return {
        "findings": said,
        "measured": measured,
        "figures": tuple(figures),
        "tables": (_layers(layers, arrays), *([_dead_units(result)] if silent else [])),
        "about": tuple(_about(layer["name"], arrays) for layer in layers),
        "metrics": _metrics(layers),
    }


def found(result: Result) -> tuple[tuple[Finding, ...], dict[str, Measured]]:
    """Number of dead units, and whether fewer neurons are active in the last layer than in the first."""
    told = [layer for layer in result.numbers["layers"] if layer["rectified"]]
    units, dead = (sum(layer[what] for layer in told) for what in ("units", "dead"))
    if not units:
        words = "No layer's values are made or read by a ReLU: whether units are dead cannot be told."
        return (Finding("dead units", words, findings.NOT, figure="depth"),), {}
    low, high = findings.share_interval(dead, units)
    of = f"{units:,} units" + " with a ReLU" * (len(told) < len(result.numbers["layers"]))
    says = f"{dead} of {of} {'is' if dead == 1 else 'are'} dead: never above 0." if dead else f"None of {of} is dead."
    said = [
        Finding("dead units", says, findings.strength(low, high, DEAD), between(low, high), "0, no dead unit",
                f"{result.numbers['pictures']:,} pictures", "depth")
    ]  # fmt: skip
    measured = {"dead units": Measured(f"{dead} dead", dead / units, low, high)}
    if len(told) > 1:
        finding, measured[finding.key] = _depth_found([layer["name"] for layer in told], result.arrays)
        said.append(finding)
    return tuple(sorted(said, key=lambda finding: findings.STRENGTHS.index(finding.strength))), measured


def _depth_found(names: list[str], arrays: dict) -> tuple[Finding, Measured]:
    """Whether fewer neurons are active with depth: in the last layer than in the first, and over all layers in order.

    Two ends alone would be picked points. So from FEWEST layers on a trend is found where the rank correlation with
    depth is beyond that of layers in random order, and only weakly unless the ends differ, too.
    """
    first, last = names[0], names[-1]
    means = [findings.mean_interval(arrays[f"{name}/active"]) for name in names]
    shares = [Measured("", mean, max(low, 0.0), min(high, 1.0)) for mean, low, high in (means[0], means[-1])]
    gap, low, high = findings.difference(*shares)
    strength = findings.strength(*((low, high) if gap > 0 else (-high, -low)), margin=MARGIN)
    how = "Fewer" if gap > 0 else "More"
    here, there = (percent(share.effect) for share in shares)
    says, none = f"{how} neurons are active in {last} ({there}) than in {first} ({here}).", ""
    control = f"0 points, no difference; {findings.UNTRIED}"
    basis = f"{len(arrays[f'{first}/active'])} and {len(arrays[f'{last}/active'])} units"
    if len(names) >= FEWEST:
        trend, by_chance = _trend(np.array([mean for mean, _, _ in means]))
        if trend * gap >= 0 or abs(trend) <= by_chance:
            strength = findings.NOT
        elif strength == findings.NOT:
            strength = findings.WEAK
        course = f"{here} in {first}, {there} in {last}, rank correlation {trend:.2f}".replace("-", "−")
        says, none = f"{how} neurons are active with depth: {course}.", f"No trend with depth is shown: {course}."
        control = f"rank correlation of layers in random order: {findings.span(-by_chance, by_chance)}"
        basis = f"{len(names)} layers"
    if strength == findings.NOT:
        says = none or f"About as many neurons are active in {last} ({there}) as in {first}: not shown to differ."
    apart = f"{round(100 * low):+} to {round(100 * high):+} percentage points apart".replace("-", "−")
    finding = Finding("active neurons, first less last layer", says, strength, apart, control, basis, "depth")
    return finding, Measured(
        " and ".join(percent(share.effect) for share in shares), gap, max(low, -1.0), min(high, 1.0)
    )


def _trend(values: np.ndarray) -> tuple[float, float]:
    """Rank correlation of ``values`` (layers,) with depth, and the size that 95 % of random orders stay within."""
    own, depth = (ranks(v) - (len(v) + 1) / 2 for v in (values, np.arange(len(values))))
    size = np.sqrt((own**2).sum() * (depth**2).sum()) or 1.0
    orders = np.random.default_rng(0).permuted(np.tile(own, (ORDERS, 1)), axis=1)
    return float(own @ depth / size), float(np.quantile(np.abs(orders @ depth / size), 0.95))


def _metrics(layers: list[dict]) -> tuple[Metric, ...]:
    told = [layer for layer in layers if layer["rectified"]]
    dead = sum(layer["dead"] for layer in told) / max(1, sum(layer["units"] for layer in told))
    return (
        *([Metric("dead_units", dead, "share", "lower")] if told else []),
        Metric("units", sum(layer["units"] for layer in layers)),
        Metric("constant_units", sum(layer["constant"] for layer in layers)),
        Metric("active_neurons", float(np.mean([layer["active"] for layer in layers])), "share"),
    )


def _layers(layers: list[dict], arrays: dict) -> Table:
    return Table(
        "layers",
        "The layers. Active: share of neurons above 0, over all pictures. Dead can only be told where a ReLU reads "
        "the values, or made them.",
        ("layer", "units", "values from", "active, median unit", "active, all neurons", "dead", "constant"),
        tuple(
            (
                layer["name"],
                layer["units"],
                f"{layer['made_by']}, read by {', '.join(layer['read_by']) or 'nothing else'}",
                f"{np.median(arrays[layer['name'] + '/active']):.1%}",
                f"{layer['active']:.1%}",
                layer["dead"] if layer["rectified"] else "cannot be told",
                layer["constant"],
            )
            for layer in layers
        ),
    )


def _dead_units(result: Result) -> Table:
    """The units that are dead or constant."""
    rows = []
    for name in (layer["name"] for layer in result.numbers["layers"]):
        state, largest = (result.arrays[f"{name}/{what}"] for what in ("state", "max"))
        rows += [(name, int(u), STATES[state[u]], float(f"{largest[u]:.4g}")) for u in np.flatnonzero(state)]
    cut = f"; the first {MOST_ROWS} of {len(rows)}" if len(rows) > MOST_ROWS else ""
    return Table(
        "dead_units",
        f"Units that say nothing on these {result.numbers['pictures']:,} pictures{cut}.",
        ("layer", "unit", "state", "largest value"),
        tuple(rows[:MOST_ROWS]),
    )


def _about(name: str, arrays: dict) -> About:
    kept = {what: arrays[f"{name}/{what}"] for what in ("mean", "max", "active", "state")}
    rows = {
        str(u): (
            float(f"{kept['mean'][u]:.4g}"),
            float(f"{kept['max'][u]:.4g}"),
            f"{kept['active'][u]:.1%}",
            STATES[kept["state"][u]] if kept["state"][u] else "alive",
        )
        for u in range(len(kept["mean"]))
    }
    return About("unit", ("mean", "maximum", "neurons above 0", "state"), rows, name)


def _depth(layers: list[dict], arrays: dict, context: Context) -> Figure:
    names = [layer["name"] for layer in layers]
    active = [arrays[f"{name}/active"] for name in names]
    dead = [layer["dead"] / layer["units"] for layer in layers]
    drawn = by_depth(names, active, dead)
    medians = [float(np.median(values)) for values in active]
    least, most = int(np.argmin(medians)), int(np.argmax(medians))
    said = (
        f"The median unit of {names[0]} is active in {medians[0]:.0%} of its neurons, that of {names[-1]} in "
        f"{medians[-1]:.0%}"
    )
    if least != most:
        said += f"; {names[most]} is the most active layer ({medians[most]:.0%}), {names[least]} the sparsest "
        said += f"({medians[least]:.0%})"
    total = sum(layer["dead"] for layer in layers)
    return context.drawing(
        "depth", drawn, scale=min(2, WIDE / drawn.width),
        alt=f"Boxes of the share of active neurons for {len(names)} layers in order. {said}. {total} dead units.",
        caption=f"How active units are, from input to output. {said}."
        + (" Orange: share of dead units." if total else " No unit is dead."),
        mapping="box: the middle half of the layer's units; line in it: the median; thin line: lowest to highest unit; "
        "height: share of a unit's neurons above 0, over all pictures, 0 … 1",
        data="L/active, L/state", subjects=tuple(Subject("layer", name) for name in names), group="By depth",
        from_dataset=False,
    )  # fmt: skip


def _sorted(layer: dict, arrays: dict, context: Context) -> Figure:
    """A layer's units sorted by their mean, by their maximum, and by their active share."""
    name = layer["name"]
    kept = {what: arrays[f"{name}/{what}"] for what in ("mean", "max", "active")}
    drawn = panels({"mean": kept["mean"], "maximum": kept["max"], "active neurons": kept["active"]}, name)
    strongest, widest = int(kept["max"].argmax()), int(kept["active"].argmax())
    silent = [f"{layer[state]} {state}" for state in ("dead", "constant") if layer[state]]
    return context.drawing(
        f"{slug(name)}-units", drawn,
        alt=f"Mean, maximum and share of active neurons of {name}'s {layer['units']} units, each in falling order: "
        f"means "
        f"{number(kept['mean'].min())} to {number(kept['mean'].max())}, maxima {number(kept['max'].min())} to "
        f"{number(kept['max'].max())}, active {kept['active'].min():.1%} to {kept['active'].max():.1%}.",
        caption=f"{name}: unit {strongest} reaches the largest value, {number(kept['max'][strongest])}; unit {widest} "
        f"is active most often, in {kept['active'][widest]:.0%} of its neurons."
        + (f" {' and '.join(silent)}." if silent else ""),
        more=f"Its {layer['units']} units. Values come from {layer['made_by']} and are read by "
        f"{', '.join(layer['read_by']) or 'nothing else'}.",
        mapping="units in order of mean, of maximum, of share of active neurons; height: value in the layer's own "
        "units; dashed line: 0",
        data=f"{name}/mean, {name}/max, {name}/active", subjects=(Subject("layer", name),), group=EACH,
        from_dataset=False,
    )  # fmt: skip


def _histogram(layer: dict, arrays: dict, context: Context) -> Figure:
    """Distribution of the values of a layer's units."""
    name, edges = layer["name"], arrays["histogram_edges"]
    kept = {what: arrays[f"{name}/{what}"] for what in ("active", "histogram")}
    order = np.argsort(-kept["active"], kind="stable")
    count = kept["histogram"][order]
    colours = _colours([count])
    drawn = strip(count, edges, colours, order, name)
    centre = kept["histogram"].sum(0)
    around_zero = centre[len(edges) // 2] / centre.sum()
    return context.drawing(
        f"{slug(name)}-histogram", drawn,
        alt=f"A strip with a column for each of {name}'s {layer['units']} units, a histogram of its values from the "
        f"largest at the top: {(centre[len(edges) // 2 + 1 :]).sum() / centre.sum():.0%} of all are above 0.001, "
        f"{around_zero:.0%} within 0.001 of 0.",
        caption=f"{name}: which values its units take, a column for each unit."
        + (f" {around_zero:.0%} are 0." if around_zero >= 0.005 else ""),
        more=f"{int(count[0].sum()):,} neurons of each unit. At 0 is what is within 0.001 of it.",
        mapping="columns: units, the most active at the left; rows: values, logarithmic on both sides of 0; bars: "
        f"share of a unit's neurons at 0; share of its other neurons in a bin: {colours.words}",
        data=f"{name}/histogram", subjects=(Subject("layer", name),), group=EACH, from_dataset=False,
    )  # fmt: skip


def _values(layers: list[dict], arrays: dict, context: Context) -> Figure:
    """The values of the layers' units, all layers side by side."""
    chosen = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), MOST_SMALL)).round().astype(int))
    counts = {}
    for name in (layers[i]["name"] for i in chosen):
        order = np.argsort(-arrays[f"{name}/active"], kind="stable")
        counts[name] = arrays[f"{name}/histogram"][order]
    colours = _colours(list(counts.values()))
    which = "all layers" if len(counts) == len(layers) else f"{len(counts)} of {len(layers)} layers"
    return context.drawing(
        "values", all_strips(counts, colours),
        alt=f"A strip for each of {len(counts)} layers: a column a unit, its values from the largest at the top, and "
        "below it the share of its neurons at 0.",
        caption=f"Which values the units take, in {which}: a column is a unit, bright where many of its neurons are; "
        "the bar below it is the share at 0.",
        mapping="columns: units, the most active at the left; rows: values, logarithmic on both sides of 0, the same "
        f"for all layers; share of a unit's neurons that are not at 0: {colours.words}",
        data="L/histogram", subjects=tuple(Subject("layer", name) for name in counts), group="Values of all layers",
        from_dataset=False,
    )  # fmt: skip


def _colours(counts: list[np.ndarray]) -> colour.Mapping:
    """One range for the strips of these layers, in which a few full bins do not darken the others."""
    shares = np.concatenate([share[share > 0] for share in map(_not_at_zero, counts)])
    return colour.up_to(shares if len(shares) else np.ones(1), percentile=97)


if __name__ == "__main__":
    section.run(
        view,
        id="unit_statistics",
        title="Unit statistics",
        question="How active is each unit, and are any dead?",
        tour="How often is each unit active, and are any dead?",
        how_to_read="A box is a layer's units, from input to output: low means that few neurons are above 0. Below: "
        "which values the units of all layers take, then each layer by itself.",
        do_not_conclude="Dead means dead on these pictures: others may excite the unit. Values are what the layer's "
        "own module puts out; where a batch normalisation follows, being below 0 means nothing. A rarely active unit "
        "is not useless: it may answer to a rare class.",
        equation="active_u = mean over pictures and places of [a_u(i, y, x) > 0]",
        papers=(papers.GLOROT_2011,),
    )

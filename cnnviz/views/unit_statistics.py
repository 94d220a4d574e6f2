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
STRIP, ROW = 640, 5  # width of a strip, height of a bin
DEAD, MARGIN = 0.01, 0.05  # shares of dead units and of active neurons that are found to differ beyond this
FEWEST, ORDERS = 5, 10_000  # layers that can show a trend (2 of 5! orders are monotonic), and random orders of them
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


def strip(share: np.ndarray, edges: np.ndarray, colours: colour.Mapping, units: np.ndarray, layer: str) -> Drawing:
    """A column per unit, a row per bin, large values at the top: share (units, bins) of a unit's neurons.

    units: their numbers, in the order of the columns.
    """
    used = np.flatnonzero(share.any(0))
    zero = len(edges) // 2
    first, last = int(min(used[0], zero)), int(max(used[-1], zero))
    pixels = colours(share[:, first : last + 1].T[::-1])
    left, top, rows = 74, 8, last - first + 1
    height = rows * ROW
    parts = [embedded(pixels, STRIP, height, x=left, y=top, stretched=True, crisp=True)]
    at, marks = [], [(zero - 0.5, "0")]
    for sign in (1, -1):
        marks += [
            (float(np.abs(edges - np.float32(sign * 10.0**d)).argmin()), f"{sign * 10.0**d:g}") for d in range(-3, 5)
        ]
    for edge, words in marks:  # an edge is between its bin and the next
        y = top + (last - edge) * ROW
        if top - 1 <= y <= top + height + 1 and all(abs(y - other) > 12 for other in at):
            at.append(y)
            parts.append(f'<path class="tick" d="M{left - 5} {y:.1f}h5"/>')
            parts.append(text(words, "end", x=left - 8, y=f"{y + 4:.1f}"))
    parts.append(upwards("value", "middle quiet", 13, f"{top + height / 2:.0f}"))
    below = f"{len(share)} units, the most active at the left"
    parts.append(text(below, "middle quiet", x=left + STRIP / 2, y=top + height + 18))
    step, wide = -(-len(units) // STRIP), STRIP / len(units)
    marks = [
        Mark(left + k * wide, top, f"unit {units[k]}", f"{share[k, zero + 1 :].sum():.1%} of its neurons above 0",
             wide, height, "unit", str(units[k]), layer)
        for k in range(0, len(units), step)
    ]  # fmt: skip
    return document(left + STRIP + 8, top + height + 26, parts, marks)


def view(result: Result, context: Context) -> dict:
    layers, arrays = result.numbers["layers"], result.arrays
    figures = [_depth(layers, arrays, context)]
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
        data=f"{name}/mean, {name}/max, {name}/active", subjects=(Subject("layer", name),), group=name,
        from_dataset=False,
    )  # fmt: skip


def _histogram(layer: dict, arrays: dict, context: Context) -> Figure:
    """Distribution of the values of a layer's units."""
    name, edges = layer["name"], arrays["histogram_edges"]
    kept = {what: arrays[f"{name}/{what}"] for what in ("active", "histogram")}
    order = np.argsort(-kept["active"], kind="stable")
    count = kept["histogram"][order]
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    colours = colour.up_to(share[:, share.any(0)], percentile=99)
    drawn = strip(share, edges, colours, order, name)
    centre = kept["histogram"].sum(0)
    around_zero = centre[len(edges) // 2] / centre.sum()
    return context.drawing(
        f"{slug(name)}-histogram", drawn,
        alt=f"A strip with a column for each of {name}'s {layer['units']} units, a histogram of its values from the "
        f"largest at the top: {(centre[len(edges) // 2 + 1 :]).sum() / centre.sum():.0%} of all are above 0.001, "
        f"{around_zero:.0%} within 0.001 of 0.",
        caption=f"{name}: which values its units take, a column for each unit.",
        more=f"{int(count[0].sum()):,} neurons of each unit. The row at 0 holds what is within 0.001 of it.",
        mapping="columns: units, the most active at the left; rows: values, logarithmic on both sides of 0; "
        f"share of a unit's neurons in a bin: {colours.words}",
        data=f"{name}/histogram", subjects=(Subject("layer", name),), group=name, from_dataset=False,
    )  # fmt: skip


if __name__ == "__main__":
    section.run(
        view,
        id="unit_statistics",
        title="Unit statistics",
        question="How active is each unit, and are any dead?",
        tour="How often is each unit active, and are any dead?",
        how_to_read="A box is a layer's units, from input to output: low means that few neurons are above 0. Below, "
        "for each layer: its units in order, and a strip in which each column is the histogram of one unit.",
        do_not_conclude="Dead means dead on these pictures: others may excite the unit. Values are what the layer's "
        "own module puts out; where a batch normalisation follows, being below 0 means nothing. A rarely active unit "
        "is not useless: it may answer to a rare class.",
        equation="active_u = mean over pictures and places of [a_u(i, y, x) > 0]",
        papers=(papers.GLOROT_2011,),
    )

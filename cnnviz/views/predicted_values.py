"""Predictions of a regression network: predicted over true values, residuals, the largest errors, the probes."""

import numpy as np

from cnnviz.network.class_names import cut
from cnnviz.run.result import Result
from cnnviz.views.kit import cards, findings
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured
from cnnviz.views.kit.section import About, Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import Axis, Drawing, Mark, document, text, ticks_below, ticks_left, upwards

MOST_DOTS = 3000
MOST_PROBES = 60
SIDE, LEFT, TOP, UNDER = 300, 74, 12, 46  # CSS pixels of a plot and its margins

HOW_TO_READ = (
    "Each dot is a picture: its true value across, the network's upwards; on the dashed line both are equal. Below are "
    "the residuals (predicted minus true), then the pictures that are furthest off."
)
DO_NOT_CONCLUDE = (
    "On pictures it was trained on, errors are flattering. R² depends on how much the true values differ in this set: "
    "the same errors give a low R² where all values are alike. The picture furthest off may have a wrong value in the "
    "table."
)
MARGIN = 0.05  # a share of the error of always saying the mean
EQUATION = "R² = 1 − Σ (v − t)² / Σ (t − mean t)²;  MAE = mean |v − t|"


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    whole = f"the {'query ' if numbers['on'] == 'query' else ''}pictures whose value is known"
    figures, metrics, keys = [], [], metric_keys([value["name"] for value in numbers["values"]])
    for place, value in enumerate(numbers["values"]):
        if value["n"]:
            figures += [
                _against(result, context, place, value, whole),
                _residuals(result, context, place, value, whole),
            ]
            metrics += _metrics(value, keys[place])
        else:
            figures.append(_spread(result, context, place, value))
    for place, value in enumerate(numbers["values"]):
        indices = result.arrays["worst"][place]
        group = "Furthest off" if len(numbers["values"]) == 1 else f"Furthest off: {value['name']}"
        figures += _cards(result, context, indices[indices >= 0].tolist(), f"worst-{place}", group)
    probes = result.arrays["probes"][:MOST_PROBES].tolist()
    figures += _cards(result, context, probes, "probes", "Probe pictures")
    known = any(value["n"] for value in numbers["values"])
    return {
        "figures": tuple(figures),
        "tables": (_table(numbers["values"], whole),) if known else (),
        "metrics": (*metrics, Metric("pictures_judged", numbers["labelled"])),
        "about": (_about(result, context),),
        **found(result),
        "question": "How near do the network's values come to the truth?",
        "how_to_read": HOW_TO_READ
        if known
        else "The network's values in order, from the smallest to the largest. Below are its values for each probe "
        "picture.",
        "do_not_conclude": DO_NOT_CONCLUDE,
        "equation": EQUATION if known else "",
        "papers": (),
    }


def found(result: Result) -> dict:
    """Error of each value compared with that of "always the mean"."""
    said, measured = [], {}
    for place, value in enumerate(result.numbers["values"]):
        key = f"error of {value['name']}"
        if not value["n"]:
            words = f"No true value of {value['name']} is known: how near the network comes cannot be told."
            said.append(Finding(key, words, findings.NOT, figure=f"spread-{place}"))
            continue
        said.append(_error(value, key, f"against-{place}"))
        control = value["control_mae"]
        if control > 0:
            ends = value.get("gain_interval", (-control, control))
            effects = (float(np.clip(v / control, -1, 1)) for v in (control - value["mae"], *ends))
            measured[key] = Measured(f"off by {number(value['mae'])}", *effects)
    order = sorted(said, key=lambda finding: findings.STRENGTHS.index(finding.strength))
    return {"findings": tuple(order), "measured": measured}


def _error(value: dict, key: str, figure: str) -> Finding:
    control, mae = value["control_mae"], value["mae"]
    says, basis = f"{value['name']} is off by {number(mae)} on average.", f"{value['n']:,} pictures"
    words = f"{number(control)}, by always saying the mean"
    if "gain_interval" not in value or control <= 0:
        return Finding(key, says, findings.NOT, "", words, basis, figure)
    low, high = (end / control for end in value["gain_interval"])
    if high < 0:
        says += " That is further from the truth than always saying the mean."
    shares = f"{value['gain_interval'][0]:.3g} to {value['gain_interval'][1]:.3g} nearer than the mean"
    strength = findings.strength(*((low, high) if high >= 0 else (-high, -low)), margin=MARGIN)
    return Finding(key, says, strength, shares, words, basis, figure, caution=high < 0)


def conclusion(found: dict) -> str:
    """R², the error, the control and a conclusion, in one or two sentences."""
    r2 = "not defined, as all true values are the same" if found["r2"] is None else number(found["r2"])
    between = f" ({_pair(found['r2_interval'])})" if found["r2"] is not None and "r2_interval" in found else ""
    mae = f" ({_pair(found['mae_interval'])})" if "mae_interval" in found else ""
    low, high = found.get("gain_interval", (-1, 1))
    better = "nearer to the truth than" if low > 0 else "further from the truth than" if high < 0 else ""
    said = (
        f"the network is {better} that"
        if better
        else "whether the network is nearer than that cannot be told from these"
    )
    line = found.get("line")
    scale = (
        f" The values follow the truth on another scale: {number(line['scale'])} × value {line['shift']:+.3g} has R² "
        f"{number(line['r2'])}. outputs.scale and outputs.shift of the config put that right."
        if line
        else ""
    )
    return (
        f"R² {r2}{between}. Mean absolute error {number(found['mae'])}{mae}; always the mean has "
        f"{number(found['control_mae'])}: {said}.{scale}"
    )


def _pair(interval: list[float]) -> str:
    return f"{interval[0]:.3g} to {interval[1]:.3g}"


def metric_keys(names: list[str]) -> list[str]:
    """Prefix of the names of each value's metrics; with its number if only signs distinguish two values."""
    if len(names) == 1:
        return [""]
    plain = ["".join(c if c.isalnum() else "_" for c in name.casefold()) + "_" for name in names]
    return plain if len(set(plain)) == len(plain) else [f"{key}{i}_" for i, key in enumerate(plain)]


def _metrics(found: dict, name: str) -> list[Metric]:
    interval = {key: tuple(found[key]) if key in found else None for key in ("r2_interval", "mae_interval")}
    r2 = [] if found["r2"] is None else [Metric(f"{name}r2", found["r2"], "", "higher", interval["r2_interval"])]
    return [
        *r2,
        Metric(f"{name}mean_absolute_error", found["mae"], "", "lower", interval["mae_interval"]),
        Metric(f"{name}error_of_always_the_mean", found["control_mae"]),
    ]


def _table(values: list[dict], whole: str) -> Table:
    def of(found: dict, key: str) -> str:
        if found.get(key) is None:
            return "not defined"
        return number(found[key]) + (f" ({_pair(found[key + '_interval'])})" if f"{key}_interval" in found else "")

    return Table(
        "values",
        f"Each value, over {whole}. Always the mean: the mean absolute error of saying the mean of these true values "
        "every time. Bias: predicted minus true, on average. In brackets 95 % intervals.",
        ("value", "pictures", "R²", "mean absolute error", "always the mean", "bias"),
        tuple(
            (f["name"], f["n"], of(f, "r2"), of(f, "mae"), of(f, "control_mae"), of(f, "bias"))
            for f in values
            if f["n"]
        ),
    )


# --------------------------------------------------------------------------------------------------------------- plots


def _some(result: Result, place: int) -> np.ndarray:
    """The drawn rows: all with a known truth, or a number of them spread over the set."""
    rows = np.flatnonzero(result.arrays["evaluated"][:, place])
    return rows if len(rows) <= MOST_DOTS else rows[np.arange(MOST_DOTS) * len(rows) // MOST_DOTS]


def plot(
    x: np.ndarray, y: np.ndarray, across: str, up: str, xs: tuple, ys: tuple, line: tuple, pictures: list[str]
) -> Drawing:
    """Dots (n,) in a square with the ranges ``xs`` and ``ys``; a dashed line between two points. pictures: theirs."""
    bottom, middle = TOP + SIDE, TOP + SIDE / 2
    to_x, to_y = Axis(*xs, LEFT, LEFT + SIDE), Axis(*ys, bottom, TOP)
    (x0, y0), (x1, y1) = ((to_x(a), to_y(b)) for a, b in line)
    radius = 3 if len(x) < 300 else 2 if len(x) < 1500 else 1.5
    dots = "".join(f'<circle cx="{p:.1f}" cy="{q:.1f}" r="{radius}"/>' for p, q in zip(to_x(x), to_y(y), strict=True))
    parts = [
        f'<rect class="plate" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>',
        f'<path class="line" stroke-dasharray="4 3" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>',
        *ticks_below(to_x, bottom + 17, number),
        *ticks_left(to_y, LEFT - 6, number),
        f'<g class="plain" fill-opacity=".55">{dots}</g>',
        text(cut(across, 44), "small middle", x=LEFT + SIDE / 2, y=bottom + 36),
        upwards(cut(up, 44), "small middle", 14, middle),
    ]
    marks = [
        Mark(float(to_x(a)), float(to_y(b)), name, f"{across} {a:.4g}, {up} {b:.4g}", kind="image", of=name)
        for a, b, name in zip(x.tolist(), y.tolist(), pictures, strict=True)
    ]
    return document(LEFT + SIDE + 12, bottom + UNDER, parts, marks=marks)


def limits(values: np.ndarray) -> tuple[float, float]:
    """The range of some values, with a small margin at both ends."""
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _against(result: Result, context: Context, place: int, found: dict, whole: str) -> Figure:
    rows = _some(result, place)
    truth, value = result.arrays["truth"][rows, place], result.arrays["values"][rows, place]
    ends, name = limits(np.concatenate([truth, value])), found["name"]
    line, named = ((ends[0],) * 2, (ends[1],) * 2), _named(context, rows)
    drawn = plot(truth, value, f"true {name}", f"predicted {name}", ends, ends, line, named)
    return context.drawing(
        f"against-{place}", drawn,
        alt=f"Predicted against true {name}: {len(rows):,} dots. {conclusion(found)}",
        caption=f"{name}, over {found['n']:,} of {whole}{_drawn(rows, found)}. {conclusion(found)}",
        mapping=f"linear axes, both {number(ends[0])} … {number(ends[1])}; dashed: predicted is true",
        data=f"values[:, {place}], truth[:, {place}]", subjects=_subjects(name), from_dataset=False,
    )  # fmt: skip


def _residuals(result: Result, context: Context, place: int, found: dict, whole: str) -> Figure:
    rows = _some(result, place)
    truth, name = result.arrays["truth"][rows, place], found["name"]
    residual = result.arrays["values"][rows, place] - truth
    across, up = limits(truth), limits(np.concatenate([residual, [0.0]]))
    line, named = ((across[0], 0), (across[1], 0)), _named(context, rows)
    drawn = plot(truth, residual, f"true {name}", "predicted minus true", across, up, line, named)
    slope = float(np.polyfit(truth, residual, 1)[0]) if np.ptp(truth) > 0 else 0.0
    leaning = (
        f" For each unit that the true value is larger, the residual changes by {slope:+.2f} on average."
        if np.ptp(truth) > 0
        else ""
    )
    return context.drawing(
        f"residuals-{place}", drawn,
        alt=f"Residuals of {name} against its true value: on average {number(found['bias'])}.{leaning}",
        caption=f"What is left: predicted minus true {name}{_drawn(rows, found)}; on average {number(found['bias'])}."
        f"{leaning}",
        mapping=f"linear axes, {number(across[0])} … {number(across[1])} and {number(up[0])} … {number(up[1])}; "
        "dashed: no error",
        data=f"values[:, {place}], truth[:, {place}]", subjects=_subjects(name), from_dataset=False,
    )  # fmt: skip


def _spread(result: Result, context: Context, place: int, found: dict) -> Figure:
    """Without a known truth: the network's values in order."""
    rows = np.argsort(result.arrays["values"][:, place], kind="stable")
    rows = rows if len(rows) <= MOST_DOTS else rows[np.arange(MOST_DOTS) * len(rows) // MOST_DOTS]
    values, named = result.arrays["values"][rows, place], _named(context, rows)
    share, ends, name = np.linspace(0, 1, len(values)), limits(values), found["name"]
    line = ((0, ends[0]), (0, ends[0]))
    drawn = plot(share, values, "share of the pictures below", name, (0, 1), ends, line, named)
    return context.drawing(
        f"spread-{place}", drawn,
        alt=f"The network's values of {name} in order, from {number(values[0])} to {number(values[-1])}.",
        caption=f"{name}: the network's values in order, half of them below {number(float(np.median(values)))}.",
        mapping=f"linear axes, {number(ends[0])} … {number(ends[1])}",
        data=f"values[:, {place}]", subjects=_subjects(name), from_dataset=False,
    )  # fmt: skip


def _named(context: Context, rows: np.ndarray) -> list[str]:
    return [context.image_set.pictures[row].name for row in rows.tolist()]


def _drawn(rows: np.ndarray, found: dict) -> str:
    return f" ({len(rows):,} of them drawn)" if len(rows) < found["n"] else ""


def _subjects(name: str) -> tuple[Subject, ...]:
    return Subject("class", f"{name} up"), Subject("class", f"{name} down")


# ------------------------------------------------------------------------------------------------------------ pictures


def _cards(result: Result, context: Context, indices: list[int], which: str, group: str) -> list[Figure]:
    figures = []
    names = context.model["values"]
    pixels = context.as_seen(result, indices)
    for i in indices:
        picture, values, truth = context.image_set.pictures[i], result.arrays["values"][i], result.arrays["truth"][i]
        lines = [
            (f"{name} {number(v)}", "" if np.isnan(t) else f"true {number(t)}")
            for name, v, t in zip(names, values.tolist(), truth.tolist(), strict=True)
        ]
        said = "; ".join(f"{value}{f' ({true})' if true else ''}" for value, true in lines)
        drawn = cards.lines_card(pixels[i], picture.name.rsplit("/", 1)[-1], lines, context.mark(i, said))
        figures.append(
            context.drawing(
                f"{which}-{picture.id}", drawn,
                alt=f"{picture.name} over the network's values: {said}.",
                caption=f"{picture.name}: {said}.",
                mapping="the pixels the network saw",
                data=f"values[{i}], truth[{i}]", group=group,
                subjects=(Subject("image", picture.name),),
            )
        )  # fmt: skip
    return figures


def _about(result: Result, context: Context) -> About:
    names, columns = context.model["values"], []
    for name in names:
        columns += [f"predicted {name}", f"true {name}"]
    rows = {}
    for picture, values, truth in zip(
        context.image_set.pictures, result.arrays["values"].tolist(), result.arrays["truth"].tolist(), strict=True
    ):
        cells = []
        for v, t in zip(values, truth, strict=True):
            cells += [float(f"{v:.4g}"), "not known" if np.isnan(t) else float(f"{t:.4g}")]
        rows[picture.name] = tuple(cells)
    return About("image", tuple(columns), rows, from_dataset=True)

"""Five objectives of one network in one row, and every picture's value for each objective."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, findings, section
from cnnviz.views.kit.findings import Finding, Measured, span
from cnnviz.views.kit.panels import bar, placed
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import document, text
from cnnviz.views.kit.tiles import EXACT

SIDE, GAP, TOP, ACROSS = 176, 10, 26, 3  # of a picture, between two, its title, and pictures per row, in CSS pixels
CELL, LINE = 96, 60  # width and height of a cell of the grid


def view(result: Result, context: Context) -> dict:
    names = [context.score if name == "logit" else name for name in result.numbers["objectives"]]
    judged = result.arrays["values"][:-1]  # the last row is the start
    wins = (judged.argmax(0) == np.arange(len(names))).astype(float)
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": (_row(result, context, names), _grid(result, context, names), _curves(result, context, names)),
        "tables": _tables(result, names),
        "metrics": (Metric("best_by_their_own_objective", float(wins.mean()), "share", "higher"),),
    }


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Share of an objective's gain that pictures made for the others reach.

    Values far below 0 count as −1, so that no single pair dominates.
    """
    relative = result.arrays["relative"]
    n = len(relative)
    others = np.clip(relative[~np.eye(n, dtype=bool)], -1, 1)
    mean, low, high = findings.mean_interval(others)
    low, high = max(-1.0, low), min(1.0, high)
    key = "gain shared with other objectives"
    finding = Finding(
        key,
        f"A picture made for one objective reaches {100 * mean:.0f}\u00a0% of another objective's gain.",
        findings.weakly(low),
        f"{span(100 * low, 100 * high, '.0f')}\u00a0%",
        f"0\u00a0% for the noise that all start from, 100\u00a0% for the objective's own picture; {findings.UNTRIED}",
        f"mean of {len(others)} pairs, from one start",
        figure="row",
    )
    return finding, {key: Measured(f"{100 * mean:.0f}\u00a0%", mean, low, high)}


def _asked(result: Result) -> list[str]:
    """Each objective in words."""
    numbers = result.numbers
    layer, unit, of_class = numbers["layer"], numbers["unit"], short(numbers["class"])
    what = {
        "neuron": f"the neuron of unit {unit} in the middle of {layer}",
        "channel": f"unit {unit} everywhere in {layer}",
        "layer": f"all of {layer}, as in DeepDream",
        "logit": f"the score of {of_class}"
        + (", before the last ReLU, where it was flat at the start" if numbers["fallback"] else ""),
        "probability": f"the probability of {of_class}, as log odds",
    }
    return [what[name] for name in numbers["objectives"]]


def _subjects(result: Result) -> tuple[Subject, ...]:
    layer, unit, name = (result.numbers[key] for key in ("layer", "unit", "class"))
    return Subject("layer", layer), Subject("unit", str(unit), layer), Subject("class", name)


def _row(result: Result, context: Context, names: list[str]) -> Figure:
    """The start and the pictures, each above what the best of the other pictures reaches of its gain."""
    pictures = context.rgb(np.concatenate([result.arrays["start"][None], result.arrays["pictures"]]))
    relative, parts = result.arrays["relative"], []
    others = np.where(np.eye(len(names), dtype=bool), -np.inf, relative[: len(names)]).max(0)
    down = TOP + SIDE + 36
    for i, (title, pixels) in enumerate(zip(("the start", *names), pictures, strict=True)):
        x, y = i % ACROSS * (SIDE + GAP), i // ACROSS * down
        parts += [text(title, "strong head", x=x, y=y + 18), placed(pixels, x, y + TOP, SIDE)]
        if i:
            share = max(0.0, float(others[i - 1]))
            parts += bar("others reach", findings.percent(share), share, x, y + TOP + SIDE + 5, SIDE, "wrong")
    rows = -(-len(pictures) // ACROSS)
    least, most = (findings.percent(max(0.0, float(value))) for value in (others.min(), others.max()))
    return context.drawing(
        "row",
        document(
            ACROSS * (SIDE + GAP) - GAP, rows * down - 6, parts, style="text{font-size:14px}.head{font-size:17px}"
        ),
        alt=f"The start, and synthetic pictures made from it for {', '.join(names)}.",
        caption="Below each picture: how much of its gain the best of the others reaches, "
        f"{least} to {most}. 100\u00a0% would mean that it does not matter what is asked for.",
        more=f"In order: {'; '.join(_asked(result))}. The layer is the middle one of those shown; the unit is the one "
        f"that adds most to {short(result.numbers['class'])} there.",
        mapping=EXACT,
        data="pictures",
        subjects=_subjects(result),
        from_dataset=False,
    )


def _grid(result: Result, context: Context, names: list[str]) -> Figure:
    """Each picture, a row, judged by each objective, a column: the share of the objective's own gain."""
    pictures, relative = context.rgb(result.arrays["pictures"]), result.arrays["relative"]
    parts, left = [], 150
    for j, name in enumerate(names):
        parts.append(text(name, "middle", x=left + (j + 0.5) * CELL, y=20))
    for i, name in enumerate(names):
        y = 32 + i * LINE
        parts += [placed(pictures[i], 0, y, LINE - 4), text(name, x=LINE + 6, y=y + LINE / 2 + 3)]
        for j, value in enumerate(relative[i]):
            box = f'x="{left + j * CELL}" y="{y}" width="{CELL - 4}" height="{LINE - 4}" rx="2"'
            parts.append(f'<rect class="track" {box}/>')
            parts.append(f'<rect class="plain" fill-opacity="{0.75 * min(1.0, max(0.0, float(value))):.2f}" {box}/>')
            said = f"{100 * value:.0f}\u00a0%".replace("-", "−")
            parts.append(text(said, "middle" + " strong" * (i == j), x=left + (j + 0.5) * CELL - 2, y=y + LINE / 2 + 3))
    return context.drawing(
        "grid",
        document(left + len(names) * CELL, 32 + len(names) * LINE, parts, style="text{font-size:14px}"),
        alt=f"A grid of {len(names)} pictures by {len(names)} objectives; the diagonal is 100 %.",
        caption="Each picture (row) judged by each objective (column): 0\u00a0% is the start, 100\u00a0% the picture "
        "made for that objective.",
        mapping="pale 0 % or less … blue 100 %",
        data="relative",
        subjects=_subjects(result),
        from_dataset=False,
    )


def _curves(result: Result, context: Context, names: list[str]) -> Figure:
    """The curve of each objective."""
    gains = result.arrays["curves"] - result.arrays["curves"][:, :1]
    best = np.abs(gains).max(1, keepdims=True)
    gains = gains / np.where(best > 0, best, 1)
    return context.drawing(
        "curves",
        curves.lines(dict(zip(names, gains, strict=True)), across="step", up="gain, of its largest"),
        alt=f"Gains of {len(names)} objectives against step; each ends at {gains[:, -1].min():.2g} or more of "
        "its largest gain.",
        caption="How each objective rose, as a share of its largest gain.",
        more="Random views in the first half of the steps cause the ups and downs.",
        mapping="linear axes; 0 is the start",
        data="curves",
        subjects=_subjects(result),
        from_dataset=False,
    )


def _tables(result: Result, names: list[str]) -> tuple[Table, Table]:
    """Each picture's value for each objective: relative to the objective's own picture, and in its own unit."""
    columns = ("picture made for", *(f"judged by {name}" for name in names))
    shares = zip(names, result.arrays["relative"][: len(names)], strict=True)
    values = zip((*names, "start"), result.arrays["values"], strict=True)
    return (
        Table(
            "relative",
            "Each picture (row) by each objective (column): 0 is the noise they start from, 1 is what the picture made "
            "for that objective reaches.",
            columns,
            tuple((name, *(round(float(v), 2) for v in row)) for name, row in shares),
            folded="The grid as numbers",
        ),
        Table(
            "values",
            "The same in each objective's own unit.",
            columns,
            tuple((name, *(float(f"{v:.4g}") for v in row)) for name, row in values),
            folded="The same in each objective's own unit",
        ),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="objectives",
        title="Objectives",
        question="How does what is asked for change the picture?",
        tour="A neuron, a unit, a layer, a class: what is asked for decides what is seen.",
        how_to_read="All pictures start from the same noise and see the same views. A neuron draws its pattern once, "
        "its channel everywhere; the layer brings out whatever it has, and the class puts parts together.",
        do_not_conclude="One unit of one layer stands for no other. Numbers of two columns have different units and "
        "cannot be compared. Each picture is one of many that the search may end with: a longer search from another "
        "start may do better.",
        equation="f_u(y₀, x₀) · mean f_u · mean f² · S_c · log p_c/(1 − p_c)",
        papers=(papers.OLAH_2017, papers.MORDVINTSEV_2015),
    )

"""Five objectives of one network in one row, and every picture's value for each objective."""

import numpy as np

from cnnviz.network.class_names import cut, short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, findings, section
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.panels import bar, placed
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import document, text
from cnnviz.views.kit.tiles import EXACT

SIDE, GAP, TOP, ACROSS = 200, 12, 48, 3  # of a picture, between two, its titles, and pictures per row, in CSS pixels
LETTERS = 28  # of a title's second line
CELL, LINE = 96, 60  # width and height of a cell of the grid


def view(result: Result, context: Context) -> dict:
    names = [context.score if name == "logit" else name for name in result.numbers["objectives"]]
    finding, measured = found(result)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": (_row(result, context, names), _grid(result, context, names), _curves(result, context, names)),
        "tables": _tables(result, names),
        "metrics": (Metric("best_by_their_own_objective", float(wins(result).mean()), "share", "higher"),),
    }


def found(result: Result) -> tuple[Finding, dict[str, Measured]]:
    """How many pictures have the highest value of the objective that they were made for, beside chance."""
    hits, n = int(wins(result).sum()), len(result.arrays["relative"])
    key, measured = "best at their own objective", findings.share(hits, n, 1 / n)
    finding = Finding(
        key,
        f"{hits} of {n} pictures are the best at the objective that they were made for.",
        findings.weakly(measured.low),
        between(*findings.share_interval(hits, n)),
        f"1 of {n} by chance; {findings.UNTRIED}",
        "one start",
        figure="row",
    )
    return finding, {key: measured}


def wins(result: Result) -> np.ndarray:
    """(o,) bool, whether no other picture has a higher value of the picture's own objective."""
    judged = result.arrays["values"][:-1]  # the last row is the start
    return judged.argmax(0) == np.arange(judged.shape[1])


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


def _named(result: Result) -> list[str]:
    """Each objective in a few words, for its tile."""
    layer, unit, of_class = (str(result.numbers[key]) for key in ("layer", "unit", "class"))
    said = {
        "neuron": f"unit {unit} of {layer}, centre",
        "channel": f"unit {unit} of {layer}",
        "layer": f"all of {layer}",
    }
    return [cut(said.get(name, short(of_class)), LETTERS) for name in result.numbers["objectives"]]


def _row(result: Result, context: Context, names: list[str]) -> Figure:
    """The pictures, each above what the best of the other pictures reaches of its gain."""
    pictures = context.rgb(result.arrays["pictures"])
    relative, parts = result.arrays["relative"], []
    others = np.where(np.eye(len(names), dtype=bool), -np.inf, relative[: len(names)]).max(0)
    down = TOP + SIDE + 40
    for i, (title, asked, pixels) in enumerate(zip(names, _named(result), pictures, strict=True)):
        x, y = i % ACROSS * (SIDE + GAP), i // ACROSS * down
        parts += [text(title, "strong head", x=x, y=y + 18), text(asked, x=x, y=y + 38)]
        parts.append(placed(pixels, x, y + TOP, SIDE))
        share = max(0.0, float(others[i]))
        parts += bar("the best other", findings.percent(share), share, x, y + TOP + SIDE + 5, SIDE, "wrong")
    rows = -(-len(pictures) // ACROSS)
    return context.drawing(
        "row",
        document(
            ACROSS * (SIDE + GAP) - GAP, rows * down - 10, parts, style="text{font-size:14px}.head{font-size:17px}"
        ),
        alt=f"Synthetic pictures from the same noise for {', '.join(names)}.",
        caption="Below each picture: how much of its gain the best other picture reaches; at 100\u00a0% that one is as "
        f"good.{_alike(result)}",
        more=f"In order: {'; '.join(_asked(result))}. The layer is the middle one of those shown; the unit is the one "
        f"that adds most to {short(result.numbers['class'])} there.",
        mapping=EXACT,
        data="pictures",
        subjects=_subjects(result),
        from_dataset=False,
    )


def _alike(result: Result) -> str:
    """How much of each other's gain the pictures for logit and probability reach."""
    names, relative = result.numbers["objectives"], result.arrays["relative"]
    if "probability" not in names:
        return ""
    i, j = names.index("logit"), names.index("probability")
    shares = [findings.percent(max(0.0, float(share))) for share in (relative[i, j], relative[j, i])]
    return (
        f" The picture for the logit reaches {shares[0]} of the probability's gain, that for the probability "
        f"{shares[1]} of the logit's."
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
        caption="Each picture (row) judged by each objective (column): 0\u00a0% is the noise that all start "
        "from, 100\u00a0% the picture made for that objective.",
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
        more="Random views, in all but the last quarter of the steps, cause the ups and downs.",
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
        "its channel everywhere; the layer draws what it has most of; the class, by logit or probability, its object.",
        do_not_conclude="One unit of one layer stands for no other. Numbers of two columns have different units and "
        "cannot be compared. Each picture is one of many that the search may end with: a longer search from another "
        "start may do better.",
        equation="f_u(y₀, x₀) · mean f_u · mean f² · S_c · log p_c/(1 − p_c)",
        papers=(papers.OLAH_2017, papers.MORDVINTSEV_2015),
    )

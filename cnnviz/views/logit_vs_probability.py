"""Logit or probability: two pictures per class, their values by both measures, and both as dots for all classes."""

from collections.abc import Iterable

import numpy as np

from cnnviz.network.class_names import cut, short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import findings, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.panels import bar, placed
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import Axis, Drawing, document, text, ticks_below
from cnnviz.views.kit.tiles import EXACT

WAYS, DOTS = ("by logit", "by probability"), ("plain", "wrong")  # and the colours of their dots
ALONE = 48  # classes with figures of their own
PAIRS = 2  # in the first figure, those that the network is surest of
SIDE, GAP = 160, 8  # of a picture, and between two, in CSS pixels
LEFT, TOP, LINE, PLOT = 200, 30, 26, 250  # of the dots: left and upper margin, height of a row, width of a plot


def view(result: Result, context: Context) -> dict:
    logits, odds, rivals = (result.arrays[key] for key in ("logits", "odds", "rivals"))
    said, measured = found(result, context)
    return {
        "findings": said,
        "measured": measured,
        "figures": (
            _pairs(result, context),
            _dots(result, context),
            *(_pair(result, context, i) for i in _surest(result)[:ALONE].tolist()),
        ),
        "tables": (_measures(result),),
        "metrics": (
            Metric("logit_gained_by_raising_the_logit", float(np.median(logits[:, 0] - logits[:, 1]))),
            Metric("rivals_lowered_by_raising_the_probability", float(np.median(rivals[:, 0] - rivals[:, 1]))),
            Metric("log_odds_gained_by_raising_the_probability", float(np.median(odds[:, 1] - odds[:, 0]))),
        ),
    }


def found(result: Result, context: Context) -> tuple[tuple[Finding, ...], dict[str, Measured]]:
    """Which of the two pictures has the higher log odds, and which the stronger rivals, in how many classes."""
    odds, rivals = result.arrays["odds"], result.arrays["rivals"]
    of, n = {"log odds": odds[:, 1] > odds[:, 0], "rivals": rivals[:, 0] > rivals[:, 1]}, len(odds)
    hits = {key: int(won.sum()) for key, won in of.items()}
    measured = {key: findings.share(count, n, control=0.5) for key, count in hits.items()}
    more = {"log odds": odds[:, 1] - odds[:, 0], "rivals": rivals[:, 0] - rivals[:, 1]}
    asked = {
        "log odds": "Raising the probability gives higher log odds",
        "rivals": "Raising the logit leaves stronger rivals",
    }
    says = {
        key: f"{asked[key]} in {hits[key]} of {n} classes, by {signed(float(np.median(values)))} in the median."
        for key, values in more.items()
    }
    said = []
    for key, m in measured.items():
        strength = findings.weakly(max(m.low, -m.high))  # from a half, in either direction
        no = f"No difference in {key} is found: " if strength == findings.NOT else ""
        words = no + (says[key][0].lower() + says[key][1:] if no else says[key])
        ends = between(*findings.share_interval(hits[key], n))
        said.append(Finding(key, words, strength, ends, f"half, by chance; {findings.UNTRIED}", figure="pairs"))
    said.sort(key=lambda finding: (findings.STRENGTHS.index(finding.strength), -abs(measured[finding.key].effect)))
    return tuple(said), measured


def _pairs(result: Result, context: Context) -> Figure:
    """The classes that the network is surest of."""
    some = _surest(result)[:PAIRS]
    return context.drawing(
        "pairs",
        _drawn(result, context, some),
        alt=f"Two synthetic pictures each for {', '.join(_names(result)[i] for i in some)}, made for the logit and for "
        "the probability, above bars of the class's score and that of the others.",
        caption="Left of each pair the logit was raised, right the probability. Below: the class's own score, that of "
        "its rivals, and how far the class leads.",
        more="Both start from the same noise. These are the classes that lead most in both. Rivals: log Σ exp of all "
        "other scores, about the strongest of them. The lead is the log odds.",
        mapping=f"bars from 0 to the largest score of a class; {EXACT}",
        data="pictures",
        subjects=tuple(Subject("class", result.numbers["classes"][i]) for i in some),
        from_dataset=False,
    )


def _surest(result: Result) -> np.ndarray:
    """The classes, those first that lead most in both pictures: a picture that hardly leads shows hardly anything."""
    return np.argsort(-result.arrays["odds"].min(1), kind="stable")


def _drawn(result: Result, context: Context, some: Iterable[int]) -> Drawing:
    """For each of ``some`` classes its two pictures side by side, each above its two scores and the lead."""
    parts, x, names = [], 0, _names(result)
    for i in some:
        logits, rivals, odds, pictures = (result.arrays[key][i] for key in ("logits", "rivals", "odds", "pictures"))
        largest = max(logits.max(), rivals.max(), 1e-9)
        parts.append(text(cut(names[i], 34), "strong head", x=x, y=18))
        for k, way in enumerate(WAYS):
            below = 46 + SIDE + 6
            parts += [text(way, x=x, y=40), placed(context.rgb(pictures[k]), x, 46, SIDE)]
            parts += bar("its class", signed(float(logits[k])), logits[k] / largest, x, below, SIDE)
            parts += bar("rivals", signed(float(rivals[k])), rivals[k] / largest, x, below + 24, SIDE, "wrong")
            parts += [text("leads by", x=x + 5, y=below + 65)]
            parts += [text(signed(float(odds[k])), "end strong", x=x + SIDE - 5, y=below + 65)]
            x += SIDE + GAP
        x += 2 * GAP
    style = "text{font-size:14px}.head{font-size:17px}"
    return document(x - 3 * GAP, 46 + SIDE + 6 + 74, parts, style=style)


def signed(value: float) -> str:
    """A score with three digits at most, and a real minus."""
    return number(value).replace("-", "−")


def _names(result: Result) -> list[str]:
    return [short(name) for name in result.numbers["classes"]]


def _pair(result: Result, context: Context, i: int) -> Figure:
    """A class's two pictures side by side."""
    probabilities, odds, name = result.arrays["probabilities"][i], result.arrays["odds"][i], _names(result)[i]
    return context.drawing(
        f"class-{result.arrays['targets'][i]}",
        _drawn(result, context, [i]),
        alt=f"Two synthetic pictures for {name}: made for its logit, and for its probability.",
        caption=f"{name}: leads by {signed(float(odds[0]))} by logit, {signed(float(odds[1]))} by probability.",
        more=f"p = {probabilities[0]:.4g} and {probabilities[1]:.4g}.",
        mapping="below the pictures: the class's score, that of its rivals, and the lead, which is the log odds; "
        f"{EXACT}",
        data="pictures",
        subjects=(Subject("class", result.numbers["classes"][i]),),
        group="Side by side",
        from_dataset=False,
    )


def _dots(result: Result, context: Context) -> Figure:
    """A row a class: its lead and its rivals, by logit and by probability, as two dots on a line."""
    measures, names = {"leads by": result.arrays["odds"], "rivals": result.arrays["rivals"]}, _names(result)
    order = _surest(result)[:ALONE].tolist()
    bottom = TOP + len(order) * LINE
    parts = [text(cut(names[i], 26), "end", x=LEFT - 16, y=TOP + (row + 0.7) * LINE) for row, i in enumerate(order)]
    parts += [
        f'<circle class="{kind}" cx="{LEFT + 110 * k}" cy="12" r="5"/>{text(way, x=LEFT + 10 + 110 * k, y=17)}'
        for k, (way, kind) in enumerate(zip(WAYS, DOTS, strict=True))
    ]
    for column, (words, values) in enumerate(measures.items()):
        left = LEFT + column * (PLOT + 40)
        low, high = min(0.0, float(values[order].min())), max(0.0, float(values[order].max()))
        x = Axis(low, high if high > low else low + 1, left, left + PLOT)
        parts += [f'<path class="line" d="M{x(0):.1f} {TOP}V{bottom}H{left}H{left + PLOT}"/>']
        parts += ticks_below(x, bottom + 16, signed)
        parts.append(text(words, "middle", x=left + PLOT / 2, y=bottom + 36))
        for row, i in enumerate(order):
            y, ends = TOP + (row + 0.5) * LINE, x(values[i])
            parts.append(f'<path class="line" d="M{ends[0]:.1f} {y}H{ends[1]:.1f}"/>')
            parts += [
                f'<circle class="{kind}" cx="{end:.1f}" cy="{y}" r="5"/>' for end, kind in zip(ends, DOTS, strict=True)
            ]
    return context.drawing(
        "dots",
        document(LEFT + 2 * PLOT + 60, bottom + 46, parts),
        alt=f"Two dots on a line for each of {len(order)} classes, by logit and by probability: how far the class "
        "leads, and the score of its rivals.",
        caption="How far each class leads, and the score of its rivals, in the picture by logit and in that by "
        "probability.",
        mapping="linear axes, from 0",
        data="odds, rivals",
        subjects=tuple(Subject("class", result.numbers["classes"][i]) for i in order),
        group="All classes",
        from_dataset=False,
    )


def _measures(result: Result) -> Table:
    """Each picture by both measures."""
    probabilities, *others = (result.arrays[key] for key in ("probabilities", "logits", "odds", "rivals"))
    return Table(
        "measures",
        "Each picture (8 bits a channel) by both measures. Rivals: log Σ exp of all other scores, about the strongest "
        "of them. Log odds: the logit less the rivals.",
        ("class", "made", "logit", "log odds", "rivals", "probability"),
        tuple(
            (
                name,
                way,
                *(round(float(v[i, k]), 2) for v in others),
                float(f"{probabilities[i, k]:.6g}"),
            )
            for i, name in enumerate(_names(result))
            for k, way in enumerate(WAYS)
        ),
        folded="The numbers of each picture",
    )


if __name__ == "__main__":
    section.run(
        view,
        id="logit_vs_probability",
        title="Logit or probability",
        question="Does it matter whether the score or the probability is raised?",
        tour="A detail that may matter: raise the score, or the probability?",
        how_to_read="Two pictures a class, from the same noise: for one the score before the softmax was raised, for "
        "the other the probability after it. A probability also rises when the other classes fall.",
        do_not_conclude="A probability near 1 says little; log odds tell two such pictures apart. Each picture "
        "is one of many that the search may end with. What is missing in a picture need not speak against the class.",
        equation="log p/(1 − p) = S_c − log Σ_{k≠c} exp S_k",
        papers=(papers.SIMONYAN_2014,),
    )

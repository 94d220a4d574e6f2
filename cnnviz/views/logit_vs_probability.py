"""Logit or probability: two pictures per class, their values by both measures, and the curves of both."""

from collections.abc import Iterable

import numpy as np

from cnnviz.network.class_names import cut, short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, findings, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.panels import bar, placed
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import Drawing, document, text
from cnnviz.views.kit.tiles import EXACT

WAYS = {"S": "by logit", "p": "by probability"}
CURVES = 3
ALONE = 48  # classes with figures of their own
PAIRS = 2  # in the first figure, those whose rivals differ most
SIDE, GAP = 160, 8  # of a picture, and between two, in CSS pixels


def view(result: Result, context: Context) -> dict:
    logits, odds, rivals = (result.arrays[key] for key in ("logits", "odds", "rivals"))
    said, measured = found(result, context)
    return {
        "findings": said,
        "measured": measured,
        "figures": (
            _pairs(result, context),
            *(_pair(result, context, i) for i in range(len(_names(result)[:ALONE]))),
            _curves(result, context, "logit", "logit"),
            _curves(result, context, "odds", "log odds"),
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
    """The classes whose two pictures differ most in their rivals."""
    rivals, logits = result.arrays["rivals"], result.arrays["logits"]
    gaps = np.abs(rivals[:, 0] - rivals[:, 1]) / np.maximum(np.abs(logits).max(1), 1e-9)
    some = np.argsort(-gaps, kind="stable")[:PAIRS]
    return context.drawing(
        "pairs",
        _drawn(result, context, some),
        alt=f"Two synthetic pictures each for {', '.join(_names(result)[i] for i in some)}, made for the logit and for "
        "the probability, above bars of the class's score and that of the others.",
        caption="Left of each pair the logit was raised, right the probability. Below: the class's own score, that of "
        "its rivals, and how far the class leads.",
        more="Both start from the same noise. These are the classes whose rivals differ most. Rivals: log Σ exp of all "
        "other scores, about the strongest of them. The lead is the log odds.",
        mapping=f"bars from 0 to the largest score of a class; {EXACT}",
        data="pictures",
        subjects=tuple(Subject("class", result.numbers["classes"][i]) for i in some),
        from_dataset=False,
    )


def _drawn(result: Result, context: Context, some: Iterable[int]) -> Drawing:
    """For each of ``some`` classes its two pictures side by side, each above its two scores and the lead."""
    parts, x, names = [], 0, _names(result)
    for i in some:
        logits, rivals, odds, pictures = (result.arrays[key][i] for key in ("logits", "rivals", "odds", "pictures"))
        largest = max(logits.max(), rivals.max(), 1e-9)
        parts.append(text(cut(names[i], 34), "strong head", x=x, y=18))
        for k, way in enumerate(WAYS.values()):
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


def _curves(result: Result, context: Context, key: str, up: str) -> Figure:
    """One of the measures over the steps, for the first few classes."""
    values, names = result.arrays[f"curves/{key}"], _names(result)[:CURVES]
    drawn = {f"{name} {way}": values[i, k] for i, name in enumerate(names) for k, way in enumerate(WAYS)}
    gained, shown = values[:, :, -1] - values[:, :, 0], values[:CURVES]
    return context.drawing(
        f"curves-{key}",
        curves.lines(drawn, across="step", up=up),
        alt=f"The {up} against step for {len(names)} classes, raising the logit (S) and the probability (p): "
        f"it rises by {np.median(gained[:, 0]):.1f} and by {np.median(gained[:, 1]):.1f} in the median.",
        caption=f"The class's {up} while the logit (S) or the probability (p) is raised.",
        more="Random views, in all but the last quarter of the steps, cause the ups and downs.",
        mapping=f"linear axes; {shown.min():.3g} … {shown.max():.3g}",
        data=f"curves/{key}",
        subjects=tuple(Subject("class", name) for name in result.numbers["classes"][:CURVES]),
        group="How both rise",
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
            for k, way in enumerate(WAYS.values())
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

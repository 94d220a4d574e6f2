"""Logit or probability: two pictures per class, their values by both measures, and the curves of both."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, findings, panels, section
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT

WAYS = {"S": "by logit", "p": "by probability"}
CURVES = 3
ALONE = 48  # classes with figures of their own
PAIRS = 4  # in the first figure, those whose log odds differ most


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
    says = {
        "log odds": f"Raising the probability gives the higher log odds in {hits['log odds']} of {n} classes.",
        "rivals": f"Raising the logit leaves stronger rivals in {hits['rivals']} of {n} classes.",
    }
    return tuple(
        Finding(
            key,
            says[key],
            findings.weakly(max(m.low, -m.high)),  # from a half, in either direction
            between(*findings.share_interval(hits[key], n)),
            f"half, by chance; {findings.UNTRIED}",
            figure="pairs",
        )
        for key, m in measured.items()
    ), measured


def _pairs(result: Result, context: Context) -> Figure:
    """The classes whose two pictures differ most in log odds: above by logit, below by probability."""
    names, odds, pictures = _names(result), result.arrays["odds"], context.rgb(result.arrays["pictures"])
    some = np.argsort(-np.abs(odds[:, 1] - odds[:, 0]), kind="stable")[:PAIRS]
    shown = [(f"{names[i]}, {way}: {odds[i, k]:.1f}", pictures[i, k]) for k, way in enumerate(WAYS) for i in some]
    higher = int((odds[some, 1] > odds[some, 0]).sum())
    return context.drawing(
        "pairs",
        panels.sheet(shown, across=len(some)),
        alt=f"Two rows of {len(some)} synthetic pictures: made for the logit above, for the probability below.",
        caption="Above, the logit (S) was raised; below, the probability (p). The log odds reached are higher below in "
        f"{higher} of {len(some)} classes.",
        more="Both start from the same noise. These are the classes whose log odds differ most.",
        mapping=EXACT,
        data="pictures",
        subjects=tuple(Subject("class", result.numbers["classes"][i]) for i in some),
        from_dataset=False,
        scale=1.5,
    )


def _names(result: Result) -> list[str]:
    return [short(name) for name in result.numbers["classes"]]


def _pair(result: Result, context: Context, i: int) -> Figure:
    """A class's two pictures side by side."""
    logits, odds, probabilities, rivals = (
        result.arrays[key][i] for key in ("logits", "odds", "probabilities", "rivals")
    )
    name, pictures = _names(result)[i], context.rgb(result.arrays["pictures"][i])
    left, right = (
        f"{way}: probability {probabilities[k]:.4g}, rivals {rivals[k]:.1f}" for k, way in enumerate(WAYS.values())
    )
    return context.drawing(
        f"class-{result.arrays['targets'][i]}",
        panels.sheet([(f"{way}: {logits[k]:.1f}, {odds[k]:.1f}", pictures[k]) for k, way in enumerate(WAYS)], across=2),
        alt=f"Two synthetic pictures for {name}: made for its logit, and for its probability.",
        caption=f"{name}: p = {probabilities[0]:.3g} and {probabilities[1]:.3g}.",
        more=f"Left {left}; right {right}.",
        mapping=f"over the pictures: what was raised, logit (S) or probability (p); the logit, the log odds; {EXACT}",
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
        more="Random views in the first half of the steps cause the ups and downs.",
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

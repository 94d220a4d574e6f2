"""Logit or probability: two pictures per class, their values by both measures, and the curves of both."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, panels, section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

WAYS = {"S": "by logit", "p": "by probability"}
CURVES = 3
ALONE = 48  # classes with figures of their own


def view(result: Result, context: Context) -> dict:
    logits, odds, rivals = (result.arrays[key] for key in ("logits", "odds", "rivals"))
    return {
        "figures": (
            *(_pair(result, context, i) for i in range(len(_names(result)[:ALONE]))),
            _curves(result, context, "logit", "logit"),
            _curves(result, context, "odds", "log odds"),
        ),
        "tables": (_measures(result),),
        "metrics": (
            Metric("logit_gained_by_logit", float(np.median(logits[:, 0] - logits[:, 1]))),
            Metric("rivals_lowered_by_probability", float(np.median(rivals[:, 0] - rivals[:, 1]))),
            Metric("odds_gained_by_probability", float(np.median(odds[:, 1] - odds[:, 0]))),
        ),
    }


def _names(result: Result) -> list[str]:
    return [short(name) for name in result.numbers["classes"]]


def _pair(result: Result, context: Context, i: int) -> Figure:
    """A class's two pictures side by side."""
    logits, odds, probabilities, rivals = (
        result.arrays[key][i] for key in ("logits", "odds", "probabilities", "rivals")
    )
    name, pictures = _names(result)[i], context.rgb(result.arrays["pictures"][i])
    left, right = (
        f"{way}: logit {logits[k]:.1f}, probability {probabilities[k]:.4g}, log odds {odds[k]:.1f}, rivals "
        f"{rivals[k]:.1f}"
        for k, way in enumerate(WAYS.values())
    )
    return context.drawing(
        f"class-{result.arrays['targets'][i]}",
        panels.sheet([(f"{way}: {logits[k]:.1f}, {odds[k]:.1f}", pictures[k]) for k, way in enumerate(WAYS)], across=2),
        alt=f"Two synthetic pictures for {name}: made for its logit, and for its probability.",
        caption=f"{name}, after {result.parameters['steps']} steps each. Left {left}; right {right}. Over the "
        "pictures: what was asked for (S the logit, p the probability), and the logit and log odds reached.",
        mapping="the pictures themselves: levels 0 … 255 are what was optimised",
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
        alt=f"The {up} against step for {len(names)} classes, climbing the logit (S) and the probability (p): "
        f"it rises by {np.median(gained[:, 0]):.1f} and by {np.median(gained[:, 1]):.1f} in the median.",
        caption=f"The class's {up} while the logit (S) or the probability (p) is climbed, under "
        "each step's random view in the first half, hence the ups and downs; in the second half as it is.",
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
        "Each 8-bit picture by both measures. Rivals: log Σ exp of all other scores, about the strongest of "
        "them; log odds are the logit less the rivals.",
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
        question="Does it matter whether a class's score or its probability is raised?",
        tour="A detail that matters: climb the score, not the probability.",
        how_to_read="Left the score before the softmax was raised, right the probability after it, from the same noise "
        "with the same views. A probability also rises when the other classes fall: the right picture has less of "
        "what speaks for rivals, the left more of what speaks for the class, though it may be shared with them. The "
        "literature raises the score for that reason.",
        do_not_conclude="Both probabilities are near 1 and say little; the log odds tell them apart. Where the left "
        "picture has the higher odds too, the ascent on the right stopped at a lesser peak: each is one of many "
        "pictures. Likewise what is missing on the right need not speak against the class.",
        equation="log p/(1 − p) = S_c − log Σ_{k≠c} exp S_k",
        papers=(papers.SIMONYAN_2014,),
    )

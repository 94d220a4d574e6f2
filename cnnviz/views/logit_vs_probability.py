"""Logit or probability: two pictures a class, what each came to by both measures, and how both rose."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, panels, section
from cnnviz.views.kit.section import Context, Subject

WAYS = ("by logit", "by probability")
CURVES = 3
ALONE = 48  # classes with figures of their own


def view(result: Result, context: Context) -> dict:
    arrays, classes = result.arrays, result.numbers["classes"]
    names = [short(name) for name in classes]
    pictures = colour.rgb(arrays["pictures"], context.image_set.config.get("show"))
    logits, odds, probabilities, rivals = (arrays[key] for key in ("logits", "odds", "probabilities", "rivals"))
    steps = result.parameters["steps"]
    figures = []

    def said(i: int, way: int) -> str:
        return (
            f"{WAYS[way]}: logit {logits[i, way]:.1f}, probability {probabilities[i, way]:.4g}, log odds "
            f"{odds[i, way]:.1f}, rivals {rivals[i, way]:.1f}"
        )

    for i, name in enumerate(names[:ALONE]):
        content, width, height = panels.sheet(
            [(f"{way}: {logits[i, k]:.1f}, {odds[i, k]:.1f}", pictures[i, k]) for k, way in enumerate(("S", "p"))],
            across=2,
        )
        figures.append(
            context.figure(
                f"class-{arrays['targets'][i]}",
                f"class-{arrays['targets'][i]}.svg",
                content,
                width,
                height,
                alt=f"Two synthetic pictures for {name}: made for its logit, and for its probability.",
                caption=f"{name}, after {steps} steps each. Left {said(i, 0)}; right {said(i, 1)}. Over the pictures: "
                "what was asked for (S the logit, p the probability), and the logit and log odds reached.",
                mapping="the pictures themselves: levels 0 … 255 are what was optimised",
                data="pictures",
                subjects=(Subject("class", classes[i]),),
                group="Side by side",
                from_dataset=False,
            )
        )
    shown = range(min(CURVES, len(names)))
    for key, up in (("logit", "logit"), ("odds", "log odds")):
        values = arrays[f"curves/{key}"]
        drawn = {f"{names[i]} {way}": values[i, k] for i in shown for k, way in enumerate(("S", "p"))}
        gained = values[:, :, -1] - values[:, :, 0]
        figures.append(
            context.figure(
                f"curves-{key}",
                f"curves-{key}.svg",
                curves.svg(drawn, across="step", up=up),
                curves.WIDTH,
                curves.HEIGHT,
                alt=f"The {up} against step for {len(shown)} classes, climbing the logit (S) and the probability (p): "
                f"it rises by {np.median(gained[:, 0]):.1f} and by {np.median(gained[:, 1]):.1f} in the median.",
                caption=f"The class's {up} while the logit (S) or the probability (p) is climbed, under "
                "each step's random view in the first half, hence the ups and downs; in the second half as it is.",
                mapping=f"linear axes; {values[shown].min():.3g} … {values[shown].max():.3g}",
                data=f"curves/{key}",
                subjects=tuple(Subject("class", classes[i]) for i in shown),
                group="How both rise",
                from_dataset=False,
            )
        )
    rows = tuple(
        (
            *(names[i], WAYS[k]),
            *(round(float(v[i, k]), 2) for v in (logits, odds, rivals)),
            float(f"{probabilities[i, k]:.6g}"),
        )
        for i in range(len(names))
        for k in (0, 1)
    )
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "measures",
                "Each 8-bit picture by both measures. Rivals: log Σ exp of all other scores, about the strongest of "
                "them; log odds are the logit less the rivals.",
                ("class", "made", "logit", "log odds", "rivals", "probability"),
                rows,
            ),
        ),
        "metrics": (
            section.Metric("logit_gained_by_logit", float(np.median(logits[:, 0] - logits[:, 1])), "", ""),
            section.Metric("rivals_lowered_by_probability", float(np.median(rivals[:, 0] - rivals[:, 1])), "", ""),
            section.Metric("odds_gained_by_probability", float(np.median(odds[:, 1] - odds[:, 0])), "", ""),
        ),
    }


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

"""Fooling images: original, fooled, difference and ten times the difference, and how often noise does the same."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, section
from cnnviz.views.kit.section import Context, Subject

TIMES = 10
DIFFERENCE = colour.fixed(-128, 127)  # levels of 255: 0 becomes 128, and each level stays one


def view(result: Result, context: Context) -> dict:
    arrays, parameters = result.arrays, result.parameters
    classes = context.model["classes"]
    names = [short(name) for name in classes]
    show = context.image_set.config.get("show")
    scale = max(1, 192 // arrays["pictures"].shape[1])
    fooled = arrays["found"] == arrays["target"]
    figures, rows = [], []
    for i, index in enumerate(arrays["index"]):
        picture = context.image_set.pictures[index]
        was, target, said = (int(arrays[name][i]) for name in ("predicted", "target", "found"))
        before, after, steps = arrays["before"][i], arrays["after"][i], int(arrays["steps"][i])
        l2, linf = float(arrays["l2"][i]), int(arrays["linf"][i])
        difference = arrays["fooled"][i].astype(int) - arrays["pictures"][i]
        panels = [colour.rgb(arrays[name][i], show) for name in ("pictures", "fooled")]
        panels += [colour.rgb(DIFFERENCE.grey(times * difference), show) for times in (1, TIMES)]
        outcome = (
            f"after {steps} steps {names[target]}, p = {after[1]:.2f} ({names[was]} {after[0]:.2g})"
            if fooled[i]
            else f"after {steps} steps not {names[target]} (p = {after[1]:.2g}) but {names[said]}"
        )
        figures.append(
            context.picture(
                picture.id,
                attributions.sheet([panels], scale),
                alt=f"{picture.name}; the same picture after the change, hardly different to the eye; the difference, "
                "nearly even grey; and ten times the difference, a pattern of fine grain.",
                caption=f"{picture.name}. From left: the original, {names[was]} to the network, p = {before[0]:.2f} "
                f"({names[target]} {before[1]:.2g}); {outcome}; the difference; {TIMES} × the difference. No value "
                f"changed by more than {linf} of 255 levels (L∞), the L2 norm is {l2:.0f} levels, "
                f"{l2 / np.sqrt(difference.size):.2f} a value.",
                mapping="differences: fixed range, grey 128 is no change, a level is a level; the last "
                f"{TIMES} times that, cut off at black and white",
                data=f"fooled[{i}]",
                subjects=(
                    Subject("image", picture.name),
                    *(Subject("class", classes[c]) for c in dict.fromkeys((was, target))),
                ),
                scale=1,
            )
        )
        rows.append(
            (
                picture.name,
                names[was],
                float(f"{before[0]:.3g}"),
                names[said],
                float(f"{arrays['after'][i, 1]:.3g}"),
                "yes" if fooled[i] else "no",
                steps,
                round(l2, 1),
                linf,
                *(f"{arrays['noise_changed'][i, k]:.0%}" for k in (0, 1)),
            )
        )
    signs, normal = (float(v) for v in arrays["noise_changed"].mean(0))
    hit = float(arrays["noise_fooled"].max()) if len(rows) else 0.0
    draws, limit = parameters["noise"], parameters["epsilon"]
    control = (
        f"Noise as a control, {draws} draws a picture: random signs of the same L∞ change the predicted class in "
        f"{signs:.0%} of the draws, normal noise of the same L2 norm in {normal:.0%}; "
        + (f"the target comes of it in up to {hit:.0%} of a picture's." if hit else "the target never comes of it.")
    )
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "attacks",
                f"{int(fooled.sum())} of {len(fooled)} pictures fooled within {limit:g} of 255 levels, judged on the "
                f"picture as published (8 bits). {control}",
                (
                    *("picture", "was", "p", "becomes", "p of target", "fooled", "steps", "L2", "L∞"),
                    *("changed by signs of this L∞", "changed by noise of this L2"),
                ),
                tuple(rows),
                from_dataset=True,
            ),
        ),
        "metrics": (
            section.Metric("success_rate", float(fooled.mean()), "share"),
            section.Metric("median_steps", float(np.median(arrays["steps"])), "steps"),
            section.Metric("median_linf", float(np.median(arrays["linf"])), "levels"),
            section.Metric("median_l2", float(np.median(arrays["l2"])), "levels"),
            section.Metric("changed_by_random_signs", signs, "share"),
            section.Metric("changed_by_normal_noise", normal, "share"),
        ),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="fooling_images",
        title="Fooling images",
        question="How little must change in a picture for the network to name something else?",
        tour="The same climb from a photo: a change nobody sees makes it another thing.",
        how_to_read="Each picture is changed step by step so that a wrong class becomes likelier, until the network "
        "names that class with confidence. The two pictures on the left look all but the same; the difference is so "
        "small that it is shown a second time, ten times as strong. The table says how far random noise of the same "
        "size gets.",
        do_not_conclude="These changes are searched for with full knowledge of this network's weights; noise, a "
        "camera or another network need not be fooled by them, and a printed picture seldom is. Small pictures need "
        "larger changes, for they have fewer values to change: no sign of a better network. How often it succeeds says "
        "nothing about accuracy.",
        equation="I ← P(I + η · g / ‖g‖₂),  g = ∂ log p_t / ∂I,  ‖I − I₀‖∞ ≤ ε",
        papers=(papers.SZEGEDY_2014,),
    )

"""Fooling images: original, fooled, difference and ten times the difference, and the effect of noise."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

TIMES = 10
DIFFERENCE = colour.fixed(-128, 127)  # levels of 255: 0 becomes 128, and each level keeps its size


def view(result: Result, context: Context) -> dict:
    arrays = result.arrays
    signs, normal = (float(v) for v in arrays["noise_changed"].mean(0))
    return {
        "figures": tuple(_attack(result, context, i) for i in range(len(arrays["index"]))),
        "tables": (_attacks(result, context),),
        "metrics": (
            Metric("success_rate", float((arrays["found"] == arrays["target"]).mean()), "share"),
            Metric("median_steps", float(np.median(arrays["steps"])), "steps"),
            Metric("median_linf", float(np.median(arrays["linf"])), "levels"),
            Metric("median_l2", float(np.median(arrays["l2"])), "levels"),
            Metric("changed_by_random_signs", signs, "share"),
            Metric("changed_by_normal_noise", normal, "share"),
        ),
    }


def _attack(result: Result, context: Context, i: int) -> Figure:
    """Original, fooled and difference of a picture."""
    arrays, classes = result.arrays, context.model["classes"]
    picture = context.image_set.pictures[arrays["index"][i]]
    was, target, said = (int(arrays[name][i]) for name in ("predicted", "target", "found"))
    before, after, steps = arrays["before"][i], arrays["after"][i], int(arrays["steps"][i])
    difference = arrays["fooled"][i].astype(int) - arrays["pictures"][i]
    panels = [context.rgb(arrays[name][i]) for name in ("pictures", "fooled")]
    panels += [context.rgb(DIFFERENCE.grey(times * difference)) for times in (1, TIMES)]
    own, other = short(classes[was]), short(classes[target])
    outcome = (
        f"after {steps} steps {other}, p = {after[1]:.2f} ({own} {after[0]:.2g})"
        if said == target
        else f"after {steps} steps not {other} (p = {after[1]:.2g}) but {short(classes[said])}"
    )
    l2 = float(arrays["l2"][i])
    return context.picture(
        picture.id,
        attributions.sheet([panels], max(1, 192 // arrays["pictures"].shape[1])),
        alt=f"{picture.name}; the same picture after the change, hardly different to the eye; the difference, "
        "nearly even grey; and ten times the difference, a pattern of fine grain.",
        caption=f"{picture.name}. From left: the original, {own} to the network, p = {before[0]:.2f} "
        f"({other} {before[1]:.2g}); {outcome}; the difference; {TIMES} × the difference. No value "
        f"changed by more than {int(arrays['linf'][i])} of 255 levels (L∞), the L2 norm is {l2:.0f} levels, "
        f"{l2 / np.sqrt(difference.size):.2f} a value.",
        mapping="differences: fixed range, grey 128 is no change, a level is a level; the last "
        f"{TIMES} times that, cut off at black and white",
        data=f"fooled[{i}]",
        subjects=(
            Subject("image", picture.name),
            *(Subject("class", classes[c]) for c in dict.fromkeys((was, target))),
        ),
    )


def _attacks(result: Result, context: Context) -> Table:
    """Each picture's attack in numbers, and the effect of noise of the same size."""
    arrays, fooled = result.arrays, result.arrays["found"] == result.arrays["target"]
    return Table(
        "attacks",
        f"{int(fooled.sum())} of {len(fooled)} pictures fooled within {result.parameters['epsilon']:g} of 255 levels, "
        f"judged on the picture as published (8 bits). {_control(result)}",
        (
            *("picture", "was", "p", "becomes", "p of target", "fooled", "steps", "L2", "L∞"),
            *("changed by signs of this L∞", "changed by noise of this L2"),
        ),
        tuple(
            (
                context.image_set.pictures[index].name,
                short(context.model["classes"][arrays["predicted"][i]]),
                float(f"{arrays['before'][i, 0]:.3g}"),
                short(context.model["classes"][arrays["found"][i]]),
                float(f"{arrays['after'][i, 1]:.3g}"),
                "yes" if fooled[i] else "no",
                int(arrays["steps"][i]),
                round(float(arrays["l2"][i]), 1),
                int(arrays["linf"][i]),
                *(f"{share:.0%}" for share in arrays["noise_changed"][i]),
            )
            for i, index in enumerate(arrays["index"])
        ),
        from_dataset=True,
    )


def _control(result: Result) -> str:
    """The effect of noise, in a sentence."""
    signs, normal = (float(v) for v in result.arrays["noise_changed"].mean(0))
    hit = float(result.arrays["noise_fooled"].max()) if len(result.arrays["index"]) else 0.0
    return (
        f"Noise as a control, {result.parameters['noise']} draws a picture: random signs of the same L∞ change the "
        f"predicted class in {signs:.0%} of the draws, normal noise of the same L2 norm in {normal:.0%}; "
        + (f"the target comes of it in up to {hit:.0%} of a picture's." if hit else "the target never comes of it.")
    )


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

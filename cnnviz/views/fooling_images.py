"""Fooling images: original, fooled, difference and ten times the difference, and the effect of noise."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, findings, section, stages, tiles
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

TIMES = 10
LIT, PLAIN = 0.3, 0.1  # a picture's mean grey is at most so far from the middle; its grey spreads at least so far
DIFFERENCE = colour.fixed(-128, 127)  # levels of 255: 0 becomes 128, and each level keeps its size


def view(result: Result, context: Context) -> dict:
    arrays = result.arrays
    signs, normal = (float(v) for v in arrays["noise_changed"].mean(0))
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(_attack(result, context, i) for i in _clearest_first(result, context)),
        "tables": (_attacks(result, context),),
        "metrics": (
            Metric("pictures_fooled", float(_fooled(result).mean()), "share"),
            Metric("median_steps", float(np.median(arrays["steps"])), "steps"),
            Metric("median_largest_change", float(np.median(arrays["linf"])), "levels"),
            Metric("median_typical_change", float(np.median(_typical(result))), "levels"),
            Metric("changed_by_random_signs", signs, "share"),
            Metric("changed_by_normal_noise", normal, "share"),
        ),
    }


def _fooled(result: Result) -> np.ndarray:
    return result.arrays["found"] == result.arrays["target"]


def _right(result: Result, context: Context) -> np.ndarray:
    """Whether each picture was named correctly before: (n,) bool. A wrong name may lie near another class's border."""
    labels = [context.image_set.pictures[i].label for i in result.arrays["index"]]
    outputs = context.model.get("label_to_output", ())
    true = [None if label is None or label >= len(outputs) else outputs[label] for label in labels]
    said = result.arrays["predicted"].tolist()
    return np.array([is_it == it for is_it, it in zip(said, true, strict=True)], bool)


def _clearest_first(result: Result, context: Context) -> np.ndarray:
    """Indices of the pictures: those named correctly before and fooled, then the others; first what an eye sees well.

    A picture is seen well if it is neither dark nor of one grey; among those the surest answer comes first.
    """
    grey = result.arrays["pictures"].astype(np.float32).mean(3)
    grey /= 255 if result.arrays["pictures"].dtype == np.uint8 else 1
    dim = (np.abs(grey.mean((1, 2)) - 0.5) > LIT) | (grey.std((1, 2)) < PLAIN)
    return np.lexsort((-result.arrays["before"][:, 0], dim, ~_fooled(result), ~_right(result, context)))


def _typical(result: Result) -> np.ndarray:
    """The root mean square change of each picture's values, in levels."""
    return result.arrays["l2"] / np.sqrt(result.arrays["pictures"][0].size)


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Number of pictures that reach their target class within ε levels, compared with random signs of the same size.

    The control counts draws that reach the target, too. A draw that only leaves the first class is stated beside it: a
    picture near the border of two classes leaves it by any noise.
    """
    fooled, epsilon = _fooled(result), result.parameters["epsilon"]
    hits, count = int(fooled.sum()), len(fooled)
    changed, right = result.arrays["noise_changed"][:, 0], _right(result, context)
    signs = float(result.arrays["noise_fooled"][:, 0].mean())
    attack, noise = findings.share(hits, count), findings.share(round(signs * count), count)
    gap, low, high = findings.difference(attack, noise)
    key = f"fooled within {epsilon:g} levels"
    typical = float(np.median(_typical(result)[fooled])) if hits else 0.0
    of_right = ""
    if 0 < right.sum() < count:
        of_right = f", and in {percent(float(changed[right].mean()))} for the {right.sum()} named correctly before"
    finding = Finding(
        key,
        f"{hits} of {count} pictures are named as the wrong class asked for, by changes of {epsilon:g} of 255 levels "
        "at most" + (f", {typical:.1f} levels in a typical pixel." if hits else "."),
        findings.weakly(low),
        f"{between(*findings.share_interval(hits, count))} of pictures",
        f"random signs of the same size reach it in {percent(signs)} of draws, and change the class in "
        f"{percent(float(changed.mean()))}{of_right}; {findings.UNTRIED}",
        figure=context.image_set.pictures[result.arrays["index"][_clearest_first(result, context)[0]]].id,
    )
    return finding, {key: Measured(attack.short, gap, low, high)}


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
        f"{other} (p = {after[1]:.2f}) after {steps} steps"
        if said == target
        else f"not {other} (p = {after[1]:.2g}) but {short(classes[said])} after {steps} steps"
    )
    sheet = attributions.sheet([panels], max(1, 192 // arrays["pictures"].shape[1]))
    height, width = sheet.shape[0], (sheet.shape[1] + attributions.GAP) // len(panels) - attributions.GAP
    largest = f"no value by more than {int(arrays['linf'][i])} levels"
    pair = tiles.places(2, height, width, attributions.GAP)
    return context.picture(
        picture.id,
        sheet,
        stages=(stages.covering(f"original ({own})", pair, [f"changed ({short(classes[said])})"], numbers=[largest]),),
        alt=f"{picture.name}; the same picture changed by at most {int(arrays['linf'][i])} levels; the difference; and "
        f"{TIMES} times the difference.",
        caption=f"{picture.name}: {own} (p = {before[0]:.2f}) becomes {outcome}.",
        more=f"At first {other} has p = {before[1]:.2g}, at last {own} {after[0]:.2g}. Largest change of a value: "
        f"{int(arrays['linf'][i])} of 255 levels; typical change: {_typical(result)[i]:.1f}.",
        mapping=f"From left: the original; the changed picture; the difference, mid-grey is no change; {TIMES} times "
        "the difference, cut off at black and white",
        data=f"fooled[{i}]",
        subjects=(
            Subject("image", picture.name),
            *(Subject("class", classes[c]) for c in dict.fromkeys((was, target))),
        ),
    )


def _attacks(result: Result, context: Context) -> Table:
    """Each picture's attack in numbers, and the effect of noise of the same size."""
    arrays, fooled, right = result.arrays, _fooled(result), _right(result, context)
    return Table(
        "attacks",
        f"{int(fooled.sum())} of {len(fooled)} pictures fooled within {result.parameters['epsilon']:g} of 255 levels, "
        f"judged at 8 bits a channel. {_control(result, right)}",
        (
            *("picture", "named correctly", "was", "p", "becomes", "p of target", "fooled", "steps", "largest change"),
            *("by random signs", "by noise"),
        ),
        tuple(
            (
                context.image_set.pictures[arrays["index"][i]].name,
                "yes" if right[i] else "no",
                short(context.model["classes"][arrays["predicted"][i]]),
                float(f"{arrays['before'][i, 0]:.3g}"),
                short(context.model["classes"][arrays["found"][i]]),
                float(f"{arrays['after'][i, 1]:.3g}"),
                "yes" if fooled[i] else "no",
                int(arrays["steps"][i]),
                int(arrays["linf"][i]),
                *(f"{share:.0%}" for share in arrays["noise_changed"][i]),
            )
            for i in _clearest_first(result, context)
        ),
        from_dataset=True,
    )


def _control(result: Result, right: np.ndarray) -> str:
    """The effect of noise, in a sentence; apart for the pictures named correctly before, ``right`` (n,)."""
    signs, normal = (float(v) for v in result.arrays["noise_changed"].mean(0))
    hit = float(result.arrays["noise_fooled"].max()) if len(result.arrays["index"]) else 0.0
    apart = ""
    if 0 < right.sum() < len(right):
        own, others = (percent(float(result.arrays["noise_changed"][of, 0].mean())) for of in (right, ~right))
        apart = f" Of pictures named correctly before, random signs change {own}; of the others {others}."
    return (
        f"Control, {result.parameters['noise']} draws a picture: random signs of the same largest change give another "
        f"class in {signs:.0%} of the draws, normal noise of the same L2 norm in {normal:.0%}.{apart} "
        + (f"The target class is reached in up to {hit:.0%} of a picture's draws." if hit else "None gives the target.")
    )


if __name__ == "__main__":
    section.run(
        view,
        id="fooling_images",
        title="Fooling images",
        question="How small a change makes the network name something else?",
        tour="From a photo: how small a change makes the network name another thing?",
        how_to_read="Each picture is changed step by step until the network names a wrong class with confidence. A "
        "grey difference means that little was changed; right of it the difference is ten times as strong.",
        do_not_conclude="These changes are searched for with the network's own weights. Noise, a camera or another "
        "network need not be fooled by them. Pictures of other sizes need other changes, and how often the search "
        "succeeds says nothing about accuracy.",
        equation="I ← P(I + η · g / ‖g‖₂),  g = ∂ log p_t / ∂I,  ‖I − I₀‖∞ ≤ ε",
        papers=(papers.SZEGEDY_2014,),
    )

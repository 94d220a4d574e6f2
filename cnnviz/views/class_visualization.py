"""Class visualisations: a picture a class, how some of them came about, and what the network says of them."""

import numpy as np

from cnnviz.result import Result
from cnnviz.views import colour, curves, section
from cnnviz.views.section import Context, Paper, Subject

SHOWN_SIZE = 227  # CSS pixels a picture, at least
STRIPS = 4
OVERVIEW = 12
CURVES = 6
ALONE = 100  # so many classes get a figure each; of more, SHEET go on one
SHEET = 25


def side_by_side(pictures: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """(n, h, w, 3) pictures in reading order with transparent gaps: (H, W, 4) uint8."""
    n, h, w, _ = pictures.shape
    columns = min(n, columns)
    sheet = np.zeros((-(-n // columns) * (h + gap) - gap, columns * (w + gap) - gap, 4), np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = np.dstack([picture, np.full((h, w), 255, np.uint8)])
    return sheet


def view(result: Result, context: Context) -> dict:
    shown_channels = context.image_set.config.get("show")
    pictures, snapshots = (colour.rgb(result.arrays[name], shown_channels) for name in ("pictures", "snapshots"))
    logits, probabilities, ranks = (result.arrays[name] for name in ("logits", "probabilities", "ranks"))
    targets = result.arrays["targets"]  # two classes may share a name
    classes, fallback = result.numbers["classes"], set(result.numbers["fallback"])
    names = [name.split(",")[0].strip() for name in classes]  # ImageNet's names list synonyms
    steps = result.numbers["snapshot_steps"]
    n, height, width, _ = pictures.shape
    scale = max(1.0, SHOWN_SIZE / width)
    lossless = width < SHOWN_SIZE // 2
    mapping = "the picture itself: levels 0 … 255 are what was optimised"

    def verdict(i: int) -> str:
        place = "its highest score" if ranks[i] == 1 else f"rank {ranks[i]} of its scores"
        beside = "; ascended before the last ReLU, where the class score was flat" if classes[i] in fallback else ""
        return f"logit {logits[i]:.1f}, probability {probabilities[i]:.3g}, {place}{beside}"

    some = range(min(OVERVIEW, n))
    figures = [
        context.picture(
            "overview",
            side_by_side(pictures[: len(some)], 4),
            alt=f"Synthetic pictures for {len(some)} classes in rows of four: {', '.join(names[i] for i in some)}.",
            caption=f"In reading order: {', '.join(names[i] for i in some)}. Each was made from grey noise, step by "
            "step, to raise the score of its class; below they stand one by one.",
            mapping=mapping,
            data="pictures",
            subjects=tuple(Subject("class", classes[i]) for i in some),
            scale=max(1.0, 160 / width) if width < 160 else 160 / width,
            lossless=lossless,
            from_dataset=False,
        )
    ]
    size = 1 if n <= ALONE else SHEET
    for first in range(0, n, size):
        group = range(first, min(first + size, n))
        called = ", ".join(names[i] for i in group)
        figures.append(
            context.picture(
                f"class-{targets[first]}" if size == 1 else f"classes-{first}",
                side_by_side(pictures[group], 5),
                alt=f"Synthetic picture for {called}, made from noise."
                if size == 1
                else f"Synthetic pictures for {len(group)} classes in rows of five: {called}.",
                caption=f"{called}: {verdict(first)}."
                if size == 1
                else "In reading order: " + ", ".join(f"{names[i]} ({probabilities[i]:.2g})" for i in group),
                mapping=mapping,
                data="pictures",
                subjects=tuple(Subject("class", classes[i]) for i in group),
                scale=scale if size == 1 else 1,
                lossless=lossless,
                group="A picture a class",
                from_dataset=False,
            )
        )
    for i in range(min(STRIPS, len(snapshots))):
        figures.append(
            context.picture(
                f"steps-{targets[i]}",
                side_by_side(snapshots[i], len(steps)),
                alt=f"{len(steps)} stages of the picture for {names[i]}, from grey noise to its final form.",
                caption=f"{names[i]} after {', '.join(map(str, steps[:-1]))} and {steps[-1]} steps. Large shapes come "
                "first, detail later.",
                mapping=mapping,
                data="snapshots",
                subjects=(Subject("class", classes[i]),),
                scale=max(1.0, 160 / width) if width < 160 else 160 / width,
                lossless=lossless,
                group="How a picture comes about",
                from_dataset=False,
            )
        )
    scores = result.arrays["scores"]
    shown = range(min(CURVES, n))
    drawn = {names[i]: scores[i] for i in shown}
    figures.append(
        context.figure(
            "scores",
            "scores.svg",
            curves.svg(drawn, across="step", up="score of the view"),
            curves.WIDTH,
            curves.HEIGHT,
            alt=f"Score against step for {len(drawn)} classes: from {scores[shown, 0].mean():.1f} on average to "
            f"{scores[shown, -1].mean():.1f}, with ups and downs from step to step.",
            caption="The score that is ascended, at each step under that step's random view; hence the ups and downs. "
            "Larger views follow from half-way on.",
            mapping=f"linear axes; {scores[shown].min():.3g} … {scores[shown].max():.3g}",
            data="scores",
            subjects=tuple(Subject("class", classes[i]) for i in shown),
            group="How a picture comes about",
            from_dataset=False,
        )
    )
    rows = tuple(
        (names[i], round(float(logits[i]), 2), float(f"{probabilities[i]:.4g}"), int(ranks[i])) for i in range(n)
    )
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "verdicts",
                "What the network says of each picture as published (8 bits a channel, upright, whole).",
                ("class", "logit", "probability", "rank"),
                rows,
            ),
        ),
        "metrics": (
            section.Metric("won_by_their_class", float(np.mean(ranks == 1)), "share", "higher"),
            section.Metric("median_probability", float(np.median(probabilities)), "", "higher"),
        ),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="class_visualization",
        title="Class visualisation",
        question="What does the network think each class looks like?",
        how_to_read="Each picture starts as grey noise and is changed step by step so that the class score rises. "
        "What turns up again and again (a beak, stripes, wheels) is what the score is made of; what is missing, the "
        "network does not need. Things that mostly occur with the object show too: water around a flamingo, say.",
        do_not_conclude="This is one of many pictures that the class likes, not a typical photograph, and a "
        "probability near 1 proves little: noise can reach it. Several copies of an object are no sign of "
        "counting. Regularisation chose smooth, photograph-like colours; scores without it are higher.",
        equation="I* = argmax E_v[S_c(v(I))] − λ₁ TV(I) − λ₂ ‖I − grey‖²",
        papers=(
            Paper(
                "K. Simonyan, A. Vedaldi, A. Zisserman",
                2014,
                "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
                "ICLR Workshop",
                "https://arxiv.org/abs/1312.6034",
            ),
            Paper(
                "C. Olah, A. Mordvintsev, L. Schubert",
                2017,
                "Feature Visualization",
                "Distill",
                "https://doi.org/10.23915/distill.00007",
            ),
        ),
    )

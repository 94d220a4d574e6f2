"""Class visualisations: a picture per class, stages of some, and the network's output for them."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.network.kinds import has_probabilities
from cnnviz.run.result import Result
from cnnviz.views import papers, published_settings
from cnnviz.views.kit import curves, section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import montage

SHOWN_SIZE = 227  # smallest width of a picture in CSS pixels
SMALL = 160  # width of a picture in a row, in CSS pixels
STRIPS = 4
OVERVIEW = 12
CURVES = 6
ALONE = 100  # up to this many classes have a figure each; beyond, SHEET share one
SHEET = 25
LEVELS = "the picture itself: levels 0 … 255 are what was optimised"
COURSE = "How a picture comes about"


def view(result: Result, context: Context) -> dict:
    figures = [
        _overview(result, context),
        *_pictures(result, context),
        *(_steps(result, context, i) for i in range(min(STRIPS, len(result.arrays["snapshots"])))),
        _scores(result, context),
    ]
    tables = [_verdicts(result, context)]
    if "settings" in result.numbers:
        figures += published_settings.figures(result, context)
        tables += published_settings.tables(result, context)
    return {"figures": tuple(figures), "tables": tuple(tables), "metrics": _metrics(result, context)}


def _names(result: Result) -> list[str]:
    return [short(name) for name in result.numbers["classes"]]


def _subjects(result: Result, some: range) -> tuple[Subject, ...]:
    return tuple(Subject("class", result.numbers["classes"][i]) for i in some)


def _crisp(pictures: np.ndarray) -> bool:
    """Whether the pictures are so small that lossy compression would be visible."""
    return pictures.shape[-2] < SHOWN_SIZE // 2


def _overview(result: Result, context: Context) -> Figure:
    """The first few pictures in one figure."""
    pictures, names = context.rgb(result.arrays["pictures"]), _names(result)[:OVERVIEW]
    return context.picture(
        "overview",
        montage(pictures[: len(names)], 4),
        alt=f"Synthetic pictures in rows of four: {', '.join(names)}.",
        caption=f"In reading order: {', '.join(names)}. Each was made from grey noise, step by "
        "step, to raise its score; below they stand one by one.",
        mapping=LEVELS,
        data="pictures",
        subjects=_subjects(result, range(len(names))),
        scale=SMALL / pictures.shape[2],
        lossless=_crisp(pictures),
        from_dataset=False,
    )


def _pictures(result: Result, context: Context) -> list[Figure]:
    """Each picture by itself; if there are too many, sheets of them."""
    pictures = context.rgb(result.arrays["pictures"])
    n = len(pictures)
    if n <= ALONE:
        return [_alone(result, context, pictures, i) for i in range(n)]
    return [_sheet(result, context, pictures, range(i, min(i + SHEET, n))) for i in range(0, n, SHEET)]


def _alone(result: Result, context: Context, pictures: np.ndarray, i: int) -> Figure:
    name = _names(result)[i]
    return context.picture(
        f"class-{result.arrays['targets'][i]}",  # two classes may share a name
        montage(pictures[i : i + 1], 1),
        alt=f"Synthetic picture for {name}, made from noise.",
        caption=f"{name}: {_verdict(result, context, i)}.",
        mapping=LEVELS,
        data="pictures",
        subjects=_subjects(result, range(i, i + 1)),
        scale=max(1.0, SHOWN_SIZE / pictures.shape[2]),
        lossless=_crisp(pictures),
        group=f"A picture a {context.explained}",
        from_dataset=False,
    )


def _sheet(result: Result, context: Context, pictures: np.ndarray, some: range) -> Figure:
    names, probabilities = _names(result), result.arrays["probabilities"]
    return context.picture(
        f"classes-{some.start}",
        montage(pictures[some], 5),
        alt=f"Synthetic pictures in rows of five: {', '.join(names[i] for i in some)}.",
        caption="In reading order: " + ", ".join(f"{names[i]} ({probabilities[i]:.2g})" for i in some),
        mapping=LEVELS,
        data="pictures",
        subjects=_subjects(result, some),
        lossless=_crisp(pictures),
        group=f"A picture a {context.explained}",
        from_dataset=False,
    )


def _steps(result: Result, context: Context, i: int) -> Figure:
    """A class's picture after some of the steps."""
    stages, steps, name = (
        context.rgb(result.arrays["snapshots"][i]),
        result.numbers["snapshot_steps"],
        _names(result)[i],
    )
    return context.picture(
        f"steps-{result.arrays['targets'][i]}",
        montage(stages, len(steps)),
        alt=f"{len(steps)} stages of the picture for {name}, from grey noise to its final form.",
        caption=f"{name} after {', '.join(map(str, steps[:-1]))} and {steps[-1]} steps. Large shapes come "
        "first, detail later.",
        mapping=LEVELS,
        data="snapshots",
        subjects=_subjects(result, range(i, i + 1)),
        scale=SMALL / stages.shape[2],
        lossless=_crisp(stages),
        group=COURSE,
        from_dataset=False,
    )


def _scores(result: Result, context: Context) -> Figure:
    """The score over the steps, for the first few classes."""
    scores, names = result.arrays["scores"][:CURVES], _names(result)
    drawn = dict(zip(names, scores, strict=False))
    return context.drawing(
        "scores",
        curves.lines(drawn, across="step", up="score of the view"),
        alt=f"Score against step for {len(drawn)} pictures: from {scores[:, 0].mean():.1f} on average to "
        f"{scores[:, -1].mean():.1f}, with ups and downs from step to step.",
        caption="The score that is ascended, at each step under that step's random view; hence the ups and downs. "
        "Larger views follow from half-way on.",
        mapping=f"linear axes; {scores.min():.3g} … {scores.max():.3g}",
        data="scores",
        subjects=_subjects(result, range(len(scores))),
        group=COURSE,
        from_dataset=False,
    )


def _verdict(result: Result, context: Context, i: int) -> str:
    """The network's output for a picture, for its caption."""
    logit, p, rank = (result.arrays[key][i] for key in ("logits", "probabilities", "ranks"))
    fallback = result.numbers["classes"][i] in result.numbers["fallback"]
    beside = "; ascended before the last ReLU, where the class score was flat" if fallback else ""
    if not has_probabilities(context.kind):
        return context.says(result.arrays["targets"][i], p) + beside
    place = "its highest score" if rank == 1 else f"rank {rank} of its scores"
    return f"logit {logit:.1f}, probability {p:.3g}, {place}{beside}"


def _verdicts(result: Result, context: Context) -> Table:
    """The same of all pictures."""
    names, targets = _names(result), result.arrays["targets"]
    logits, probabilities, ranks = (result.arrays[key] for key in ("logits", "probabilities", "ranks"))
    if has_probabilities(context.kind):
        columns = ("class", "logit", "probability", "rank")
        rows = (
            (name, round(float(logit), 2), float(f"{p:.4g}"), int(rank))
            for name, logit, p, rank in zip(names, logits, probabilities, ranks, strict=True)
        )
    else:
        columns = (context.explained, "what the network says")
        rows = ((name, context.says(*said)) for name, *said in zip(names, targets, probabilities, strict=True))
    caption = "What the network says of each picture as published (8 bits a channel, upright, whole)."
    return Table("verdicts", caption, columns, tuple(rows))


def _metrics(result: Result, context: Context) -> tuple[Metric, ...]:
    if not has_probabilities(context.kind):
        return ()
    return (
        Metric("won_by_their_class", float(np.mean(result.arrays["ranks"] == 1)), "share", "higher"),
        Metric("median_probability", float(np.median(result.arrays["probabilities"])), "", "higher"),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="class_visualization",
        title="Class visualisation",
        question="What does the network think each class looks like?",
        tour="Climb the score of a class from noise: what does the network think it looks like?",
        how_to_read="Each picture starts as grey noise and is changed step by step so that the class score rises. "
        "What turns up again and again (a beak, stripes, wheels) is what the score is made of; what is missing, the "
        "network does not need. Things that mostly occur with the object show too: water around a flamingo, say.",
        do_not_conclude="This is one of many pictures that the class likes, not a typical photograph, and a "
        "probability near 1 proves little: noise can reach it. Several copies of an object are no sign of "
        "counting. Regularisation chose smooth, photograph-like colours; scores without it are higher. The step of the "
        "published settings is measured by each picture's own gradient, not in their authors' units, and may be a "
        "share of their number.",
        equation="I* = argmax E_v[S_c(v(I))] − λ₁ TV(I) − λ₂ ‖I − grey‖²",
        papers=(papers.SIMONYAN_2014, papers.YOSINSKI_2015, papers.OLAH_2017, papers.ODENA_2016),
    )

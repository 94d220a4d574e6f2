"""Class visualisations: a picture per class, stages of some, and the network's output for them."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from cnnviz.network.class_names import short
from cnnviz.network.kinds import REGRESSION, has_probabilities
from cnnviz.run.result import Result
from cnnviz.views import papers, published_settings
from cnnviz.views.kit import curves, findings, panels, section, stages
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT, boxes, fitted, labelled, montage, places

SHOWN_SIZE = 227  # CSS pixels a picture, at least
SMALL = 160  # CSS pixels a picture in a row of several
OVERVIEW, ACROSS = 12, 4
FINE = 256  # side in pixels of the overview's pictures, at least
CURVES = 6
ALONE = 100  # so many classes get a figure each; of more, SHEET go on one
SHEET = 24
COURSE = "How a picture comes about"


def view(result: Result, context: Context) -> dict:
    figures = [
        _overview(result, context),
        *_pictures(result, context),
        *(_steps(result, context, i) for i in range(len(result.arrays["snapshots"]))),
        _scores(result, context),
    ]
    tables = [_verdicts(result, context)]
    said, measured = found(result, context)
    if "settings" in result.numbers:
        figures += published_settings.figures(result, context)
        tables += published_settings.tables(result, context)
        more, also = published_settings.found(result, context)
        said, measured = said + more, measured | also
    return {
        "findings": said,
        "measured": measured,
        "figures": tuple(figures),
        "tables": tuple(tables),
        "metrics": _metrics(result, context),
    }


def found(result: Result, context: Context) -> tuple[tuple[Finding, ...], dict[str, Measured]]:
    """The number of pictures predicted as their class, compared with chance; for values, the number that changed."""
    n, outputs = len(result.arrays["targets"]), len(context.model["classes"])
    if context.kind == REGRESSION:
        scores = result.arrays["scores"]
        key, control, hits = "values moved", 0.5, int((scores[:, -1] > scores[:, 0]).sum())
        says, against = f"{hits} of {n} pictures move their value as asked.", "half, by chance"
    else:
        key, control, hits = "named as their class", 1 / outputs, int((result.arrays["ranks"] == 1).sum())
        says = f"{hits} of {n} pictures are named as the class that they were made for."
        against = f"1 of {outputs} by chance"
    measured = findings.share(hits, n, control)
    finding = Finding(
        key,
        says,
        findings.weakly(measured.low),
        between(*findings.share_interval(hits, n)),
        f"{against}; {findings.UNTRIED}",
        figure="overview",
    )
    return (finding,), {key: measured}


def _names(result: Result) -> list[str]:
    return [short(name) for name in result.numbers["classes"]]


def _subjects(result: Result, some: Iterable[int]) -> tuple[Subject, ...]:
    return tuple(Subject("class", result.numbers["classes"][i]) for i in some)


def _overview(result: Result, context: Context) -> Figure:
    """The pictures of the most probable classes, or of the first values."""
    pictures, names = context.rgb(result.arrays["pictures"]), _names(result)
    likely, p = has_probabilities(context.kind), result.arrays["probabilities"]
    some = np.lexsort([-result.arrays["logits"], -p])[:OVERVIEW] if likely else np.arange(len(names))[:OVERVIEW]
    few = (
        f", the {'most probable' if likely else 'first'} {len(some)} of {len(names)}" if len(some) < len(names) else ""
    )
    return context.drawing(
        "overview",
        panels.sheet([(names[i], _smooth(pictures[i])) for i in some], across=ACROSS),
        alt=f"Synthetic pictures in rows of {ACROSS}: {', '.join(names[i] for i in some)}.",
        caption=f"Made from grey noise, step by step, so that the score of one {context.explained} rises{few}.",
        mapping=f"enlarged smoothly; {EXACT}",
        data="pictures",
        subjects=_subjects(result, some),
        scale=1.5,
        from_dataset=False,
    )


def _smooth(picture: np.ndarray) -> np.ndarray:
    """A picture (h, w, 3) uint8, smoothly enlarged to :data:`FINE` pixels: bare blocks hide what is drawn."""
    times = FINE / max(picture.shape[:2])
    if times <= 1:
        return picture
    size = tuple(round(times * side) for side in picture.shape[1::-1])
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


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
        mapping=EXACT,
        data="pictures",
        subjects=_subjects(result, [i]),
        scale=max(1.0, SHOWN_SIZE / pictures.shape[2]),
        group=f"A picture a {context.explained}",
        compared=context.explained.capitalize(),
        from_dataset=False,
    )


def _sheet(result: Result, context: Context, pictures: np.ndarray, some: range) -> Figure:
    names, p = _names(result), result.arrays["probabilities"]
    return context.picture(
        f"classes-{some.start}",
        labelled([fitted(pictures[i], SMALL) for i in some], [f"{names[i][:18]} {p[i]:.2g}" for i in some]),
        alt=f"Synthetic pictures in rows of six: {', '.join(names[i] for i in some)}.",
        caption=f"{names[some[0]]} to {names[some[-1]]}, over each picture its {context.explained} and what the "
        f"network says of it{', as a probability' if has_probabilities(context.kind) else ''}.",
        mapping=EXACT,
        data="pictures",
        subjects=tuple(
            Subject("class", result.numbers["classes"][i], box=box)
            for i, box in zip(some, boxes(len(some), SMALL, SMALL), strict=True)
        ),
        lossless=False,
        group=f"A picture a {context.explained}",
        compared=context.explained.capitalize(),
        from_dataset=False,
    )


def _steps(result: Result, context: Context, i: int) -> Figure:
    """A class's picture after some of the steps."""
    pictures, steps, name = (
        context.rgb(result.arrays["snapshots"][i]),
        result.numbers["snapshot_steps"],
        _names(result)[i],
    )
    said = zip(result.arrays["snapshot_logits"][i], result.arrays["snapshot_probabilities"][i], strict=True)
    numbers = [
        f"logit {logit:.1f}, probability {p:.2g}"
        if has_probabilities(context.kind)
        else context.says(result.arrays["targets"][i], p)
        for logit, p in said
    ]
    return context.picture(
        f"steps-{result.arrays['targets'][i]}",
        montage(pictures, len(steps)),
        alt=f"{len(steps)} stages of the picture for {name}, from grey noise to its final form.",
        caption=f"{name} after {', '.join(map(str, steps[:-1]))} and {steps[-1]} steps.",
        mapping=EXACT,
        data="snapshots",
        subjects=_subjects(result, [i]),
        scale=SMALL / pictures.shape[2],
        lossless=pictures.shape[2] < SHOWN_SIZE // 2,
        stages=stages.series("Step", [*map(str, steps)], places(*pictures.shape[:3]), numbers),
        group=COURSE,
        from_dataset=False,
    )


def _scores(result: Result, context: Context) -> Figure:
    """The score over the steps, for the first few classes."""
    scores, names = result.arrays["scores"][:CURVES], _names(result)
    drawn = dict(zip(names, scores, strict=False))
    limit = result.numbers.get("ceiling")
    stop = f" Above {limit:.3g} little is gained, against exaggeration." if limit is not None else ""
    return context.drawing(
        "scores",
        curves.lines(drawn, across="step", up="score of the view"),
        alt=f"Score against step for {len(drawn)} pictures: from {scores[:, 0].mean():.1f} on average to "
        f"{scores[:, -1].mean():.1f}, with ups and downs from step to step.",
        caption="The score that is raised, at each step.",
        more=f"Each step has its random view, hence the ups and downs; larger views follow from half-way on.{stop}",
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
    beside = "; raised before the last ReLU, where the class score was flat" if fallback else ""
    tries = int(result.arrays["tries"][i])
    beside += f"; the best of {tries} starts" if tries > 1 else ""
    if not has_probabilities(context.kind):
        return context.says(result.arrays["targets"][i], p) + beside
    place = "" if rank == 1 else f", rank {rank}"
    return f"logit {logit:.1f}, p = {p:.3g}{place}{beside}"


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
    caption = "What the network says of each picture (8 bits a channel, upright, whole)."
    return Table("verdicts", caption, columns, tuple(rows))


def _metrics(result: Result, context: Context) -> tuple[Metric, ...]:
    if not has_probabilities(context.kind):
        return ()
    return (
        Metric("named_as_their_class", float(np.mean(result.arrays["ranks"] == 1)), "share", "higher"),
        Metric("median_probability", float(np.median(result.arrays["probabilities"])), "", "higher"),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="class_visualization",
        title="Class visualisation",
        question="What does the network think each class looks like?",
        tour="From noise to a high score: what does the network think a class looks like?",
        how_to_read="Each picture starts as grey noise and is changed step by step so that the class score rises. What "
        "turns up again and again is what the score is made of, background included.",
        do_not_conclude="This is one of many pictures with a high score, not a typical photograph: noise can reach a "
        "probability near 1. Other settings, and other pages, reach other logits. Several copies of "
        "an object are no sign of counting. Smooth, photograph-like colours come from the "
        "regularisation. A published setting's step follows each picture's own gradient.",
        equation="I* = argmax E_v[S_c(v(I))] − λ₁ TV(I) − λ₂ ‖I − grey‖²",
        papers=(papers.SIMONYAN_2014, papers.YOSINSKI_2015, papers.OLAH_2017, papers.ODENA_2016),
    )

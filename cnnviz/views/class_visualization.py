"""Class visualisations: a picture a class, how some of them came about, and what the network says of them."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.network.kinds import REGRESSION, has_probabilities
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, panels, section
from cnnviz.views.kit.section import Context, Subject

SHOWN_SIZE = 227  # CSS pixels a picture, at least
STRIPS = 4
OVERVIEW = 12
CURVES = 6
ALONE = 100  # so many classes get a figure each; of more, SHEET go on one
SHEET = 25
ACROSS = 4  # pictures of the published settings in a row
CROP = 32  # pixels of the gradient that are shown, at 4 × their size


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
    names = [short(name) for name in classes]
    steps = result.numbers["snapshot_steps"]
    n, height, width, _ = pictures.shape
    kind = context.kind
    scale = max(1.0, SHOWN_SIZE / width)
    lossless = width < SHOWN_SIZE // 2
    mapping = "the picture itself: levels 0 … 255 are what was optimised"

    def verdict(i: int) -> str:
        beside = "; ascended before the last ReLU, where the class score was flat" if classes[i] in fallback else ""
        if not has_probabilities(kind):
            return context.says(targets[i], probabilities[i]) + beside
        place = "its highest score" if ranks[i] == 1 else f"rank {ranks[i]} of its scores"
        return f"logit {logits[i]:.1f}, probability {probabilities[i]:.3g}, {place}{beside}"

    some = range(min(OVERVIEW, n))
    figures = [
        context.picture(
            "overview",
            side_by_side(pictures[: len(some)], 4),
            alt=f"Synthetic pictures in rows of four: {', '.join(names[i] for i in some)}.",
            caption=f"In reading order: {', '.join(names[i] for i in some)}. Each was made from grey noise, step by "
            "step, to raise its score; below they stand one by one.",
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
                else f"Synthetic pictures in rows of five: {called}.",
                caption=f"{called}: {verdict(first)}."
                if size == 1
                else "In reading order: " + ", ".join(f"{names[i]} ({probabilities[i]:.2g})" for i in group),
                mapping=mapping,
                data="pictures",
                subjects=tuple(Subject("class", classes[i]) for i in group),
                scale=scale if size == 1 else 1,
                lossless=lossless,
                group=f"A picture a {context.explained}",
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
            alt=f"Score against step for {len(drawn)} pictures: from {scores[shown, 0].mean():.1f} on average to "
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
    tables = ()
    if "settings" in result.numbers:
        more, tables = published(result, context)
        figures += more
    columns = ("class", "logit", "probability", "rank")
    rows = tuple(
        (names[i], round(float(logits[i]), 2), float(f"{probabilities[i]:.4g}"), int(ranks[i])) for i in range(n)
    )
    metrics = (
        section.Metric("won_by_their_class", float(np.mean(ranks == 1)), "share", "higher"),
        section.Metric("median_probability", float(np.median(probabilities)), "", "higher"),
    )
    if not has_probabilities(kind):
        columns, metrics = (context.explained, "what the network says"), ()
        rows = tuple((names[i], context.says(targets[i], probabilities[i])) for i in range(n))
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "verdicts",
                "What the network says of each picture as published (8 bits a channel, upright, whole).",
                columns,
                rows,
            ),
            *tables,
        ),
        "metrics": metrics,
    }


def published(result: Result, context: Context) -> tuple[list[section.Figure], tuple[section.Table, ...]]:
    """The figures of the settings, the starts, the learning rates and the grid in the gradients; what the settings are
    and what the network says of their pictures."""
    arrays, numbers = result.arrays, result.numbers
    shown_channels = context.image_set.config.get("show")
    settings = numbers["settings"]
    kind = context.kind
    classes = numbers["settings_classes"]
    names = [short(name) for name in classes]
    subjects = [Subject("class", name) for name in classes]
    levels = "the pictures themselves: levels 0 … 255 are what was optimised"
    stages = colour.rgb(arrays["settings/stages"], shown_channels)
    zoom = 1.5 if stages.shape[3] > panels.PANEL else 1  # thin lines of large pictures are lost on small ones
    figures = []

    def drawn(id: str, tiles: list, across: int, **said) -> section.Figure:
        content, width, height = panels.sheet(tiles, across=across)
        return context.figure(id, f"{id}.svg", content, round(zoom * width), round(zoom * height), **said)

    def verdict(part: str, at: tuple) -> str:
        logit, p, rank = (arrays[f"{part}/{key}"][at] for key in ("logits", "probabilities", "ranks"))
        if not has_probabilities(kind):
            target = arrays["settings/targets"][at[0] if part == "settings" else 0]
            return context.says(target, p)
        return f"logit {logit:.1f}, probability {p:.2g}" + ("" if rank == 1 else f", rank {rank}")

    for i, name in enumerate(names):
        won = (
            []
            if kind == REGRESSION
            else [s["name"] for j, s in enumerate(settings) if arrays["settings/ranks"][i, j] == 1]
        )
        figures.append(
            drawn(
                f"settings-{arrays['settings/targets'][i]}",
                [(s["name"], stages[i, j, -1]) for j, s in enumerate(settings)],
                ACROSS,
                alt=f"Seven pictures for {name}, by setting: {', '.join(s['name'] for s in settings)}.",
                caption=f"{name} under the published settings, in reading order from plain ascent to random views. "
                + _taken(len(won), len(settings), kind)
                + "The section's tables say what is done in each, and what the network says of it.",
                mapping=levels,
                data="settings/stages",
                subjects=(subjects[i],),
                group="The published settings",
                from_dataset=False,
            )
        )
    at = ("0", "4", "48", "the last")
    figures.append(
        drawn(
            "settings-stages",
            [
                (f"{s['name']}, {step if step.isdigit() else s['steps']}", picture)
                for s, row in zip(settings, stages[0], strict=True)
                for step, picture in zip(at, row, strict=True)
            ],
            len(at),
            alt=f"Four stages of the picture for {names[0]} under each of {len(settings)} settings, a setting a row.",
            caption=f"{names[0]} after 0, 4, 48 and the last step, a setting a row; the number is the step. The first "
            "two start from plain grey, Yosinski's four from grey and a little noise, the last from a random spectrum.",
            mapping=levels,
            data="settings/stages",
            subjects=(subjects[0],),
            group="The published settings",
            from_dataset=False,
        )
    )
    blur = next(s for s in settings if s["name"] == "blur")
    starts = colour.rgb(arrays["starts/stages"], shown_channels)
    photograph = numbers["photograph"]
    places = ["from grey", "from noise", *("from a photograph" for _ in photograph)]
    figures.append(
        drawn(
            "starts",
            [
                (place if k == 0 else f"{step if step.isdigit() else blur['steps']} steps", picture)
                for place, row in zip(places, starts, strict=True)
                for k, (step, picture) in enumerate(zip(at, row, strict=True))
            ],
            len(at),
            alt=f"Stages of the picture for {names[0]} {', '.join(places)}, a start a row.",
            caption=f"Where an ascent starts, under the setting “blur”: {names[0]} "
            + "; ".join(f"{place}: in the end {verdict('starts', (k,))}" for k, place in enumerate(places))
            + (f". The photograph is {photograph[0]}." if photograph else ".")
            + " What is left of the start shows how much of a picture is the start's and not the "
            f"{context.explained}'s.",
            mapping=levels,
            data="starts/stages",
            subjects=(subjects[0],),
            group="Where it starts, and how fast it goes",
            from_dataset=bool(photograph),
        )
    )
    rates = colour.rgb(arrays["rates/stages"], shown_channels)
    speeds = ("too low", "right", "too high")
    figures.append(
        drawn(
            "rates",
            [
                (f"{speed}: {rate:g}, {step if step.isdigit() else blur['steps']}", picture)
                for speed, rate, row in zip(speeds, numbers["rates"], rates, strict=True)
                for step, picture in zip(at, row, strict=True)
            ],
            len(at),
            alt=f"Stages of the picture for {names[0]} with a low, a right and a high learning rate, a rate a row.",
            caption=f"Learning rates, under the setting “blur” from the same noise, {names[0]}; the rate is how far an "
            "average pixel moves in a step, of 1 from black to white, and then comes the step. "
            + "; ".join(f"{speed}: in the end {verdict('rates', (k,))}" for k, speed in enumerate(speeds))
            + ". Too low, and nothing is drawn in time; too high, and each step overshoots.",
            mapping=levels,
            data="rates/stages",
            subjects=(subjects[0],),
            group="Where it starts, and how fast it goes",
            from_dataset=False,
        )
    )
    figures.append(grid(arrays, numbers, stages, names[0], subjects[0], drawn))
    what = section.Table(
        "settings",
        "The published settings: what is done besides ascending, and for how many steps.",
        ("setting", "what is done", "steps"),
        tuple((s["name"], s["words"], s["steps"]) for s in settings),
    )
    likely = has_probabilities(kind)

    def numbers_of(i: int, j: int) -> tuple:
        logit, p, rank = (arrays[f"settings/{key}"][i, j] for key in ("logits", "probabilities", "ranks"))
        return (round(float(logit), 1), float(f"{p:.3g}"), int(rank)) if likely else (verdict("settings", (i, j)),)

    judged = section.Table(
        "settings-verdicts",
        "What the network says of the pictures under the published settings, and how far they are from grey (root mean "
        "square, levels of 255).",
        (
            *(context.explained, "setting"),
            *(("logit", "probability", "rank") if likely else ("what the network says",)),
            "distance",
        ),
        tuple(
            (name, s["name"], *numbers_of(i, j), round(255 * float(arrays["settings/distance"][i, j])))
            for i, name in enumerate(names)
            for j, s in enumerate(settings)
        ),
    )
    return figures, (what, judged)


def _taken(won: int, settings: int, kind: str) -> str:
    if kind == REGRESSION:
        return ""
    return f"{'The network takes all' if won == settings else f'It takes {won}'} of them for that class. "


def grid(arrays: dict, numbers: dict, stages: np.ndarray, name: str, subject: Subject, drawn) -> section.Figure:
    """Gradient, its mean size and its spectrum in one row."""
    gradient, size, spectrum = (arrays[f"grid/{key}"] for key in ("gradient", "size", "spectrum"))

    def middle(picture: np.ndarray) -> np.ndarray:
        top, left = (max(0, (side - CROP) // 2) for side in picture.shape[:2])
        return picture[top : top + CROP, left : left + CROP]

    signed = colour.symmetric(gradient.mean(2), percentile=99)
    large = colour.Mapping(float(size.min()), float(np.percentile(size, 99)), colour.GREY, "to the 99th percentile")
    typical = float(np.median(spectrum)) or 1.0
    decades = np.log10(np.maximum(spectrum, 1e-9 * typical) / typical)
    level = colour.fixed(0, 1.5, colour.POSITIVE)
    peaks = [values["peak"] for values in numbers["strides"].values()]
    found = "; ".join(
        f"period {stride}: peak {values['peak']:.1f} × the median, the best-served pixels get "
        f"{values['uneven']:.2f} × the gradient of the worst-served"
        for stride, values in numbers["strides"].items()
    )
    return drawn(
        "grid",
        [
            ("gradient, 4 ×", signed(middle(gradient.mean(2)))),
            ("plain ascent, 4 ×", middle(stages[0, 0, -1])),
            ("mean size, 4 ×", large(middle(size))),
            ("spectrum of the size", level(decades)),
        ],
        4,
        alt="The middle of a class score's gradient and of a picture made by it, the mean size of gradients, and its "
        f"spectrum, whose peak at the first layers' stride is {next(iter(peaks), 0):.1f} times the median.",
        caption=f"The grid in the gradients. Left: the gradient of the score of {name} at grey and noise, mean over "
        f"the colours, the middle {CROP} pixels; the picture without a regulariser, which sums such gradients, at the "
        "same place; the mean length of the gradient at each pixel over classes and noises; the amplitudes of that, "
        "frequency 0 in the middle and half a cycle a pixel at the edge. A convolution with stride s looks at some "
        "pixels through more windows than at others, and max-pooling passes a gradient to one pixel of a window only, "
        "so the gradient's size repeats each s pixels: points at 1/s of a cycle from the middle (1/2 is the edge). "
        f"In this network, {found or 'no layer strides'}. Without a grid a peak is about 3, and the ratio about 1. "
        "Blur, and a view shifted at random each step, take it out.",
        mapping=f"gradient: {signed.words}; size: {large.words}; spectrum: log₁₀ of the amplitude over the median one, "
        f"{level.words}",
        data="grid/spectrum",
        subjects=(subject,),
        group="The grid in the gradients",
        from_dataset=False,
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

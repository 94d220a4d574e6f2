"""Class visualisation as published: settings, starts and learning rates, and the grid in the gradients."""

from math import gcd

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.network.kinds import REGRESSION, has_probabilities
from cnnviz.run.result import Result
from cnnviz.views.kit import colour, findings, panels
from cnnviz.views.kit.findings import Finding, Measured, span
from cnnviz.views.kit.section import Context, Figure, Subject, Table
from cnnviz.views.kit.tiles import EXACT

ACROSS = 4  # pictures per row
CROP = 32  # side of the shown part of the gradient in pixels, enlarged 4 ×
STAGES = ("0", "4", "48", "the last")
SPEEDS = ("too low", "right", "too high")
DRAWS = 1000  # of random frequencies, beside those of the grid
PLAIN, STRONGEST = 30, 8  # standard deviation below which contrast is raised, in levels; by how much, at most
COURSE = "Where it starts, and how fast it goes"


def figures(result: Result, context: Context) -> list[Figure]:
    classes = range(len(result.numbers["settings_classes"]))
    return [
        *(_settings(result, context, i) for i in classes),
        _stages(result, context),
        _starts(result, context),
        _rates(result, context),
        _grid(result, context),
    ]


def tables(result: Result, context: Context) -> tuple[Table, Table]:
    """The settings, and the network's output for their pictures."""
    what = Table(
        "settings",
        "The published settings: what is done besides ascending, and for how many steps.",
        ("setting", "what is done", "steps"),
        tuple((s["name"], s["words"], s["steps"]) for s in result.numbers["settings"]),
    )
    return what, _verdicts(result, context)


def found(result: Result, context: Context) -> tuple[tuple[Finding, ...], dict[str, Measured]]:
    """The strongest grid in the gradients, beside random frequencies of the same spectrum."""
    peaks = {int(stride): values["peak"] for stride, values in result.numbers["strides"].items()}
    spectrum, tail = result.arrays["grid/spectrum"], 0.025 / max(1, len(peaks))
    chance = {stride: random_peaks(spectrum, stride, max(peaks), tail) for stride in peaks if peaks[stride] > 0}
    chance = {stride: ends for stride, ends in chance.items() if ends}
    if not chance:
        return (), {}
    above = [stride for stride in chance if peaks[stride] > chance[stride][1]]
    stride = max(above or chance, key=lambda stride: peaks[stride])
    peak, (lower, upper) = peaks[stride], chance[stride]
    typical = (lower + upper) / 2
    effect, least, largest = ((peak - c) / (peak + c) for c in (typical, upper, lower))
    finding = Finding(
        "grid in the gradients",
        f"The gradients show a grid of {stride} pixels: its peak is {peak:.1f} times the median."
        if peak > upper
        else f"No grid shows in the gradients: the peak at {stride} pixels is {peak:.1f} times the median.",
        findings.weakly(peak - upper),
        control=f"random frequencies reach {span(lower, upper, '.1f')} times; {findings.UNTRIED}",
        figure="grid",
    )
    return (finding,), {finding.key: Measured(f"{peak:.1f} times the median", effect, least, largest)}


def random_peaks(spectrum: np.ndarray, stride: int, period: int, tail: float) -> tuple[float, float] | None:
    """Range of the largest amplitude over the median, at as many random frequencies as a grid of this stride has.

    spectrum, and which frequencies count: as in the grid's own peak. Left out are those of any stride up to ``period``
    and their neighbours, which share in them. tail: the share of random results on either side of
    the range. None where too few frequencies are left.
    """
    down, right = (np.arange(side) - side // 2 for side in spectrum.shape)
    cycles = np.hypot(down[:, None] / spectrum.shape[0], right / spectrum.shape[1])
    fine = cycles >= 1 / stride / 4
    steps = [max(1, side // period) for side in spectrum.shape]
    near = [
        np.abs((places + step // 2) % step - step // 2) <= 1 for places, step in zip((down, right), steps, strict=True)
    ]
    values = spectrum[fine & ~(near[0][:, None] & near[1])]
    typical = float(np.median(spectrum[fine])) if fine.any() else 0.0
    at = sum(gcd(i, j, stride) == 1 for i in range(stride) for j in range(stride))
    if len(values) < at or typical <= 0:
        return None
    drawn = np.random.default_rng(0).choice(values, (DRAWS, at)).max(1) / typical
    return tuple(float(v) for v in np.quantile(drawn, [tail, 1 - tail]))


def _class(result: Result, i: int = 0) -> tuple[str, Subject]:
    """Short name and page of one of the classes; starts, rates and the grid are about the first."""
    name = result.numbers["settings_classes"][i]
    return short(name), Subject("class", name)


def _visible(title: str, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    """A tile (h, w, 3) uint8. One that is nearly grey has a higher contrast, which its title says."""
    middle = pixels.mean((0, 1))
    deviation = float((pixels - middle).std())
    times = min(STRONGEST, round(PLAIN / max(deviation, 1e-9)))
    if times < 2:
        return title, pixels
    return f"(× {times}) {title}", np.clip(middle + times * (pixels - middle), 0, 255).astype(np.uint8)


def _drawing(result: Result, context: Context, id: str, tiles: list[tuple[str, np.ndarray]], **words) -> Figure:
    """Titled pictures, four per row. Large ones are enlarged, so that thin lines stay visible."""
    height = result.arrays["settings/stages"].shape[3]
    tiles = tiles if id == "grid" else [_visible(*tile) for tile in tiles]
    return context.drawing(id, panels.sheet(tiles, across=ACROSS), scale=1.5 if height > panels.PANEL else 1, **words)


def _settings(result: Result, context: Context, i: int) -> Figure:
    """The end of the ascent under each setting."""
    settings, (name, subject) = result.numbers["settings"], _class(result, i)
    ends = context.rgb(result.arrays["settings/stages"][i, :, -1])
    won = int((result.arrays["settings/ranks"][i] == 1).sum())
    taken = f"The network's highest score is that class in {won} of {len(settings)}. "
    return _drawing(
        result,
        context,
        f"settings-{result.arrays['settings/targets'][i]}",
        [(s["name"], end) for s, end in zip(settings, ends, strict=True)],
        alt=f"{len(settings)} pictures for {name}, by setting: {', '.join(s['name'] for s in settings)}.",
        caption=f"{name} under the published settings. "
        + ("" if context.kind == REGRESSION else taken)
        + "(× 4): shown with four times its contrast. The tables below say what each setting does.",
        mapping=EXACT,
        data="settings/stages",
        subjects=(subject,),
        group="The published settings",
        from_dataset=False,
    )


def _stages(result: Result, context: Context) -> Figure:
    """Stages of the ascent under each setting."""
    settings, (name, subject) = result.numbers["settings"], _class(result)
    stages = context.rgb(result.arrays["settings/stages"][0])
    return _drawing(
        result,
        context,
        "settings-stages",
        _in_rows([(s["name"], s["steps"]) for s in settings], stages),
        alt=f"Four stages of the picture for {name} under each of {len(settings)} settings, a setting a row.",
        caption=f"{name} after 0, 4, 48 and the last step, a setting a row; the number is the step.",
        mapping=EXACT,
        data="settings/stages",
        subjects=(subject,),
        group="The published settings",
        from_dataset=False,
    )


def _in_rows(titles: list[tuple[str, int]], stages: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Four stages per row, with the row's title and the step. titles: with the number of the last step."""
    return [
        (f"{title}, {step if step.isdigit() else last}", picture)
        for (title, last), row in zip(titles, stages, strict=True)
        for step, picture in zip(STAGES, row, strict=True)
    ]


def _blur_steps(result: Result) -> int:
    """The number of steps of the setting "blur", which starts and learning rates use."""
    return next(s["steps"] for s in result.numbers["settings"] if s["name"] == "blur")


def _starts(result: Result, context: Context) -> Figure:
    (name, subject), photograph = _class(result), result.numbers["photograph"]
    stages = context.rgb(result.arrays["starts/stages"])
    places = ["from grey", "from noise", *("from a photograph" for _ in photograph)]
    steps = [f"{step if step.isdigit() else _blur_steps(result)} steps" for step in STAGES[1:]]
    ends = (f"{place}: {_verdict(result, context, 'starts', (k,))}" for k, place in enumerate(places))
    return _drawing(
        result,
        context,
        "starts",
        [tile for place, row in zip(places, stages, strict=True) for tile in zip((place, *steps), row, strict=True)],
        alt=f"Stages of the picture for {name} {', '.join(places)}, a start a row.",
        caption=f"{name} from several starts: {'; '.join(ends)}.",
        more="Under the setting “blur”."
        + (f" The photograph is {photograph[0]}." if photograph else "")
        + " What is left of a start does not come from the network.",
        mapping=EXACT,
        data="starts/stages",
        subjects=(subject,),
        group=COURSE,
        from_dataset=bool(photograph),
    )


def _rates(result: Result, context: Context) -> Figure:
    name, subject = _class(result)
    stages, steps = context.rgb(result.arrays["rates/stages"]), _blur_steps(result)
    rates = [f"{speed}: {rate:g}" for speed, rate in zip(SPEEDS, result.numbers["rates"], strict=True)]
    ends = (f"{speed}: {_verdict(result, context, 'rates', (k,))}" for k, speed in enumerate(SPEEDS))
    return _drawing(
        result,
        context,
        "rates",
        _in_rows([(rate, steps) for rate in rates], stages),
        alt=f"Stages of the picture for {name} with a low, a right and a high learning rate, a rate a row.",
        caption=f"{name} with three learning rates: {'; '.join(ends)}.",
        more="Under the setting “blur”, from the same noise. The rate is how far an average pixel moves in a step, of "
        "1 from black to white.",
        mapping=EXACT,
        data="rates/stages",
        subjects=(subject,),
        group=COURSE,
        from_dataset=False,
    )


def _verdict(result: Result, context: Context, part: str, at: tuple[int, ...]) -> str:
    """The network's output for a picture of the settings, at (class, setting), or of starts or rates, at (row,)."""
    logit, p, rank = (result.arrays[f"{part}/{key}"][at] for key in ("logits", "probabilities", "ranks"))
    if not has_probabilities(context.kind):
        return context.says(result.arrays["settings/targets"][at[0] if part == "settings" else 0], p)
    return f"logit {logit:.1f}, probability {p:.2g}" + ("" if rank == 1 else f", rank {rank}")


def _verdicts(result: Result, context: Context) -> Table:
    arrays, likely = result.arrays, has_probabilities(context.kind)

    def said(i: int, j: int) -> tuple:
        logit, p, rank = (arrays[f"settings/{key}"][i, j] for key in ("logits", "probabilities", "ranks"))
        if not likely:
            return (_verdict(result, context, "settings", (i, j)),)
        return round(float(logit), 1), float(f"{p:.3g}"), int(rank)

    says = ("logit", "probability", "rank") if likely else ("what the network says",)
    return Table(
        "settings-verdicts",
        "What the network says of the pictures under the published settings, and their distance from grey (root mean "
        "square, levels of 255).",
        (context.explained, "setting", *says, "distance"),
        tuple(
            (short(name), s["name"], *said(i, j), round(255 * float(arrays["settings/distance"][i, j])))
            for i, name in enumerate(result.numbers["settings_classes"])
            for j, s in enumerate(result.numbers["settings"])
        ),
    )


def _middle(picture: np.ndarray) -> np.ndarray:
    top, left = (max(0, (side - CROP) // 2) for side in picture.shape[:2])
    return picture[top : top + CROP, left : left + CROP]


def _grid(result: Result, context: Context) -> Figure:
    """Gradient, its mean size and its spectrum in one row."""
    gradient, size, spectrum = (result.arrays[f"grid/{key}"] for key in ("gradient", "size", "spectrum"))
    plain = context.rgb(result.arrays["settings/stages"][0, 0, -1])
    (name, subject), strides = _class(result), result.numbers["strides"]
    signed = colour.symmetric(gradient.mean(2), percentile=99)
    large = colour.Mapping(float(size.min()), float(np.percentile(size, 99)), colour.GREY, "to the 99th percentile")
    typical = float(np.median(spectrum)) or 1.0
    decades = np.log10(np.maximum(spectrum, 1e-9 * typical) / typical)
    level = colour.fixed(0, 1.5, colour.POSITIVE)
    peaks = [values["peak"] for values in strides.values()]
    said = "; ".join(f"every {stride} pixels {values['peak']:.1f}" for stride, values in strides.items())
    return _drawing(
        result,
        context,
        "grid",
        [
            ("gradient, 4 ×", signed(_middle(gradient.mean(2)))),
            ("plain ascent, 4 ×", _middle(plain)),
            ("mean size, 4 ×", large(_middle(size))),
            ("spectrum of the size", level(decades)),
        ],
        alt="The middle of a class score's gradient and of a picture made by it, the mean size of gradients, and its "
        f"spectrum, whose peak at the first layers' stride is {next(iter(peaks), 0):.1f} times the median.",
        caption="Strides and pooling pass more gradient to some pixels. Peak over the median: "
        f"{said or 'no layer strides'}.",
        more=f"From left: the gradient of the score of {name}; the picture without a regulariser; the mean size of the "
        "gradients; its spectrum, frequency 0 in the middle. The first three show the middle of the picture.",
        mapping=f"gradient: {signed.words}; size: {large.words}; spectrum: log₁₀ of the amplitude over the median one, "
        f"{level.words}",
        data="grid/spectrum",
        subjects=(subject,),
        group="The grid in the gradients",
        from_dataset=False,
    )

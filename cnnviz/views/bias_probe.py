"""Use of the background: classes × backgrounds, conclusions, and the attributions outside the object."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import findings, intervals, panels, section
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.intervals import BAD, NONE, OPEN, Bar
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

LEANS, HARDER = "leans on it", "harder on it"
EFFECTS = 16  # number of effects in the figure, the largest ones
FINDINGS = 3
PLAIN = 0.1  # difference of accuracies from which a finding states them, not probabilities
TILE = 128  # CSS pixels a tile, at least


def signed(row: dict) -> str:
    return f"{row['mean']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"


def largest(result: Result) -> list[dict]:
    return sorted(result.numbers["asked"], key=lambda row: -abs(row["mean"]))


def conclusion(result: Result) -> str:
    """The conclusions, in a few sentences."""
    numbers = result.numbers
    leaning = [row for row in largest(result) if row["verdict"] == LEANS]
    margin, count = result.parameters["margin"], len(numbers["asked"])
    if not leaning:
        words = (
            f"No class is shown to lean on a background: in none of {count} cases does p(class) rise by more than "
            f"{margin:g} for certain."
        )
        return f"{words} The largest change is {said(largest(result)[0])}."
    cells = {(cell["class"], cell["background"]): cell for cell in numbers["cells"]}
    words = []
    for row in leaning[:6]:
        others = [cells[row["class"], b]["accuracy"] for b in numbers["backgrounds"][2:] if b != row["background"]]
        own = cells[row["class"], row["background"]]["accuracy"]
        words.append(
            f"{row['class']} leans on {row['background']}: {signed(row)}; named rightly {own:.0%} of the time there, "
            f"{np.mean(others):.0%} on the others."
        )
    if len(leaning) > 6:
        words.append(f"{len(leaning) - 6} more are in the table.")
    rest = [row for row in largest(result) if row["verdict"] != LEANS]
    if rest:
        words.append(f"In the other {len(rest)} cases that is not shown; the largest change is {said(rest[0])}.")
    return " ".join(words)


def said(row: dict) -> str:
    return f"{row['class']} on {row['background']}, {signed(row)}"


def grid(result: Result, key: str) -> np.ndarray:
    """(classes, backgrounds) of the cells' ``key``."""
    numbers = result.numbers
    cells = {(cell["class"], cell["background"]): cell[key] for cell in numbers["cells"]}
    return np.array([[cells[name, b] for b in numbers["backgrounds"]] for name in numbers["classes"]])


def heat(result: Result, context: Context, key: str, title: str) -> Figure:
    numbers = result.numbers
    classes, shown = numbers["classes"], numbers["backgrounds"]
    marked = frozenset(
        (classes.index(row["class"]), shown.index(row["background"]))
        for row in numbers["asked"]
        if row["verdict"] == LEANS
    )
    drawn = intervals.heat(grid(result, key), classes, shown, marked, context.hues)
    leaning = f" Ringed: {', '.join(said(r) for r in numbers['asked'] if r['verdict'] == LEANS)}." if marked else ""
    return context.drawing(
        f"heat-{key}", drawn,
        alt=f"{title} of {len(classes)} classes, the rows, on {len(shown)} backgrounds; the tables below list them. "
        f"{conclusion(result)}",
        caption=f"{title}: a row for each class, a column for each background."
        f"{' ' + conclusion(result) if key == 'probability' else leaning}",
        more="The first two columns are the pictures as they are and the objects on plain grey. Backgrounds: "
        f"{numbers['source']}.",
        mapping="opacity of blue: 0 … 100 %", data=key if key == "probability" else "right",
        subjects=tuple(Subject("class", name) for name in classes), from_dataset=False,
    )  # fmt: skip


def effects(result: Result, context: Context) -> Figure:
    rows = largest(result)[:EFFECTS]
    bars = [
        Bar(f"{short(row['class'])[:12]} on {row['background'][:10]}", row["mean"], row["low"], row["high"],
            {LEANS: BAD, HARDER: NONE}.get(row["verdict"], OPEN))
        for row in rows
    ]  # fmt: skip
    margin = result.parameters["margin"]
    drawn = intervals.whiskers(
        bars, across="change of p(class)", ends=(-1, 1), lines=[("", -margin), ("margin", margin)]
    )
    return context.drawing(
        "effects", drawn,
        alt=f"The largest changes of p(class) by background with 95 % intervals: {'; '.join(map(said, rows[:5]))}.",
        caption="How much p(class) changes on one background, compared with the others: the largest of "
        f"{len(result.numbers['asked'])} changes, with 95 % intervals.",
        more="Compared with the median of the other backgrounds. Orange holds also when corrected for the number of "
        "tests.",
        mapping=f"fixed range −1 … 1; orange: surely beyond the margin of {margin:g}; grey: not shown to be; hollow "
        "dot: surely lower, harder to recognise there", data="probability", subjects=(), from_dataset=False,
    )  # fmt: skip


def examples(result: Result, context: Context) -> list[Figure]:
    """One object of each class on every background; the classes with the largest effects first."""
    numbers, arrays = result.numbers, result.arrays
    order = list(dict.fromkeys([*(row["class"] for row in largest(result)), *numbers["classes"]]))
    figures = []
    for name in order:
        c = numbers["classes"].index(name)
        o = int(np.flatnonzero(arrays["class"] == c)[0])
        picture = context.image_set.pictures[arrays["object"][o]]
        shown = [
            (
                f"{background} {arrays['probability'][o, b]:.0%}",
                context.rgb(pixels),
            )
            for b, (background, pixels) in enumerate(zip(numbers["backgrounds"], arrays["example"][c], strict=True))
        ]
        drawn = panels.sheet(shown)
        figures.append(
            context.drawing(
                f"example-{c}",
                drawn,
                alt=f"{picture.name} cut out and put on {len(shown) - 1} backgrounds, with p({name}) on each.",
                caption=f"{picture.name} on each background, and p({name}).",
                mapping="pixels as the network sees them; numbers: the mean over the placements on a background",
                data=f"example[{c}]",
                group="What the network was shown",
                subjects=(Subject("image", picture.name), Subject("class", name)),
            )  # fmt: skip
        )
    return figures


def others_than(numbers: dict, background: str) -> list[int]:
    """Columns of the backgrounds beside this one; the first two columns are the pictures as they are and plain grey."""
    return [b for b, name in enumerate(numbers["backgrounds"]) if b >= 2 and name != background]


def accuracies(result: Result, row: dict) -> tuple[tuple, tuple]:
    """Accuracy of a class on a background, and elsewhere: (mean, low, high) each."""
    numbers, right = result.numbers, result.arrays["right"]
    own = right[result.arrays["class"] == numbers["classes"].index(row["class"])]
    here = own[:, numbers["backgrounds"].index(row["background"])]
    elsewhere = own[:, others_than(numbers, row["background"])].mean(1)  # objects are independent, backgrounds are not
    low, high = findings.share_interval(round(float(here.sum())), len(here))
    mean, least, most = findings.mean_interval(elsewhere)
    return (float(here.mean()), low, high), (mean, max(0.0, least), min(1.0, most))


def interval_words(here: tuple, elsewhere: tuple) -> str:
    """Those of both accuracies, in words."""
    return f"{between(*here[1:])} and {between(*elsewhere[1:])}"


def key(row: dict) -> str:
    return f"{row['class']} on {row['background']}"


def measured(result: Result) -> dict[str, Measured]:
    """For each class on each background: the increase of its probability, and its accuracy on each background."""
    numbers, found = result.numbers, {}
    rates = grid(result, "accuracy")
    for row in numbers["asked"]:
        here, elsewhere = accuracies(result, row)
        shown = [numbers["backgrounds"].index(row["background"]), *others_than(numbers, row["background"])]
        values = tuple(float(v) for v in rates[numbers["classes"].index(row["class"])][shown])
        said = f"{percent(here[0])} and {percent(elsewhere[0])}"
        found[key(row)] = Measured(said, row["mean"], row["low"], row["high"], values, interval_words(here, elsewhere))
    return found


def found(result: Result) -> list[tuple[Finding, dict]]:
    """The findings, each with the row of ``asked`` that it is about."""
    leaning = [row for row in largest(result) if row["verdict"] == LEANS][:FINDINGS]
    rows = [(row, leans(result, row)) for row in leaning] or [(row := largest(result)[0], none_leans(result, row))]
    return [
        (Finding(key(row), figure=strip_id(result, row), labels=labels(result, row), caution=True, **said), row)
        for row, said in rows
    ]


def none_leans(result: Result, row: dict) -> dict:
    return {
        "says": f"No class is shown to lean on a background: {len(result.numbers['asked'])} pairs were tested.",
        "strength": findings.NOT,
        "control": f"a rise of the probability by more than {result.parameters['margin']:g}; the largest change is "
        f"{said(row)}",
        "basis": f"{len(result.arrays['object'])} objects",
    }


def leans(result: Result, row: dict) -> dict:
    name, place = short(row["class"]), row["background"]
    here, elsewhere = accuracies(result, row)
    says = (
        f"Recognises {percent(here[0])} of {name} pictures on {place}, and {percent(elsewhere[0])} of them elsewhere."
    )
    interval = interval_words(here, elsewhere)
    if here[0] - elsewhere[0] < PLAIN:
        says = f"{place.capitalize()} alone raises the probability of {name} by {row['mean']:.2f}."
        interval = f"{row['low']:.2f} to {row['high']:.2f}"
    return {
        "says": says,
        "strength": findings.FOUND,
        "interval": interval,
        "control": f"the same objects on {len(labels(result, row)) - 1} other backgrounds",
        "basis": f"{row['n']} {name} objects",
    }


def labels(result: Result, row: dict) -> tuple[str, ...]:
    numbers = result.numbers
    return (row["background"], *(numbers["backgrounds"][b] for b in others_than(numbers, row["background"])))


def strip_id(result: Result, row: dict) -> str:
    numbers = result.numbers
    return f"strip-{numbers['classes'].index(row['class'])}-{numbers['backgrounds'].index(row['background'])}"


def strip(result: Result, context: Context, row: dict) -> Figure:
    """One object of the class on each background, its own first, as a row of tiles."""
    numbers, arrays = result.numbers, result.arrays
    c = numbers["classes"].index(row["class"])
    shown = [numbers["backgrounds"].index(row["background"]), *others_than(numbers, row["background"])]
    tiles = context.rgb(arrays["example"][c][shown])
    picture = context.image_set.pictures[arrays["object"][int(np.flatnonzero(arrays["class"] == c)[0])]]
    rates = grid(result, "accuracy")[c][shown]
    each = ", ".join(f"{name} {percent(rate)}" for name, rate in zip(labels(result, row), rates, strict=True))
    return context.picture(
        strip_id(result, row), np.concatenate(list(tiles), axis=1),
        alt=f"One {short(row['class'])} on {len(shown)} backgrounds. Recognised: {each}.",
        caption=f"The same object on each background. Below it: how often the {row['n']} objects of this class are "
        "recognised there.",
        mapping="pixels as the network sees them", data=f"example[{c}]",
        scale=max(1, round(TILE / tiles.shape[2])), pixelated=tiles.shape[2] < TILE,
        subjects=(Subject("image", picture.name), Subject("class", row["class"])),
    )  # fmt: skip


def outside(result: Result) -> Table | None:
    """Share of attributions outside the masks of the probe pictures, a row per class."""
    arrays, methods = result.arrays, result.numbers["methods"]
    if not methods or not len(arrays["outside"]):
        return None
    groups = [("all", np.ones(len(arrays["outside"]), bool))]
    groups += [(name, arrays["outside_class"] == c) for c, name in enumerate(result.numbers["classes"])]
    rows = []
    for name, here in groups:
        if here.any():
            means = [round(float(v), 2) if np.isfinite(v) else None for v in arrays["outside"][here].mean(0)]
            rows.append((name, int(here.sum()), round(float(arrays["outside_area"][here].mean()), 2), *means))
    return Table(
        "outside",
        "Share of each attribution that lies outside the object, by class of the probe picture. Evenly spread maps "
        "would have the share of the picture that is outside. This is no evidence of bias: compare another model.",
        ("class", "probes", "picture outside", *(m.replace("_", " ") for m in methods)),
        tuple(rows),
    )


def tables_of(result: Result) -> list[Table | None]:
    numbers = result.numbers
    asked = tuple(
        (row["class"], row["background"], row["n"], signed(row), f"{row['corrected']:.2g}", row["verdict"])
        for row in largest(result)
    )
    cells = tuple(
        (
            cell["class"],
            cell["background"],
            cell["n"],
            f"{cell['probability']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})",
            f"{cell['accuracy']:.2f} ({cell['accuracy_low']:.2f} to {cell['accuracy_high']:.2f})",
        )
        for cell in numbers["cells"]
    )
    return [
        Table(
            "asked",
            f"Does p(class) rise by more than {result.parameters['margin']:g} on this background, above the median of "
            "the others? Mean paired difference with its 95 % interval, p corrected for all questions (Holm).",
            ("class", "background", "objects", "change of p(class)", "p, corrected", "verdict"),
            asked,
        ),
        Table(
            "cells",
            "Each class on each background: means over its objects with 95 % intervals.",
            ("class", "background", "objects", "p(class)", "accuracy"),
            cells,
        ),
        outside(result),
    ]


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    believed = found(result) if numbers["asked"] else []
    figures = [strip(result, context, row) for _, row in believed]
    figures += [heat(result, context, "probability", "Mean p(class)"), effects(result, context)]
    figures += [heat(result, context, "accuracy", "Accuracy"), *examples(result, context)]
    leaning = {row["class"] for row in numbers["asked"] if row["verdict"] == LEANS}
    metrics = [Metric("classes_leaning_on_background", len(leaning)), Metric("classes_asked", len(numbers["classes"]))]
    if numbers["asked"]:
        first = largest(result)[0]
        metrics.append(Metric("largest_change_of_p", first["mean"], interval=(first["low"], first["high"])))
    metrics.append(Metric("objects", len(result.arrays["object"])))
    return {
        "findings": tuple(finding for finding, _ in believed),
        "measured": measured(result),
        "figures": tuple(figures),
        "tables": tuple(table for table in tables_of(result) if table is not None),
        "metrics": tuple(metrics),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="bias_probe",
        title="Does it use the background?",
        question="Does it name the same thing differently in another place?",
        tour="And does it look at the thing, or at what stands behind it?",
        how_to_read="The same object is cut out and put on other backgrounds. Where it is recognised on one and not on "
        "another, the network uses the background.",
        do_not_conclude="Too few objects can hide a bias, and only these backgrounds were tried. Cut-out objects have "
        "hard edges and no shadows, which costs some classes a little everywhere: compare backgrounds with each other, "
        "not with the pictures as they are. Attribution outside the object is no evidence; unbiased networks have it, "
        "too.",
        equation="dᵢ = p(c | object i on b) − median over b' ≠ b of p(c | object i on b')",
        papers=(papers.XIAO_2020, papers.RIBEIRO_2016, papers.HOLM_1979),
    )

"""Comparison of explanations: a card of methods × checks, each check with its intervals, all maps of a picture.

Statements about a method follow from the interval of its paired difference to a baseline.
"""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, curves, intervals, panels, section
from cnnviz.views.kit.intervals import BAD, GOOD, NONE, OPEN, Bar
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

# check → (column of the tables, title of its figure, meaning of its numbers)
CHECKS = {
    "pointing": ("points at object", "Pointing game", "share of pictures whose strongest pixel lies on the object"),
    "mass": ("mass on object", "Mass on the object", "share of the map's positive part that lies on the object"),
    "deletion": ("deletion (low)", "Deletion", "mean p(class) while the strongest pixels go first; lower is better"),
    "insertion": ("insertion (high)", "Insertion", "mean p(class) while the strongest pixels come first"),
}
RIVALS = {"chance": "chance", "edge detector": "the edge detector", "centre blob": "the centre blob"}
BETTER, WORSE, UNKNOWN = "yes", "no", "cannot tell"
STAYS, CLASSLESS, CHANGES, IN_PART = "stays", "blind to the class", "changes", "in part"
MOVED = {
    STAYS: "stays in every picture",
    CLASSLESS: "blind to the class",
    CHANGES: "changes in every picture",
    IN_PART: "changes in part",
}


def plain(name: str) -> str:
    """A method's name in words: ``grad_cam`` is "grad cam"."""
    return name.replace("_", " ")


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# ------------------------------------------------------------------------------------------------------ what is said


def kind_of(row: dict) -> str:
    """GOOD: better than everything it is compared with. BAD: worse than one of them. OPEN: undecided."""
    said = [other["verdict"] for other in row["against"].values()]
    return GOOD if set(said) == {BETTER} else BAD if WORSE in said else OPEN


def against(row: dict) -> str:
    """ "beats chance, the edge detector; cannot tell: the centre blob"."""
    said = {verdict: [RIVALS[k] for k, v in row["against"].items() if v["verdict"] == verdict]
            for verdict in (BETTER, WORSE, UNKNOWN)}  # fmt: skip
    if len(said[BETTER]) == len(row["against"]):
        return "beats all"
    words = [("beats", said[BETTER]), ("worse than", said[WORSE]), ("cannot tell from", said[UNKNOWN])]
    return "; ".join(f"{word} {', '.join(names)}" for word, names in words if names)


def judged(name: str, checks: list[dict], weights: dict[str, dict]) -> tuple[str, list[str]]:
    """ "passes", "fails" or "undecided", and why not "passes": what may be said of a method over all checks."""
    said: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        row = next(row for row in check["rows"] if row["name"] == name)
        for rival, words in RIVALS.items():
            said.setdefault((row["against"][rival]["verdict"], words), []).append(CHECKS[check["check"]][1].lower())
    failed = [f"worse than {words} ({', '.join(at)})" for (verdict, words), at in said.items() if verdict == WORSE]
    open_ = [
        f"not shown to beat {words} ({', '.join(at)})" for (verdict, words), at in said.items() if verdict == UNKNOWN
    ]
    if name in weights and weights[name]["verdict"] == STAYS:
        failed.insert(0, "stays as it was with random weights, so it shows the picture and not what was learnt")
    elif name in weights and weights[name]["verdict"] == CLASSLESS:
        failed.insert(0, "stays as it was when the classifier forgets its classes, so it does not explain the class")
    elif name in weights and weights[name]["verdict"] != CHANGES:
        open_.append("changes only in part with random weights")
    elif name not in weights:
        open_.append("not tried with random weights")
    return ("fails", failed + open_) if failed else ("undecided", open_) if open_ else ("passes", [])


def conclusion(result: Result) -> str:
    """The checks' result for each method on this network, in a few sentences."""
    numbers = result.numbers
    weights = {row["name"]: row for row in numbers["weights"]}
    said = {m["name"]: judged(m["name"], numbers["checks"], weights)[0] for m in numbers["methods"]}
    by = {v: [plain(n) for n, verdict in said.items() if verdict == v] for v in ("passes", "fails", "undecided")}
    words = []
    if by["passes"]:
        words.append(f"Every check is passed by {listed(by['passes'])}.")
    if by["fails"]:
        words.append(f"At least one is failed by {listed(by['fails'])}.")
    if by["undecided"]:
        words.append(f"Not enough can be told of {listed(by['undecided'])}.")
    stays = [plain(row["name"]) for row in numbers["weights"] if row["verdict"] == STAYS]
    if stays:
        words.append(f"Show the picture and not the network, whose weights may be random: {listed(stays)}.")
    blind = [plain(row["name"]) for row in numbers["weights"] if row["verdict"] == CLASSLESS]
    if blind:
        words.append(f"Show the same when the top layer's weights are random, so not the class: {listed(blind)}.")
    if not any(check["check"] == "mass" for check in numbers["checks"]):
        words.append(
            "No probe picture that is named rightly has a mask or a box, so nothing is said about objects; a table can "
            "name them (mask_column, box_columns)."
        )
    return " ".join(words)


# ---------------------------------------------------------------------------------------------------------- figures


def scorecard(result: Result, context: Context) -> Figure:
    checks, weights = result.numbers["checks"], {row["name"]: row for row in result.numbers["weights"]}
    columns = [CHECKS[check["check"]][0] for check in checks] + ["random weights (low)"] * bool(weights)
    rows = []
    for name in [m["name"] for m in result.numbers["methods"]] + result.numbers["baselines"]:
        method = name not in result.numbers["baselines"]
        cells = []
        for check in checks:
            row = next(row for row in check["rows"] if row["name"] == name)
            cells.append((f"{row['mean']:.2f}", kind_of(row) if method else NONE))
        if weights:
            row = weights.get(name)
            kind = {STAYS: BAD, CLASSLESS: BAD, CHANGES: GOOD}.get(row["verdict"], OPEN) if row else NONE
            cells.append((f"{row['mean']:.2f}" if row else "–", kind))
        rows.append((plain(name), cells))
    drawn = intervals.card(rows, columns)
    n = {check["check"]: check["n"] for check in checks}
    of = ", ".join(f"{count} pictures for {CHECKS[name][1].lower()}" for name, count in n.items())
    return context.drawing(
        "scorecard", drawn,
        alt=f"Methods and baselines by check, a number in each cell; the table below has them. {conclusion(result)}",
        caption=f"{conclusion(result)} Blue: better than chance, the edge detector and the centre blob, each by the "
        "95 % interval of the paired difference; for random weights, the map changes in every picture. Orange: worse "
        "than one of them, or the map stays with random weights. Grey: cannot be told from one of "
        "them with so few pictures, or changes in some pictures only. The last rows "
        f"are maps that know nothing of the network. {of[0].upper() + of[1:]}.",
        mapping="numbers are means over pictures; colours are verdicts, not values", data="meta",
        subjects=(), from_dataset=False,
    )  # fmt: skip


def check_figure(check: dict, result: Result, context: Context) -> Figure:
    _, title, unit = CHECKS[check["check"]]
    baselines = result.numbers["baselines"]
    bars = [
        Bar(
            plain(row["name"]), row["mean"], row["low"], row["high"], NONE if row["name"] in baselines else kind_of(row)
        )
        for row in check["rows"]
    ]
    drawn = intervals.whiskers(
        bars, across=f"{title.lower()}, {check['better']} is better", ends=(0, 1), lines=[("chance", check["chance"])]
    )
    best = sorted(
        (bar for bar in bars if bar.kind != NONE), key=lambda bar: bar.mean, reverse=check["better"] == "higher"
    )[0]
    return context.drawing(
        f"check-{check['check']}", drawn,
        alt=f"{title} of each method and baseline with its 95 % interval; {check['better']} is better. Best is "
        f"{best.name} with {best.mean:.2f}; chance is {check['chance']:.2f}.",
        caption=f"{title}: {unit}. {check['n']} pictures; dots are means, lines 95 % intervals of them. The dashed "
        "line is chance. Colours as in the card. Two intervals may overlap while the paired difference is clear: the "
        "table has those.",
        mapping="fixed range 0 … 1", data=check["check"],
        subjects=(), from_dataset=False, group="Check by check",
    )  # fmt: skip


def curve_figure(check: str, result: Result, context: Context) -> Figure:
    names = [plain(m["name"]) for m in result.numbers["methods"]] + result.numbers["baselines"]
    mean = result.arrays[check].mean(0)
    steps = mean.shape[1] - 1
    drawn = curves.lines(dict(zip(names, mean, strict=True)), across=f"pixels, in {steps}ths:", up="mean p(class)")
    how = (
        "pixels are replaced by the picture's mean colour, the strongest first: a good map makes the curve fall early"
        if check == "deletion"
        else "pixels are put back into the blurred picture, the strongest first: a good map makes the curve rise early"
    )
    return context.drawing(
        f"curve-{check}", drawn,
        alt=f"Mean probability of the predicted class while pixels go in the order of each map: {check}.",
        caption=f"{CHECKS[check][1]}: {how}. The check is the mean height of a curve. Both steps make pictures that "
        "the network has never seen, so part of what moves the curve is that.",
        mapping="vertical axis: from the smallest to the largest value", data=check, subjects=(), from_dataset=False,
        group="Check by check",
    )  # fmt: skip


def weights_figure(result: Result, context: Context) -> Figure:
    names = [plain(m["name"]) for m in result.numbers["methods"]]
    magnitude = result.arrays["magnitude"]
    lines = {
        name: np.concatenate([[1.0], magnitude[:, m].mean(0)])
        for m, name in enumerate(names)
        if not np.isnan(magnitude[:, m]).any()
    }
    blocks = result.numbers["blocks"]
    return context.drawing(
        "curve-weights", curves.lines(lines, across="steps:", up="rank correlation"),
        alt=f"Rank correlation of each method's map with the original as weights are re-drawn down to "
        f"{listed(blocks)}. At the end: {'; '.join(f'{name} {line[-1]:.2f}' for name, line in lines.items())}.",
        caption="Random weights: the layers lose what they learnt from the top down; the steps reach "
        f"{listed(blocks)}. The lines are rank correlations (of magnitudes) with the map of the trained network, means "
        f"of {magnitude.shape[0]} pictures. An edge detector would stay at 1. A map that stays above "
        f"{result.numbers['same']:g} in every picture, with its signs too, is said to show the picture and not what "
        f"was learnt; one above {result.numbers['alike']:g} after the first step, without which the network knows no "
        "class, not to explain the class.",
        mapping="vertical axis: from the smallest to the largest value", data="magnitude",
        subjects=(), from_dataset=False,
        group="Check by check",
    )  # fmt: skip


def coloured(map: np.ndarray, scale: float, signed: bool, show: dict) -> np.ndarray:
    """A map (h, w) as (h, w, 3) uint8, with its own mapping."""
    values = map.astype(np.float32) * scale
    if not values.any() and not signed:  # an empty map is as dark as any 0
        return colour.fixed(0, 1, show["colours"])(values)
    return attributions.mapping_of(values, signed, show)(values)


def comparison(p: int, result: Result, context: Context) -> Figure:
    """All methods on probe picture ``p``, in the same positions for every picture."""
    arrays, methods = result.arrays, result.numbers["methods"]
    picture = context.image_set.pictures[arrays["index"][p]]
    classes = context.model["classes"]
    target, label = int(arrays["target"][p]), int(arrays["label"][p])
    shown = [("picture", context.rgb(arrays["pictures"][p]))]
    for m, method in enumerate(methods):
        values = coloured(arrays["maps"][p, m], arrays["scale"][p, m], method["signed"], context.show)
        shown.append((plain(method["name"]), values))
    edges, scale = arrays["maps"][p, len(methods)], arrays["scale"][p, len(methods)]
    shown.append((result.numbers["baselines"][0], coloured(edges, scale, False, context.show)))
    mask = arrays["masks"][p]
    drawn = panels.sheet(shown, panels.outline(mask) if mask.any() else "")
    truth = "" if label in (-1, target) else f" It is {classes[label]}."
    ringed = " The line is the object's border." if mask.any() else ""
    return context.drawing(
        f"all--{picture.id}", drawn,
        alt=f"{picture.name} and its map by each method, for {classes[target]}: "
        f"{', '.join(plain(m['name']) for m in methods)}; last, an edge detector.",
        caption=f"{picture.name}, taken for {classes[target]} (p = {arrays['probability'][p]:.2f}).{truth} Every "
        f"method explains that class; the last panel is an edge detector, which knows nothing of the network.{ringed}",
        mapping="each map by itself: "
        + "; ".join(
            words
            for words in (
                "signed ones red for, blue against, symmetric about 0" * any(m["signed"] for m in methods),
                "others from 0, dark, upwards" * any(not m["signed"] for m in methods),
            )
            if words
        )
        + f", ends at the {context.show['percentile']:g}th percentile",
        data=f"maps[{p}]", subjects=(Subject("image", picture.name), Subject("class", classes[target])),
        group="Picture by picture",
    )  # fmt: skip


def cascade_figure(result: Result, context: Context) -> Figure:
    arrays, numbers = result.arrays, result.numbers
    picture = context.image_set.pictures[arrays["index"][0]]
    blocks = numbers["blocks"]
    shown = []
    for m, method in enumerate(numbers["methods"]):
        if np.isnan(arrays["magnitude"][0, m]).any():
            continue
        own = coloured(arrays["maps"][0, m], 1, method["signed"], context.show)
        shown.append((plain(method["name"]), own))
        for b, name in enumerate(blocks):
            values = coloured(arrays["cascade"][m, b], 1, method["signed"], context.show)
            shown.append((f"to {name}", values))
    drawn = panels.sheet(shown, across=len(blocks) + 1)
    return context.drawing(
        "cascade", drawn,
        alt=f"Each method's map of {picture.name}, a row a method; from left to right with more layers re-drawn.",
        caption=f"{picture.name}: a row a method. At the left the map of the trained network, then with "
        f"weights re-drawn from the top layer down to {listed(blocks)}. Where a row hardly changes, the "
        "method shows the picture.",
        mapping="each map by itself, as in the figures picture by picture", data="cascade",
        subjects=(Subject("image", picture.name),), group="Random weights",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- tables


def span(row: dict) -> str:
    return f"{row['mean']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def verdicts(result: Result) -> Table:
    checks, weights = result.numbers["checks"], {row["name"]: row for row in result.numbers["weights"]}
    rows = []
    for method in result.numbers["methods"]:
        name = method["name"]
        cells = [plain(name)]
        grade, why = judged(name, checks, weights)
        cells.append(f"{grade}{': ' if why else ''}{'; '.join(why)}")
        for check in checks:
            row = next(row for row in check["rows"] if row["name"] == name)
            cells.append(f"{span(row)} {against(row)}")
        if name in weights:
            row = weights[name]
            sign = f", with signs {row['signed']:.2f}" if method["signed"] else ""
            steps = ", ".join(f"{b} {v:.2f}" for b, v in zip(result.numbers["blocks"], row["steps"], strict=True))
            cells.append(f"{MOVED[row['verdict']]}: {span(row)}{sign}; down to {steps}")
        else:
            cells.append("not tried")
        rows.append(tuple(cells))
    return Table(
        "verdicts",
        "Methods × checks: mean and 95 % interval, and what it beats among chance, the edge detector and the centre "
        "blob. Random weights: rank correlation of magnitudes with the original map when all layers are re-drawn.",
        ("method", "in short", *(CHECKS[check["check"]][1].lower() for check in checks), "random weights"),
        tuple(rows),
    )


def differences(check: dict) -> Table:
    rows = []
    for row in check["rows"]:
        cells = [plain(row["name"]), span(row)]
        for rival in RIVALS:
            other = row["against"].get(rival)
            cells.append(f"{other['verdict']}: {span(other)}" if other else "–")
        rows.append(tuple(cells))
    word = "" if check["better"] == "higher" else " (differences are turned round, so that above 0 is better)"
    return Table(
        f"differences-{check['check']}",
        f"{CHECKS[check['check']][1]}, {check['n']} pictures: does it beat chance, the edge detector, the centre blob? "
        f"Each with the mean paired difference and its 95 % interval{word}.",
        ("map", "mean", "beats chance", "beats the edge detector", "beats the centre blob"),
        tuple(rows),
    )


def view(result: Result, context: Context) -> dict:
    numbers, arrays = result.numbers, result.arrays
    weights = {row["name"]: row for row in numbers["weights"]}
    grades = [judged(m["name"], numbers["checks"], weights)[0] for m in numbers["methods"]]
    figures = [scorecard(result, context)]
    figures += [check_figure(check, result, context) for check in numbers["checks"]]
    figures += [curve_figure(check, result, context) for check in ("deletion", "insertion")]
    if numbers["weights"]:
        figures.append(weights_figure(result, context))
    shown = range(min(len(arrays["index"]), MOST))
    figures += [comparison(p, result, context) for p in shown]
    if numbers["weights"]:
        figures.append(cascade_figure(result, context))
    tables = [verdicts(result), *(differences(check) for check in numbers["checks"])]
    if numbers["left_out"]:
        rows = tuple((left["section"], left["reason"]) for left in numbers["left_out"])
        tables.append(Table("left-out", "Sections that could not be put to the test.", ("section", "why"), rows))
    caveats = tuple((plain(m["name"]), m["caveat"]) for m in numbers["methods"] if m["caveat"])
    if caveats:
        tables.append(
            Table("caveats", "What the methods' own sections warn of.", ("method", "on this network"), caveats)
        )
    metrics = (
        Metric("methods_checked", len(grades)),
        Metric("methods_passing", grades.count("passes")),
        Metric("methods_failing", grades.count("fails")),
        Metric("methods_blind_to_weights", sum(row["verdict"] in (STAYS, CLASSLESS) for row in numbers["weights"])),
        Metric("probes", len(arrays["index"])),
        Metric("probes_with_object", next((c["n"] for c in numbers["checks"] if c["check"] == "mass"), 0)),
    )
    return {"figures": tuple(figures), "tables": tuple(tables), "metrics": metrics}


MOST = 150  # largest number of pictures with a comparison, so that the page has less than 200 figures

if __name__ == "__main__":
    section.run(
        view,
        id="attribution_check",
        title="Which explanation to believe",
        question="Which of the maps say something about this network, and which would look the same without it?",
        tour="Which of these explanations can be believed on this network?",
        how_to_read="Each method is put to the same tests beside maps that know nothing of the network: an edge "
        "detector, a blob in the middle, noise. On the object: does the map's strongest pixel, and how much of its "
        "positive part, lie where the thing is? Deletion and insertion: does p(class) fall, or rise, soon when the "
        "strongest pixels go, or come, first? Random weights: does the map change when the network forgets what it "
        "learnt? A difference is called one only where the 95 % interval over pictures, drawn in pairs, lies on one "
        "side of 0 and there are at least six pictures.",
        do_not_conclude="A map on the object is not thereby right: a network may look at the background, and then a "
        "right map does too. Passing is not proof either, only the absence of a failure that these tests can see. "
        "Deletion and insertion feed the network pictures unlike any it has seen, and another replacement colour can "
        "change the order of methods. Each verdict stands by itself at 95 %, so of forty one or two are wrong by "
        "chance. On-the-object checks use pictures that the network names rightly.",
        equation="A = ∫₀¹ p(x with the best share a of its pixels replaced) da",
        papers=(papers.ADEBAYO_2018, papers.PETSIUK_2018, papers.ZHANG_2018),
    )

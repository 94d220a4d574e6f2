"""Comparison of explanations: a card of methods × checks, each check with its intervals, all maps of a picture.

Statements about a method follow from the interval of its paired difference to a baseline.
"""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, curves, findings, intervals, panels, section
from cnnviz.views.kit.findings import Finding, Measured
from cnnviz.views.kit.intervals import BAD, GOOD, NONE, OPEN, PART, Bar
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

# check → (column of the tables, title of its figure, meaning of its numbers)
CHECKS = {
    "pointing": ("points at object", "Pointing game", "share of pictures whose strongest pixel lies on the object"),
    "mass": ("mass on object", "Mass on the object", "share of the map's positive part that lies on the object"),
    "deletion": ("deletion (low)", "Deletion", "mean p(class) while the strongest pixels go first; lower is better"),
    "insertion": ("insertion (high)", "Insertion", "mean p(class) while the strongest pixels come first"),
}
RIVALS = {"chance": "chance", "edge detector": "the edge detector", "centre blob": "the centre blob"}
CONTROLS = ("centre blob", "random")  # the curves of these two are told apart
BETTER, WORSE, UNKNOWN = "yes", "no", "cannot tell"
FEW = 3  # methods that a sentence lists; also pictures from which a change with random weights is stated as found
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
    """GOOD: better than everything it is compared with. BAD: worse than one of them. PART: better than chance. Else
    OPEN, undecided.
    """
    said = {rival: other["verdict"] for rival, other in row["against"].items()}
    if WORSE in said.values():
        return BAD
    return GOOD if set(said.values()) == {BETTER} else PART if said.get("chance") == BETTER else OPEN


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


def grades(result: Result) -> dict[str, list[str]]:
    """The methods that pass every check, that fail at least one, and those of which neither can be told."""
    numbers = result.numbers
    weights = {row["name"]: row for row in numbers["weights"]}
    said = {m["name"]: judged(m["name"], numbers["checks"], weights)[0] for m in numbers["methods"]}
    return {v: [name for name, verdict in said.items() if verdict == v] for v in ("passes", "fails", "undecided")}


def ranked(result: Result) -> list[str]:
    """The methods: those that pass first, those that fail last, and among these by the number of passed checks."""
    of = [grades(result)[verdict] for verdict in ("passes", "undecided", "fails")]
    good = {m["name"]: 0 for m in result.numbers["methods"]}
    for check in result.numbers["checks"]:
        for row in check["rows"]:
            if row["name"] in good:
                good[row["name"]] += (kind_of(row) == GOOD) - (kind_of(row) == BAD)
    return [name for names in of for name in sorted(names, key=lambda name: -good[name])]


def above_chance(result: Result) -> list[str]:
    """The undecided methods that are better than chance in every check, and change with random weights.

    On average none of the maps that do not use the network may be better than such a method.
    """
    weights = {row["name"]: row["verdict"] for row in result.numbers["weights"]}
    rows = [row for check in result.numbers["checks"] for row in check["rows"]]
    return [
        name
        for name in grades(result)["undecided"]
        if weights.get(name, CHANGES) == CHANGES
        and all(kind_of(row) in (GOOD, PART) for row in rows if row["name"] == name)
        and all(other["mean"] > 0 for row in rows if row["name"] == name for other in row["against"].values())
    ]


def conclusion(result: Result) -> str:
    """In a sentence or two what the checks say of each method on this network."""
    by = {verdict: [plain(name) for name in names] for verdict, names in grades(result).items()}
    passed, failed, better = by["passes"], by["fails"], [plain(name) for name in above_chance(result)]
    words = "No method passes every check"
    if passed:
        words = f"{start(listed(passed))} {'passes' if len(passed) == 1 else 'pass'} every check"
    elif better:
        words += f", but {listed(better)} {'is' if len(better) == 1 else 'are'} better than chance in each"
    if failed:
        many = f"{len(failed)} of {len(result.numbers['methods'])}" if len(failed) > FEW else listed(failed)
        words += f"; {many} {'fails' if len(failed) == 1 else 'fail'}"
    if by["undecided"] and not passed and not better:
        n = len(by["undecided"])
        many = n if failed else f"{n} of {len(result.numbers['methods'])}"
        words += f"{', ' if failed else '; '}{many} {'is' if n == 1 else 'are'} undecided"
    return f"{words}."


def start(words: str) -> str:
    return words[:1].upper() + words[1:]


def knowing_nothing(result: Result) -> int:
    """Number of maps that do not depend on the network and pass every check, as a method must."""
    checks = result.numbers["checks"]
    rows = {name: [r for c in checks for r in c["rows"] if r["name"] == name] for name in result.numbers["baselines"]}
    return sum(all(kind_of(row) == GOOD for row in of) for of in rows.values())


def basis(result: Result) -> str:
    numbers = result.numbers
    on_object = next((check["n"] for check in numbers["checks"] if check["check"] == "mass"), 0)
    words, n = [counted(len(result.arrays["index"]))], len(grades(result)["undecided"])
    words.append(f"{on_object} for tests on the object" if on_object else "no object is known")
    if numbers["weights"]:
        words.append(f"{max(row['n'] for row in numbers['weights'])} for random weights")
    if n:
        words.append(f"too few to judge {n} of {len(numbers['methods'])} methods")
    return ", ".join(words)


def counted(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def passing(result: Result) -> tuple[Finding, Measured]:
    """The finding about the methods that pass every check."""
    passed, count = len(grades(result)["passes"]), len(result.numbers["methods"])
    by_chance, baselines = knowing_nothing(result), len(result.numbers["baselines"])
    sure = findings.NOT if not passed else findings.WEAK if by_chance else findings.FOUND
    control = f"maps that know nothing of the network: {by_chance} of {baselines} pass"
    said = Finding(PASSING, conclusion(result), sure, narrowest(result), control, basis(result), "scorecard")
    low, high = findings.share_interval(passed, count)
    return said, Measured(f"{passed} of {count}", passed / count, low, high)


def narrowest(result: Result) -> str:
    """The least sure difference of the methods that pass every check, with its interval; "" if none passes."""
    rows = [
        (rival["low"], f"{plain(row['name'])} beats {RIVALS[other]} at {CHECKS[check['check']][1].lower()}", rival)
        for check in result.numbers["checks"]
        for row in check["rows"]
        if row["name"] in grades(result)["passes"]
        for other, rival in row["against"].items()
    ]
    if not rows:
        return ""
    _, words, rival = min(rows, key=lambda one: one[:2])
    return f"least sure: {words} by {rival['mean']:.2f}, {findings.span(rival['low'], rival['high'])}"


def failing(result: Result, name: str) -> Finding:
    """Why a method cannot be believed on this network: the first of what it fails."""
    weights = next((row for row in result.numbers["weights"] if row["name"] == name), {"verdict": ""})
    kept = weights["verdict"] in (STAYS, CLASSLESS)
    said = stays(result, name, weights["verdict"]) if kept else worse(result, name)
    few = kept and len(result.arrays["magnitude"]) < FEW
    return Finding(key=f"{plain(name)} fails", strength=findings.WEAK if few else findings.FOUND, **said)


def stays(result: Result, name: str, verdict: str) -> dict:
    """Says of a method that its map does not depend on all of the weights, or on those of the last layer."""
    m = [method["name"] for method in result.numbers["methods"]].index(name)
    block, redrawn, why = -1, "all weights", "the network"
    if verdict == CLASSLESS:
        block, redrawn, why = 0, f"only the weights of {result.numbers['blocks'][0]}", "the class"
    value, low, high = findings.mean_interval(result.arrays["magnitude"][:, m, block])
    return {
        "says": f"{start(plain(name))} does not explain {why}: with {redrawn} random, its map hardly changes.",
        "interval": f"rank correlation {value:.2f}"
        + f", {max(low, -1):.2f} to {min(high, 1):.2f}" * (len(result.arrays["magnitude"]) >= FEW),
        "basis": counted(len(result.arrays["magnitude"])),
        "control": "a map of the picture alone: 1",
        "figure": "curve-weights",
    }


def worse(result: Result, name: str) -> dict:
    """Says of a method which map it is worse than, by the largest difference."""
    lost = [
        (row["against"][rival]["mean"], check, rival, row)
        for check in result.numbers["checks"]
        for row in check["rows"]
        for rival in RIVALS
        if row["name"] == name and row["against"][rival]["verdict"] == WORSE
    ]
    _, check, rival, row = min(lost, key=lambda one: one[0])
    title, gap = CHECKS[check["check"]][1], row["against"][rival]
    return {
        "says": f"{start(plain(name))} is worse than {RIVALS[rival]} at {title.lower()}: {row['mean']:.2f}, where "
        f"{check['better']} is better.",
        "interval": f"{row['low']:.2f} to {row['high']:.2f}",
        "basis": counted(check["n"]),
        "control": f"{RIVALS[rival]} is better by {-gap['mean']:.2f}, {-gap['high']:.2f} to {-gap['low']:.2f}",
        "figure": f"check-{check['check']}",
    }


def found(result: Result) -> tuple[tuple[Finding, ...], dict[str, Measured]]:
    """The findings: methods that pass every check, one that fails, and each map's change with random weights."""
    first, share = passing(result)
    changes = {
        f"{plain(row['name'])} with random weights": Measured(
            f"rank correlation {row['mean']:.2f}", row["mean"], row["low"], row["high"]
        )
        for row in result.numbers["weights"][:MOST_MEASURED]
    }
    kept = [row["name"] for row in result.numbers["weights"] if row["verdict"] in (STAYS, CLASSLESS)]
    failed = (kept or grades(result)["fails"])[:1]  # the map that does not depend on what was learnt, if there is one
    return (first, *(failing(result, name) for name in failed)), {PASSING: share} | changes


PASSING = "methods that pass every check"
MOST_MEASURED = 19

# ---------------------------------------------------------------------------------------------------------- figures


def redrawn(result: Result, name: str) -> list[tuple[str, str]]:
    """The cells of a method's correlations with the last layer random, if it was alone, and with all weights random.

    Each has its own colour: GOOD if the map changed in every picture, BAD if in none.
    """
    numbers, alone = result.numbers, len(result.numbers["blocks"]) > 1
    if not any(row["name"] == name for row in numbers["weights"]):
        return [("–", NONE)] * (1 + alone)
    m = [method["name"] for method in numbers["methods"]].index(name)
    both = np.stack([result.arrays["rank"][:, m], result.arrays["magnitude"][:, m]])  # (2, pictures, blocks)
    cells = []
    for block, bound in ([(0, numbers["alike"])] if alone else []) + [(-1, numbers["same"])]:
        kept = both[..., block]
        few = kept.shape[1] < FEW
        kind = BAD if kept.min() > bound else GOOD if kept.max() < bound and not few else PART
        cells.append((f"{kept[1].mean():.2f}".replace("-", "−"), kind))
    return cells


def strong(order: list[str], baselines: list[str]) -> list[str]:
    """The curves to tell apart, of methods in this order: the best two and the worst one, and two controls."""
    kept = dict.fromkeys([*order[:2], *order[-1:]])
    return [plain(name) for name in [*kept, *(name for name in CONTROLS if name in baselines)]]


def scorecard(result: Result, context: Context) -> Figure:
    checks, weights = result.numbers["checks"], {row["name"]: row for row in result.numbers["weights"]}
    columns = [CHECKS[check["check"]][0] for check in checks]
    if weights:
        columns += ["last layer random (low)"] * (len(result.numbers["blocks"]) > 1) + ["all random (low)"]
    rows = []
    for name in ranked(result) + result.numbers["baselines"]:
        method = name not in result.numbers["baselines"]
        cells = []
        for check in checks:
            row = next(row for row in check["rows"] if row["name"] == name)
            cells.append((f"{row['mean']:.2f}", kind_of(row) if method else NONE))
        if weights:
            cells += redrawn(result, name)
        rows.append((plain(name), cells))
    drawn = intervals.card(rows, columns)
    return context.drawing(
        "scorecard", drawn,
        alt=f"Methods and baselines by check, a number in each cell; the table below has them. {conclusion(result)}",
        caption="Blue: passes. Pale: in part. Orange: fails. Grey: not certain. The last rows are maps that do not use "
        "the network.",
        more="Passes: better than chance, an edge detector and a blob in the middle (95 % intervals of paired "
        "differences); with random weights the map changes in every picture. In part: better than chance; with random "
        "weights the map changes in some, or fewer than three pictures were tried. Fails: worse than one of the three, "
        "or the map does not change.",
        mapping="numbers: means over pictures; colours: verdicts, not values", data="meta",
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
        caption=f"{title}: {unit}. Best is {best.name} with {best.mean:.2f}; chance, dashed, is {check['chance']:.2f}.",
        more=f"Means over {check['n']} pictures with 95 % intervals. The table has the paired differences.",
        mapping="fixed range 0 … 1", data=check["check"],
        subjects=(), from_dataset=False, group="Check by check",
    )  # fmt: skip


def curve_figure(check: str, result: Result, context: Context) -> Figure:
    names = [plain(m["name"]) for m in result.numbers["methods"]] + result.numbers["baselines"]
    mean = result.arrays[check].mean(0)
    steps = mean.shape[1] - 1
    across = f"pixels changed, in {steps}ths"
    area = np.trapezoid(mean[: len(names) - len(result.numbers["baselines"])], axis=1)
    order = np.argsort(area if check == "deletion" else -area, kind="stable")
    drawn = curves.lines(
        dict(zip(names, mean, strict=True)), across=across, up="mean p(class)",
        strong=strong([names[m] for m in order], result.numbers["baselines"]),
    )  # fmt: skip
    how = (
        "pixels are replaced by the picture's mean colour, the strongest first: a good map makes the curve fall early"
        if check == "deletion"
        else "pixels are put back into the blurred picture, the strongest first: a good map makes the curve rise early"
    )
    return context.drawing(
        f"curve-{check}", drawn,
        alt=f"Mean probability of the predicted class while pixels go in the order of each map: {check}.",
        caption=f"{CHECKS[check][1]}: {how}. In colour: the best two methods, the worst, a blob in the middle and a "
        "random order. The check is the mean height of a curve.",
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
    order = sorted(lines, key=lambda name: lines[name].sum())
    drawn = curves.lines(
        lines, across="layers with random weights", up="rank correlation", strong=[*order[-2:], *order[:1]]
    )
    return context.drawing(
        "curve-weights", drawn,
        alt=f"Rank correlation of each method's map with the original as weights become random down to "
        f"{listed(blocks)}. At the end: {'; '.join(f'{name} {line[-1]:.2f}' for name, line in lines.items())}.",
        caption="Rank correlation with the trained network's map as weights become random, from the last layer down to "
        f"{listed(blocks)}. In colour: the two maps that change least, and the one that changes most.",
        more=f"Mean of {magnitude.shape[0]} pictures. Above {result.numbers['same']:g} at the end a map shows the "
        f"picture alone; above {result.numbers['alike']:g} after the first step it does not explain the class.",
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
    drawn = panels.sheet(shown, panels.outline(mask) if mask.any() else "", across=6)
    truth = "" if label in (-1, target) else f" It is {classes[label]}."
    ringed = " The line is the object's border." if mask.any() else ""
    return context.drawing(
        f"all--{picture.id}", drawn,
        alt=f"{picture.name} and its map by each method, for {classes[target]}: "
        f"{', '.join(plain(m['name']) for m in methods)}; last, an edge detector.",
        caption=f"{picture.name}. Predicted: {classes[target]}, p = {arrays['probability'][p]:.2f}.{truth}",
        more=f"Every method explains the predicted class.{ringed}",
        mapping="each map by itself: "
        + "; ".join(
            words
            for words in (
                "signed ones: red for, blue against, symmetric about 0" * any(m["signed"] for m in methods),
                "others: dark is 0, bright is high" * any(not m["signed"] for m in methods),
            )
            if words
        )
        + f", ends at the {context.show['percentile']:g}th percentile",
        data=f"maps[{p}]", subjects=(Subject("image", picture.name), Subject("class", classes[target])),
        group="Picture by picture",
    )  # fmt: skip


def cascade_figure(result: Result, context: Context) -> Figure:
    arrays, numbers = result.arrays, result.numbers
    first = arrays["redrawn"][0]
    picture = context.image_set.pictures[arrays["index"][first]]
    blocks = numbers["blocks"]
    shown = []
    for m, method in enumerate(numbers["methods"]):
        if np.isnan(arrays["magnitude"][0, m]).any():
            continue
        own = coloured(arrays["maps"][first, m], 1, method["signed"], context.show)
        shown.append((plain(method["name"]), own))
        for b, name in enumerate(blocks):
            values = coloured(arrays["cascade"][m, b], 1, method["signed"], context.show)
            shown.append((f"to {name}", values))
    drawn = panels.sheet(shown, across=len(blocks) + 1)
    return context.drawing(
        "cascade", drawn,
        alt=f"Each method's map of {picture.name}, a row a method; from left to right with more random layers.",
        caption=f"{picture.name}: left, the trained network's maps; then random weights from the last layer down to "
        f"{listed(blocks)}. A row that hardly changes shows the picture, not the network.",
        mapping="each map by itself, as in the figures picture by picture", data="cascade",
        subjects=(Subject("image", picture.name),), group="Random weights",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- tables


def span(row: dict) -> str:
    return f"{row['mean']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def verdicts(result: Result) -> Table:
    """A line for each method: what may be said of it over all checks, and why."""
    checks, weights = result.numbers["checks"], {row["name"]: row for row in result.numbers["weights"]}
    rows = []
    for name in ranked(result):
        grade, why = judged(name, checks, weights)
        rows.append((plain(name), grade, "; ".join(why)))
    return Table(
        "verdicts",
        "Each method over all checks. It passes if it passes every one, and fails if it fails one.",
        ("method", "verdict", "why"),
        tuple(rows),
    )


def differences(result: Result) -> Table:
    """The paired differences that the verdicts follow from."""
    rows = []
    for check in result.numbers["checks"]:
        for row in check["rows"]:
            cells = [CHECKS[check["check"]][0], plain(row["name"]), span(row)]
            for rival in RIVALS:
                other = row["against"].get(rival)
                cells.append(f"{other['verdict']}: {span(other)}" if other else "–")
            rows.append(tuple(cells))
    turned = any(check["better"] != "higher" for check in result.numbers["checks"])
    return Table(
        "differences",
        "Does a map beat chance, the edge detector, the centre blob? Mean and 95 % interval over pictures, then the "
        "mean paired differences" + " (turned round where lower is better, so that above 0 is better)" * turned + ".",
        ("check", "map", "mean", "beats chance", "beats the edge detector", "beats the centre blob"),
        tuple(rows),
        folded="Every difference with its interval",
    )


def changed(result: Result) -> Table:
    """How much of each map is left as the weights become random."""
    signed = {m["name"] for m in result.numbers["methods"] if m["signed"]}
    rows = [
        (
            *(plain(row["name"]), MOVED[row["verdict"]], span(row)),
            f"{row['signed']:.2f}" if row["name"] in signed else "–",
            *(f"{value:.2f}" for value in row["steps"]),
        )
        for row in result.numbers["weights"]
    ]
    return Table(
        "random-weights",
        "Rank correlation of the magnitudes with the trained network's map, with all weights random and its 95 % "
        "interval, with signs, and with the layers random from the last one down to each.",
        ("method", "verdict", "all random", "with signs", *(f"down to {name}" for name in result.numbers["blocks"])),
        tuple(rows),
        folded="Random weights, step by step",
    )


def view(result: Result, context: Context) -> dict:
    numbers, arrays = result.numbers, result.arrays
    by = grades(result)
    said, measured = found(result)
    figures = [scorecard(result, context)]
    figures += [check_figure(check, result, context) for check in numbers["checks"]]
    figures += [curve_figure(check, result, context) for check in ("deletion", "insertion")]
    if numbers["weights"]:
        figures.append(weights_figure(result, context))
    wrong = (arrays["label"] >= 0) & (arrays["label"] != arrays["target"])
    surest = np.lexsort((-arrays["probability"], wrong))  # right answers first
    figures += [comparison(p, result, context) for p in surest[:MOST].tolist()]
    if numbers["weights"]:
        figures.append(cascade_figure(result, context))
    tables = [verdicts(result), differences(result)] + [changed(result)] * bool(numbers["weights"])
    if numbers["left_out"]:
        rows = tuple((left["section"], left["reason"]) for left in numbers["left_out"])
        tables.append(Table("left-out", "Sections that could not be put to the test.", ("section", "why"), rows))
    caveats = tuple((plain(m["name"]), m["caveat"]) for m in numbers["methods"] if m["caveat"])
    if caveats:
        tables.append(
            Table("caveats", "What the methods' own sections warn of.", ("method", "on this network"), caveats)
        )
    metrics = (
        Metric("methods_checked", len(numbers["methods"])),
        Metric("methods_passing", len(by["passes"])),
        Metric("methods_failing", len(by["fails"])),
        Metric("methods_blind_to_weights", sum(row["verdict"] in (STAYS, CLASSLESS) for row in numbers["weights"])),
        Metric("probes", len(arrays["index"])),
        Metric("probes_with_object", next((c["n"] for c in numbers["checks"] if c["check"] == "mass"), 0)),
    )
    shown = {"figures": tuple(figures), "tables": tuple(tables), "metrics": metrics}
    return {"findings": said, "measured": measured} | shown


MOST = 150  # largest number of pictures with a comparison, so that the page has less than 200 figures

if __name__ == "__main__":
    section.run(
        view,
        id="attribution_check",
        title="Which explanation to believe",
        question="Which of these explanations can be believed on this network?",
        tour="Which of these explanations can be believed on this network?",
        how_to_read="Each row is a method, each column a test: do its strongest pixels matter, does it lie on the "
        "object where that is known, does it change with random weights? Believe a row that is blue throughout.",
        do_not_conclude="A right map may lie off the object, if the network uses the background. Passing is no "
        "proof. Deletion and insertion show the network unusual pictures. Each "
        "verdict holds at 95 %, so of forty, one or two are wrong by chance. Tests on the object need a known object "
        "and a right answer.",
        equation="A = ∫₀¹ p(x with the best share a of its pixels replaced) da",
        papers=(papers.ADEBAYO_2018, papers.PETSIUK_2018, papers.ZHANG_2018),
    )

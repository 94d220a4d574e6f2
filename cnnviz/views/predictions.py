"""Predictions: confusions, calibration, confident mistakes, and the five best classes of each probe."""

import numpy as np

from cnnviz.network import kinds
from cnnviz.network.class_names import cut, short
from cnnviz.run.result import Result
from cnnviz.views import papers, predicted_maps, predicted_values
from cnnviz.views.kit import cards, findings, section
from cnnviz.views.kit.cards import percent
from cnnviz.views.kit.confusion import matrix
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.section import About, Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import Axis, Drawing, Mark, document, text, ticks_below, ticks_left, upwards

WHOLE = 40  # largest number of classes in the matrix; with more, it shows the MOST_CONFUSED
MOST_CONFUSED = 24
MOST_PROBES = 60
MOST_ROWS = 200  # rows of the table of classes; with more classes, it lists the lowest and the highest
CONFUSIONS = 15
MARGIN = 0.05  # a share is found to differ from its control beyond this
FEW = 3  # pictures of a class below which a confusion of it says nothing
OFTEN = 10  # predictions of a class from which the share that is right says something
UNKNOWN = Measured("too few pictures", 0.0, -1.0, 1.0)
FAR = 0.2  # a class recognised so much less often than all pictures is a reason for caution


def reliability(edges: np.ndarray, count: np.ndarray, accuracy: np.ndarray, probability: np.ndarray) -> Drawing:
    """Accuracy over probability in bins, and below it the number of pictures in each bin."""
    left, top, side, under = 52, 14, 290, 44
    bottom = top + side

    x, y = Axis(0, 1, left, left + side), Axis(0, 1, bottom, top)
    parts = [
        f'<rect class="plate" x="{left}" y="{top}" width="{side}" height="{side}"/>',
        *ticks_left(y, left - 6, "{:.0%}".format, 5),
        *ticks_below(x, bottom + under + 18, "{:.0%}".format, 5),
    ]
    marks = []
    for b in np.flatnonzero(count):
        start, width = x(edges[b]) + 1, (edges[b + 1] - edges[b]) * side - 2
        kind = "wrong" if accuracy[b] < probability[b] else "right"
        low, high = sorted((accuracy[b], probability[b]))
        place = f'x="{start:.1f}" width="{width:.1f}"'
        parts.append(
            f'<rect class="right" fill-opacity=".55" {place} y="{y(accuracy[b]):.1f}" '
            f'height="{accuracy[b] * side:.1f}"/>'
            f'<rect class="{kind}" fill-opacity=".45" {place} y="{y(high):.1f}" height="{(high - low) * side:.1f}"/>'
            f'<rect class="other" {place} y="{bottom + 3}" '
            f'height="{max(1.5, count[b] / count.max() * (under - 6)):.1f}"/>'
        )
        said = f"{accuracy[b]:.1%} right, {probability[b]:.1%} sure, {count[b]:,} pictures"
        marks.append(Mark(start, top, f"{edges[b]:.0%} to {edges[b + 1]:.0%}", said, width, side + under))
    beside = left + side + 10
    parts += [
        f'<path class="line" stroke-dasharray="4 3" d="M{left:.1f} {bottom:.1f}L{left + side:.1f} {top:.1f}"/>',
        text("on this line:", "small quiet", x=beside, y=top + 12),
        text("as sure as right", "small quiet", x=beside, y=top + 27),
        text("pictures,", "small quiet", x=beside, y=bottom + 16),
        text(f"at most {int(count.max()):,}", "small quiet", x=beside, y=bottom + 31),
        text("probability of the prediction", "small middle", x=left + side / 2, y=bottom + under + 38),
        upwards("share that is right", "small middle", 13, top + side / 2),
    ]
    return document(left + side + 112, bottom + under + 50, parts, marks=marks)


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    if numbers["kind"] == kinds.REGRESSION:
        return predicted_values.view(result, context)
    if numbers["kind"] == kinds.SEGMENTATION:
        return predicted_maps.view(result, context)
    several, judged = numbers["kind"] == "sigmoid", bool(numbers["labelled"])
    whole = f"the {numbers['labelled']:,} labelled {'query ' if numbers['on'] == 'query' else ''}pictures"
    figures, tables = [], []
    if judged and not several:
        figures += [_reliability(result, context, whole)]
        if _repeats(result):
            matrix_first = result.arrays["class_pictures"].max() >= FEW
            figures.insert(0 if matrix_first else 1, _matrix(result, context, whole))
            tables += [_confusions(result, context)]
        if result.arrays["class_pictures"].max() >= FEW:
            tables += [_classes(result, context, whole)]
    elif judged:
        tables += [_ranking(result, context, whole)]
    else:
        figures += [_distribution(result, context)]
    if judged:
        figures += _cards(result, context, "mistakes", "Surest mistakes")
    figures += _cards(result, context, "probes", "Probe pictures")
    about = (_about_pictures(result, context), *(() if several else _about_classes(result, context)))
    shown = {"figures": tuple(figures), "tables": tuple(tables), "about": about, "metrics": _metrics(result, context)}
    shown |= found(result, context)
    if several:
        shown |= {"how_to_read": SEVERAL, "equation": "AUROC = P(z(a picture of the class) > z(one that is not))"}
    elif judged and not _repeats(result):
        shown |= {"how_to_read": CALIBRATED}
    if not judged:
        shown |= {"how_to_read": "Bars count how often each class is predicted. Below are the five most probable "
                  "classes of each probe picture."}  # fmt: skip
    return shown


def _repeats(result: Result) -> bool:
    """Whether a matrix says something: classes have several pictures, or a confusion occurs twice."""
    pairs = result.arrays["confusion"]
    return result.arrays["class_pictures"].max() >= FEW or (pairs[pairs[:, 0] != pairs[:, 1], 2] > 1).any()


def found(result: Result, context: Context) -> dict:
    """The findings, and the numbers to compare with other models."""
    if not result.numbers["labelled"]:
        return {"findings": (_unlabelled(result),)}
    if result.numbers["kind"] == "sigmoid":
        return _ranked(result)
    said, measured = _accurate(result)
    sure, gap = _sure(result, context)
    confused, most = _confused(result, context)
    order = (confused, said) if confused.caution else (said, confused)
    if most is UNKNOWN:  # how sure it is can be told of any pictures
        order = (said, sure)
    elif sure.strength == findings.FOUND:
        order = (*order, sure)
    return {
        "findings": order,
        "measured": {said.key: measured, confused.key: most, sure.key: gap} | _recalls(result, context),
    }


def _unlabelled(result: Result) -> Finding:
    return Finding(
        "accuracy", "No picture has a label that is a class of the network: how often it is right cannot be told.",
        findings.NOT, basis=f"{result.numbers['pictures']:,} pictures", figure="predicted",
    )  # fmt: skip


def _accurate(result: Result) -> tuple[Finding, Measured]:
    numbers = result.numbers
    share, chance, (low, high) = numbers["top1"], numbers["largest_class"], numbers["top1_interval"]
    best = findings.percent(chance)
    room = 1 - chance or 1.0  # all pictures may be of one class
    says = f"Names {findings.percent(share)} of the pictures correctly."
    finding = Finding(
        "accuracy", says, findings.strength(low - chance, high - chance, MARGIN), between(low, high),
        f"{best}, by always naming the largest class", f"{numbers['labelled']:,} pictures",
        "confusion" if result.arrays["class_pictures"].max() >= FEW else "calibration",
    )  # fmt: skip
    effects = (max(-1.0, (value - chance) / room) for value in (share, min(low, share), max(high, share)))
    return finding, Measured(findings.percent(share), *effects)


def _recalls(result: Result, context: Context) -> dict[str, Measured]:
    """Recall of each class, compared with the share of other classes' pictures predicted as it."""
    arrays, classes = result.arrays, context.model["classes"]
    totals, predicted = arrays["class_pictures"], arrays["class_predicted"]
    present = np.flatnonzero(totals)
    if len(present) > WHOLE:
        return {}
    recalls = {}
    for c in present.tolist():
        right = round(float(arrays["class_top1"][c]) * int(totals[c]))
        others = int(totals.sum()) - int(totals[c])
        taken = (int(predicted[c]) - right) / others if others and predicted.sum() == totals.sum() else 0.0
        share, ends = right / int(totals[c]), findings.share_interval(right, int(totals[c]))
        recalls[f"{short(classes[c])} recognised"] = Measured(
            findings.percent(share), share - taken, ends[0] - taken, ends[1] - taken
        )
    return recalls


def _confused(result: Result, context: Context) -> tuple[Finding, Measured]:
    """The class that is most often predicted as another one, as a share of its pictures."""
    arrays, classes = result.arrays, context.model["classes"]
    totals, key = arrays["class_pictures"], "largest confusion"
    off = [row for row in arrays["confusion"].tolist() if row[0] != row[1] and totals[row[0]]]
    total, count = result.numbers["labelled"], len(np.flatnonzero(totals))
    if not off:
        none = Finding(key, "No picture is taken for another class.", findings.NOT, basis=f"{total:,} pictures")
        return none, Measured("none", 0.0, 0.0, findings.share_interval(0, total)[1])
    if max(totals[row[0]] for row in off) < FEW:
        few = "Too few pictures of each class: whether two are confused more often than others cannot be told."
        return Finding(key, few, findings.NOT, basis=f"{total:,} pictures of {count:,} classes"), UNKNOWN
    pairs = max(1, count * (len(classes) - 1))
    truth, said, n = max(off, key=lambda row: findings.share_interval(row[2], int(totals[row[0]]))[0])
    own = int(totals[truth])
    control, words = _else_taken(off, totals, truth, said, total, len(classes))
    low, high = findings.share_interval(n, own, pairs)
    strength = findings.strength(low - control, high - control, MARGIN)
    recall = float(arrays["class_top1"][truth])
    pair = f"{findings.percent(n / own)} of {short(classes[truth])} pictures for {short(classes[said])}"
    says = f"Takes {pair}."
    if strength == findings.NOT:
        says = f"No two classes are confused more often than others. The largest share: takes {pair}."
    finding = Finding(
        key, says, strength, between(low, high),
        words, f"{own} pictures; the largest of {pairs:,} pairs",
        "confusion", caution=strength == findings.FOUND and recall < result.numbers["top1"] - FAR,
    )  # fmt: skip
    return finding, Measured(pair, n / own - control, low - control, high - control)


def _else_taken(off: list, totals: np.ndarray, truth: int, said: int, total: int, classes: int) -> tuple[float, str]:
    """What a confusion is compared with, in words: mistakes spread evenly, or how often others are taken for it.

    The larger one counts: a network that gives one class to all pictures confuses no two of them.
    """
    evenly = sum(row[2] for row in off) / total / max(1, classes - 1)
    others = int(totals.sum() - totals[truth] - totals[said])
    taken = sum(row[2] for row in off if row[1] == said and row[0] != truth) / max(1, others)
    if taken > evenly:
        return taken, f"{findings.percent(taken)} of the other classes' pictures are taken for it"
    return evenly, f"{findings.percent(evenly)}, were mistakes spread evenly"


def _sure(result: Result, context: Context) -> tuple[Finding, Measured]:
    """Whether the mean probability of the predictions is the share of them that is right."""
    arrays, pictures = result.arrays, context.image_set.pictures
    outputs, judged = context.model["label_to_output"], arrays["evaluated"]
    said = arrays["predicted"][judged].tolist()
    right = [o in [outputs[x] for x in pictures[i].labels] for i, o in zip(judged.tolist(), said, strict=True)]
    sure = arrays["probability"][judged]
    gap, low, high = findings.mean_interval(sure - np.array(right, float))
    low, high = max(low, -1.0), min(high, 1.0)
    strength = findings.strength(*((low, high) if gap > 0 else (-high, -low)), margin=MARGIN)
    more = "surer than it is right" if gap > 0 else "less sure than it is right"
    how = "about as sure as it is right" if strength == findings.NOT else more
    mean, share = findings.percent(float(sure.mean())), findings.percent(float(np.mean(right)))
    finding = Finding(
        "probability less accuracy", f"On average {how}: {mean} sure, {share} right.", strength,
        f"{100 * low:+.1f} to {100 * high:+.1f} percentage points".replace("-", "−"), "0, as sure as right",
        f"{len(judged):,} pictures",
        "calibration", caution=strength == findings.FOUND and gap > 0,
    )  # fmt: skip
    return finding, Measured(f"{mean} sure, {share} right", gap, low, high)


def _ranked(result: Result) -> dict:
    """Ranking quality of a network whose outputs each answer yes or no."""
    known = result.arrays["class_auroc"][np.isfinite(result.arrays["class_auroc"])]
    key = "mean AUROC"
    if len(known) < 2:
        words = f"The one class that can be judged has AUROC {known[0]:.2f}." if len(known) else "No class has both "
        words += "" if len(known) else "pictures that are of it and pictures that are not: nothing can be told."
        return {"findings": (Finding(key, words, findings.NOT, control="0.5, guessing"),)}
    mean, low, high = findings.mean_interval(known)
    low, high = max(low, 0.0), min(high, 1.0)
    finding = Finding(
        key, f"Ranks a picture of a class above another one {findings.percent(mean)} of the time.",
        findings.strength(low - 0.5, high - 0.5, MARGIN), between(low, high), "50\u00a0%, guessing",
        f"{len(known)} classes, {result.numbers['labelled']:,} pictures",
    )  # fmt: skip
    measured = Measured(findings.percent(mean), 2 * mean - 1, 2 * low - 1, 2 * high - 1)
    return {"findings": (finding,), "measured": {key: measured}}


def _metrics(result: Result, context: Context) -> tuple[Metric, ...]:
    numbers, several = result.numbers, result.numbers["kind"] == "sigmoid"
    ranked, accuracy = [], []
    if "auroc" in numbers:
        mean = "mean_" if several else ""
        ranked = [Metric(f"{mean}{key}", numbers[key], better="higher") for key in ("auroc", "average_precision")]
    if numbers["labelled"] and not several:
        few = result.arrays["top_classes"].shape[1] >= len(
            context.model["classes"]
        )  # every class is among the best five
        accuracy = [
            Metric(f"{top}_accuracy", numbers[top], "share", "higher", tuple(numbers[f"{top}_interval"]))
            for top in ("top1", *(() if few else ("top5",)))
        ]
        accuracy += [
            Metric("mean_class_accuracy", numbers["mean_class_accuracy"], "share", "higher"),
            Metric("calibration_error", numbers["calibration_error"], "share", "lower"),
            Metric("accuracy_of_always_the_largest_class", numbers["largest_class"], "share"),
        ]
    judged = Metric("pictures_judged", numbers["labelled"])
    return (*ranked, judged) if several else (*accuracy, *ranked, judged)


def _about_pictures(result: Result, context: Context) -> About:
    classes, arrays, pictures = context.model["classes"], result.arrays, context.image_set.pictures
    outputs = context.model["label_to_output"]
    rows = {}
    for i, picture in enumerate(pictures):
        said = int(arrays["predicted"][i])
        right = [outputs[label] for label in picture.labels if outputs[label] is not None]
        verdict = ("right" if said in right else "wrong") if right else "not labelled"
        own = ", ".join(short(classes[output], 40) for output in right)
        rows[picture.name] = (own, short(classes[said], 40), float(f"{arrays['probability'][i]:.3g}"), verdict)
    return About("image", ("label", "prediction", "its probability", "verdict"), rows, from_dataset=True)


def _about_classes(result: Result, context: Context) -> tuple[About, ...]:
    arrays, classes = result.arrays, context.model["classes"]
    if not result.numbers["labelled"]:
        return ()
    totals = arrays["class_pictures"]
    wrong: dict[int, list[tuple[int, int]]] = {}
    for truth, said, count in arrays["confusion"].tolist():
        if truth != said:
            wrong.setdefault(truth, []).append((-count, said))
    rows = {}
    for c in np.flatnonzero(totals).tolist():
        precision = arrays["class_precision"][c]
        rows[classes[c]] = (
            int(totals[c]),
            f"{arrays['class_top1'][c]:.1%}",
            "never" if np.isnan(precision) else f"{precision:.1%}",
            [classes[said] for _, said in sorted(wrong.get(c, []))[:3]],
        )
    return (About("class", ("pictures", "accuracy", "right when predicted", "most often taken for"), rows),)


SEVERAL = (
    "AUROC is the chance that a picture of the class scores higher than one that is not: 50 % is guessing. Then come "
    "the mistakes that the network was surest of, and its best classes for each probe picture."
)


CALIBRATED = (
    "A bar holds the pictures predicted with that probability; its height is the share that is right. Below: the "
    "surest mistakes, and the best classes for each probe picture."
)


def _matrix(result: Result, context: Context, whole: str) -> Figure:
    classes, arrays = context.model["classes"], result.arrays
    pairs, totals = arrays["confusion"], arrays["class_pictures"]
    present = np.flatnonzero((totals > 0) | (arrays["class_predicted"] > 0))
    off = pairs[pairs[:, 0] != pairs[:, 1]]
    chosen, which = present, f"{len(present)} classes"
    if len(present) > WHOLE:
        # the classes of the largest confusions, so that confused classes are shown together
        order = off[np.argsort(-off[:, 2], kind="stable")]
        ranked = list(dict.fromkeys(order[:, :2].flatten().tolist()))[:MOST_CONFUSED]
        chosen = np.array(sorted(ranked or present[:MOST_CONFUSED].tolist()))
        which = f"the {len(chosen)} of {len(present)} classes with the largest confusions"
    place = {int(c): i for i, c in enumerate(chosen)}
    counts, rest = np.zeros((len(chosen), len(chosen)), int), np.zeros(len(chosen), int)
    for truth, said, count in pairs.tolist():
        if truth in place and said in place:
            counts[place[truth], place[said]] = count
        elif truth in place:
            rest[place[truth]] += count
    names = [classes[c] for c in chosen]
    drawn, most = matrix(counts, rest, totals[chosen], names, context.hues, "pictures")
    worst = off[np.argsort(-off[:, 2], kind="stable")][:3].tolist()
    said = "; ".join(
        f"{short(classes[t], 22)} taken for {short(classes[p], 22)}, {n} times" for t, p, n in worst if n > 1
    )
    worst = (
        f"Most frequent confusions: {said}." if said else "No confusion occurs twice." if len(off) else "All is right."
    )
    said, precision = arrays["class_predicted"], arrays["class_precision"]
    if len(often := np.flatnonzero((said >= OFTEN) & (precision < 1))):
        least = often[np.argmin(precision[often])]
        worst += f" Least reliable: of {said[least]} predictions of {short(classes[least], 22)}, "
        worst += f"{percent(precision[least])} are right."
    hits, total = int(counts.trace()), int(totals[chosen].sum())
    return context.drawing(
        "confusion", drawn,
        alt=f"Confusion matrix of {which}, right class by row, predicted class by column: {hits:,} of {total:,} "
        f"pictures "
        f"on the diagonal. {worst} A table below lists them.",
        caption=f"Confusion matrix of {which}, over {whole}. Rows: true class; columns: predicted class. {worst}"
        + (" The last column counts predictions of classes not shown." if rest.any() else ""),
        mapping=f"share of a row's pictures; right, grey: 0 … 1; mistakes, orange: 0 … {most:.2g}; from pale to full; "
        "empty: none",
        data="confusion", subjects=tuple(Subject("class", name) for name in names), from_dataset=False,
    )  # fmt: skip


def _reliability(result: Result, context: Context, whole: str) -> Figure:
    parts = {k: result.arrays[f"calibration_{k}"] for k in ("edges", "count", "accuracy", "probability")}
    count, accuracy = parts["count"], parts["accuracy"]
    last = np.flatnonzero(count)[-1]
    return context.drawing(
        "calibration", reliability(**parts),
        alt=f"Reliability diagram in {len(count)} bins. Of the {count[last]:,} predictions with a probability above "
        f"{parts['edges'][last]:.0%}, {accuracy[last]:.0%} are right.",
        caption=f"Probability and accuracy over {whole}. Expected calibration error: "
        f"{result.numbers['calibration_error']:.1%}.",
        more="Bars of few pictures (grey, below) say little.",
        mapping="grey: share of a bin's predictions that are right; orange: what is missing to its mean probability; "
        "darker grey: what is above it",
        data="calibration_accuracy, calibration_probability, calibration_count", from_dataset=False, subjects=(),
    )  # fmt: skip


def _distribution(result: Result, context: Context) -> Figure:
    counts, classes = result.arrays["class_predicted"], context.model["classes"]
    order = np.argsort(-counts, kind="stable")[:20]
    order = order[counts[order] > 0]
    total = int(counts.sum())
    said = [f"{counts[c]:,} ({counts[c] / total:.1%})" for c in order]
    drawn = cards.ranking([classes[c] for c in order], counts[order] / counts.max(), said, context.hues)
    top = "; ".join(f"{short(classes[c], 22)} {counts[c] / total:.0%}" for c in order[:3])
    return context.drawing(
        "predicted", drawn,
        alt=f"Bars of how often each class is predicted, of {total:,} pictures: {top}, and so on.",
        caption=f"What the network predicts for the {total:,} pictures: the {len(order)} most frequent of "
        f"{int((counts > 0).sum())} classes.",
        mapping=f"length: pictures, full at {int(counts.max()):,}", data="class_predicted", subjects=(),
        from_dataset=False,
    )  # fmt: skip


def _cards(result: Result, context: Context, which: str, group: str) -> list[Figure]:
    """A card for each mistake, or each probe."""
    arrays, classes, pictures = result.arrays, context.model["classes"], context.image_set.pictures
    indices = arrays[which][: MOST_PROBES if which == "probes" else None]
    figures = []
    pixels = context.as_seen(result, indices)
    for k, i in enumerate(indices.tolist()):
        picture, best, chances = pictures[i], arrays["top_classes"][i], arrays["top_probabilities"][i]
        outputs = [context.model["label_to_output"][label] for label in picture.labels]
        right = [classes[o] for o in outputs if o is not None]
        hits = [o in outputs for o in best.tolist()]
        title = ", ".join(short(name, 30) for name in right) if right else cut(picture.name.rsplit("/", 1)[-1], 30)
        said = short(classes[best[0]], 40)
        truth = " and ".join(short(name, 40) for name in right)
        own = float(arrays[f"{which}_label_probability"][k])
        marked = ["right" if hit else "wrong" if right and not k else "other" for k, hit in enumerate(hits)]
        named = dict.fromkeys([*right, classes[best[0]]])
        verdict = "" if not right else ", right" if hits[0] else f". True: {truth}, {percent(own)}"
        listed = ", ".join(f"{short(classes[o], 40)} {percent(p)}" for o, p in zip(best, chances, strict=True))
        mark = context.mark(i, f"predicted {said}, {percent(chances[0])}")
        drawn = cards.card(pixels[i], title, [classes[o] for o in best], chances, marked, context.hues, mark)
        figures.append(
            context.drawing(
                f"{which}-{picture.id}", drawn,
                alt=f"{picture.name}{f', {truth}' if truth else ''}, over bars of the best classes: {listed}.",
                caption=f"{picture.name}. Predicted: {said}, {percent(chances[0])}{verdict}.",
                mapping="the pixels the network saw; bars: probability 0 … 1, ticked where right, orange if mistaken",
                data=f"top_classes[{i}], top_probabilities[{i}]", group=group,
                subjects=(Subject("image", picture.name), *(Subject("class", name) for name in named)),
            )
        )  # fmt: skip
    return figures


def _confusions(result: Result, context: Context) -> Table:
    pairs, classes = result.arrays["confusion"], context.model["classes"]
    off = pairs[pairs[:, 0] != pairs[:, 1]]
    order = off[np.argsort(-off[:, 2], kind="stable")][:CONFUSIONS].tolist()
    totals = result.arrays["class_pictures"]
    return Table(
        "confusions",
        f"The {len(order)} most frequent confusions of {len(off)}." if len(off) > len(order) else "All confusions.",
        ("right class", "predicted", "pictures", "share of the class"),
        tuple((short(classes[t], 40), short(classes[p], 40), n, f"{n / totals[t]:.1%}") for t, p, n in order),
    )


def _classes(result: Result, context: Context, whole: str) -> Table:
    arrays, classes = result.arrays, context.model["classes"]
    totals, accuracy = arrays["class_pictures"], arrays["class_top1"]
    taken: dict[int, tuple[int, int]] = {}
    for truth, said, count in arrays["confusion"].tolist():
        if truth != said and count > taken.get(truth, (0, 0))[0]:
            taken[truth] = count, said
    order = [c for c in np.argsort(accuracy, kind="stable") if totals[c]]
    cut = ""
    if len(order) > MOST_ROWS:
        half = MOST_ROWS // 2
        cut = f"; the {half} lowest and the {half} highest of {len(order)}"
        order = [*order[:half], *order[-half:]]
    rows = []
    for c in order:
        count, said = taken.get(int(c), (0, 0))
        precision = arrays["class_precision"][c]
        rows.append(
            (
                short(classes[c], 40),
                int(totals[c]),
                f"{accuracy[c]:.1%}",
                f"{arrays['class_top5'][c]:.1%}",
                "never" if np.isnan(precision) else f"{precision:.1%}",
                f"{short(classes[said], 40)} ({count})" if count else "",
            )
        )
    return Table(
        "classes",
        f"Each class, hardest first, over {whole}{cut}. Accuracy: of the class's pictures, so many are predicted "
        f"right. "
        "Right when predicted: of the predictions of this class, so many are right.",
        ("class", "pictures", "accuracy", "top-5", "right when predicted", "most often taken for"),
        tuple(rows),
    )


def _ranking(result: Result, context: Context, whole: str) -> Table:
    arrays, classes = result.arrays, context.model["classes"]
    auroc, precision, totals = (arrays[k] for k in ("class_auroc", "class_average_precision", "class_pictures"))
    order = np.argsort(np.where(np.isnan(auroc), np.inf, auroc), kind="stable")[:MOST_ROWS]

    def number(value: float) -> str:
        return "not defined" if np.isnan(value) else f"{value:.3f}"

    return Table(
        "classes",
        f"Each class, hardest first, over {whole}; not defined where none or all of them are of the class.",
        ("class", "pictures", "share", "AUROC", "average precision"),
        tuple(
            (short(classes[c], 40), int(totals[c]), f"{totals[c] / result.numbers['labelled']:.1%}",
             number(auroc[c]), number(precision[c]))
            for c in order
        ),
    )  # fmt: skip


if __name__ == "__main__":
    section.run(
        view,
        id="predictions",
        title="Predictions",
        question="How often is it right, and what does it confuse?",
        tour="What does it get right, and what does it take for what?",
        how_to_read="A row is a class, a column what the network takes it for: grey is right, orange a mistake. Below: "
        "how sure it is and how often right, its surest mistakes, and its best classes for each probe picture.",
        do_not_conclude="On pictures it was trained on, accuracy is flattering. Where all pictures of a class share a "
        "background, it may be the background that is recognised. The shares of classes with few pictures are "
        "uncertain. A confident mistake may be a wrong label.",
        equation="accuracy = mean of [arg max z(xᵢ) ∈ Lᵢ];  ECE = Σ_b n_b/n · |accuracy_b − mean probability_b|",
        papers=(papers.KRIZHEVSKY_2012, papers.GUO_2017),
    )

"""Predictions: what is taken for what, how sure the network is, its surest mistakes, its five best of each probe."""

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from cnnviz.network import class_names, kinds
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.section import About, Context, Figure, Metric, Subject, Table

WHOLE = 40  # classes; of more, the matrix shows the MOST_CONFUSED
MOST_CONFUSED = 24
MOST_PROBES = 60
MOST_ROWS = 200  # of the table of classes; of more classes, the lowest and the highest are listed
CONFUSIONS = 15
CARD, BAR = 232, 21  # CSS pixels: a card's width, the height of one of its bars
BLUE, ORANGE = "#2f7fc4", "#d9730d"  # told apart with any colour vision, on white and on near-black

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#15171c}.small{font-size:11px}.strong{font-weight:650}"
    ".quiet{fill:#5b616b}.end{text-anchor:end}.middle{text-anchor:middle}.on-right{fill:#fff}.on-wrong{fill:#15171c}"
    ".line{stroke:#8a9099;fill:none}.ground{fill:#fff}.plate{fill:none;stroke:#c9cdd3}.track{fill:#8a9099;fill-opacity:.16}"
    f".right{{fill:{BLUE}}}.wrong{{fill:{ORANGE}}}.other{{fill:#8a9099}}"
    "@media(prefers-color-scheme:dark){text{fill:#f2f3f5}.on-wrong{fill:#15171c}.quiet{fill:#aab0b9}.ground{fill:#15171c}.plate{stroke:#5b616b}}"
)


LETTER = 7.4  # pixels, the average width of a letter in the wider ones of the usual fonts


def svg(width: int, height: int, parts: list[str]) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{STYLE}</style><rect class="ground" width="{width}" height="{height}" rx="4"/>'
        f"{''.join(parts)}</svg>"
    ).encode()


def short(name: str, length: int = 22) -> str:
    """The first of a class's names, cut to ``length`` characters."""
    name = class_names.short(name)
    return name if len(name) <= length else name[: length - 1] + "…"


def percent(share: float) -> str:
    """A probability in words: 0 and 1 are never reached."""
    return "under 0.1%" if share < 0.0005 else "over 99.9%" if share >= 0.9995 else f"{share:.1%}"


def matrix(counts: np.ndarray, rest: np.ndarray, totals: np.ndarray, names: list[str]) -> tuple[bytes, int, int, float]:
    """A confusion matrix as SVG, its width and height, and the share that gets the strongest orange.

    counts: (c, c) pictures, rows right, columns predicted; rest: (c,) predicted as a class not shown; totals: (c,).
    The diagonal is blue by its share of the row, 0 … 1; mistakes are orange by theirs, 0 … the largest share.
    """
    c, other = len(names), bool(rest.any())
    share = np.column_stack([counts, rest])[:, : c + other] / np.maximum(totals, 1)[:, None]
    numbers = np.column_stack([counts, rest])
    mistakes = share.copy()
    np.fill_diagonal(mistakes, 0)
    most = max(float(mistakes.max(initial=0)), 0.01)
    level = colour.fixed(0, most).grey(mistakes) / 255
    level[np.arange(c), np.arange(c)] = colour.fixed(0, 1).grey(share[np.arange(c), np.arange(c)]) / 255
    size = 34 if c <= 16 else 26 if c <= 26 else 18
    labels = [short(name, 20) for name in names]
    left = 30 + round(LETTER * max(map(len, labels)))
    across = max(map(len, [*labels, "another class"])) * LETTER  # at 50°: 0.77 of it upwards, 0.64 to the right
    top = 30 + round(0.77 * across)
    width, height = left + (c + other) * size + round(0.64 * across), top + c * size + 12
    parts = [
        f'<rect class="plate" x="{left}" y="{top}" width="{(c + other) * size}" height="{c * size}"/>',
        f'<text class="small quiet" transform="translate(13 {top + c * size / 2:.0f}) rotate(-90)" '
        'text-anchor="middle">right class</text>',
        f'<text class="small quiet" x="{left}" y="14">predicted class →</text>',
    ]
    for i, label in enumerate(labels):
        y, x = top + i * size + size / 2 + 4.5, left + i * size + size / 2 + 4
        parts.append(f'<text class="end" x="{left - 7}" y="{y:.0f}">{escape(label)}</text>')
        parts.append(f'<text transform="translate({x:.0f} {top - 7}) rotate(-50)">{escape(label)}</text>')
    if other:
        x = left + c * size + size / 2 + 4
        parts.append(f'<text class="quiet" transform="translate({x:.0f} {top - 7}) rotate(-50)">another class</text>')
    for i in range(c):
        for j in np.flatnonzero(numbers[i, : c + other]):
            x, y, kind = left + j * size, top + i * size, "right" if i == j else "wrong"
            opacity = 0.12 + 0.88 * level[i, j]
            parts.append(
                f'<rect class="{kind}" fill-opacity="{opacity:.2f}" x="{x + 1}" y="{y + 1}" width="{size - 2}" '
                f'height="{size - 2}" rx="2"/>'
            )
            if size > 20:
                strong = f" on-{kind}" if opacity > 0.75 else ""
                at = f'x="{x + size / 2}" y="{y + size / 2 + 4}"'
                parts.append(f'<text class="small middle{strong}" {at}>{numbers[i, j]}</text>')
    return svg(width, height, parts), width, height, most


def reliability(edges: np.ndarray, count: np.ndarray, accuracy: np.ndarray, probability: np.ndarray) -> bytes:
    """Accuracy against probability in bins, 460 × 400; under it how many pictures each bin holds."""
    left, top, side, under = 52, 14, 290, 44
    bottom = top + side

    def at(x: float, y: float) -> str:
        return f"{left + x * side:.1f} {bottom - y * side:.1f}"

    parts = [f'<rect class="plate" x="{left}" y="{top}" width="{side}" height="{side}"/>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text class="small end" x="{left - 6}" y="{bottom - tick * side + 4:.0f}">{tick:.0%}</text>')
        parts.append(
            f'<text class="small middle" x="{left + tick * side:.0f}" y="{bottom + under + 18}">{tick:.0%}</text>'
        )
    for b in np.flatnonzero(count):
        x, w = left + edges[b] * side, (edges[b + 1] - edges[b]) * side
        kind = "wrong" if accuracy[b] < probability[b] else "right"
        low, high = sorted((accuracy[b], probability[b]))
        parts.append(
            f'<rect class="right" fill-opacity=".55" x="{x + 1:.1f}" y="{bottom - accuracy[b] * side:.1f}" '
            f'width="{w - 2:.1f}" height="{accuracy[b] * side:.1f}"/>'
            f'<rect class="{kind}" fill-opacity=".45" x="{x + 1:.1f}" y="{bottom - high * side:.1f}" '
            f'width="{w - 2:.1f}" height="{(high - low) * side:.1f}"/>'
            f'<rect class="other" x="{x + 1:.1f}" y="{bottom + 3}" width="{w - 2:.1f}" '
            f'height="{max(1.5, count[b] / count.max() * (under - 6)):.1f}"/>'
        )
    parts += [
        f'<path class="line" stroke-dasharray="4 3" d="M{at(0, 0)}L{at(1, 1)}"/>',
        f'<text class="small quiet" x="{left + side + 10}" y="{top + 12}">on this line:</text>',
        f'<text class="small quiet" x="{left + side + 10}" y="{top + 27}">as sure as right</text>',
        f'<text class="small quiet" x="{left + side + 10}" y="{bottom + 16}">pictures,</text>',
        f'<text class="small quiet" x="{left + side + 10}" y="{bottom + 31}">at most {int(count.max()):,}</text>',
        f'<text class="small middle" x="{left + side / 2}" y="{bottom + under + 38}">probability of the prediction'
        "</text>",
        f'<text class="small middle" transform="translate(13 {top + side / 2}) rotate(-90)">right</text>',
    ]
    return svg(left + side + 112, bottom + under + 50, parts)


def bars(names: list[str], shares: np.ndarray, values: list[str], kinds: list[str], top: int, width: int) -> list[str]:
    """A labelled bar for each of ``names``, full at share 1, from ``top`` on: SVG elements."""
    parts = []
    for i, (name, share, value, kind) in enumerate(zip(names, shares, values, kinds, strict=True)):
        y = top + i * BAR
        strong, tick = (" strong", "✓ ") if kind == "right" else ("", "")
        parts.append(
            f'<rect class="track" x="0" y="{y}" width="{width}" height="{BAR - 3}" rx="2"/>'
            f'<rect class="{kind}" fill-opacity=".5" x="0" y="{y}" width="{max(1.5, share * width):.1f}" '
            f'height="{BAR - 3}" rx="2"/>'
            f'<text class="{strong.strip()}" x="6" y="{y + 13.5}">{tick}{escape(name)}</text>'
            f'<text class="end{strong}" x="{width - 6}" y="{y + 13.5}">{value}</text>'
        )
    return parts


def card(pixels: np.ndarray, title: str, names: list[str], chances: np.ndarray, right: list[bool]) -> tuple[bytes, int]:
    """A picture over its best classes as bars, right ones blue with a tick: SVG, and its height. pixels: (h, w, 3)."""
    parts, top = _titled(pixels, title)
    colours = ["right" if r else "wrong" for r in right]
    parts += bars([short(n, 24) for n in names], chances, [percent(p) for p in chances], colours, top, CARD)
    height = top + len(names) * BAR
    return svg(CARD, height, parts), height


def card_of(pixels: np.ndarray, title: str, lines: list[tuple[str, str]]) -> tuple[bytes, int]:
    """A picture over lines with words at both ends: SVG, and its height. pixels: (h, w, 3)."""
    parts, top = _titled(pixels, short(title, 32))
    for i, (left, right) in enumerate(lines):
        y = top + i * BAR + 13.5
        parts.append(f'<text x="6" y="{y}">{escape(left)}</text>')
        parts.append(f'<text class="end quiet" x="{CARD - 6}" y="{y}">{escape(right)}</text>')
    height = top + len(lines) * BAR
    return svg(CARD, height, parts), height


def _titled(pixels: np.ndarray, title: str) -> tuple[list[str], int]:
    """A picture as wide as a card, its title below: SVG elements, and where they end."""
    shown = round(CARD * pixels.shape[0] / pixels.shape[1])
    picture = Image.fromarray(pixels)
    if picture.width > 2 * CARD:
        picture = picture.resize((2 * CARD, 2 * shown), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=85, method=4)
    pixelated = ' style="image-rendering:pixelated"' if picture.width < CARD / 2 else ""
    parts = [
        f'<image{pixelated} width="{CARD}" height="{shown}" preserveAspectRatio="none" '
        f'href="data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"/>',
        f'<text class="strong" x="6" y="{shown + 18}">{escape(title)}</text>',
    ]
    return parts, shown + 26


def view(result: Result, context: Context) -> dict:
    numbers, arrays = result.numbers, result.arrays
    if numbers["kind"] in (kinds.REGRESSION, kinds.SEGMENTATION):
        from cnnviz.views import predicted_maps, predicted_values  # which draw with what is above

        return (predicted_values if numbers["kind"] == kinds.REGRESSION else predicted_maps).view(result, context)
    several = numbers["kind"] == "sigmoid"
    whole = f"the {numbers['labelled']:,} labelled {'query ' if numbers['on'] == 'query' else ''}pictures"
    figures, tables, metrics = [], [], []
    if numbers["labelled"] and not several:
        metrics += [
            Metric("top1_accuracy", numbers["top1"], "share", "higher", tuple(numbers["top1_interval"])),
            Metric("top5_accuracy", numbers["top5"], "share", "higher", tuple(numbers["top5_interval"])),
            Metric("mean_class_accuracy", numbers["mean_class_accuracy"], "share", "higher"),
            Metric("calibration_error", numbers["calibration_error"], "share", "lower"),
            Metric("always_the_largest_class", numbers["largest_class"], "share"),
        ]
        if arrays["top_classes"].shape[1] >= len(context.model["classes"]):
            metrics = [m for m in metrics if m.name != "top5_accuracy"]  # all classes are among the best five
        figures += [_matrix(result, context, whole), _reliability(result, context, whole)]
        tables += [_confusions(result, context), _classes(result, context, whole)]
    elif numbers["labelled"]:
        tables += [_ranking(result, context, whole)]
    else:
        figures += [_distribution(result, context)]
    if "auroc" in numbers:
        name = "mean_" if several else ""
        metrics = [
            Metric(f"{name}auroc", numbers["auroc"], better="higher"),
            Metric(f"{name}average_precision", numbers["average_precision"], better="higher"),
        ] * several + metrics
        if not several:
            metrics += [
                Metric("auroc", numbers["auroc"], better="higher"),
                Metric("average_precision", numbers["average_precision"], better="higher"),
            ]
    metrics.append(Metric("pictures_judged", numbers["labelled"]))
    if numbers["labelled"]:
        figures += _cards(result, context, "mistakes", "Surest mistakes")
    figures += _cards(result, context, "probes", "Probe pictures")
    about = (_about_pictures(result, context), *(() if several else _about_classes(result, context)))
    shown = {"figures": tuple(figures), "tables": tuple(tables), "about": about, "metrics": tuple(metrics)}
    if several:
        shown |= {"how_to_read": SEVERAL, "equation": "AUROC = P(z(a picture of the class) > z(one that is not))"}
    elif not numbers["labelled"]:
        shown |= {
            "how_to_read": "No picture of this set has a label that is a class of the network, so nothing can be said "
            "about accuracy. The first figure counts what the network predicts; below are its five most probable "
            "classes for each probe picture."
        }
    return shown


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
    "Each output answers yes or no by itself, and a picture may have several classes. AUROC is the chance that a "
    "picture of the class scores higher than one that is not: 50 % is guessing, 100 % is perfect. Average precision is "
    "the mean precision over all thresholds; guessing gives the class's share of the pictures. Then come the wrong "
    "answers given with the largest probability, and the five most probable classes of each probe picture."
)


def _matrix(result: Result, context: Context, whole: str) -> Figure:
    classes, arrays = context.model["classes"], result.arrays
    pairs, totals = arrays["confusion"], arrays["class_pictures"]
    present = np.flatnonzero((totals > 0) | (arrays["class_predicted"] > 0))
    off = pairs[pairs[:, 0] != pairs[:, 1]]
    chosen, which = present, f"{len(present)} classes"
    if len(present) > WHOLE:
        # the classes of the largest confusions, so that what belongs together is shown together
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
    drawn, width, height, most = matrix(counts, rest, totals[chosen], names)
    worst = off[np.argsort(-off[:, 2], kind="stable")][:3].tolist()
    said = "; ".join(f"{short(classes[t])} taken for {short(classes[p])}, {n} times" for t, p, n in worst if n > 1)
    worst = (
        f"Most frequent confusions: {said}." if said else "No confusion occurs twice." if len(off) else "All is right."
    )
    hits, total = int(counts.trace()), int(totals[chosen].sum())
    return context.figure(
        "confusion", "confusion.svg", drawn, width, height,
        alt=f"Confusion matrix of {which}, right class by row, predicted class by column: {hits:,} of {total:,} "
        f"pictures "
        f"on the diagonal. {worst} A table below lists them.",
        caption=f"Confusion matrix of {which}, over {whole}: each row is a right class, each column a prediction, "
        f"numbers are pictures. {worst}"
        + (" The last column counts predictions of classes not shown." if rest.any() else ""),
        mapping=f"share of a row's pictures; right, blue: 0 … 1; mistakes, orange: 0 … {most:.2g}; from pale to full; "
        "empty: none",
        data="confusion", subjects=tuple(Subject("class", name) for name in names), from_dataset=False,
    )  # fmt: skip


def _reliability(result: Result, context: Context, whole: str) -> Figure:
    parts = {k: result.arrays[f"calibration_{k}"] for k in ("edges", "count", "accuracy", "probability")}
    count, accuracy, probability = (parts[k] for k in ("count", "accuracy", "probability"))
    used = count > 0
    mean, share = (float(values[used] @ count[used] / count.sum()) for values in (probability, accuracy))
    gap = mean - share
    tendency = (
        "about as sure as it is right" if abs(gap) < 0.02 else "surer than it is right" if gap > 0
        else "less sure than it is right"
    )  # fmt: skip
    last = np.flatnonzero(used)[-1]
    drawn = reliability(**parts)
    return context.figure(
        "calibration", "calibration.svg", drawn, 454, 398,
        alt=f"Reliability diagram in {len(count)} bins. Of the {count[last]:,} predictions with a probability above "
        f"{parts['edges'][last]:.0%}, {accuracy[last]:.0%} are right. On the whole the network is {tendency}.",
        caption=f"How sure, and how often right, over {whole}: on average {mean:.0%} sure and {share:.0%} right: "
        f"{tendency}. A bar that "
        "ends under the dashed line (orange gap) is overconfident. Expected calibration error "
        f"{result.numbers['calibration_error']:.1%}; bars of few pictures (grey, below) say little.",
        mapping="blue bars: share of a bin's predictions that are right; gap to the mean probability: orange where "
        "less "
        "is right, darker blue where more is",
        data="calibration_accuracy, calibration_probability, calibration_count", from_dataset=False, subjects=(),
    )  # fmt: skip


def _distribution(result: Result, context: Context) -> Figure:
    counts, classes = result.arrays["class_predicted"], context.model["classes"]
    order = np.argsort(-counts, kind="stable")[:20]
    order = order[counts[order] > 0]
    total = int(counts.sum())
    width = 480
    drawn = bars(
        [short(classes[c], 36) for c in order], counts[order] / counts.max(),
        [f"{counts[c]:,} ({counts[c] / total:.1%})" for c in order], ["other"] * len(order), 4, width,
    )  # fmt: skip
    top = "; ".join(f"{short(classes[c])} {counts[c] / total:.0%}" for c in order[:3])
    return context.figure(
        "predicted", "predicted.svg", svg(width, len(order) * BAR + 6, drawn), width, len(order) * BAR + 6,
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
    pixels = context.image_set.arrays(Preprocess(**result.numbers["geometry"]).geometry, indices.tolist(), shown=True)
    for k, (i, shown) in enumerate(zip(indices.tolist(), pixels, strict=True)):
        picture, best, chances = pictures[i], arrays["top_classes"][i], arrays["top_probabilities"][i]
        outputs = [context.model["label_to_output"][label] for label in picture.labels]
        right = [classes[o] for o in outputs if o is not None]
        hits = [o in outputs for o in best.tolist()]
        title = ", ".join(short(name, 30) for name in right) if right else short(picture.name.rsplit("/", 1)[-1], 30)
        drawn, height = card(shown, short(title, 32), [classes[o] for o in best], chances, hits)
        said = short(classes[best[0]], 40)
        truth = " and ".join(short(name, 40) for name in right)
        own = float(arrays[f"{which}_label_probability"][k])
        named = dict.fromkeys([*right, classes[best[0]]])
        verdict = "" if not right else ", rightly" if hits[0] else f"; it is {truth}, given {percent(own)}"
        listed = ", ".join(f"{short(classes[o], 40)} {percent(p)}" for o, p in zip(best, chances, strict=True))
        figures.append(
            context.figure(
                f"{which}-{picture.id}", f"{which}-{picture.id}.svg", drawn, CARD, height,
                alt=f"{picture.name}{f', {truth}' if truth else ''}, over bars of the best classes: {listed}.",
                caption=f"{picture.name}: taken for {said} with {percent(chances[0])}{verdict}.",
                mapping="the pixels the network saw; bars: probability 0 … 1, blue with a tick where right",
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
        question="How often is the network right, and what does it take for what?",
        tour="What does it get right, and what does it take for what?",
        how_to_read="Accuracy comes with a 95 % interval: another draw of as many pictures would likely fall into "
        "it. In "
        "the confusion matrix all is right on the blue diagonal; an orange cell is a mistake made again and again, and "
        "often two classes that look alike. The next figure compares how sure the network is with how often it is "
        "right. Then come the mistakes it was surest of, the quickest way to wrong labels and to what misleads it, and "
        "its five best classes for each probe picture.",
        do_not_conclude="Accuracy on these pictures is not accuracy anywhere else: on pictures it was trained on it is "
        "flattering, and when all pictures share a background, it may be that which is recognised. A high probability "
        "is no certainty. Classes with few pictures have figures that chance decides. A confident mistake may be the "
        "label's.",
        equation="accuracy = mean of [arg max z(xᵢ) ∈ Lᵢ];  ECE = Σ_b n_b/n · |accuracy_b − mean probability_b|",
        papers=(papers.KRIZHEVSKY_2012, papers.GUO_2017),
    )

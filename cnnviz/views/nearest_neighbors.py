"""Nearest neighbours: one figure per query, with neighbours in feature space above those in pixel space."""

from collections import Counter

import numpy as np
from PIL import Image

from cnnviz.network.class_names import cut, short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import before_training, section, svg, tiles
from cnnviz.views.kit.findings import (
    FOUND,
    NOT,
    UNTRIED,
    WEAK,
    Finding,
    Measured,
    between,
    mean_interval,
    not_learned,
    percent,
)
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import Drawing, embedded, text

SHARED = {"pixels": "in pixels", "untrained": "with random weights"}
LIKE = 1 / 3  # share of neighbours in both below which two spaces' neighbours are found to differ
SPACES = {"feature": "feature space", "pixel": "pixels"}
MARGIN = 0.05  # a difference of shares is found beyond this
MOST_COMPARED = 20  # classes that other models can be compared in
TILE, QUERY = 96, 124  # sides of a neighbour and of the query in CSS pixels
GAP, EDGE, TOP, NAME = 12, 14, 32, 22  # NAME: height of a class's name below its picture
LETTERS = 12  # of a class's name
DOT = 22  # width of a square of the tally

# Same class: blue, solid, a tick. Other class: orange, dashed, a cross. Colour is never the only difference.
STYLE = (
    "text{font-size:15px}.strong{font-size:17px}.name{font-size:13.5px}"
    ".same{stroke:#0b66c3}.other{stroke:#c2510a;stroke-dasharray:7 4}"
    ".none,.query{stroke:#7a828d}.frame{fill:none;stroke-width:4}.plate{fill:#fff;stroke:#9aa0a8}.disc{stroke:none}"
    ".same.disc{fill:#0b66c3}.other.disc{fill:#c2510a}.part{fill:#0b66c3}.rest{fill:#7a828d;fill-opacity:.3}"
    ".mark{fill:none;stroke:#fff;stroke-width:2.4;stroke-linecap:round;stroke-linejoin:round}"
)
DARK = ".part{fill:#62a8f5}.plate{fill:#15171c}.same{stroke:#62a8f5}.other{stroke:#f08a3c}"
MARKS = {"same": "M-4.5 .5l3 3 6-6.5", "other": "M-3.5-3.5l7 7M3.5-3.5l-7 7"}


def own_class(context: Context, query: int) -> str | None:
    """The query's class, or None if it has none or no other reference picture has it."""
    pictures = context.image_set.pictures
    label = pictures[query].label
    if label is None or not any(p.label == label and p.role != "query" and p is not pictures[query] for p in pictures):
        return None
    return context.image_set.classes[label]


def relation(context: Context, query: int, neighbor: int) -> str:
    """ "same" or "other" class, or "none" where there is nothing to compare."""
    label = context.image_set.pictures[neighbor].label
    own = own_class(context, query)
    return "none" if own is None or label is None else "same" if context.image_set.classes[label] == own else "other"


def row_picture(context: Context, query: int, spaces: dict[str, tuple[np.ndarray, np.ndarray]]) -> Drawing:
    """The query with a tally, and a row of neighbours for each of ``spaces`` (title → indices and distances).

    The tally is the number of neighbours of the query's class, beside as many random pictures.
    """
    k = max(len(neighbors) for neighbors, _ in spaces.values())
    width, down = max(k, 5) * (TILE + GAP) - GAP + 2 * EDGE, TOP + TILE + NAME
    height = 2 * EDGE + QUERY + len(spaces) * down
    parts = [
        f'<rect class="plate" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="6"/>',
        _tile(tiles.cropped(context.image_set.open(query), QUERY), EDGE, EDGE, QUERY, "query"),
        text(cut(_class_of(context, query) or "The picture", 36), "strong", x=EDGE + QUERY + 18, y=EDGE + 20),
        *_tally(context, query, {title: neighbors for title, (neighbors, _) in spaces.items()}, k),
    ]
    marks = [context.mark(query, "the query", (EDGE, EDGE, QUERY, QUERY))]
    for r, (title, (neighbors, distances)) in enumerate(spaces.items()):
        y = EDGE + QUERY + r * down + TOP
        parts.append(text(f"Nearest in {title}", "strong", x=EDGE, y=y - 10))
        for c, (neighbor, distance) in enumerate(zip(neighbors.tolist(), distances, strict=True)):
            x, kind = EDGE + c * (TILE + GAP), relation(context, query, neighbor)
            parts.append(_tile(tiles.cropped(context.image_set.open(neighbor), TILE), x, y, TILE, kind))
            name = cut(_class_of(context, neighbor), LETTERS)
            bold = " strong" if kind == "same" else " quiet"
            parts.append(text(name, f"name middle{bold}", x=x + TILE / 2, y=y + TILE + 17) if name else "")
            marks.append(context.mark(neighbor, f"distance {distance:.3g}", (x, y, TILE, TILE)))
    return svg.document(width, height, parts, style=STYLE, dark=DARK, ground=False, marks=marks)


def _tally(context: Context, query: int, found: dict[str, np.ndarray], k: int) -> list[str]:
    """A line of squares for each space, full for neighbours of the query's class, and one of chance."""
    x, y = EDGE + QUERY + 18, EDGE + 46
    if own_class(context, query) is None:
        both = len(set.intersection(*(set(near.tolist()) for near in found.values())))
        return [text(f"{both} of {k} are in both rows.", "quiet", x=x, y=y)]
    counts = {title: sum(relation(context, query, int(i)) == "same" for i in near) for title, near in found.items()}
    parts, across = [text(f"Of its class, of {k}:", "quiet", x=x, y=y)], x + 128
    for i, (title, count) in enumerate((counts | {"by chance": by_chance(context, query, k)}).items()):
        top = y + 12 + i * 24
        parts.append(text(title, x=x, y=top + 14))
        for j in range(k):
            full = min(1.0, max(0.0, count - j)) * (DOT - 4)
            parts.append(f'<rect class="rest" x="{across + j * DOT}" y="{top}" width="{DOT - 4}" height="18" rx="2"/>')
            if full > 0:
                box = f'x="{across + j * DOT}" y="{top}" width="{full:.1f}" height="18" rx="2"'
                parts.append(f'<rect class="part" {box}/>')
        parts.append(text(f"{count:.2g}", "strong", x=across + k * DOT + 6, y=top + 15))
    return parts


def by_chance(context: Context, query: int, k: int) -> float:
    """The expected number of pictures of the query's class among k random ones that could be its neighbours."""
    pictures = context.image_set.pictures
    roles = any(p.role == "query" for p in pictures)
    among = [p for p in pictures if p is not pictures[query] and not (roles and p.role == "query")]
    return k * sum(p.label == pictures[query].label for p in among) / max(1, len(among))


def figure(result: Result, context: Context, q: int) -> Figure:
    """The figure of the q-th query."""
    query = int(result.arrays["queries"][q])
    picture = context.image_set.pictures[query]
    kept = {s: tuple(result.arrays[f"{s}_{what}"][q] for what in ("neighbors", "distances")) for s in SPACES}
    own = own_class(context, query)
    drawn = row_picture(context, query, {SPACES[space]: kept[space] for space in kept})
    counts = {s: sum(relation(context, query, int(i)) == "same" for i in near) for s, (near, _) in kept.items()}
    ends = {s: f"{distances[0]:.3g} to {distances[-1]:.3g}" for s, (_, distances) in kept.items()}
    k, name = len(kept["feature"][0]), _class_of(context, query)
    if own:
        agree = (
            f"{counts['feature']} of its {k} nearest in features are of its class, {counts['pixel']} in pixels, "
            f"{by_chance(context, query, k):.2g} by chance. "
        )
    else:
        both = len(np.intersect1d(kept["feature"][0], kept["pixel"][0]))
        agree = f"{both} of its {k} nearest in features are also nearest in pixels. "
    said = {s: _classes(context, near) or f"distances {ends[s]}" for s, (near, _) in kept.items()}
    return context.drawing(
        f"query-{picture.id}", drawn,
        alt=f"{picture.name}{f', {name},' if name else ''} and two rows of {k} pictures. Nearest in features: "
        f"{said['feature']}. In pixels: {said['pixel']}.",
        caption=f"{name.capitalize() or picture.name}: {agree}{_whence(result)}".strip(": "),
        more=f"{picture.name}. Distances in features: {ends['feature']}; in pixels: {ends['pixel']}.",
        mapping="pixels are the pictures'; "
        + (
            "blue solid frame with a tick: same class, orange dashed frame with a cross: another class"
            if own
            else "frames are grey: no other picture has its class"
        ),
        subjects=(Subject("image", picture.name), *((Subject("class", own),) if own else ())), data="feature_neighbors",
    )  # fmt: skip


def view(result: Result, context: Context) -> dict:
    numbers, arrays = result.numbers, result.arrays
    k, sample = numbers["k"], arrays["sample"]
    metrics, tables = [], []
    if len(sample):
        spaces = {"features": arrays["feature_agreement"], "pixels": arrays["pixel_agreement"]}
        for name, shares in spaces.items():
            metrics.append(Metric(f"same_class_in_{name}", *_mean(shares)))
        metrics.append(Metric("same_class_by_chance", float(arrays["chance"].mean()), "share"))
        labels = np.array([context.image_set.pictures[i].label for i in sample])
        rows = [
            (context.called(c), int((labels == c).sum()),
             *(f"{v[labels == c].mean():.0%}" for v in spaces.values()), f"{arrays['chance'][labels == c].mean():.1%}")
            for c in np.unique(labels)
        ]  # fmt: skip
        whole = ("all", len(sample), *(f"{v.mean():.1%}" for v in spaces.values()), f"{arrays['chance'].mean():.1%}")
        order = sorted(rows, key=lambda row: int(row[2][:-1]))
        if len(rows) > 24:
            order = [*order[:12], *order[-12:]]
        caption = (
            f"Share of a picture's {k} nearest that have its class, over {len(sample)} {_asked(result)}, hardest class "
            f"first{'; the 12 lowest and the 12 highest of ' + str(len(rows)) if len(rows) > 24 else ''}. "
            f"{_whence(result)}".rstrip()
        )
        columns = ("class", "pictures", "in feature space", "in pixels", "by chance")
        tables.append(Table("agreement", caption, columns, (whole, *order)))
    metrics.append(Metric("neighbours_shared_by_both", numbers["shared"], "share"))
    if "shared/mutual" in arrays:
        metrics.append(Metric("mutual_neighbours", *_mean(arrays["shared/mutual"])[:2]))
    finding, measured = found(result, context)
    return {
        "how_to_read": READ + OF_CLASSES * bool(len(sample)),
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(figure(result, context, q) for _, q in _gaps(result, context)),
        "tables": tuple(tables),
        "metrics": tuple(metrics),
    }


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Share of neighbours with the picture's class, in features and in pixels; without classes, the share in both."""
    arrays, k = result.arrays, result.numbers["k"]
    asked, chance = len(arrays["sample"]), float(arrays["chance"].mean()) if len(arrays["chance"]) else 0.0
    key = "neighbours of the same class"
    if not asked:
        return _shared(result, context)
    own = arrays["feature_agreement"].astype(float)
    measured, strength, control = before_training.apart(*_controlled(result), float(own.mean()), MARGIN)
    share, low, high = mean_interval(own)
    finding = Finding(
        key, f"{percent(share)} of a picture's {k} nearest are of its class.",
        strength, between(max(low, 0.0), min(high, 1.0)),
        f"{control}, {percent(chance)} by chance{_most(result, context)}",
        f"{asked:,} {_asked(result)}", _apart(result, context),
    )  # fmt: skip
    return finding, {key: measured} | _by_class(result, context)


def _controlled(result: Result) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Agreement in features, in pixels and, if known, with random weights: all among the same pictures."""
    arrays = result.arrays
    if "control/untrained" not in arrays:
        return arrays["feature_agreement"], {"pixels": arrays["pixel_agreement"]}
    return arrays["control/feature"], {"pixels": arrays["control/pixel"], "untrained": arrays["control/untrained"]}


def _by_class(result: Result, context: Context) -> dict[str, Measured]:
    """The agreement in features less that in pixels, class by class."""
    own, pixels = (result.arrays[f"{space}_agreement"].astype(float) for space in ("feature", "pixel"))
    labels = np.array([context.image_set.pictures[i].label for i in result.arrays["sample"]])
    measured = {}
    if len(classes := np.unique(labels)) <= MOST_COMPARED:
        for c in classes:
            here = labels == c
            gap, low, high = mean_interval((own - pixels)[here])
            said = f"{percent(own[here].mean())}, in pixels {percent(pixels[here].mean())}"
            name = f"neighbours of {short(context.image_set.classes[c])}"
            measured[name] = Measured(said, gap, max(low, -1.0), min(high, 1.0))
    return measured


def _shared(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """The finding without classes: whether the features' neighbours are others than those in pixels and with random
    weights.
    """
    key, arrays = "neighbours by pixels, too", result.arrays
    shares = {name: arrays[f"shared/{name}"].astype(float) for name in SHARED if f"shared/{name}" in arrays}
    if not shares:
        return Finding(key, "Too few pictures: nothing can be told of their neighbours.", NOT), {}
    asked = len(shares["pixels"])
    k = min(result.numbers["k"], asked - 1)
    means = {name: mean_interval(values) for name, values in shares.items()}
    nearest = max(means, key=lambda name: means[name][0])
    share, low, high = means[nearest]
    # two thirds of all neighbours are others: few enough that chance and a space of few pictures do not decide
    strength = FOUND if high < LIKE else WEAK if high < 0.5 else NOT
    said = " and ".join(f"{percent(means[name][0])} {SHARED[name]}" for name in means)
    labelled = any(p.label is not None for p in context.image_set.pictures)
    finding = Finding(
        key, f"Of a picture's {k} nearest in features, only {said} are its nearest, too."
        if strength != NOT else f"Of a picture's {k} nearest in features, {said} are its nearest, too.",
        strength if "untrained" in means else not_learned(strength), between(max(low, 0.0), min(high, 1.0)),
        f"{percent(k / (asked - 1))} by chance, 100\u00a0% if the network were the control"
        + ("" if "untrained" in means else f"; {UNTRIED}"),
        f"{asked:,} pictures{'; hardly two share a class' if labelled else ' without classes'}",
        _apart(result, context),
    )  # fmt: skip
    return finding, {key: Measured(said, 1 - share, 1 - high, 1 - low)}


def _most(result: Result, context: Context) -> str:
    """The largest possible share, in words, where classes have fewer pictures than a picture has neighbours."""
    pictures, k = context.image_set.pictures, result.numbers["k"]
    roles = any(p.role == "query" for p in pictures)
    counts = Counter(p.label for p in pictures if not (roles and p.role == "query"))
    there = [counts[pictures[i].label] - (not roles) for i in result.arrays["sample"]]
    most = float(np.minimum(np.array(there) / k, 1).mean())
    return f", {percent(most)} at most, since classes are small" if most < 0.9 else ""


def _gaps(result: Result, context: Context) -> list[tuple[int, int]]:
    """Neighbours of the query's class in features less those in pixels, and the query's place: the most first.

    Queries whose class no other picture has come last.
    """
    spaces = (result.arrays[f"{space}_neighbors"] for space in ("feature", "pixel"))
    gaps = []
    for q, (query, *found) in enumerate(zip(result.arrays["queries"], *spaces, strict=True)):
        near, pixels = (sum(relation(context, int(query), int(i)) == "same" for i in each) for each in found)
        gaps.append((near - pixels, q))
    alone = [own_class(context, int(query)) is None for query in result.arrays["queries"]]
    return sorted(gaps, key=lambda gap: (alone[gap[1]], -gap[0]))


def _apart(result: Result, context: Context) -> str:
    """Id of the figure in which the features' neighbours are most often of the query's class and the pixels' least."""
    best = next((int(result.arrays["queries"][q]) for _, q in _gaps(result, context)), None)
    return "" if best is None else f"query-{context.image_set.pictures[best].id}"


def _whence(result: Result) -> str:
    """The pictures that can be neighbours, if not all can."""
    reference = result.numbers["reference"]
    return (
        f"Neighbours are among the {reference} reference pictures. " if reference < result.numbers["pictures"] else ""
    )


def _asked(result: Result) -> str:
    """The pictures on which the agreement is measured."""
    whole, reference = result.numbers["pictures"], result.numbers["reference"]
    kind = "pictures" if reference == whole else "query pictures"
    count = whole if reference == whole else whole - reference
    return kind if len(result.arrays["sample"]) == count else f"{kind} (a random sample)"


def _tile(image: Image.Image, x: int, y: int, size: int, kind: str) -> str:
    parts = [
        embedded(image, size, size, x=x, y=y, quality=85),
        f'<rect class="{kind} frame" x="{x - 2}" y="{y - 2}" width="{size + 4}" height="{size + 4}" rx="3"/>',
    ]
    if kind in MARKS:
        parts.append(
            f'<g transform="translate({x + size - 11} {y + size - 11})"><circle class="{kind} disc" r="9"/>'
            f'<path class="mark" d="{MARKS[kind]}"/></g>'
        )
    return "".join(parts)


def _class_of(context: Context, index: int) -> str:
    """The picture's class as the network calls it, "" without one."""
    label = context.image_set.pictures[index].label
    return "" if label is None else context.called(label)


def _classes(context: Context, neighbors: np.ndarray) -> str:
    """The classes of the neighbours, in words; "" if none has one."""
    names = [_class_of(context, int(i)) or "no class" for i in neighbors]
    return "" if set(names) == {"no class"} else ", ".join(names)


def _mean(shares: np.ndarray) -> tuple[float, str, str, tuple[float, float]]:
    """Mean and its 95 % interval (normal), as a Metric's value, unit, better and interval."""
    mean, error = float(shares.mean()), 1.96 * float(shares.std()) / len(shares) ** 0.5
    return mean, "share", "higher", (max(0.0, mean - error), min(1.0, mean + error))


READ = (
    "Upper row: the pictures whose features are nearest to those of the large one; lower row: those whose pixels (at "
    "32 × 32) are."
)
OF_CLASSES = " More of its class above, in other poses and places: the network looks past the pixels."

if __name__ == "__main__":
    section.run(
        view,
        id="nearest_neighbors",
        title="Nearest neighbours",
        question="Are its nearest pictures alike in more than their pixels?",
        tour="Which pictures are nearest in its features, and which in their pixels?",
        how_to_read=READ,
        do_not_conclude="Neighbours of the same class do not prove that features are about the object: they may share "
        "a background. A neighbour of another class is no mistake: it may be alike in what the classes do not name. "
        "Distances of two networks cannot be compared.",
        equation="d(i, j) = ‖φ(xᵢ) − φ(xⱼ)‖₂, with φ the features, or the pixels",
        papers=(papers.KRIZHEVSKY_2012,),
    )

"""PCA as a scatter plot of pictures, and the variance that each component explains."""

import numpy as np
from scipy.spatial import KDTree

from cnnviz.network.class_names import cut
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import before_training, findings, scatter, section, svg, tiles
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.scatter import SIZE, document, plate
from cnnviz.views.kit.section import Context, Figure, Table
from cnnviz.views.kit.svg import Axis, Drawing, Mark, embedded, text, upwards

SAMPLE = 2000  # pictures whose neighbours are counted, at most
NEAREST = 10
MARGIN = 0.05  # a difference of shares is found beyond this
AT_ENDS, TILE, BETWEEN = 4, 132, 56  # pictures at each end of an axis, their side, and the gap between the ends


def view(result: Result, context: Context) -> dict:
    explained = result.arrays["explained"]
    running = np.cumsum(explained)
    dimensions, feature = result.numbers["dimensions"], result.numbers["feature"]
    axes = tuple(f"component {i + 1}: {explained[i]:.1%} of the variance" for i in (0, 1))
    teach = (
        f"Features: {feature}, {dimensions} numbers a picture; {running[1]:.0%} of their variance lies in this plane."
    )
    fitted = result.numbers["fitted"]
    if fitted < len(result.arrays["map"]):
        teach += f" The components are those of a random {fitted} of the pictures."
    bars = context.drawing(
        "explained-variance", _bars(explained),
        alt=f"{len(explained)} bars, from {explained[0]:.1%} for the first component falling to {explained[-1]:.2%}.",
        caption=f"The share of the variance along each of the first {len(explained)} of {dimensions} components; "
        f"together {percent(float(running[-1]))}. A steep fall means few directions do the work; a flat one, that no "
        "plane can show the features well.",
        mapping=f"height of a bar: its share, 0 to {explained[0]:.3g}", subjects=(), data="explained",
        from_dataset=False,
    )  # fmt: skip
    steps = [i for i in (1, 2, 3, 5, 10, 20, 50, 100) if i <= len(explained)]
    rows = tuple((i, f"{explained[i - 1]:.2%}", f"{running[i - 1]:.1%}") for i in steps)
    half = int(np.searchsorted(running, 0.5)) + 1
    metrics = [section.Metric("variance_in_the_plane", float(running[1]), "share")]
    if half <= len(explained):
        metrics.append(section.Metric("components_for_half_the_variance", half))
    labels = np.array([-1 if p.label is None else p.label for p in context.image_set.pictures])
    finding, measured = found(result, labels, context.thumbnails, scatter.leading(context))
    leads, *others = scatter.figures(result.arrays["map"], "PCA map", context, teach, axes)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": (leads, _ends(result, context), *others, bars),
        "tables": (Table("explained", "Variance explained", ("component", "its share", "all up to it"), rows),),
        "metrics": tuple(metrics),
    }


def found(
    result: Result, labels: np.ndarray, thumbnails: np.ndarray, figure: str
) -> tuple[Finding, dict[str, Measured]]:
    """Share of a picture's nearest in the plane with its class, beside those of pixels and random weights.

    labels: (n,) classes, or −1. figure: id of the one that shows it.
    """
    key, counts = "same class in the plane", np.bincount(labels[labels >= 0], minlength=labels.max(initial=0) + 1)
    known = np.flatnonzero((labels >= 0) & (counts[labels] > 1))
    if len(known) < max(3, counts.sum() / 2):
        return _without_classes(result, key, len(counts) > 0, thumbnails), {}
    if len(known) > SAMPLE:
        known = np.sort(np.random.default_rng(0).choice(known, SAMPLE, replace=False))
    share, *ends = findings.mean_interval(same_class(result.arrays["map"][known], labels[known]))
    measured, strength, control = before_training.apart(*_controlled(result, labels, known, thumbnails), share, MARGIN)
    chance = ((np.bincount(labels[known])[labels[known]] - 1) / (len(known) - 1)).mean()
    finding = Finding(
        key, f"In this plane, {percent(share)} of a picture's {min(NEAREST, len(known) - 1)} nearest are of its class.",
        strength, between(max(ends[0], 0.0), min(ends[1], 1.0)),
        f"{control}, {percent(chance)} by chance", f"{len(known):,} pictures", figure,
    )  # fmt: skip
    return finding, {key: measured}


def _without_classes(result: Result, key: str, labelled: bool, thumbnails: np.ndarray) -> Finding:
    """The share of the features' variance in the plane, beside that of the pixels' variance in their own plane."""
    explained = result.arrays["explained"]
    share, pixels = float(explained[:2].sum()), _spread(_small(thumbnails))[0]
    of_pixels = float(pixels[-2:].sum() / max(pixels.sum(), 1e-30))
    before, half = result.numbers.get("untrained_plane", 0.0), int(np.searchsorted(np.cumsum(explained), 0.5)) + 1
    takes = f"; half of it takes {half} components" if half <= len(explained) else ""
    differs = abs(share - before) > MARGIN if before else share > of_pixels
    return Finding(
        key,
        f"This plane holds {percent(share)} of the features' variance{takes}.",
        findings.WEAK if differs else findings.NOT,
        control=(f"{percent(before)} with random weights, " if before else "")
        + f"the pixels' own plane (8 × 8): {percent(of_pixels)}"
        + ("" if before else f"; {findings.UNTRIED}"),
        basis="hardly two pictures share a class" if labelled else "pictures without classes",
        figure="pictures",
    )


def _controlled(result: Result, labels: np.ndarray, known: np.ndarray, thumbnails: np.ndarray) -> tuple:
    """Shares of the same class in the plane, and in the planes of pixels and of features of random weights, where
    these are known; all among the same pictures.
    """
    index, before = (result.arrays[f"untrained_{what}"] for what in ("index", "map"))
    both, _, places = np.intersect1d(known, index, return_indices=True)
    known, places = (both, places) if len(both) > 2 else (known, None)
    planes = {"pixels": pixel_plane(thumbnails[known])} | ({} if places is None else {"untrained": before[places]})
    own = same_class(result.arrays["map"][known], labels[known])
    return own, {name: same_class(plane, labels[known]) for name, plane in planes.items()}


def same_class(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of each place's nearest ones (n, 2) that have its label."""
    _, near = KDTree(places).query(places, min(NEAREST + 1, len(places)))
    other = near != np.arange(len(places))[:, None]  # of equal places, the place itself need not be the first
    return ((labels[near] == labels[:, None]) & other).sum(1) / other.sum(1)


def pixel_plane(thumbnails: np.ndarray) -> np.ndarray:
    """(n, 64, 64, 3) → the first two principal components of the pictures at 8 × 8 pixels, (n, 2)."""
    small = _small(thumbnails)
    return small @ _spread(small)[1][:, -2:]


def _small(thumbnails: np.ndarray) -> np.ndarray:
    """(n, 64, 64, 3) → the pictures at 8 × 8 pixels less their mean, (n, 192)."""
    small = np.asarray(thumbnails).reshape(-1, 8, 8, 8, 8, 3).mean((2, 4)).reshape(len(thumbnails), -1)
    return small - small.mean(0)


def _spread(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances times n along the principal components of (n, d), ascending (d,), and the components (d, d)."""
    return np.linalg.eigh(small.T @ small)


def _ends(result: Result, context: Context) -> Figure:
    """The pictures at both ends of the two axes: what a component tells apart."""
    map, explained, parts, marks = result.arrays["map"], result.arrays["explained"], [], []
    count = min(AT_ENDS, len(map) // 2)
    width, down = 2 * count * (TILE + 8) + BETWEEN - 8, TILE + 62
    for axis in (0, 1):
        order, y = np.argsort(map[:, axis], kind="stable").tolist(), axis * down + 28
        parts.append(text(f"Component {axis + 1}: {percent(float(explained[axis]))} of the variance", y=y - 9, x=0))
        for k, i in enumerate([*order[:count], *order[-count:]]):
            x = k * (TILE + 8) + (BETWEEN if k >= count else 0)
            parts.append(embedded(tiles.cropped(context.image_set.open(i), TILE), TILE, TILE, x=x, y=y, quality=85))
            label = context.image_set.pictures[i].label
            name = "" if label is None else cut(context.called(label), 17)
            parts.append(text(name, "name middle", x=x + TILE / 2, y=y + TILE + 17))
            marks.append(context.mark(i, f"component {axis + 1}: {map[i, axis]:.3g}", (x, y, TILE, TILE)))
        parts.append(text("…", "middle", x=count * (TILE + 8) - 4 + BETWEEN / 2, y=y + TILE / 2))
    return context.drawing(
        "ends", svg.document(width, 2 * down, parts, style="text{font-size:15px}.name{font-size:13px}", marks=marks),
        alt=f"Two rows of {2 * count} pictures: the {count} lowest and the {count} highest along each component.",
        caption="The pictures at both ends of the two axes: lowest at the left, highest at the right. What a row's "
        "ends tell apart, the component stands for.",
        mapping="pixels are the pictures'; in order of the component's score", data="map", subjects=(),
    )  # fmt: skip


def _bars(explained: np.ndarray) -> Drawing:
    height, left, bottom, marks = 280, 74, 54, []
    width = (SIZE - left - 12) / len(explained)
    parts = [plate(SIZE, height)]
    for i, share in enumerate(explained):
        h = (height - bottom - 16) * share / max(explained[0], 1e-30)
        parts.append(
            f'<rect class="bar" x="{left + i * width:.1f}" y="{height - bottom - h:.1f}" '
            f'width="{max(width - 1.5, 0.7):.1f}" height="{h:.1f}"/>'
        )
        said = f"{share:.2%} of the variance"
        marks.append(Mark(left + i * width, height - bottom - h, f"component {i + 1}", said, width, h + 1))
    up = Axis(0, max(explained[0], 1e-30), height - bottom, 16)
    parts += [text(f"{100 * share:.3g} %", "axis", x=left - 26, y=f"{up(share) + 4:.0f}") for share in up.ticks(4)]
    for i in sorted({0, len(explained) // 2, len(explained) - 1}):
        parts.append(text(i + 1, "axis", x=f"{left + (i + 0.5) * width:.1f}", y=height - bottom + 19))
    parts.append(text("component", "axis", x=(left + SIZE) / 2, y=height - 12))
    parts.append(upwards("share of the variance", "axis", 18, 120))
    return document(SIZE, height, parts, marks)


if __name__ == "__main__":
    section.run(
        view,
        id="pca",
        title="Features in two dimensions: PCA",
        question="Do the main directions of the features separate the classes?",
        tour="Its features in two dimensions: the plane in which they vary most.",
        how_to_read="Each picture or dot is placed along the two directions in which the features vary most. "
        "What is far apart here is far apart in the features; what is close here need not be close there.",
        do_not_conclude="That two classes overlap here does not mean that the network confuses them: they may differ "
        "along a third direction. The directions are those of variance, not of importance to the classifier.",
        equation="X = centred features, XᵀX v = λ v; map = X (v₁ v₂); explained = λ / Σλ",
        papers=(papers.PEARSON_1901,),
    )

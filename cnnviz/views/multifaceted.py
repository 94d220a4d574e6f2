"""Multifaceted visualisation: a class's facets, each with its start and real pictures below it."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import findings, section
from cnnviz.views.kit.findings import Finding, Measured, span
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT, fitted

SIDE, SMALL, GAP = 168, 53, 4
REAL = 5


def column(picture: np.ndarray, start: np.ndarray, real: list[np.ndarray]) -> np.ndarray:
    """A facet: its picture, below it the start and the real pictures, three per row: (H, SIDE, 4)."""
    rows = -(-(REAL + 1) // 3)
    pixels = np.zeros((SIDE + GAP + rows * (SMALL + GAP) - GAP, SIDE, 4), np.uint8)
    pixels[:SIDE] = fitted(picture, SIDE)
    for i, small in enumerate([start, *real]):
        y, x = SIDE + GAP + i // 3 * (SMALL + GAP), i % 3 * (SMALL + GAP)
        pixels[y : y + SMALL, x : x + SMALL] = fitted(small, SMALL)
    return pixels


def view(result: Result, context: Context) -> dict:
    arrays = result.arrays
    real = context.as_seen(result, arrays["nearest"].flat)
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(_class(result, context, target, name, real) for target, name in _targets(result).items()),
        "tables": (_facets(result),),
        "metrics": (
            Metric("facets", len(arrays["facet"])),
            Metric("facets_nearest_to_their_own_cluster", float(np.mean(arrays["own"] == arrays["facet"])), "share",
                   "higher"),
            Metric("named_as_their_class", float(np.mean(arrays["ranks"] == 1)), "share", "higher"),
        ),
    }  # fmt: skip


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Whether a class's facets stay the same when it is clustered again, beside features without groups."""
    targets, stable = list(_targets(result)), np.asarray(result.arrays["stability"]).mean(2)  # class, real or control
    several = np.isfinite(stable).all(1)
    key = "stability of facets"
    if not several.any():
        says = "No class has pictures enough for more than one facet."
        return Finding(key, says, findings.NOT, figure=f"class-{targets[0]}"), {}
    best = int(np.where(several, stable[:, 0] - stable[:, 1], -np.inf).argmax())
    (own, control), n = stable[several].mean(0), int(several.sum())
    gain, low, high = findings.mean_interval(stable[several, 0] - stable[several, 1])
    low, high = max(-1.0, low), min(1.0, high)
    strength = findings.weakly(low)
    finding = Finding(
        key,
        f"Facets are {'not surely ' if strength == findings.NOT else ''}more stable than groups cut out of one cloud: "
        f"clustered again they agree by {own:.2f} and {control:.2f}.",
        strength,
        f"difference {span(low, high)}",
        f"a normal distribution with the spread of the features, which has no groups; {findings.UNTRIED}",
        f"{n} class{'es' if n > 1 else ''}, adjusted Rand index, 1 is the same",
        figure=f"class-{targets[best]}",
    )
    return finding, {key: Measured(f"{own:.2f} and {control:.2f}", gain, low, high)}


def _targets(result: Result) -> dict[int, str]:
    """Output → name, for the classes with facets."""
    return dict(zip(dict.fromkeys(result.arrays["target"].tolist()), result.numbers["classes"], strict=True))


def _class(result: Result, context: Context, target: int, name: str, real: dict[int, np.ndarray]) -> Figure:
    """A class's facets side by side. real: the image set's pictures below them."""
    arrays, facets = result.arrays, np.flatnonzero(result.arrays["target"] == target)
    nearest = [[j for j in arrays["nearest"][i].tolist() if j >= 0] for i in facets]
    columns = [
        column(context.rgb(arrays["pictures"][i]), context.rgb(arrays["starts"][i]), [real[j] for j in below])
        for i, below in zip(facets, nearest, strict=True)
    ]
    between = np.zeros((len(columns[0]), 2 * GAP, 4), np.uint8)
    shown = dict.fromkeys(context.image_set.pictures[j].name for below in nearest for j in below)
    chance = ", ".join(f"{p:.2g}" for p in arrays["probabilities"][facets])
    return context.picture(
        f"class-{target}",
        np.hstack([part for each in columns for part in (each, between)][:-1]),
        alt=f"{len(facets)} columns for {short(name)}: a synthetic picture each, under it a blurred mean and real "
        "pictures.",
        caption=f"{short(name)}: {len(facets)} facet{'s' if len(facets) > 1 else ''} of "
        f"{result.numbers['pictures'][name]} pictures ({', '.join(map(str, arrays['size'][facets]))}).",
        more=f"The network's probability of the class for each synthetic picture: {chance}.",
        mapping=f"large: synthetic, {EXACT}; below: first the mean that it starts from, then the real pictures nearest "
        "to it",
        data="pictures, starts, nearest",
        subjects=(Subject("class", name), *(Subject("image", n) for n in shown)),
        lossless=False,
    )


def _facets(result: Result) -> Table:
    arrays, names = result.arrays, _targets(result)
    return Table(
        "facets",
        f"What the network says of each picture (8 bits a channel). Classes with fewer than "
        f"{result.numbers['fewest']} pictures have no facets.",
        ("class", "facet", "pictures", "logit", "probability", "rank", "nearest to its own cluster"),
        tuple(
            (
                short(names[target]),
                int(facet) + 1,
                int(arrays["size"][i]),
                round(float(arrays["logits"][i]), 2),
                float(f"{arrays['probabilities'][i]:.3g}"),
                int(arrays["ranks"][i]),
                "yes" if arrays["own"][i] == facet else f"no, to facet {arrays['own'][i] + 1}",
            )
            for i, (target, facet) in enumerate(zip(arrays["target"].tolist(), arrays["facet"], strict=True))
        ),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="multifaceted",
        title="Multifaceted visualisation",
        question="How many kinds of pictures does the network see in a class?",
        tour="One class, its several kinds.",
        how_to_read="A class's pictures were sorted into groups, its facets, by the network's features. Each column is "
        "a facet: a synthetic picture over real ones. What differs between columns may be a kind of its own.",
        do_not_conclude="k-means finds groups also where there are none, and their number was set, not found. The "
        "synthetic picture owes its position and colours to the real pictures it starts from. A facet that nobody can "
        "name may be one of backgrounds or of brightness.",
        equation="I ← TV(I + η m · g / mean|g|), g = ∂/∂I[score up to s − γ‖φ − μ‖² / ‖μ‖²]",
        papers=(papers.NGUYEN_2016,),
    )

"""Multifaceted visualisation: a class's facets, each with its start and real pictures below it."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import fitted

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
    return {
        "figures": tuple(_class(result, context, target, name, real) for target, name in _targets(result).items()),
        "tables": (_facets(result),),
        "metrics": (
            Metric("facets", len(arrays["facet"])),
            Metric("facets_nearest_to_their_own_cluster", float(np.mean(arrays["own"] == arrays["facet"])), "share",
                   "higher"),
            Metric("won_by_their_class", float(np.mean(arrays["ranks"] == 1)), "share", "higher"),
        ),
    }  # fmt: skip


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
        f"{result.numbers['pictures'][name]} pictures (with {', '.join(map(str, arrays['size'][facets]))} of them). "
        f"The network gives the synthetic pictures p = {chance}. Under each: first the mean of the real pictures it "
        "starts from, then the real pictures nearest to the middle of its cluster.",
        mapping="synthetic: levels 0 … 255 are what was optimised; below: means and pixels of real pictures",
        data="pictures, starts, nearest",
        subjects=(Subject("class", name), *(Subject("image", n) for n in shown)),
        lossless=False,
    )


def _facets(result: Result) -> Table:
    arrays, names = result.arrays, _targets(result)
    return Table(
        "facets",
        f"What the network says of each picture as published. Classes with fewer than "
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
        question="Which different looks has a class for the network?",
        tour="One class, its several kinds.",
        how_to_read="A class's pictures were sorted into groups, its facets, by what the network makes of them just "
        "before it decides. Each facet has one synthetic picture, grown from the blurred mean of its real pictures. "
        "Compare the columns: what differs (the colour, the place, the view) is what the network still keeps "
        "apart within the class.",
        do_not_conclude="k-means finds groups also where there are none, and their number was set, not found. The "
        "synthetic picture owes its position and colours to the real pictures it starts from. A facet that nobody can "
        "name may be one of backgrounds or of brightness.",
        equation="I ← TV(I + η m · g / mean|g|), g = ∂/∂I[score up to s − γ‖φ − μ‖² / ‖μ‖²]",
        papers=(papers.NGUYEN_2016,),
    )

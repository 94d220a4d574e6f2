"""Multifaceted visualisation: a class's facets, each above the real pictures nearest to it."""

import numpy as np

from cnnviz.network.class_names import cut, short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import findings, section
from cnnviz.views.kit.findings import Finding, Measured, percent, span
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT, fitted, labelled

SIDE, SMALL, GAP = 200, 64, 4
REAL, ACROSS = 6, 3  # real pictures below a facet, and those in a row
NO_BREAK = "\xa0"  # which the font of labels lacks


def column(picture: np.ndarray, real: list[np.ndarray]) -> np.ndarray:
    """A facet: its picture over the real pictures nearest to it, in rows of :data:`ACROSS`: (H, SIDE, 4)."""
    pixels = np.zeros((SIDE + REAL // ACROSS * (SMALL + GAP), SIDE, 4), np.uint8)
    pixels[:SIDE] = fitted(picture, SIDE)
    for i, one in enumerate(real[:REAL]):
        y, x = (k * (SMALL + GAP) for k in divmod(i, ACROSS))
        pixels[SIDE + GAP + y : SIDE + GAP + y + SMALL, x : x + SMALL] = fitted(one, SMALL)
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
            Metric("classes_with_facets", int((np.bincount(arrays["target"]) > 1).sum())),
            Metric("facets_nearest_to_their_own_cluster", float(np.mean(arrays["own"] == arrays["facet"])), "share",
                   "higher"),
            Metric("named_as_their_class", float(np.mean(arrays["ranks"] == 1)), "share", "higher"),
        ),
    }  # fmt: skip


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Whether a class's facets stay the same when it is clustered again, beside features without groups.

    The figure is that of the class with several facets whose pictures the network is surest of.
    """
    targets, stable = list(_targets(result)), np.asarray(result.arrays["stability"]).mean(2)  # class, real or control
    several = np.isfinite(stable).all(1)
    key = "stability of facets"
    if not several.any():
        says = "No class has pictures enough for more than one facet."
        return Finding(key, says, findings.NOT, figure=f"class-{targets[0]}"), {}
    gaps = np.where(several, stable[:, 0] - stable[:, 1], -np.inf)
    facets = [np.flatnonzero(result.arrays["target"] == target) for target in targets]
    split = [len(rows) > 1 for rows in facets]
    best = max(range(len(targets)), key=lambda i: (split[i], *_drawn(result, facets[i])))
    (own, control), n = stable[several].mean(0), int(several.sum())
    gain, low, high = findings.mean_interval(gaps[several])
    low, high = max(-1.0, low), min(1.0, high)
    agree = f"clustered again, facets agree by {own:.2f}, groups cut out of one cloud by {control:.2f}"
    finding = Finding(
        key,
        f"{sum(split)} of {len(targets)} classes have several facets: {agree}."
        if any(split)
        else f"One facet only: {agree}.",
        findings.weakly(low) if any(split) else findings.NOT,
        f"difference {span(low, high)}",
        f"a normal distribution with the spread of the features, which has no groups; {findings.UNTRIED}",
        f"{n} class{'es' if n > 1 else ''}, adjusted Rand index, 1 is the same",
        figure=f"class-{targets[best]}",
    )
    return finding, {key: Measured(f"{own:.2f} and {control:.2f}", gain, low, high)}


def _drawn(result: Result, rows: np.ndarray) -> tuple[float, float]:
    """How well a class's facets are drawn: the probability and the logit of the worst one."""
    return tuple(float(result.arrays[name][rows].min().round(2)) for name in ("probabilities", "logits"))


def _targets(result: Result) -> dict[int, str]:
    """Output → name, for the classes with facets."""
    return dict(zip(dict.fromkeys(result.arrays["target"].tolist()), result.numbers["classes"], strict=True))


def _named(result: Result, context: Context, i: int, more: bool = False) -> str:
    """What tells facet i apart, its second choice: "28 pictures, next: ship 58 %". more: with that of the others."""
    arrays = result.arrays
    count, near = f"{arrays['size'][i]} pictures", int(arrays["near"][i])
    alone = (arrays["target"] == arrays["target"][i]).sum() == 1
    if near < 0 or alone:
        return count
    inside, outside = (percent(share).replace(NO_BREAK, " ") for share in arrays["near_share"][i].tolist())
    named = f"{count}, next: {cut(short(context.model['classes'][near]), 11)} {inside}"
    return f"{named}, of the others {outside}" if more else named


def _class(result: Result, context: Context, target: int, name: str, real: dict[int, np.ndarray]) -> Figure:
    """A class's facets side by side. real: the image set's pictures below them."""
    arrays, facets = result.arrays, np.flatnonzero(result.arrays["target"] == target)
    nearest = [[j for j in arrays["nearest"][i].tolist() if j >= 0] for i in facets]
    columns = [
        column(context.rgb(arrays["pictures"][i]), [real[j] for j in below])
        for i, below in zip(facets, nearest, strict=True)
    ]
    shown = dict.fromkeys(context.image_set.pictures[j].name for below in nearest for j in below[:REAL])
    chance = ", ".join(f"{p:.2g}" for p in arrays["probabilities"][facets])
    own, control = np.asarray(arrays["stability"])[list(_targets(result)).index(target)].mean(1)
    agree = f"clustered again, {own:.2f} the same, one cloud {control:.2f}" if np.isfinite(own) else "too few pictures"
    several = f"{len(facets)} facets" if len(facets) > 1 else "one facet only"
    return context.picture(
        f"class-{target}",
        labelled(columns, [_named(result, context, i) for i in facets]),
        alt=f"{len(facets)} columns for {short(name)}: a synthetic picture each over real ones.",
        caption=f"{short(name)}: {several} of {result.numbers['pictures'][name]} pictures ({agree}).",
        more=f"The network's probability of the class for each synthetic picture: {chance}. Next: the class that is "
        "the network's second choice for more pictures of this facet than of the class's others: "
        f"{'; '.join(_named(result, context, i, more=True) for i in facets)}.",
        mapping=f"large: synthetic, {EXACT}; small: the real pictures nearest to the facet's centre, nearest first",
        data="pictures, nearest",
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
        "one: a synthetic picture over real ones, and above it the other class that is nearest to it.",
        do_not_conclude="k-means finds groups also where there are none; their number is the most stable one. The "
        "synthetic picture owes its position and colours to the real pictures it starts from. A facet that nobody can "
        "name may be one of backgrounds or of brightness.",
        equation="I* = argmax score up to s − γ‖φ − μ‖² / ‖μ‖² − λ R(I), from a blurred mean",
        papers=(papers.NGUYEN_2016,),
    )

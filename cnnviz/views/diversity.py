"""Diversity: a unit's pictures with and without the diversity term, and their similarity."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import findings, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.findings import Finding, Measured, span
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT, fitted, labelled, montage

SIDE, GAP = 168, 6
ALIKE, KEPT, LESS = 0.9, 0.9, 0.1  # largest similarity and least activation of other facets, and decrease of similarity


def view(result: Result, context: Context) -> dict:
    facets, kept = others(result), activation(result)
    above = float((result.arrays["value"] > result.arrays["best"][:, None]).mean())
    finding, measured = found(result, context)
    order = np.lexsort((_alike(result, "likeness"), ~facets))
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(_pair(result, context, i) for i in order),
        "tables": (_units(result),),
        "metrics": (
            Metric("similarity", float(_alike(result, "likeness").mean()), "", "lower"),
            Metric("similarity_without_the_term", float(_alike(result, "plain_likeness").mean())),
            Metric("activation_kept", float(kept.mean()), "share", "higher"),
            Metric("units_with_other_facets", float(facets.mean()), "share", "higher"),
            Metric("pictures_above_the_best_real_one", above, "share", "higher"),
        ),
    }


def activation(result: Result) -> np.ndarray:
    """Mean activation of each unit's pictures, by what is ascended, as a share of that without the term: (n,)."""
    value, plain = (result.arrays[key].mean(1) for key in ("excitation", "plain_excitation"))
    return np.where(plain > 0, value / np.where(plain > 0, plain, 1), 0)


def others(result: Result) -> np.ndarray:
    """Of which units other facets were found: their pictures are less alike, and keep most of their activation."""
    alike, plain = (_alike(result, key) for key in ("likeness", "plain_likeness"))
    return (alike <= ALIKE) & (plain - alike >= LESS) & (activation(result).round(2) >= KEPT)


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Of how many units other facets were found, and the decrease in similarity of a unit's pictures with the term."""
    alike, plain, facets = _alike(result, "likeness"), _alike(result, "plain_likeness"), others(result)
    mean, low, high = findings.mean_interval(plain - alike)
    low, high = max(-1.0, low), min(1.0, high)
    n, m, kept = len(alike), result.arrays["value"].shape[1], activation(result)
    some = facets if facets.any() else np.ones(n, bool)
    numbers = (
        f"similarity {alike[some].mean():.2f}, without the term {plain[some].mean():.2f}, at "
        f"{findings.percent(float(kept[some].mean()))} of the activation"
    )
    finding = Finding(
        "similarity",
        f"{int(facets.sum())} of {n} units have other facets: {numbers}."
        if facets.any()
        else f"No other facet of these units was found: {numbers}.",
        findings.weakly(low) if facets.any() else findings.NOT,
        f"difference of all {n} {span(low, high)}" if n > 1 else "",
        f"the same starts without the term; {findings.UNTRIED}",
        f"{n} unit{'s' if n > 1 else ''}, {m} pictures each",
        figure=_id(result, int(np.where(some, plain - alike, -np.inf).argmax())),
    )
    return finding, {
        "similarity": Measured(f"{alike.mean():.2f}, without the term {plain.mean():.2f}", mean, low, high)
    }


def _id(result: Result, i: int) -> str:
    return f"{slug(result.numbers['layer'])}-unit-{int(result.arrays['unit'][i]):04d}"


def _alike(result: Result, key: str) -> np.ndarray:
    """Similarity of the pictures of each unit: the mean over all pairs."""
    likeness = result.arrays[key]
    n, m = likeness.shape[:2]
    return likeness[:, ~np.eye(m, dtype=bool)].mean(1) if m > 1 else np.ones(n)


def _pair(result: Result, context: Context, i: int) -> Figure:
    """A unit's pictures with the diversity term, above those without it."""
    arrays, name, unit = result.arrays, result.numbers["layer"], int(result.arrays["unit"][i])
    m = len(arrays["pictures"][i])
    alike, plain = (float(_alike(result, key)[i]) for key in ("likeness", "plain_likeness"))
    kept = findings.percent(float(activation(result)[i]))
    share = kept.replace("\xa0", " ")  # the font of labels lacks the space that does not break
    lines = {
        f"made to differ: similarity {alike:.2f}, activation {share}": arrays["pictures"][i],
        f"without the term: similarity {plain:.2f}, activation 100 %": arrays["plain"][i],
    }
    rows = [montage(np.stack([fitted(p, SIDE) for p in context.rgb(line)]), m, GAP) for line in lines.values()]
    above, below = (", ".join(map(number, arrays[key][i])) for key in ("value", "plain_value"))
    facets = "" if others(result)[i] else " No other facet found."
    return context.picture(
        _id(result, i),
        np.vstack([labelled([row], [label]) for row, label in zip(rows, lines, strict=True)]),
        alt=f"Two rows of {m} synthetic pictures for {name} unit {unit}: similarity {alike:.2f} above, "
        f"{plain:.2f} below.",
        caption=f"{context.unit(name, unit)}: similarity {alike:.2f} above, {plain:.2f} below, at {kept} of the "
        f"activation.{facets}",
        more=f"The pictures above excite the unit to {above}, those below to {below}; the best real picture to "
        f"{number(arrays['best'][i])}.",
        mapping=f"above: made to differ; below: from the same noise without that term; {EXACT}",
        data=f"pictures[{i}], plain[{i}], likeness[{i}]",
        subjects=(Subject("unit", str(unit), name), Subject("layer", name)),
        group=name,
        lossless=False,
        from_dataset=False,
    )


def _units(result: Result) -> Table:
    arrays, units = result.arrays, result.arrays["unit"].tolist()
    columns = (
        *(_alike(result, key) for key in ("likeness", "plain_likeness")),
        activation(result),
        *(arrays[key].min(1) for key in ("value", "plain_value")),
        arrays["best"],
    )
    heads = ("unit", "similarity", "without the term", "activation kept", "weakest picture", "without the term",
             "best real picture", "other facets")  # fmt: skip
    return Table(
        "units",
        "Similarity: mean cosine between the covariances of the layer's features, 1 for the same texture. Other "
        f"facets: similarity at most {ALIKE}, by {LESS} less than without the term, at {100 * KEPT:.0f} % "
        "of the activation (mean over positions plus that of the strongest quarter). Pictures: largest activation.",
        heads,
        tuple(
            (unit, *(round(float(v), 3) for v in row), "found" if facets else "not found")
            for unit, facets, *row in zip(units, others(result), *columns, strict=True)
        ),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="diversity",
        title="Diversity",
        question="Does a unit look for one thing, or for several?",
        tour="One unit, several unlike pictures that excite it.",
        how_to_read="All pictures of a figure excite the same unit; those of the upper row were made to differ. What "
        "they have in common is what the unit needs. If they show different things, it responds to several.",
        do_not_conclude="A second thing that excites a unit may never occur in real pictures. Since the pictures are "
        "made to differ, some difference is found for every unit, if only in colour or background. A few pictures do "
        "not show all that a unit responds to.",
        equation="minimise mean cos(C_i, C_j) at 95 % of the activation, C: covariance of the layer's features",
        papers=(papers.OLAH_2017,),
    )

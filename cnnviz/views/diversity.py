"""Diversity: a unit's pictures with and without the diversity term, and their similarity."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import fitted, labelled, montage

SIDE, GAP = 168, 6


def view(result: Result, context: Context) -> dict:
    value, plain = result.arrays["value"], result.arrays["plain_value"]
    share = float(np.mean(value / np.maximum(plain.mean(1, keepdims=True), 1e-12)))
    above = float((value > result.arrays["best"][:, None]).mean())
    return {
        "figures": tuple(_pair(result, context, i) for i in range(len(value))),
        "tables": (_units(result),),
        "metrics": (
            Metric("similarity", float(_alike(result, "likeness").mean()), "", "lower"),
            Metric("similarity_without_the_term", float(_alike(result, "plain_likeness").mean())),
            Metric("activation_kept", share, "share", "higher"),
            Metric("pictures_above_the_best_real_one", above, "share", "higher"),
        ),
    }


def _alike(result: Result, key: str) -> np.ndarray:
    """Similarity of the pictures of each unit: the mean over all pairs."""
    likeness = result.arrays[key]
    n, m = likeness.shape[:2]
    return likeness[:, ~np.eye(m, dtype=bool)].mean(1) if m > 1 else np.ones(n)


def _pair(result: Result, context: Context, i: int) -> Figure:
    """A unit's pictures with the diversity term, above those without it."""
    arrays, name, unit = result.arrays, result.numbers["layer"], int(result.arrays["unit"][i])
    lines = {"unlike each other": arrays["pictures"][i], "without that wish": arrays["plain"][i]}
    m = len(arrays["pictures"][i])
    rows = [montage(np.stack([fitted(p, SIDE) for p in context.rgb(line)]), m, GAP) for line in lines.values()]
    alike, plain_alike = (_alike(result, key)[i] for key in ("likeness", "plain_likeness"))
    values, plain = (", ".join(map(number, arrays[key][i])) for key in ("value", "plain_value"))
    return context.picture(
        f"{slug(name)}-unit-{unit:04d}",
        np.vstack([labelled([row], [label]) for row, label in zip(rows, lines, strict=True)]),
        alt=f"Two rows of {m} synthetic pictures for {name} unit {unit}; those of the upper row differ more.",
        caption=f"{name}, unit {unit}. Above: {m} pictures that excite it and are to be unlike each other "
        f"(similarity {alike:.2f}). Below: from the same noise without that wish ({plain_alike:.2f}). "
        f"They excite the unit to {values} and {plain}; the best real picture to {number(arrays['best'][i])}.",
        mapping="the pictures themselves: levels 0 … 255 are what was optimised",
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
        *(arrays[key].min(1) for key in ("value", "plain_value")),
        arrays["best"],
    )
    return Table(
        "units",
        "Similarity: mean cosine between the Gram matrices of a unit's pictures, 1 for the same textures.",
        ("unit", "similarity", "without the term", "weakest picture", "without the term", "best real picture"),
        tuple((unit, *(round(float(v), 3) for v in row)) for unit, *row in zip(units, *columns, strict=True)),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="diversity",
        title="Diversity",
        question="Does a unit look for one thing, or for several?",
        tour="One unit, several unlike pictures that please it.",
        how_to_read="All pictures in a figure excite the same unit. Those of the upper row were made together, each to "
        "be unlike the others, but only as far as they still excite the unit nearly as much as those below. What they "
        "have in common is what the unit needs; where they fall into different things, it answers to several.",
        do_not_conclude="A second thing that excites a unit may never occur in real pictures. Unlike pictures are "
        "asked for, so some difference is found for every unit, if only in colour or background; few pictures show no "
        "more than some of what there is.",
        equation="maximise Σ excitation (up to 85 % of what is possible) − λ · mean cos(G_i, G_j)",
        papers=(papers.OLAH_2017,),
    )

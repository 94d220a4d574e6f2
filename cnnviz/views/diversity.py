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


def view(result: Result, context: Context) -> dict:
    value, plain = result.arrays["value"], result.arrays["plain_value"]
    share = float(np.mean(value / np.maximum(plain.mean(1, keepdims=True), 1e-12)))
    above = float((value > result.arrays["best"][:, None]).mean())
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(_pair(result, context, i) for i in range(len(value))),
        "tables": (_units(result),),
        "metrics": (
            Metric("similarity", float(_alike(result, "likeness").mean()), "", "lower"),
            Metric("similarity_without_the_term", float(_alike(result, "plain_likeness").mean())),
            Metric("activation_kept", share, "share", "higher"),
            Metric("pictures_above_the_best_real_one", above, "share", "higher"),
        ),
    }


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Decrease in similarity of a unit's pictures with the term, and whether they still activate it."""
    alike, plain = (_alike(result, key) for key in ("likeness", "plain_likeness"))
    mean, low, high = findings.mean_interval(plain - alike)
    low, high = max(-1.0, low), min(1.0, high)
    above, n = result.arrays["value"] > result.arrays["best"][:, None], len(alike)
    strength = findings.weakly(low)
    finding = Finding(
        "similarity",
        f"Pictures made to differ have a similarity of {alike.mean():.2f}, others of the same unit {plain.mean():.2f}"
        + (": no sure difference." if strength == findings.NOT else ".")
        + f" {int(above.sum())} of {above.size} excite the unit more than any real picture.",
        strength,
        f"difference {span(low, high)}",
        f"the same starts without the term; {findings.UNTRIED}",
        f"{n} unit{'s' if n > 1 else ''}, {above.shape[1]} pictures each",
        figure=_id(result, int((plain - alike).argmax())),
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
    lines = {"made to differ": arrays["pictures"][i], "without the term": arrays["plain"][i]}
    m = len(arrays["pictures"][i])
    rows = [montage(np.stack([fitted(p, SIDE) for p in context.rgb(line)]), m, GAP) for line in lines.values()]
    alike, plain_alike = (_alike(result, key)[i] for key in ("likeness", "plain_likeness"))
    values, plain = (", ".join(map(number, arrays[key][i])) for key in ("value", "plain_value"))
    return context.picture(
        _id(result, i),
        np.vstack([labelled([row], [label]) for row, label in zip(rows, lines, strict=True)]),
        alt=f"Two rows of {m} synthetic pictures for {name} unit {unit}: similarity {alike:.2f} above, "
        f"{plain_alike:.2f} below.",
        caption=f"{name}, unit {unit}: similarity {alike:.2f} above, {plain_alike:.2f} below.",
        more=f"The pictures above excite the unit to {values}, those below to {plain}; the best real picture to "
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
        tour="One unit, several unlike pictures that excite it.",
        how_to_read="All pictures of a figure excite the same unit; those of the upper row were made to differ. What "
        "they have in common is what the unit needs. If they show different things, it responds to several.",
        do_not_conclude="A second thing that excites a unit may never occur in real pictures. Since the pictures are "
        "made to differ, some difference is found for every unit, if only in colour or background. A few pictures do "
        "not show all that a unit responds to.",
        equation="maximise Σ excitation (up to 85 % of what is possible) − λ · mean cos(G_i, G_j)",
        papers=(papers.OLAH_2017,),
    )

"""Diversity: a unit's pictures with and without the term that makes them unlike, and how alike they are."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.section import Context, Metric, Subject, Table
from cnnviz.views.kit.tiles import fitted, labelled, montage

SIDE, GAP = 168, 6


def view(result: Result, context: Context) -> dict:
    arrays, name = result.arrays, result.numbers["layer"]
    pictures, plain = (context.rgb(arrays[key]) for key in ("pictures", "plain"))
    n, m = pictures.shape[:2]
    off = ~np.eye(m, dtype=bool)
    alike, plain_alike = (
        arrays[key][:, off].mean(1) if m > 1 else np.ones(n) for key in ("likeness", "plain_likeness")
    )
    figures, rows = [], []
    for i, unit in enumerate(arrays["unit"].tolist()):
        value, plain_value, best = arrays["value"][i], arrays["plain_value"][i], float(arrays["best"][i])
        rows_of = {"unlike each other": pictures[i], "without that wish": plain[i]}
        lines = {label: montage(np.stack([fitted(p, SIDE) for p in row]), m, GAP) for label, row in rows_of.items()}
        stacked = np.vstack([labelled([line], [label]) for label, line in lines.items()])
        figures.append(
            context.picture(
                f"{slug(name)}-unit-{unit:04d}",
                stacked,
                alt=f"Two rows of {m} synthetic pictures for {name} unit {unit}; those of the upper row differ more.",
                caption=f"{name}, unit {unit}. Above: {m} pictures that excite it and are to be unlike each other "
                f"(similarity {alike[i]:.2f}). Below: from the same noise without that wish ({plain_alike[i]:.2f}). "
                f"They excite the unit to {', '.join(colour.number(v) for v in value)} and "
                f"{', '.join(colour.number(v) for v in plain_value)}; the best real picture to {colour.number(best)}.",
                mapping="the pictures themselves: levels 0 … 255 are what was optimised",
                data=f"pictures[{i}], plain[{i}], likeness[{i}]",
                subjects=(Subject("unit", str(unit), name), Subject("layer", name)),
                group=name,
                lossless=False,
                from_dataset=False,
            )
        )
        rows.append(
            (unit, round(float(alike[i]), 3), round(float(plain_alike[i]), 3), round(float(value.min()), 3),
             round(float(plain_value.min()), 3), round(best, 3))
        )  # fmt: skip
    share = float(np.mean(arrays["value"] / np.maximum(arrays["plain_value"].mean(1, keepdims=True), 1e-12)))
    return {
        "figures": tuple(figures),
        "tables": (
            Table(
                "units",
                "Similarity: mean cosine between the Gram matrices of a unit's pictures, 1 for the same textures.",
                ("unit", "similarity", "without the term", "weakest picture", "without the term", "best real picture"),
                tuple(rows),
            ),
        ),
        "metrics": (
            Metric("similarity", float(alike.mean()), "", "lower"),
            Metric("similarity_without_the_term", float(plain_alike.mean())),
            Metric("activation_kept", share, "share", "higher"),
            Metric(
                "pictures_above_the_best_real_one",
                float((arrays["value"] > arrays["best"][:, None]).mean()),
                "share",
                "higher",
            ),
        ),
    }


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

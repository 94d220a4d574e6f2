"""Texture synthesis: exemplars and what matches them up to each depth, row by row, with the errors."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, given, panels, section
from cnnviz.views.kit.section import Context


def view(result: Result, context: Context) -> dict:
    exemplars, pictures = (colour.rgb(result.arrays[name]) for name in ("exemplars", "pictures"))
    relative, absolute, steps = result.arrays["relative"], result.arrays["absolute"], result.parameters["steps"]
    layers, sources = result.numbers["layers"], result.parameters["pictures"]
    n, depth, side = pictures.shape[:3]
    names = [given.name(source) for source in sources]
    upto = [layers[0] if k == 0 else f"{layers[0]} … {layers[k]}" for k in range(depth)]
    judge = given.judge(result, context)
    # what a picture with k + 1 layers was asked for: the mean error of those, of itself and of its start
    after = [[relative[i, k, : k + 1].mean() for k in range(depth)] for i in range(n)]
    before = [[relative[i, -2, : k + 1].mean() for k in range(depth)] for i in range(n)]
    fallen = np.array(before) / np.maximum(after, 1e-12)

    shown = []
    for i in range(n):
        shown.append((names[i], exemplars[i]))
        shown += [(upto[k], pictures[i, k]) for k in range(depth)]
    drawn, width, height = panels.sheet(shown, across=depth + 1)
    figures = [
        context.figure(
            "depths",
            "depths.svg",
            drawn,
            width,
            height,
            alt=f"{n} rows of pictures: an exemplar ({', '.join(names)}) and {depth} textures made after it, matching "
            f"more and more layers, up to {layers[-1]}.",
            caption=f"Left the exemplar, then what {steps} steps make of noise so that more and more layers see the "
            f"same texture: {', '.join(upto)}. Exemplar and textures are at the same scale.{judge}"
            f"{given.grid(result.numbers['stride'])}{given.credited(*sources)}",
            mapping="the pictures themselves, RGB 0 … 255",
            data="pictures",
            subjects=given.layers(result, context, layers),
            from_dataset=given.private(*sources),
        )
    ]
    for i in range(n):
        words = {"group": names[i], "lossless": False, "from_dataset": given.private(sources[i])}
        figures.append(
            context.picture(
                f"exemplar-{i}",
                exemplars[i],
                alt=f"The exemplar {names[i]}.",
                caption=f"Exemplar: {names[i]}, its middle, {pictures.shape[3]} × {side} px."
                f"{given.credited(sources[i])}",
                mapping="the given picture, resized",
                data="exemplars",
                **words,
            )
        )
        for k in range(depth):
            figures.append(
                context.picture(
                    f"texture-{i}-{k}",
                    pictures[i, k],
                    alt=f"A texture after {names[i]} that matches {upto[k]}.",
                    caption=f"Matches {upto[k]}. Mean relative error of these layers {before[i][k]:.2g} → "
                    f"{after[i][k]:.2g}; the paper's ΣE {absolute[i, -2, : k + 1].sum():.2g} → "
                    f"{absolute[i, k, : k + 1].sum():.2g}.",
                    mapping="the optimised pixels, RGB 0 … 255",
                    data="pictures",
                    subjects=given.layers(result, context, layers[: k + 1]),
                    **words,
                )
            )
    curve = {upto[k]: result.arrays["curves"][:, k].mean(0) for k in range(depth)}
    first, last = (np.mean([c[at] for c in curve.values()]) for at in (0, -1))
    figures.append(
        context.figure(
            "errors",
            "errors.svg",
            curves.svg(curve, across="step", up="relative error", logarithmic=True),
            curves.WIDTH,
            curves.HEIGHT,
            alt=f"Error against step, a curve a depth: from {first:.2g} on average to {last:.2g}.",
            caption="The error that is minimised, mean over the layers matched and over the exemplars.",
            mapping="logarithmic vertical axis",
            data="curves",
            subjects=given.layers(result, context, layers),
            group="Errors",
            from_dataset=False,
        )
    )
    table = [
        (names[i], word, *(float(f"{e:.3g}") for e in relative[i, k]))
        for i in range(n)
        for k, word in [(depth, "nothing: the noise"), *enumerate(upto), (depth + 1, "all: the exemplar")]
    ]
    return {
        "figures": tuple(figures),
        "cover": "depths",
        "tables": (
            section.Table(
                "layers",
                "Relative Gram error of every layer for every picture as published, also of the layers that it was not "
                "asked to match: a picture that matches few layers is wrong in the deeper ones.",
                ("exemplar", "matched", *layers),
                tuple(table),
                from_dataset=given.private(*sources),
            ),
        ),
        "metrics": (
            section.Metric("relative_error", float(np.mean([row[-1] for row in after])), "relative", "lower"),
            section.Metric("error_fell_by", float(np.median(fallen)), "times", "higher"),
        ),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="texture_synthesis",
        title="Texture synthesis",
        question="What of a picture is left when a layer knows which features it has, but not where?",
        tour="Textures from what layers see together.",
        how_to_read="Each picture was noise, and was changed until its Gram matrices (how strongly every two features "
        "of a layer occur together, on average over places) were those of the exemplar. The first layer alone knows "
        "colours and the finest edges; with every further layer larger pieces come out right: strokes, then cells and "
        "pebbles. Where pieces fit but their arrangement does not, you see what the matrices leave out.",
        do_not_conclude="A match in all layers does not make the two pictures alike: things and long lines that span "
        "more than the deepest layer's field of view may be anywhere, or nowhere. Noise started the picture, so faint "
        "patches of it can remain where no layer minds. Relative errors of two nets are no contest.",
        equation="I* = argmin mean_l ‖G_l(I) − Ĝ_l‖²/‖Ĝ_l‖² + γ TV₂(I);  the paper: Σ_l E_l,  "
        "E_l = Σ(G − Ĝ)²/(4 N² M²)",
        papers=(papers.GATYS_2015,),
    )

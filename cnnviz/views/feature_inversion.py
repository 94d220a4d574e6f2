"""Feature inversion: a row of reconstructions for each original, and the errors over steps and depth."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, findings, panels, section, stages
from cnnviz.views.kit.findings import Finding, Measured, span
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT

ERRORS = "Errors"
ROUNDING = 0.001  # feature errors below this are those of 8 bits a channel
ACROSS = 6  # more pictures stand in two rows


def view(result: Result, context: Context) -> dict:
    figures = [*(_row(result, context, i) for i in range(len(result.arrays["index"]))), _errors(result, context)]
    by_depth = result.arrays["pixel_error"].mean(0)
    metrics = [
        Metric("pixel_error_of_first_layer", float(by_depth[0]), "levels", "lower"),
        Metric("pixel_error_of_last_layer", float(by_depth[-1]), "levels"),
    ]
    if len(by_depth) > 1:
        figures.append(_depth(result, context))
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(figures),
        "tables": (_layers(result),),
        "metrics": tuple(metrics),
    }


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Distance of the reconstructions to the original relative to a flat picture of the mean colour, layer by layer."""
    names, error, flat = _names(result), result.arrays["pixel_error"], result.arrays["flat_error"]
    stuck = unconverged(result)
    nearer = np.clip(1 - error / np.maximum(flat, 1e-9)[:, None], -1, 1)
    measured = {}
    for name, levels, gain in zip(names, error.T, nearer.T, strict=True):
        mean, low, high = findings.mean_interval(gain)
        said = f"{_levels(levels.mean())} off, a flat picture {flat.mean():.0f}"
        measured[f"pixels from {name}"] = Measured(said, mean, max(-1.0, low), min(1.0, high))
    strengths = {
        name: findings.NOT if name in stuck else findings.weakly(m.low)
        for name, m in zip(names, measured.values(), strict=True)
    }
    first, judged = strengths[names[0]], [name for name in names if strengths[name] != findings.NOT]
    of_first = measured[f"pixels from {names[0]}"]
    says = f"Pictures rebuilt from {names[0]} are {of_first.short}. "
    if stuck:
        says += f"The search did not converge for {', '.join(stuck)}: a copy from a deeper layer fits better. "
    if names[0] in stuck:
        says += "So these pictures tell nothing about it."
    elif first == findings.NOT:
        says += f"Over {len(flat)} picture{'s' if len(flat) > 1 else ''}, no difference is sure."
    else:
        deepest = f"{judged[-1]} is the deepest layer that" if len(judged) > 1 else "No deeper layer"
        says += f"{deepest} surely does better than flat."
    finding = Finding(
        f"pixels from {names[0]}",
        says,
        first,
        f"{span(100 * of_first.low, 100 * of_first.high, '.0f')}\u00a0% nearer",
        f"the picture's mean colour everywhere; {findings.UNTRIED}",
        f"{len(flat)} picture{'s' if len(flat) > 1 else ''}",
        figure=context.image_set.pictures[result.arrays["index"][int(nearer.mean(1).argmax())]].id,
    )
    return finding, measured


def unconverged(result: Result) -> list[str]:
    """Layers in whose features the picture rebuilt from a deeper layer is nearer to the original than their own is.

    Such a picture exists, so the search stopped short of it, and what its pictures lack the layer may still know.
    """
    cross = result.arrays["cross"].mean(0)
    return [
        name
        for i, name in enumerate(_names(result))
        if cross[i, i] > max(ROUNDING, cross[i + 1 :, i].min(initial=np.inf))
    ]


def _levels(error: float) -> str:
    """A pixel error in words: "1 level"."""
    return "1 level" if round(error) == 1 else f"{error:.0f} levels"


def _names(result: Result) -> list[str]:
    return [layer["name"] for layer in result.numbers["layers"]]


def _subjects(result: Result) -> tuple[Subject, ...]:
    return tuple(Subject("layer", name) for name in _names(result) if name != "scores")


def _row(result: Result, context: Context, i: int) -> Figure:
    """A picture, and its reconstruction from each layer."""
    arrays, names = result.arrays, _names(result)
    picture, pixel_error = context.image_set.pictures[arrays["index"][i]], arrays["pixel_error"][i]
    rebuilt = context.rgb(arrays["inverted"][i])
    shown = [("original", context.rgb(arrays["pictures"][i]))]
    shown += [(f"{name} ±{levels:.0f}", r) for name, levels, r in zip(names, pixel_error, rebuilt, strict=True)]
    across = len(shown) if len(shown) <= ACROSS else -(-len(shown) // 2)
    off = [f"pixels off by {_levels(levels)}" for levels in pixel_error]
    middle = (len(names) - 1) // 2
    return context.drawing(
        picture.id,
        panels.sheet(shown, across=across),
        scale=1.5,
        compared="" if i else "Rebuilt from",
        stages=(
            stages.covering(
                "original", panels.boxes(shown, across), names, moves="Rebuilt from", numbers=off, opens=middle
            ),
        ),
        alt=f"{picture.name}, and beside it {len(names)} pictures rebuilt from the features of {', '.join(names)}.",
        caption=f"{picture.name}: pixels are off by {pixel_error[0]:.0f} of 255 levels from {names[0]}, by "
        f"{pixel_error[-1]:.0f} from {names[-1]}.",
        more="Root mean square differences; that of a flat picture of its mean colour is "
        f"{arrays['flat_error'][i]:.0f}.",
        mapping=f"over each picture: the root mean square pixel error, levels of 255; {EXACT}",
        data=f"inverted[{i}]",
        subjects=(Subject("image", picture.name), *_subjects(result)),
        group="Each picture",
    )


def _errors(result: Result, context: Context) -> Figure:
    """The feature error over the steps."""
    names, errors, last = _names(result), result.arrays["errors"], result.arrays["error"].mean(0)
    drawn = dict(zip(names, errors.mean(0), strict=True))
    return context.drawing(
        "errors",
        curves.lines(drawn, across="step", up="relative feature error", logarithmic=True),
        alt=f"Feature error against step for {len(names)} layers; it ends between {last.min():.2g} and "
        f"{last.max():.2g}.",
        caption=f"Feature error at each step, the mean of {len(errors)} pictures.",
        more="It says how well the search did, not how good the picture is. Few numbers, such as the scores, are also "
        "matched by a wrong picture.",
        mapping=f"logarithmic vertical axis, {errors.mean(0).min():.2g} … {errors.mean(0).max():.2g}",
        data="errors",
        subjects=_subjects(result),
        group=ERRORS,
        from_dataset=False,
    )


def _depth(result: Result, context: Context) -> Figure:
    """The pixel error over depth."""
    names, count = _names(result), len(result.arrays["pixel_error"])
    error = result.arrays["pixel_error"].mean(0)
    flat = float(result.arrays["flat_error"].mean())
    drawn = {"rebuilt": error, "one flat colour": np.full(len(names), flat)}
    return context.drawing(
        "depth",
        curves.lines(drawn, across=f"layer, from {names[0]} to {names[-1]}", up="pixel error, levels"),
        alt=f"Pixel error against depth: {error[0]:.0f} levels at {names[0]}, {error[-1]:.0f} at {names[-1]}.",
        caption=f"Difference from the original's pixels, layer by layer, beside that of one flat colour, {flat:.0f}.",
        more=f"Root mean square, the mean of {count} pictures. A rebuilt picture can lie above the flat colour and "
        "still show the thing, shifted or in other colours.",
        mapping=f"linear axes; {min(error.min(), flat):.3g} … {max(error.max(), flat):.3g} levels",
        data="pixel_error",
        subjects=_subjects(result),
        group=ERRORS,
        from_dataset=False,
    )


def _layers(result: Result) -> Table:
    """The matched layers, and their errors."""
    layers, silent = result.numbers["layers"], result.numbers["silent"]
    error, pixel_error = (result.arrays[key].mean(0) for key in ("error", "pixel_error"))
    return Table(
        "layers",
        "What was matched and how well: means over the pictures at 8 bits a channel. Where a ReLU follows, only values "
        "above 0 are matched."
        + (f" Left out, since all features of a picture are 0 there: {', '.join(silent)}." if silent else ""),
        ("layer", "values matched", "relative feature error", "pixel error, levels"),
        tuple(
            (layer["name"], "above 0 only" if layer["rectified"] else "all", float(f"{e:.3g}"), round(float(d), 1))
            for layer, e, d in zip(layers, error, pixel_error, strict=True)
        ),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="feature_inversion",
        title="Feature inversion",
        question="What does each layer still know of a picture?",
        tour="What does each layer still know of a picture?",
        how_to_read="From noise, a picture is changed until a layer answers to it as it does to the original. Where "
        "the copy differs, the layer tells less of the picture: of exact places, edges, colours.",
        do_not_conclude="A good copy means that a layer could tell, not that the network uses it. What is missing may "
        "also be what this search did not find. Smooth surfaces and calm colours come from the regularisation, which "
        "is stronger in deeper layers.",
        equation="I* = argmin ‖F(I) − F(I₀)‖² / ‖F(I₀)‖² + R(I)",
        papers=(papers.MAHENDRAN_2015, papers.MAHENDRAN_2016),
    )

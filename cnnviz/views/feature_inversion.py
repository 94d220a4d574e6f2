"""Feature inversion: a row of reconstructions for each original, and the errors over steps and depth."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import curves, panels, section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

ERRORS = "Errors"


def view(result: Result, context: Context) -> dict:
    figures = [*(_row(result, context, i) for i in range(len(result.arrays["index"]))), _errors(result, context)]
    by_depth = result.arrays["pixel_error"].mean(0)
    metrics = [
        Metric("first_layer_pixel_error", float(by_depth[0]), "levels", "lower"),
        Metric("last_layer_pixel_error", float(by_depth[-1]), "levels"),
    ]
    if len(by_depth) > 1:
        figures.append(_depth(result, context))
        metrics.append(Metric("pixel_error_depth_correlation", _rank_correlation(by_depth)))
    return {"figures": tuple(figures), "tables": (_layers(result),), "metrics": tuple(metrics)}


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
    shown += [(f"{name} {error:.1%}", r) for name, error, r in zip(names, arrays["error"][i], rebuilt, strict=True)]
    return context.drawing(
        picture.id,
        panels.sheet(shown, across=len(shown)),
        alt=f"{picture.name}, and beside it {len(names)} pictures rebuilt from the features of {', '.join(names)}.",
        caption=f"{picture.name}, and what is rebuilt of it from each layer after {result.parameters['steps']} steps, "
        "deeper ones further right. Over each the feature error that is left (0 % is a perfect match, 100 % is "
        f"as far as no features at all). Pixels are off by {pixel_error[0]:.0f} levels of 255 from "
        f"{names[0]} and by {pixel_error[-1]:.0f} from {names[-1]} (root mean square); a flat picture of "
        f"its mean colour is off by {arrays['flat_error'][i]:.0f}.",
        mapping="the pictures themselves: levels 0 … 255 are what was optimised",
        data=f"inverted[{i}]",
        subjects=(Subject("image", picture.name), *_subjects(result)),
        group="A row a picture",
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
        caption=f"Feature error at each step, the mean of {len(errors)} pictures. It says how well the search did, "
        "not how good the picture is: few numbers, such as the scores, are soon matched by a wrong picture.",
        mapping=f"logarithmic vertical axis, {errors.mean(0).min():.2g} … {errors.mean(0).max():.2g}",
        data="errors",
        subjects=_subjects(result),
        group=ERRORS,
        from_dataset=False,
    )


def _depth(result: Result, context: Context) -> Figure:
    """The pixel error over depth."""
    names, error = _names(result), result.arrays["pixel_error"].mean(0)
    flat, correlation = float(result.arrays["flat_error"].mean()), _rank_correlation(error)
    drawn = {"rebuilt": error, "one flat colour": np.full(len(names), flat)}
    return context.drawing(
        "depth",
        curves.lines(drawn, across=f"from {names[0]} to {names[-1]}: layer", up="pixel error, levels"),
        alt=f"Pixel error against depth: {error[0]:.0f} levels at {names[0]}, {error[-1]:.0f} at {names[-1]}.",
        caption="Root mean square difference from the original's pixels, the mean of "
        f"{len(result.arrays['pixel_error'])} pictures, "
        f"for {', '.join(names)} (rank correlation with depth {correlation:.2f}). Beside it that of a picture "
        "of nothing but the original's mean colour: a rebuilt one can lie above it and still show the thing, "
        "shifted or in other colours.",
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
        "What was matched and how well, the mean over the pictures as published (8 bits). Where the network "
        "makes no use of values below 0, because a ReLU follows, only those above are matched."
        + (f" Left out, since a picture's features are all 0 there: {', '.join(silent)}." if silent else ""),
        ("layer", "values matched", "relative feature error", "pixel error, levels"),
        tuple(
            (layer["name"], "above 0 only" if layer["rectified"] else "all", float(f"{e:.3g}"), round(float(d), 1))
            for layer, e, d in zip(layers, error, pixel_error, strict=True)
        ),
    )


def _rank_correlation(values: np.ndarray) -> float:
    """Spearman's rank correlation of values (n,) with their index."""
    ranks = np.argsort(np.argsort(values))
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


if __name__ == "__main__":
    section.run(
        view,
        id="feature_inversion",
        title="Feature inversion",
        question="What does each layer still know of a picture?",
        tour="What does each layer still know of a picture?",
        how_to_read="From noise, a picture is changed until one layer answers to it as it does to the original. What "
        "the layer has thrown away cannot come back: the first layers give nearly a copy, later ones the things but "
        "not their exact places, edges and colours, and the scores hardly anything.",
        do_not_conclude="A good copy means that a layer could tell, not that the network uses what it tells. What is "
        "missing may also be what this search did not find; smooth surfaces and calm colours come from the "
        "regularisation, more of it in deeper layers, and not from the layer.",
        equation="I* = argmin ‖F(I) − F(I₀)‖² / ‖F(I₀)‖² + R(I)",
        papers=(papers.MAHENDRAN_2015, papers.MAHENDRAN_2016),
    )

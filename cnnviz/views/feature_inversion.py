"""Feature inversion: a row of rebuilt pictures for each original, and how the errors run over steps and depth."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, panels, section
from cnnviz.views.kit.section import Context, Subject


def view(result: Result, context: Context) -> dict:
    arrays, parameters = result.arrays, result.parameters
    layers = [layer["name"] for layer in result.numbers["layers"]]
    cut = [layer["name"] for layer in result.numbers["layers"] if layer["rectified"]]
    silent = result.numbers["silent"]
    errors, error, pixel_error = arrays["errors"], arrays["error"], arrays["pixel_error"]
    show = context.image_set.config.get("show")
    subjects = tuple(Subject("layer", name) for name in layers if name != "scores")
    figures = []
    for i, index in enumerate(arrays["index"]):
        picture = context.image_set.pictures[index]
        rows = [("original", colour.rgb(arrays["pictures"][i], show))]
        rows += [
            (f"{name} {error[i, k]:.1%}", colour.rgb(arrays["inverted"][i, k], show)) for k, name in enumerate(layers)
        ]
        svg, width, height = panels.sheet(rows, across=len(rows))
        figures.append(
            context.figure(
                picture.id,
                f"{picture.id}.svg",
                svg,
                width,
                height,
                alt=f"{picture.name}, and beside it {len(layers)} pictures rebuilt from the features of "
                f"{', '.join(layers)}.",
                caption=f"{picture.name}, and what is rebuilt of it from each layer after {parameters['steps']} steps, "
                "deeper ones further right. Over each the feature error that is left (0 % is a perfect match, 100 % is "
                f"as far as no features at all). Pixels are off by {pixel_error[i, 0]:.0f} levels of 255 from "
                f"{layers[0]} and by {pixel_error[i, -1]:.0f} from {layers[-1]} (root mean square); a flat picture of "
                f"its mean colour is off by {arrays['flat_error'][i]:.0f}.",
                mapping="the pictures themselves: levels 0 … 255 are what was optimised",
                data=f"inverted[{i}]",
                subjects=(Subject("image", picture.name), *subjects),
                group="A row a picture",
            )
        )
    drawn = {name: errors[:, k].mean(0) for k, name in enumerate(layers)}
    figures.append(
        context.figure(
            "errors",
            "errors.svg",
            curves.svg(drawn, across="step", up="relative feature error", logarithmic=True),
            curves.WIDTH,
            curves.HEIGHT,
            alt=f"Feature error against step for {len(layers)} layers; it ends between {error.mean(0).min():.2g} and "
            f"{error.mean(0).max():.2g}.",
            caption=f"Feature error at each step, the mean of {len(errors)} pictures. It says how well the search did, "
            "not how good the picture is: few numbers, such as the scores, are soon matched by a wrong picture.",
            mapping=f"logarithmic vertical axis, {errors.mean(0).min():.2g} … {errors.mean(0).max():.2g}",
            data="errors",
            subjects=subjects,
            group="Errors",
            from_dataset=False,
        )
    )
    by_depth, flat = pixel_error.mean(0), float(arrays["flat_error"].mean())
    correlation = _rank_correlation(by_depth) if len(layers) > 1 else None
    if len(layers) > 1:
        figures.append(
            context.figure(
                "depth",
                "depth.svg",
                curves.svg(
                    {"rebuilt": by_depth, "one flat colour": np.full(len(layers), flat)},
                    across=f"from {layers[0]} to {layers[-1]}: layer",
                    up="pixel error, levels",
                ),
                curves.WIDTH,
                curves.HEIGHT,
                alt=f"Pixel error against depth: {by_depth[0]:.0f} levels at {layers[0]}, {by_depth[-1]:.0f} at "
                f"{layers[-1]}.",
                caption=f"Root mean square difference from the original's pixels, the mean of {len(errors)} pictures, "
                f"for {', '.join(layers)} (rank correlation with depth {correlation:.2f}). Beside it that of a picture "
                "of nothing but the original's mean colour: a rebuilt one can lie above it and still show the thing, "
                "shifted or in other colours.",
                mapping=f"linear axes; {min(by_depth.min(), flat):.3g} … {max(by_depth.max(), flat):.3g} levels",
                data="pixel_error",
                subjects=subjects,
                group="Errors",
                from_dataset=False,
            )
        )
    rows = tuple(
        (name, "above 0 only" if name in cut else "all", float(f"{e:.3g}"), round(float(d), 1))
        for name, e, d in zip(layers, error.mean(0), by_depth, strict=True)
    )
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "layers",
                "What was matched and how well, the mean over the pictures as published (8 bits). Where the network "
                "makes no use of values below 0, because a ReLU follows, only those above are matched."
                + (f" Left out, since a picture's features are all 0 there: {', '.join(silent)}." if silent else ""),
                ("layer", "values matched", "relative feature error", "pixel error, levels"),
                rows,
            ),
        ),
        "metrics": (
            section.Metric("first_layer_pixel_error", float(by_depth[0]), "levels", "lower"),
            section.Metric("last_layer_pixel_error", float(by_depth[-1]), "levels"),
        )
        + ((section.Metric("pixel_error_depth_correlation", correlation),) if correlation is not None else ()),
    }


def _rank_correlation(values: np.ndarray) -> float:
    """Spearman's, of values (n,) with their order."""
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

"""PCA as a scatter plot of pictures, and the variance that each component explains."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import scatter, section
from cnnviz.views.kit.scatter import SIZE, document, plate
from cnnviz.views.kit.section import Context, Table
from cnnviz.views.kit.svg import Drawing, text


def view(result: Result, context: Context) -> dict:
    explained = result.arrays["explained"]
    running = np.cumsum(explained)
    dimensions, feature = result.numbers["dimensions"], result.numbers["feature"]
    axes = tuple(f"component {i + 1}: {explained[i]:.1%} of the variance" for i in (0, 1))
    teach = (
        f"Features: {feature}, {dimensions} numbers a picture. Distances here are a part of the true ones: only "
        f"{running[1]:.0%} of the variance lies in this plane, so what overlaps here may still be apart."
    )
    fitted = result.numbers["fitted"]
    if fitted < len(result.arrays["map"]):
        teach += f" The components are those of a random {fitted} of the pictures."
    bars = context.drawing(
        "explained-variance", _bars(explained),
        alt=f"{len(explained)} bars, from {explained[0]:.1%} for the first component falling to {explained[-1]:.2%}.",
        caption=f"The share of the variance along each of the first {len(explained)} of {dimensions} components; "
        "together "
        f"{running[-1]:.0%}. A steep fall means few directions do the work; a flat one, that no plane can show the "
        "features well.",
        mapping=f"height of a bar: its share, 0 to {explained[0]:.3g}", subjects=(), data="explained",
        from_dataset=False,
    )  # fmt: skip
    steps = [i for i in (1, 2, 3, 5, 10, 20, 50, 100) if i <= len(explained)]
    rows = tuple((i, f"{explained[i - 1]:.2%}", f"{running[i - 1]:.1%}") for i in steps)
    half = int(np.searchsorted(running, 0.5)) + 1
    metrics = [section.Metric("variance_in_the_map", float(running[1]), "share")]
    if half <= len(explained):
        metrics.append(section.Metric("components_for_half_the_variance", half))
    return {
        "figures": (*scatter.figures(result.arrays["map"], "PCA map", context, teach, axes), bars),
        "tables": (Table("explained", "Variance explained", ("component", "its share", "all up to it"), rows),),
        "metrics": tuple(metrics),
    }


def _bars(explained: np.ndarray) -> Drawing:
    height, left, bottom = 260, 54, 34
    width = (SIZE - left - 12) / len(explained)
    parts = [plate(SIZE, height)]
    for i, share in enumerate(explained):
        h = (height - bottom - 16) * share / max(explained[0], 1e-30)
        parts.append(
            f'<rect class="bar" x="{left + i * width:.1f}" y="{height - bottom - h:.1f}" '
            f'width="{max(width - 1.5, 0.7):.1f}" height="{h:.1f}"/>'
        )
    for share, y in ((explained[0], 26), (0, height - bottom + 4)):
        parts.append(text(f"{share:.0%}", "axis", x=left - 26, y=y))
    for i in sorted({0, len(explained) // 2, len(explained) - 1}):
        parts.append(text(i + 1, "axis", x=f"{left + (i + 0.5) * width:.1f}", y=height - 12))
    return document(SIZE, height, parts)


if __name__ == "__main__":
    section.run(
        view,
        id="pca",
        title="Features in two dimensions: PCA",
        question="Along which directions do the network's features vary most, and do they part the classes?",
        tour="Its features in two dimensions: a straight shadow of a large space.",
        how_to_read="Each dot is a picture, placed by its coordinates along the two directions in which the feature "
        "vectors vary most. This is a shadow of the feature space: straight, with all distances shrunk alike, so "
        "what is far "
        "apart here is far apart in the features.",
        do_not_conclude="That two classes overlap here does not mean that the network confuses them: they may part "
        "along a "
        "third direction. The directions are those of variance, not of importance to the classifier.",
        equation="X = centred features, XᵀX v = λ v; map = X (v₁ v₂); explained = λ / Σλ",
        papers=(papers.PEARSON_1901,),
    )

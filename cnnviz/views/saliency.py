"""A figure per probe picture, a row per class: the gradient, SmoothGrad, gradient × input, integrated gradients."""

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, explained, section
from cnnviz.views.kit.findings import percent
from cnnviz.views.kit.section import Context, Figure, Metric

TITLES = {
    "gradient": "",  # of what is said in view
    "smoothgrad": "SmoothGrad, its average over noisy copies",
    "gradient_x_input": "gradient × input (red for, blue against)",
    "integrated_gradients": "integrated gradients from black (red for, blue against)",
}
NAMES = {
    "gradient": "the gradient",
    "smoothgrad": "SmoothGrad",
    "gradient_x_input": "gradient × input",
    "integrated_gradients": "integrated gradients",
}


BLUR, TENTH = 0.02, 0.1  # σ of the shown maps as a share of the shorter side; the part of a picture that holds most


def blur_of(result: Result) -> float:
    """σ of the shown maps' blur, in pixels; less than one would leave the speckle."""
    return max(1.0, BLUR * min(result.arrays["pictures"].shape[1:3]))


def smoothed(result: Result) -> Result:
    """The result with slightly blurred maps, which an eye can follow: a pixel is the mean of its neighbours."""
    sigma = blur_of(result)
    soft = {
        name: gaussian_filter(maps.astype(np.float32), sigma, axes=(-2, -1))
        for name, maps in result.arrays.items()
        if name.startswith(("maps/", "random/"))
    }
    return dataclasses.replace(result, arrays=result.arrays | soft)


def concentration(maps: np.ndarray) -> np.ndarray:
    """The share of each map's magnitude (n, h, w) on the strongest tenth of its pixels, 0.1 … 1: (n,)."""
    strongest = -np.sort(-np.abs(maps).reshape(len(maps), -1).astype(float), axis=1)
    total = strongest.sum(1)
    return strongest[:, : max(1, round(TENTH * strongest.shape[1]))].sum(1) / np.where(total > 0, total, 1)


def gathered(result: Result, name: str) -> tuple[np.ndarray, list[str], list[str]]:
    """For the order of the lead: how much more each map keeps to a part of its picture than with random weights.

    And the two shares in words. Pictures with a wrong answer come last.
    """
    arrays = result.arrays
    own = concentration(arrays[f"maps/{name}"][:, 0])
    random = arrays.get(f"random/{name}")  # some networks cannot have random weights
    untrained = concentration(random) if random is not None else np.zeros(len(own))
    wrong = (arrays["label"] >= 0) & (arrays["label"] != arrays["targets"][:, 0])
    words = [[percent(float(share)) for share in shares] for shares in (own, untrained)]
    return own - untrained - wrong, [f"{w} in a tenth" for w in words[0]], [f"random weights: {w}" for w in words[1]]


def leading(result: Result, soft: Result, context: Context, best: str) -> Figure:
    """The first figure: pictures with a known object, or those in which the map keeps to a part more than without
    training.
    """
    drawn = explained.lead(soft, context, best, NAMES[best], fits=gathered(soft, best))
    if len(explained.judged(result)):
        return drawn
    share = "The share is that of the map in its strongest tenth; first where it exceeds that with random weights most."
    return dataclasses.replace(drawn, caption=f"{drawn.caption} {share}")


def missing(result: Result) -> np.ndarray:
    """Share of S(x) − S(black) that the sum of integrated gradients lacks, of each picture and class."""
    arrays = result.arrays
    there = arrays["targets"] >= 0
    summed = arrays["maps/integrated_gradients"].astype(np.float64).sum((2, 3))[there]
    owed = (arrays["logits"] - arrays["black"][arrays["targets"]])[there].astype(np.float64)
    return np.abs(summed - owed) / np.maximum(np.abs(owed), 1e-12)


def view(result: Result, context: Context) -> dict:
    arrays = result.arrays
    titles = TITLES | {"gradient": f"|gradient| of the {context.score}"}
    there = {m["name"] for m in result.numbers["methods"]}
    said, measured = explained.found(
        result, context, {name: title for name, title in NAMES.items() if name in there}, explained.LEAD
    )
    if not len(explained.judged(result)):  # magnitudes are easier to follow than signs that change from pixel to pixel
        plain = {m["name"]: NAMES[m["name"]] for m in result.numbers["methods"] if not m["signed"]}
        said, _ = explained.found(result, context, plain, explained.LEAD)
    best = next((name for name, title in NAMES.items() if said[0].key.startswith(title)), next(iter(NAMES)))
    caveat = DO_NOT_CONCLUDE
    if "integrated_gradients" in there:
        lacks = float(np.median(missing(result)))
        caveat += f" Of integrated gradients typically {percent(lacks)} of the score is missing from a map's sum."
    known = arrays["label"] >= 0
    right = arrays["label"][known] == arrays["targets"][known, 0]
    metrics = (Metric("probes", len(arrays["index"])),)
    if known.any():
        metrics += (Metric("probes_classified_correctly", float(right.mean()), "share", "higher"),)
    if "integrated_gradients" in there:
        metrics += (Metric("score_missing_from_integrated_gradients", lacks, "share", "lower"),)
    soft = smoothed(result)
    figures = (
        leading(result, soft, context, best),
        *attributions.figures(soft, context, titles),
    )
    blurred = f" Drawn with a blur, σ = {blur_of(result):.2g} px."
    shown = {"figures": figures, "metrics": metrics, "do_not_conclude": caveat, "how_to_read": HOW_TO_READ + blurred}
    return {"findings": tuple(said), "measured": measured} | shown


HOW_TO_READ = (
    "Bright or coloured pixels are those to which the score is most sensitive. If they lie on the object more than "
    "with random weights, the network has learned to look there."
)
DO_NOT_CONCLUDE = (
    "Sensitivity is not contribution: a bright pixel is no evidence for the class. Gradients of ReLU networks "
    "are noisy. A map on the object does not prove that the network uses the object."
)


if __name__ == "__main__":
    section.run(
        view,
        id="saliency",
        title="Saliency maps",
        question="Which pixels would change the score most if they changed a little?",
        tour="Which pixels would change its mind? The gradient says, noisily.",
        how_to_read=HOW_TO_READ,
        do_not_conclude=DO_NOT_CONCLUDE,
        equation="M(x) = max over channels of |∂S_c(x)/∂x|",
        papers=(papers.SIMONYAN_2014, papers.SMILKOV_2017, papers.SHRIKUMAR_2016, papers.SUNDARARAJAN_2017),
    )

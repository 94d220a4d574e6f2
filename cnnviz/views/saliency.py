"""A figure per probe picture, a row per class: the gradient, SmoothGrad, gradient × input, integrated gradients."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, explained, section
from cnnviz.views.kit.findings import percent
from cnnviz.views.kit.section import Context, Metric

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
    best = next((name for name, title in NAMES.items() if said[0].key.startswith(title)), next(iter(NAMES)))
    caveat = DO_NOT_CONCLUDE
    if "integrated_gradients" in there:
        caveat += f" Of integrated gradients at most {percent(min(1.0, float(missing(result).max())))} of the score is "
        caveat += "missing from a map's sum."
    known = arrays["label"] >= 0
    right = arrays["label"][known] == arrays["targets"][known, 0]
    metrics = (Metric("probes", len(arrays["index"])),)
    if known.any():
        metrics += (Metric("probes_classified_correctly", float(right.mean()), "share", "higher"),)
    if "integrated_gradients" in there:
        lacks = float(np.median(missing(result)))
        metrics += (Metric("score_missing_from_integrated_gradients", lacks, "share", "lower"),)
    figures = (
        explained.lead(result, context, best, NAMES[best]),
        *attributions.figures(result, context, titles),
    )
    shown = {"figures": figures, "metrics": metrics, "do_not_conclude": caveat}
    return {"findings": tuple(said), "measured": measured} | shown


DO_NOT_CONCLUDE = (
    "Sensitivity is not contribution: a bright pixel is no evidence for the class. Speckle is what gradients of ReLU "
    "networks look like. A map on the object does not prove that the network uses the object."
)


if __name__ == "__main__":
    section.run(
        view,
        id="saliency",
        title="Saliency maps",
        question="Which pixels would change the score most if they changed a little?",
        tour="Which pixels would change its mind? The gradient says, noisily.",
        how_to_read="Bright or coloured pixels are those to which the score is most sensitive. If they lie on the "
        "object more than with random weights, the network has learned to look there.",
        do_not_conclude=DO_NOT_CONCLUDE,
        equation="M(x) = max over channels of |∂S_c(x)/∂x|",
        papers=(papers.SIMONYAN_2014, papers.SMILKOV_2017, papers.SHRIKUMAR_2016, papers.SUNDARARAJAN_2017),
    )

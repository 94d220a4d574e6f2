"""A figure per probe picture, a row per class: the gradient, SmoothGrad, gradient × input, integrated gradients."""

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, section
from cnnviz.views.kit.section import Context, Metric

TITLES = {
    "gradient": "",  # the view states it
    "smoothgrad": "SmoothGrad, its average over noisy copies",
    "gradient_x_input": "gradient × input (red for, blue against)",
    "integrated_gradients": "integrated gradients from black (red for, blue against)",
}


def view(result: Result, context: Context) -> dict:
    arrays = result.arrays
    titles = TITLES | {"gradient": f"|gradient| of the {context.score}"}
    known = arrays["label"] >= 0
    right = arrays["label"][known] == arrays["targets"][known, 0]
    metrics = (Metric("probes", len(arrays["index"])),)
    if known.any():
        metrics += (Metric("probes_right", float(right.mean()), "share", "higher"),)
    return {"figures": attributions.figures(result, context, titles), "metrics": metrics}


if __name__ == "__main__":
    section.run(
        view,
        id="saliency",
        title="Saliency maps",
        question="Which pixels would change the score most, if they changed a little?",
        tour="Which pixels would change its mind? The gradient says, noisily.",
        how_to_read="Bright pixels are those to which the class score is most sensitive. Look for the object's "
        "outline and parts standing out from the background. SmoothGrad averages away much of the speckle.",
        do_not_conclude="A bright pixel is not evidence for the class: sensitivity is not contribution, and speckle "
        "is what gradients of ReLU networks look like. A map on the object does not prove that the network looks at "
        "the object: an edge detector does as well on many pictures.",
        equation="M(x) = max over channels of |∂S_c(x)/∂x|",
        papers=(papers.SIMONYAN_2014, papers.SMILKOV_2017, papers.SHRIKUMAR_2016, papers.SUNDARARAJAN_2017),
    )

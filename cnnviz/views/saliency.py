"""A figure a probe picture, a row a class: the gradient, SmoothGrad, gradient × input, integrated gradients."""

from cnnviz.run.result import Result
from cnnviz.views.kit import attributions, section
from cnnviz.views.kit.section import Context, Metric, Paper

TITLES = {
    "gradient": "",  # of what is said in view
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
        how_to_read="Bright pixels are those to which the class score is most sensitive. Look for the object's "
        "outline and parts standing out from the background. SmoothGrad averages away much of the speckle.",
        do_not_conclude="A bright pixel is not evidence for the class: sensitivity is not contribution, and speckle "
        "is what gradients of ReLU networks look like. A map on the object does not prove that the network looks at "
        "the object: an edge detector does as well on many pictures.",
        equation="M(x) = max over channels of |∂S_c(x)/∂x|",
        papers=(
            Paper(
                "K. Simonyan, A. Vedaldi, A. Zisserman",
                2013,
                "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
                "ICLR workshop 2014",
                "https://arxiv.org/abs/1312.6034",
            ),
            Paper(
                "D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg",
                2017,
                "SmoothGrad: removing noise by adding noise",
                "ICML workshop",
                "https://arxiv.org/abs/1706.03825",
            ),
            Paper(
                "A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje",
                2016,
                "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
                "arXiv",
                "https://arxiv.org/abs/1605.01713",
            ),
            Paper(
                "M. Sundararajan, A. Taly, Q. Yan",
                2017,
                "Axiomatic Attribution for Deep Networks",
                "ICML",
                "https://arxiv.org/abs/1703.01365",
            ),
        ),
    )

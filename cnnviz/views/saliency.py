"""A row a probe picture: the picture, the gradient, SmoothGrad, gradient × input."""

import numpy as np

from cnnviz.result import Result
from cnnviz.views import colour, section
from cnnviz.views.section import Context, Metric, Paper, Subject

GAP = 4


def row(panels: list[np.ndarray], scale: int) -> np.ndarray:
    """(h, w, 3) panels side by side with transparent gaps, every pixel repeated ``scale`` times: (H, W, 4) uint8."""
    panels = [np.repeat(np.repeat(p, scale, 0), scale, 1) for p in panels]
    height, width = panels[0].shape[:2]
    sheet = np.zeros((height, len(panels) * (width + GAP) - GAP, 4), np.uint8)
    for i, panel in enumerate(panels):
        left = i * (width + GAP)
        sheet[:, left : left + width, :3] = panel
        sheet[:, left : left + width, 3] = 255
    return sheet


def view(result: Result, context: Context) -> dict:
    arrays, show = result.arrays, context.show
    classes = context.model["classes"]
    scale = max(1, 192 // arrays["gradient"].shape[1])
    figures = []
    for i, index in enumerate(arrays["index"]):
        picture = context.image_set.pictures[index]
        maps = {
            "|gradient|": colour.by_name(show["mapping"], arrays["gradient"][i], show["colours"], show["percentile"]),
            "SmoothGrad": colour.by_name(show["mapping"], arrays["smoothgrad"][i], show["colours"], show["percentile"]),
            "gradient × input": colour.symmetric(arrays["gradient_x_input"][i], percentile=show["percentile"]),
        }
        names = ("gradient", "smoothgrad", "gradient_x_input")
        panels = [mapping(arrays[name][i]) for name, mapping in zip(names, maps.values(), strict=True)]
        target, label = classes[arrays["target"][i]], arrays["label"][i]
        truth = "" if label < 0 else ", rightly" if label == arrays["target"][i] else f", but it is {classes[label]}"
        figures.append(
            context.picture(
                picture.id,
                row([colour.rgb(arrays["pictures"][i], context.image_set.config.get("show")), *panels], scale),
                alt=f"{picture.name} and three maps of it for {target}: gradient, SmoothGrad, gradient times input.",
                caption=f"{picture.name}: predicted {target} with p = {arrays['probability'][i]:.2f}{truth}. "
                f"From left: the picture; |gradient| of the logit of {target}; SmoothGrad, the same averaged over "
                f"{result.parameters['samples']} noisy copies; gradient × input (red for, blue against).",
                mapping="; ".join(f"{name}: {mapping.words}" for name, mapping in maps.items()),
                data=f"gradient[{i}], smoothgrad[{i}], gradient_x_input[{i}]",
                subjects=(Subject("image", picture.name), Subject("class", target)),
            )
        )
    known = arrays["label"] >= 0
    right = arrays["label"][known] == arrays["target"][known]
    metrics = (Metric("probes", len(arrays["index"])),)
    if known.any():
        metrics += (Metric("probes_right", float(right.mean()), "share", "higher"),)
    return {"figures": tuple(figures), "metrics": metrics}


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
        ),
    )

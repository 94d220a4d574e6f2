"""Style transfer: content, style and result side by side, and how the losses fell."""

from pathlib import Path

import numpy as np

from cnnviz.result import Result
from cnnviz.views import colour, curves, section
from cnnviz.views.section import Context, Paper, Subject


def view(result: Result, context: Context) -> dict:
    numbers, parameters = result.numbers, result.parameters
    at, over = numbers["content_layer"], numbers["style_layers"]
    content_name, style_name = (Path(parameters[name]).stem for name in ("content", "style"))
    content_loss, style_loss = numbers["content_loss"]["result"], numbers["style_loss"]["result"]
    before = numbers["style_loss"]["content picture"]
    subjects = tuple(Subject("layer", name) for name in dict.fromkeys((*over, at)))
    words = {
        "content": (
            f"The picture {content_name} before the transfer.",
            f"Content: {content_name}. Its layout is what layer {at} must go on seeing.",
        ),
        "style": (
            f"The picture {style_name}, whose texture is taken.",
            f"Style: {style_name}. The Gram matrices of {', '.join(over)} are taken from it: which features occur "
            "together, wherever they are.",
        ),
        "result": (
            f"The things of {content_name} drawn in the texture and colours of {style_name}.",
            f"Result after {parameters['steps']} steps: style loss {style_loss:.3g} (of {before:.3g} for the content "
            f"picture), content loss {content_loss:.3g} at {at}; both relative, 0 is a perfect match.",
        ),
    }
    figures = [
        context.picture(
            name,
            colour.rgb(result.arrays[name]),
            alt=words[name][0],
            caption=words[name][1],
            mapping="a photograph or painting, resized" if name != "result" else "the optimised pixels, RGB 0 … 255",
            data=name,
            subjects=subjects if name == "result" else (),
            lossless=False,
        )
        for name in ("content", "style", "result")
    ]
    drawn = {f"content {at}": result.arrays["content_loss"]} | {
        f"style {name}": losses for name, losses in zip(over, result.arrays["style_losses"].T, strict=True)
    }
    shown = np.concatenate([values[values > 0] for values in drawn.values()])
    figures.append(
        context.figure(
            "losses",
            "losses.svg",
            curves.svg(drawn, across="step", up="relative loss", logarithmic=True),
            curves.WIDTH,
            curves.HEIGHT,
            alt=f"Losses against step: the style losses of {len(over)} layers fall from {before:.2g} on average to "
            f"{style_loss:.2g}, while the content loss rises from 0 to {content_loss:.2g}.",
            caption="The ascent starts at the content picture, so the content loss starts at 0 and is what the style "
            "costs. A layer whose style loss stays high keeps a texture that this content cannot carry.",
            mapping=f"logarithmic vertical axis, {shown.min():.2g} … {shown.max():.2g}",
            data="style_losses",
            subjects=subjects,
            from_dataset=False,
        )
    )
    return {
        "figures": tuple(figures),
        "cover": "result",
        "metrics": (
            section.Metric("style_loss", style_loss, "relative", "lower"),
            section.Metric("content_loss", content_loss, "relative", "lower"),
        ),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="style_transfer",
        title="Style transfer",
        question="What do the network's layers keep of a picture: its things, or its texture?",
        how_to_read="The result has the deep features of the content picture and the feature correlations of the style "
        "picture. Brush strokes come from early style layers, larger patterns from later ones. What survives of the "
        "content is what the content layer can tell apart.",
        do_not_conclude="A poor result does not mean a poor classifier: nets without pooling or with strides in their "
        "first layers leave checkerboards, and a net trained on few textures knows few. Losses of two models are "
        "relative to each one's own features and are no contest.",
        equation="I* = argmin α ‖F(I) − F(c)‖²/‖F(c)‖² + β mean_l ‖G_l(I) − G_l(s)‖²/‖G_l(s)‖² + γ TV₂(I)",
        papers=(
            Paper(
                "L. A. Gatys, A. S. Ecker, M. Bethge",
                2016,
                "Image Style Transfer Using Convolutional Neural Networks",
                "CVPR",
                "https://doi.org/10.1109/CVPR.2016.265",
            ),
        ),
    )

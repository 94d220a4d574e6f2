"""Style transfer: the things of one picture in the texture of another (Gatys et al. 2016), with this net as the judge.

I* = argmin_I  α ‖F(I) - F(content)‖² / ‖F(content)‖²  +  β mean_l ‖G_l(I) - G_l(style)‖² / ‖G_l(style)‖²  +  γ TV₂(I)

F: rectified feature maps of the content layer. G_l: Gram matrix of the rectified maps of a style layer,
Σ_x F_i(x) F_j(x) / (h w), the mean over positions. Both losses are relative, 0 for a perfect match and 1 for features
that are all 0, so the weights mean the same in every layer of every net; the paper instead divides Σ (G - Ĝ)² by
4 N² M², and weighs layers by hand. TV₂ is the sum of squared differences of neighbours. L-BFGS starts at the content
picture and moves its pixels.

Leaves ``content``, ``style``, ``result`` (h, w, 3) uint8, and for each step, before it: ``content_loss`` (steps,),
``style_losses`` (steps, layers), both without their weights.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cnnviz import models
from cnnviz.ascent.loop import Ascent, ascend, lbfgs, to_bytes
from cnnviz.ascent.objectives import gram, match, read
from cnnviz.ascent.parametrisations import pixels
from cnnviz.ascent.regularisers import total_variation
from cnnviz.errors import UserError
from cnnviz.job import Job, run
from cnnviz.models import Model


def layers(model: Model, content: str, style: str | list[str]) -> tuple[str, list[str]]:
    """Names of the content layer and of the style layers; "default" takes them from the model's chosen layers.

    Style: the first 60 % of the chosen layers that have positions, the first one included: textures of every size up to
    parts of objects. Content: the one 60 % of the way, where places still count and colours no longer.
    """
    maps = [name for name in model.chosen if model.layer(name).height > 1 and not _scores(model, name)]
    maps = maps or [layer.name for layer in model.layers if layer.height > 1]
    if style == "default":
        style = maps[: max(1, round(0.6 * len(maps)))]
    if content == "default":
        content = maps[round(0.6 * (len(maps) - 1))]
    return model.layer(content).name, [model.layer(name).name for name in style]


def _scores(model: Model, name: str) -> bool:
    """Whether a layer is the convolution that gives the class scores."""
    return model.layer(name) == model.layers[-1]


def transfer(
    model: Model,
    content: Tensor,
    style: Tensor,
    *,
    content_layer: str,
    style_layers: list[str],
    steps: int,
    content_weight: float,
    style_weight: float,
    smoothness: float,
    start: Tensor | None = None,
) -> Ascent:
    """The ascent from ``start`` (default: the content). Pictures are (1, 3, h, w) in [0, 1].

    Its curves are "content" and one for each style layer, weighted and negative, and "total variation".
    """
    at = model.layer(content_layer).module
    seen_content = read(model, content, [at])[at]
    modules = {name: model.layer(name).module for name in style_layers}
    seen_style = read(model, style, list(modules.values()))
    objectives = {"content": content_weight * match(at, torch.relu(seen_content))}
    for name, module in modules.items():
        objectives[f"style {name}"] = style_weight / len(modules) * match(module, gram(seen_style[module]), gram)
    return ascend(
        model,
        objectives,
        pixels(content if start is None else start),
        steps=steps,
        optimiser=lbfgs(),
        penalties={"total variation": lambda x: smoothness * total_variation(x, 2)},
        progress="style transfer",
    )


def losses(
    model: Model, picture: Tensor, content: Tensor, style: Tensor, at: str, over: list[str]
) -> tuple[float, float]:
    """(relative content loss, mean relative style loss) of a picture: what :func:`transfer` minimises, unweighted."""
    modules = [model.layer(name).module for name in over]
    place = model.layer(at).module
    ours, theirs = (read(model, x, [place, *modules]) for x in (picture, style))
    there = read(model, content, [place])[place]
    style_loss = -sum(match(m, gram(theirs[m]), gram).value(ours) for m in modules) / len(modules)
    return float(-match(place, torch.relu(there)).value(ours)), float(style_loss)


def picture(path: str | Path, side: int) -> np.ndarray:
    """The picture at ``path``, upright, its long side ``side`` pixels: (h, w, 3) uint8. Raises UserError."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"style_transfer: {Path(path).name} cannot be read as a picture: {error}") from error
    ratio = side / max(image.size)
    size = tuple(max(1, round(length * ratio)) for length in image.size)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _channels(x: Tensor, channels: int) -> Tensor:
    """RGB pictures (n, 3, h, w) as a network of 3 channels, or of 1 (luminance, ITU-R BT.601), takes them."""
    return x if channels == 3 else (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def main(job: Job) -> None:
    p = job.parameters
    model = models.load(job)
    if model.channels not in (1, 3):
        reason = f"This network takes {model.channels} channels; the pictures have colours, or grey levels, only."
        return job.write({}, not_applicable=reason)
    if not any(layer.height > 1 for layer in model.layers):
        return job.write({}, not_applicable="This network has no layer with feature maps, so it sees no texture.")
    content, style = (picture(p[name], p["size"]) for name in ("content", "style"))
    at, over = layers(model, p["content_layer"], p["style_layers"])
    x, y = (_channels(model.pictures([p]), model.channels) for p in (content, style))
    try:
        read(model, x, [model.layer(name).module for name in (at, *over)])
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a network raises on a size that is not its own
        said = (str(error).splitlines() or [type(error).__name__])[0]
        reason = f"This network takes pictures of its own size only ({said})."
        return job.write({}, not_applicable=reason, provenance=model.provenance)
    ascent = transfer(
        model,
        x,
        y,
        content_layer=at,
        style_layers=over,
        steps=p["steps"],
        content_weight=p["content_weight"],
        style_weight=p["style_weight"],
        smoothness=p["total_variation"],
    )
    result = to_bytes(ascent.pictures)[0]
    before = losses(model, x, x, y, at, over)
    after = losses(model, model.pictures([result]), x, y, at, over)
    job.write(
        {
            "content": content,
            "style": style,
            "result": result,
            "content_loss": -ascent.curves["content"][:, 0] / p["content_weight"],
            "style_losses": -np.stack([ascent.curves[f"style {n}"][:, 0] for n in over], 1)
            * len(over)
            / p["style_weight"],
        },
        numbers={
            "content_layer": at,
            "style_layers": over,
            "content_loss": {"content picture": before[0], "result": after[0]},
            "style_loss": {"content picture": before[1], "result": after[1]},
        },
        provenance=model.provenance,
    )
    return None


if __name__ == "__main__":
    run(main)

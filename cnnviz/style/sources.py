"""What texture synthesis and style transfer share: given pictures, starting noise, layers with positions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cnnviz.ascent.objective_functions import read, tried
from cnnviz.ascent.regularisers import blur
from cnnviz.errors import UserError
from cnnviz.network.loaded import Model

LUMINANCE = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601, the Y of YIQ


def fitted(given: Mapping, side: int, fitting: Callable[[float], int] = round) -> np.ndarray:
    """A given picture, upright, with a long side of ``side`` pixels: (h, w, 3) uint8. Raises UserError.

    fitting: a length in pixels → the nearest length that the network takes, see Model.fitting. given: its ``path``, and
    its ``box`` (left, top, right, bottom) in pixels if only a part of it is used.
    """
    image = _opened(given)
    ratio = side / max(image.size)
    size = tuple(max(1, fitting(length * ratio)) for length in image.size)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def middle(given: Mapping, size: tuple[int, int]) -> np.ndarray:
    """The largest centre crop of a given picture (see :func:`fitted`) with this shape: (*size, 3) uint8."""
    return np.asarray(ImageOps.fit(_opened(given), size[::-1], Image.Resampling.LANCZOS))


def _opened(given: Mapping) -> Image.Image:
    path, box = Path(given["path"]), given.get("box")
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path.name} cannot be read as a picture: {error}") from error
    if box is None:
        return image
    left, top, right, bottom = box
    if not (left < right <= image.width and top < bottom <= image.height):
        raise UserError(
            f"box {box} is not inside {path.name}, which is {image.width} × {image.height} pixels: give left, top, "
            "right, bottom"
        )
    return image.crop(tuple(box))


def seen(model: Model, pictures: Sequence[np.ndarray]) -> Tensor:
    """RGB pictures of one size → (n, c, h, w) in [0, 1] for a network of 3 channels, or of 1 (luminance)."""
    x = model.pictures(pictures)
    return x if model.channels == 3 else luminance(x)


def luminance(x: Tensor) -> Tensor:
    """(n, 3, h, w) or (n, 1, h, w) → (n, 1, h, w)."""
    return (x * x.new_tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True) if x.shape[1] == 3 else x


def noise(like: Tensor, seeds: Sequence[int]) -> Tensor:
    """Blurred noise with the mean and covariance of the colours in ``like``: (n, c, h, w), one seed per picture.

    White noise contains a fine grid that the network does not see because of its strides, so no gradient can remove it.
    Blurring nearly removes this grid. Noise with a photograph's spectrum has no grid either, but its large plain areas
    stay plain.
    """
    size = like.shape[1:]
    white = [torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    x = blur(max(2.0, max(size[1:]) / 64), 1)(torch.stack(white).to(like), like, 1)
    x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True)
    mean, colours = like.mean((2, 3), keepdim=True), like.flatten(2)
    colours = colours - mean.flatten(2)
    covariance = colours @ colours.transpose(1, 2) / colours.shape[2]
    mixing = torch.linalg.cholesky(covariance + 1e-6 * torch.eye(size[0]).to(like))
    return (mean + (mixing @ x.flatten(2)).view_as(x)).clamp(0, 1)


def with_maps(model: Model) -> list[str]:
    """Names of the chosen layers that have positions, without a convolution that gives the class scores."""
    maps = [name for name in model.chosen if model.layer(name).height > 1 and model.layer(name) != model.layers[-1]]
    return maps or [layer.name for layer in model.layers if layer.height > 1]


SILENT = "All features of these pictures are 0 in the layers to be matched, so no picture can be made."


def why_not(model: Model) -> str:
    """Reason for readers why this network cannot be used; "" if it can."""
    if model.channels not in (1, 3):
        return f"This network takes {model.channels} channels; the pictures have colours, or grey levels, only."
    if not any(layer.height > 1 for layer in model.layers):
        return "This network has no layer with feature maps, so it sees no texture."
    return ""


def silent(model: Model, x: Tensor, layers: Sequence[str]) -> set[str]:
    """Names of the layers in which all features of a picture of x are 0 after a ReLU. These cannot be matched."""
    modules = {name: model.layer(name).module for name in layers}
    outputs = read(model, x, list(modules.values()))
    return {name for name, module in modules.items() if (outputs[module] <= 0).flatten(1).all(1).any()}


def own_size(model: Model, x: Tensor, layers: Sequence[str]) -> tuple[int, int] | None:
    """(height, width) of the network's input if it takes no pictures x of another size, else None."""
    found = tried(model, x, [model.layer(name).module for name in layers])
    return model.preprocess.size if found is None else None


def first_stride(model: Model) -> int:
    """Stride of the first convolution in pixels; 1 if there is none."""
    modules = (model.module(layer.name) for layer in model.layers)
    return next((max(module.stride) for module in modules if isinstance(module, torch.nn.Conv2d)), 1)

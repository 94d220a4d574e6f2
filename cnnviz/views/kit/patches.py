"""Patches with the largest activations of units: cut out of the network's input, their captions, and their links."""

from collections.abc import Callable
from math import ceil, floor

import numpy as np
from PIL import Image

from cnnviz.pictures.preprocess import Preprocess
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.section import Context
from cnnviz.views.kit.svg import Mark
from cnnviz.views.kit.tiles import places, square


def part(preprocess: Preprocess, size: tuple[int, int], originals: bool) -> Callable[[Image.Image], np.ndarray]:
    """Picture → the part that the network sees, (h, w, 3) uint8, at its own resolution or in the network's ``size``.

    It has its own resolution only if ``originals`` is set and that is higher.
    """

    def cut(picture: Image.Image) -> np.ndarray:
        left, top, right, bottom = preprocess.box(*picture.size)
        if not originals or (right - left) * (bottom - top) <= size[0] * size[1]:
            return preprocess.geometry(picture)
        return np.asarray(picture.crop((floor(left), floor(top), ceil(right), ceil(bottom))))

    return cut


def patch(picture: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels of ``picture`` in ``box``: top, left, bottom, right in pixels of the network's input of ``size``."""
    down, across = picture.shape[0] / size[0], picture.shape[1] / size[1]
    top, left, bottom, right = box.tolist()
    if top == bottom or left == right:
        return picture[:0]
    return picture[floor(top * down) : ceil(bottom * down), floor(left * across) : ceil(right * across)]


def in_proportion(crop: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A :func:`patch` (h, w, 3) with the sides' proportion in ``box``: a network may see pictures squeezed to a square.

    Its longer side keeps its pixels. A proportion within a twentieth is left as it is.
    """
    (height, width), (down, across) = crop.shape[:2], (box[2:] - box[:2]).tolist()
    wanted = round(height * across / down)
    if abs(wanted - width) <= width / 20:
        return crop
    shape = (wanted, height) if wanted > width else (width, max(1, round(width * down / across)))
    return np.asarray(Image.fromarray(crop).resize(shape, Image.Resampling.LANCZOS))


def marks(
    context: Context, image: np.ndarray, value: np.ndarray, box: np.ndarray, *, side: int, gap: int, at=(0, 0)
) -> list[Mark]:
    """A mark for each of a unit's patches in their :func:`tiles.block`, with the activation.

    image: (k,) the set's pictures, or −1. value: (k,). box: (k, 4) as in :func:`patch`. side, gap: of the block's
    cells, in pixels. at: left and top of the block.
    """
    seen = (image >= 0) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    cells = places(len(image), side, side, gap, square(len(image)))
    return [
        context.mark(int(image[k]), f"activation {number(value[k])}", (at[0] + x, at[1] + y, width, height))
        for k, (x, y, width, height) in enumerate(cells)
        if seen[k]
    ]


def patches_that_excite(count: int) -> str:
    """Subject and verb of a sentence, to be followed by what the patches activate."""
    return "the patch that excites" if count == 1 else f"the {count} patches that excite"


def over_the_edge(count: int) -> str:
    """A sentence about the patches with an orange frame; "" if there are none."""
    if not count:
        return ""
    return f" {count} with an orange frame reach{'es' if count == 1 else ''} over the picture's edge."


def unprobed(layers: list[dict]) -> str:
    """A sentence for each layer whose receptive fields are not known, with the reason; "" if there is none."""
    return "".join(
        f" Of {layer['name']} it is not known which part of the picture a neuron sees, so the whole is shown: "
        f"{layer['unprobed']}."
        for layer in layers
        if layer["unprobed"]
    )

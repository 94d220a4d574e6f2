"""Patches with the largest activations of units: cut out of the network's input, and their captions."""

from collections.abc import Callable
from math import ceil, floor

import numpy as np
from PIL import Image

from cnnviz.pictures.preprocess import Preprocess


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

"""Backgrounds for a set's objects: the demo's own grounds, or the set's pictures with the object painted over.

Putting an object on another background is an experiment: a change of the network's output is caused by the background.
A ground is (index of its source picture, or None; pixels (h, w, c)).
"""

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from cnnviz.pictures.images import ImageSet

Ground = tuple[int | None, np.ndarray]
Geometry = Callable[[Image.Image | np.ndarray], np.ndarray]


def drawn(image_set: ImageSet, geometry: Geometry, each: int) -> dict[str, list[Ground]]:
    """``each`` grounds of every kind of the demo; {} for another set."""
    if image_set.config["kind"] != "demo":
        return {}
    from cnnviz.demo.grounds import NAMES, paint

    def painted(name: str, k: int) -> Ground:
        ground, _ = paint(name, np.random.default_rng([image_set.config["seed"], NAMES.index(name), k]), 64)
        return None, geometry(Image.fromarray((ground * 255 + 0.5).astype(np.uint8)))

    return {name: [painted(name, k) for k in range(each)] for name in NAMES}


def around(things: Iterable[tuple[int, np.ndarray, np.ndarray]], each: int) -> list[Ground]:
    """Up to ``each`` grounds from the surroundings of things: (index, pixels (h, w, c), mask (h, w)).

    Pictures with small objects come first, since less of them is painted over. Objects that fill half of their picture
    or more are not used.
    """
    found = sorted(
        ((float(mask.mean()), index, pixels, mask) for index, pixels, mask in things if mask.mean() < 0.5),
        key=lambda thing: thing[:2],
    )
    return [(index, without(pixels, mask)) for _, index, pixels, mask in found[:each]]


def without(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """pixels (h, w, c), uint8 or float32, with the object at ``mask`` (h, w) filled in from its surroundings.

    It uses Telea's inpainting (2004, doi:10.1080/10867651.2004.10487596), a little beyond the mask, to cover the
    object's edge.
    """
    import cv2

    side = max(3, round(min(mask.shape) / 32)) | 1
    hole = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    # 8 bits for float pictures, too: with floats OpenCV gives values far outside their range
    levels = pixels if pixels.dtype == np.uint8 else np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    planes = (np.ascontiguousarray(plane) for plane in np.moveaxis(levels, -1, 0))
    painted = np.stack([cv2.inpaint(plane, hole, 3, cv2.INPAINT_TELEA) for plane in planes], -1)
    if pixels.dtype != np.uint8:
        painted = painted.astype(pixels.dtype) / 255
    return np.where(hole[..., None] > 0, painted, pixels)


def on(background: np.ndarray, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The object at ``mask`` (h, w) of ``pixels`` (h, w, c), at its position, on another ``background`` (h, w, c)."""
    return np.where(mask[..., None], pixels, background)

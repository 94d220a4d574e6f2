"""What a set's things can be put on: the demo's own grounds, or what its pictures show where the thing is painted over.

Cutting a thing out and putting it on another background is an experiment: what the network then says differently, it
says because of the background. A ground is (index of the picture it was taken from, or None; pixels (h, w, c)).
"""

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from cnnviz.pictures.images import ImageSet

Ground = tuple[int | None, np.ndarray]
Geometry = Callable[[Image.Image | np.ndarray], np.ndarray]


def drawn(image_set: ImageSet, geometry: Geometry, each: int) -> dict[str, list[Ground]]:
    """``each`` grounds of every kind that the demo knows; {} for another set."""
    if image_set.config["kind"] != "demo":
        return {}
    from cnnviz.demo.grounds import NAMES, paint

    def painted(name: str, k: int) -> Ground:
        ground, _ = paint(name, np.random.default_rng([image_set.config["seed"], NAMES.index(name), k]), 64)
        return None, geometry(Image.fromarray((ground * 255 + 0.5).astype(np.uint8)))

    return {name: [painted(name, k) for k in range(each)] for name in NAMES}


def around(things: Iterable[tuple[int, np.ndarray, np.ndarray]], each: int) -> list[Ground]:
    """Up to ``each`` grounds from what is around things: (index, pixels (h, w, c), mask (h, w)).

    Those whose things are small come first, as less of them has to be painted over; those that fill half of their
    picture or more are of no use.
    """
    found = sorted(
        ((float(mask.mean()), index, pixels, mask) for index, pixels, mask in things if mask.mean() < 0.5),
        key=lambda thing: thing[:2],
    )
    return [(index, without(pixels, mask)) for _, index, pixels, mask in found[:each]]


def without(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """pixels (h, w, c), uint8 or float32, with the thing at ``mask`` (h, w) painted over from its surroundings.

    Telea's inpainting (2004, doi:10.1080/10867651.2004.10487596), a little beyond the mask, where the thing's edge is.
    """
    import cv2

    side = max(3, round(min(mask.shape) / 32)) | 1
    hole = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    # in 8 bits also for float pictures: of floats OpenCV makes values far outside their range
    levels = pixels if pixels.dtype == np.uint8 else np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    planes = (np.ascontiguousarray(plane) for plane in np.moveaxis(levels, -1, 0))
    painted = np.stack([cv2.inpaint(plane, hole, 3, cv2.INPAINT_TELEA) for plane in planes], -1)
    if pixels.dtype != np.uint8:
        painted = painted.astype(pixels.dtype) / 255
    return np.where(hole[..., None] > 0, painted, pixels)


def on(background: np.ndarray, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The thing at ``mask`` (h, w) of ``pixels`` (h, w, c), in its place, on another ``background`` (h, w, c)."""
    return np.where(mask[..., None], pixels, background)

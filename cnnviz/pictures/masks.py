"""The object's mask in a picture: the demo's own truth, or a mask or a box of a table."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cnnviz.pictures.images import ImageSet, Picture


@dataclass(frozen=True, eq=False)
class Mask:
    """pixels: bool (h, w), the object. is_box: whether it is a filled box, since only a box is known."""

    pixels: np.ndarray
    is_box: bool


def of_picture(image_set: ImageSet, index: int) -> Mask | None:
    """The mask of an upright picture, in its own pixels; else its box; None if it has neither.

    In a mask file the object is brighter than half the largest value, so 0 and 1 work as well as 0 and 255.
    """
    picture, config = image_set.pictures[index], image_set.config
    if config["kind"] == "demo":
        from cnnviz.demo.scenes import remembered

        return Mask(remembered(config["seed"], int(picture.name.rsplit("-", 1)[1])).mask, False)
    if picture.mask is not None:
        beside = {key: config.get(key) for key in ("kind", "path", "root")}
        beside = ImageSet(beside, (Picture("", picture.mask, None, 0, 0),), (), ())
        values = np.atleast_3d(np.asarray(beside.pixels(0))).max(2)
        thing = Image.fromarray(values > values.max() / 2).resize((picture.width, picture.height))
        return Mask(np.asarray(thing), False)  # a mask may be smaller than its picture
    if picture.box is not None:
        pixels = np.zeros((picture.height, picture.width), bool)
        left, top, right, bottom = (round(side) for side in picture.box)
        pixels[top : max(bottom, top + 1), left : max(right, left + 1)] = True
        return Mask(pixels, True)
    return None


def as_seen(image_set: ImageSet, index: int, geometry: Callable[[Image.Image | np.ndarray], np.ndarray]) -> Mask | None:
    """The picture's mask, or its filled box, after the network's resize and crop: pixels are bool (h, w).

    geometry: :meth:`cnnviz.pictures.preprocess.Preprocess.geometry`. A pixel belongs to the object if more than half of
    it does. Returns None if there is no mask or box, or if the crop leaves nothing of it.
    """
    mask = of_picture(image_set, index)
    if mask is None:
        return None
    # geometry takes pictures with the image set's number of channels only
    real = image_set.pixels(index)
    channels = real.shape[2] if isinstance(real, np.ndarray) else 1
    seen = geometry(np.repeat(mask.pixels[..., None], channels, 2).astype(np.float32))[..., 0] > 0.5
    return Mask(seen, mask.is_box) if seen.any() else None

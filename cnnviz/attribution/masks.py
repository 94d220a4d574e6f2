"""The object's position in the network's input: the ground truth for maps."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from cnnviz.pictures import masks
from cnnviz.pictures.images import ImageSet
from cnnviz.pictures.masks import Mask


def mask_of(image_set: ImageSet, index: int, geometry: Callable[[Image.Image | np.ndarray], np.ndarray]) -> Mask | None:
    """The picture's mask, or its filled box, after the network's resize and crop: pixels are bool (h, w).

    geometry: :meth:`cnnviz.pictures.preprocess.Preprocess.geometry`. A pixel belongs to the object if more than half of
    it does. Returns None if there is no mask or box, or if the crop leaves nothing of it.
    """
    mask = masks.of_picture(image_set, index)
    if mask is None:
        return None
    # geometry takes pictures with the image set's number of channels only
    real = image_set.pixels(index)
    channels = real.shape[2] if isinstance(real, np.ndarray) else 1
    seen = geometry(np.repeat(mask.pixels[..., None], channels, 2).astype(np.float32))[..., 0] > 0.5
    return Mask(seen, mask.is_box) if seen.any() else None

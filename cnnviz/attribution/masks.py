"""Where the thing is in what the network sees of a picture: the ground truth that maps are held against."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from cnnviz.pictures import masks
from cnnviz.pictures.images import ImageSet
from cnnviz.pictures.masks import Mask


def mask_of(image_set: ImageSet, index: int, geometry: Callable[[Image.Image | np.ndarray], np.ndarray]) -> Mask | None:
    """The picture's mask, or its box filled, after the network's resize and crop: pixels are bool (h, w).

    geometry: :meth:`cnnviz.pictures.preprocess.Preprocess.geometry`. A pixel is the thing's where more than half of it
    is. None where nothing marks the thing, and where the crop leaves nothing of it.
    """
    mask = masks.of_picture(image_set, index)
    if mask is None:
        return None
    # As a picture of as many channels as the real one, since geometry takes no others.
    real = image_set.pixels(index)
    channels = real.shape[2] if isinstance(real, np.ndarray) else 1
    seen = geometry(np.repeat(mask.pixels[..., None], channels, 2).astype(np.float32))[..., 0] > 0.5
    return Mask(seen, mask.is_box) if seen.any() else None

"""Masks that say of every pixel which class it is: label maps, as data sets for segmentation have them.

A file holds a whole number a pixel (grey, 8 or 16 bits, or .npy), a colour of a palette (its number counts), or colours
that the image set's ``mask_colours`` name. Number i is output i; ``IGNORED`` pixels count for nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.errors import UserError
from cnnviz.images import ImageSet, reason
from cnnviz.pictures.places import root_of
from cnnviz.preprocess import Preprocess

IGNORED = 255  # in files, where there are fewer classes
NOTHING = -1  # what it becomes


def of_picture(image_set: ImageSet, index: int, preprocess: Preprocess, classes: int) -> np.ndarray | None:
    """(h, w) int32 outputs of what the network sees of a picture, NOTHING where it is not known; None without a mask.

    Raises UserError for a file that is no label map of so many ``classes``.
    """
    name = image_set.pictures[index].mask
    if name is None:
        return None
    path = Path(root_of(image_set.config), name)
    config = image_set.config
    return seen(numbers(path, classes, config.get("mask_colours"), config.get("mask_ignore")), preprocess)


def numbers(
    path: Path, classes: int, colours: Sequence[Sequence[int]] | None = None, ignore: int | None = None
) -> np.ndarray:
    """(h, w) int32: what the file at ``path`` says of each pixel, 0 … classes − 1 or NOTHING, which ``ignore`` becomes.

    Raises UserError where it cannot be read, or holds another number.
    """
    try:
        values = _stored(path)
    except Exception as error:  # a decoder raises whatever it likes on a broken file
        raise UserError(f"the mask {path} cannot be read: {reason(error)}") from error
    if values.ndim == 3:
        if not colours:
            raise UserError(
                f"the mask {path} holds colours, not numbers of classes; name them in the image set, in the order of "
                "the outputs: mask_colours: [[0, 0, 0], [128, 64, 128]]"
            )
        return _of_colours(values[..., :3], colours)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    values = values.astype(np.int32)
    if ignore is not None:
        values = np.where(values == ignore, NOTHING, values)
    found = np.unique(values)
    if classes == 2 and set(found.tolist()) <= {0, 255}:  # black and white: yes or no
        return (values > 0).astype(np.int32)
    if (odd := found[(found >= classes) & (found != IGNORED)]).size or found[0] < NOTHING:
        raise UserError(
            f"the mask {path} holds the number {odd[0] if odd.size else found[0]}, and the network has {classes} "
            f"classes, 0 to {classes - 1} ({IGNORED} is ignored; another such number says mask_ignore of the image set)"
        )
    return np.where(values >= classes, NOTHING, values)


def seen(labels: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Labels (h, w) of a picture's pixels → those of what the network sees of it, after resize and crop."""
    nearest = Preprocess(**vars(preprocess) | {"interpolation": "nearest", "inputs": 1})
    shares = ((labels + 1) / 65536).astype(np.float32)  # exact, and within the 0 … 1 of pictures; beyond them is 0
    return np.rint(nearest.geometry(shares[..., None])[..., 0] * 65536).astype(np.int32) - 1


def _stored(path: Path) -> np.ndarray:
    """The file's own values: (h, w), numbers of a palette among them, or (h, w, 3 or 4) colours."""
    if path.suffix.lower() == ".npy":
        values = np.load(path, allow_pickle=False)
        return values.reshape(values.shape[:2]) if values.ndim == 3 and values.shape[2] == 1 else values
    with Image.open(path) as picture:
        values = np.asarray(picture)
        mode = picture.mode
    if values.ndim == 3 and (values[..., :1] == values[..., :3]).all() and mode in ("RGB", "RGBA"):
        values = values[..., 0]  # grey, saved in colour
    return values if mode != "LA" else values[..., 0]


def _of_colours(values: np.ndarray, colours: Sequence[Sequence[int]]) -> np.ndarray:
    packed = values.astype(np.int32) @ np.array([65536, 256, 1])
    wanted = np.array(colours) @ np.array([65536, 256, 1])
    order = np.argsort(wanted)
    place = np.clip(np.searchsorted(wanted[order], packed), 0, len(wanted) - 1)
    return np.where(wanted[order][place] == packed, order[place], NOTHING).astype(np.int32)

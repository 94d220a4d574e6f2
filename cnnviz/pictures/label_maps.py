"""Masks that say of every pixel which class it is: label maps, as data sets for segmentation have them.

A file holds a whole number a pixel (grey, 8 or 16 bits, or .npy), a colour of a palette (its number counts), or colours
that the image set's ``mask_colours`` name. Number i is output i; ``IGNORED`` pixels count for nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.errors import UserError
from cnnviz.pictures import sizes
from cnnviz.pictures.files import visible
from cnnviz.pictures.images import ImageSet, reason
from cnnviz.pictures.places import root_of
from cnnviz.pictures.preprocess import Preprocess

IGNORED = 255  # in files, where there are fewer classes
NOTHING = -1  # what it becomes
LOSSY = (".jpg", ".jpeg", ".jfif")


def of_picture(image_set: ImageSet, index: int, preprocess: Preprocess, classes: int) -> np.ndarray | None:
    """(h, w) int32 outputs of what the network sees of a picture, NOTHING where it is not known; None without a mask.

    Raises UserError for a file that is no label map of so many ``classes``.
    """
    name = image_set.pictures[index].mask
    if name is None:
        return None
    path = Path(os.path.normpath(os.path.join(root_of(image_set.config), name)))
    config, picture = image_set.config, image_set.pictures[index]
    labels = numbers(path, classes, config.get("mask_colours"), config.get("mask_ignore"))
    file = os.path.join(root_of(config), picture.file or picture.name)
    size = (picture.height, picture.width) if picture.width else not config.get("loader") and sizes.of_file(file)
    if size and not _alike(labels.shape, size):
        raise UserError(
            f"the mask {path} has {labels.shape[1]} × {labels.shape[0]} pixels, and its picture {size[1]} × {size[0]}: "
            "they must have the same shape"
        )
    return seen(labels, preprocess)


def usable(
    image_set: ImageSet, index: int, preprocess: Preprocess, classes: int, left_out: dict[str, str]
) -> np.ndarray | None:
    """The same; a file that is no such label map goes into ``left_out``, picture → why, and gives None."""
    try:
        return of_picture(image_set, index, preprocess, classes)
    except UserError as error:
        left_out[image_set.pictures[index].id] = visible(str(error))
        return None


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
        if path.suffix.lower() in LOSSY:
            raise UserError(f"the mask {path} is a JPEG, which does not keep colours exactly; save masks as PNG")
        found = _of_colours(values[..., :3], colours)
        if not (found != NOTHING).any():
            seen_first = ", ".join(map(str, np.unique(values[..., :3].reshape(-1, 3), axis=0)[:3].tolist()))
            raise UserError(f"the mask {path} has none of the colours of mask_colours; it has {seen_first}, …")
        return found
    if values.dtype == bool:
        values = values.astype(np.uint8)
    values = values.astype(np.int32)
    if ignore is not None:
        values = np.where(values == ignore, NOTHING, values)
    found = np.unique(values)
    if classes == 2 and path.suffix.lower() in LOSSY and found[-1] > 127:  # black and white, but for what a JPEG loses
        return (values > 127).astype(np.int32)
    if classes == 2 and set(found.tolist()) <= {0, 255}:  # black and white: yes or no
        return (values > 0).astype(np.int32)
    if (odd := found[(found >= classes) & (found != IGNORED)]).size or found[0] < NOTHING:
        if path.suffix.lower() in LOSSY:
            raise UserError(f"the mask {path} is a JPEG, which does not keep numbers exactly; save masks as PNG")
        raise UserError(
            f"the mask {path} holds the number {odd[0] if odd.size else found[0]}, and the network has {classes} "
            f"classes, 0 to {classes - 1} ({IGNORED} is ignored; another such number says mask_ignore of the image set)"
        )
    return np.where(values >= classes, NOTHING, values)


def _alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two sizes have one shape: a mask may be smaller than its picture, and is then rounded to pixels."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= (0.02 * max(a) + 1) * b[1]


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

"""Label maps: masks with a class for every pixel, as in data sets for segmentation.

A file holds an integer per pixel (grey, 8 or 16 bits, or .npy), a palette's colour (its index counts), or colours that
the image set's ``mask_colours`` list. Number i is output i; ``IGNORED`` pixels do not count.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnnviz.errors import UserError
from cnnviz.pictures import decoding, sizes
from cnnviz.pictures.decoding import reason, visible
from cnnviz.pictures.images import ImageSet
from cnnviz.pictures.paths import root_of
from cnnviz.pictures.preprocess import Preprocess

IGNORED = 255  # in files with fewer classes
NOTHING = -1  # its value after reading
LOSSY = (".jpg", ".jpeg", ".jfif")


@dataclass
class Doubts:
    """Problems of masks. left_out: picture → why its mask cannot be used.

    unnamed: colours that ``mask_colours`` does not list → their pixels, of ``coloured`` pixels in total.
    """

    left_out: dict[str, str] = field(default_factory=dict)
    unnamed: Counter[tuple[int, ...]] = field(default_factory=Counter)
    coloured: int = 0

    def of_colours(self) -> str:
        """A sentence about the colours without a name; "" if all have one."""
        if not self.unnamed:
            return ""
        few = ", ".join(str([*colour]) for colour, _ in self.unnamed.most_common(3))
        what = f"colour{'s' * (len(self.unnamed) > 1)} ({few}{', …' * (len(self.unnamed) > 3)})"
        share = self.unnamed.total() / self.coloured
        some = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
        return (
            f"{len(self.unnamed):,} {what} that mask_colours does not name are ignored: {some} of the masks' "
            "pixels have them."
        )


def of_picture(
    image_set: ImageSet, index: int, preprocess: Preprocess, classes: int, doubts: Doubts | None = None
) -> np.ndarray | None:
    """(h, w) int32 outputs of a picture after the network's resize and crop, NOTHING if unknown; None without a mask.

    Raises UserError for a file that is not a label map of ``classes`` classes.
    """
    name = image_set.pictures[index].mask
    if name is None:
        return None
    path = Path(os.path.normpath(os.path.join(root_of(image_set.config), name)))
    config, picture = image_set.config, image_set.pictures[index]
    labels = numbers(path, classes, config.get("mask_colours"), config.get("mask_ignore"), doubts)
    file = os.path.join(root_of(config), picture.file or picture.name)
    size = (picture.height, picture.width) if picture.width else not config.get("loader") and sizes.of_file(file)
    if size and not sizes.alike(labels.shape, size):
        raise UserError(
            f"the mask {path.name} has {labels.shape[1]} × {labels.shape[0]} pixels, and its picture {size[1]} × "
            f"{size[0]}: they must have the same shape"
        )
    return seen(labels, preprocess)


def usable(image_set: ImageSet, index: int, preprocess: Preprocess, classes: int, doubts: Doubts) -> np.ndarray | None:
    """:func:`of_picture`, but None, with an entry in ``doubts``, for a file that is not such a label map."""
    try:
        return of_picture(image_set, index, preprocess, classes, doubts)
    except UserError as error:
        doubts.left_out[image_set.pictures[index].id] = visible(str(error))
        return None


def numbers(
    path: Path,
    classes: int,
    colours: Sequence[Sequence[int]] | None = None,
    ignore: int | None = None,
    doubts: Doubts | None = None,
) -> np.ndarray:
    """(h, w) int32: each pixel's number in the file at ``path``, 0 … classes − 1, or NOTHING for ``ignore``.

    Raises UserError if it cannot be read, or holds another number. The message has only the file's name, since pages
    show it.
    """
    try:
        values = _stored(path)
    except Exception as error:  # decoders raise anything for a broken file
        raise UserError(f"the mask {path.name} cannot be read: {reason(error)}") from error
    lossy = path.suffix.lower() in LOSSY
    if values.shape[2] == 3 and (colours or (values != values[..., :1]).any()):  # otherwise grey, saved in colour
        if not colours:
            raise UserError(
                f"the mask {path.name} holds colours, not numbers of classes; name them in the image set, in the order "
                "of the outputs: mask_colours: [[0, 0, 0], [128, 64, 128]]"
            )
        if lossy:
            raise UserError(f"the mask {path.name} is a JPEG, which does not keep colours exactly; save masks as PNG")
        return _of_colours(values, colours, path.name, doubts or Doubts())
    if values.shape[2] not in (1, 3):
        raise UserError(f"the mask {path.name} has {values.shape[2]} numbers per pixel; a mask has one, or a colour")
    # float64 holds every number of a file, the largest ones approximately
    values = values[..., 0].astype(np.int32 if values.dtype.itemsize <= 2 else np.float64)
    if ignore is not None:
        values = np.where(values == ignore, NOTHING, values)
    found = np.unique(values)
    if classes == 2 and lossy and found[-1] > 127:  # black and white, with JPEG artefacts
        return (values > 127).astype(np.int32)
    if classes == 2 and set(found.tolist()) <= {0, 255}:  # black and white: yes or no
        return (values > 0).astype(np.int32)
    if (odd := found[(found < NOTHING) | ((found >= classes) & (found != IGNORED)) | (found % 1 != 0)]).size:
        if lossy:
            raise UserError(f"the mask {path.name} is a JPEG, which does not keep numbers exactly; save masks as PNG")
        raise UserError(
            f"the mask {path.name} holds the number {odd[0]:.12g}, and the network has {classes} classes, 0 to "
            f"{classes - 1} ({IGNORED} is ignored; mask_ignore of the image set sets another such number)"
        )
    return np.where(values >= classes, NOTHING, values).astype(np.int32)


def seen(labels: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Labels (h, w) of a picture's pixels → those of the network's input, after resize and crop."""
    nearest = Preprocess(**vars(preprocess) | {"interpolation": "nearest", "inputs": 1})
    shares = ((labels + 1) / 65536).astype(np.float32)  # exact, and within the 0 … 1 of pictures; padding is 0
    return np.rint(nearest.geometry(shares[..., None])[..., 0] * 65536).astype(np.int32) - 1


def _stored(path: Path) -> np.ndarray:
    """The file's own values (h, w, channels); for palettes and black and white, their indices."""
    decoding.regular(path)
    with contextlib.suppress(UnidentifiedImageError), Image.open(path, formats=decoding.formats()) as picture:
        if picture.mode in ("P", "1"):
            return np.asarray(picture)[..., None]
    return np.atleast_3d(np.asarray(decoding.read(path)[0]))


def _of_colours(values: np.ndarray, colours: Sequence[Sequence[int]], name: str, doubts: Doubts) -> np.ndarray:
    """(h, w) indices of colours (h, w, 3) in the list; others become NOTHING, with an entry in ``doubts``."""
    if values.dtype != np.uint8 and ((values < 0) | (values > 255) | (values % 1 != 0)).any():
        raise UserError(f"the mask {name} holds colours beyond 8 bits; those of mask_colours are 0 to 255")
    packed = values.astype(np.int32) @ np.array([65536, 256, 1])
    wanted = np.array(colours) @ np.array([65536, 256, 1])
    order = np.argsort(wanted)
    place = np.clip(np.searchsorted(wanted[order], packed), 0, len(wanted) - 1)
    known = wanted[order][place] == packed
    others, counts = np.unique(packed[~known], return_counts=True)
    named = {(n >> 16, n >> 8 & 255, n & 255): count for n, count in zip(others.tolist(), counts.tolist(), strict=True)}
    if not known.any():
        few = ", ".join(str([*colour]) for colour in [*named][:3])
        raise UserError(f"the mask {name} has none of the colours of mask_colours; it has {few}, …")
    doubts.unnamed.update(named)
    doubts.coloured += packed.size
    return np.where(known, order[place], NOTHING).astype(np.int32)

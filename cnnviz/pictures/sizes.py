"""The size of a set's pictures where they are all of one small size: what a network was most likely trained on."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.pictures import decoding, listing
from cnnviz.pictures.paths import root_of

SMALL = 96  # pixels
LARGEST = 16 * 2**20  # bytes of a file that is read whole: SMALL × SMALL pixels of 8 bytes in more than 200 channels
MOST = 8  # pictures whose headers are read, spread over the set


def common(config: dict) -> tuple[int, int] | None:
    """(height, width) of a set's pictures if some of them, spread over the set, are all of one small size, else None.

    Reads headers, and of TIFF files and arrays, whose headers do not tell their axes, small ones whole, so this is
    quick. Where a loader makes pictures of files it is not known.
    """
    if config["kind"] == "demo":
        return 64, 64
    if config.get("loader"):
        return None
    rows = listing.rows(config)
    places = {i * (len(rows) - 1) // max(1, MOST - 1) for i in range(MOST)}
    found = {of_file(os.path.join(root_of(config), rows[i].file or rows[i].name)) for i in places} - {None}
    size = found.pop() if len(found) == 1 else None
    return size if size and max(size) <= SMALL else None


def of_file(path: str) -> tuple[int, int] | None:
    """(height, width) of the upright picture in a file; None where it cannot be told."""
    try:
        decoding.regular(Path(path))
        if path.lower().endswith((".npy", ".tif", ".tiff")) and os.path.getsize(path) <= LARGEST:
            pixels, _ = decoding.read(Path(path))
            return pixels.shape[:2] if isinstance(pixels, np.ndarray) else pixels.size[::-1]
        if path.lower().endswith(".npy"):
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return height, width
        with Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(0x0112, 1) > 4  # EXIF: on its side
    except Exception:  # what is wrong with pictures is said where they are listed
        return None
    return (width, height) if turned else (height, width)


def alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two sizes have one shape: a mask may be smaller than its picture, and is then rounded to pixels."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= (0.02 * max(a) + 1) * b[1]

"""Size of a set's pictures if they all have one small size, which most likely is the training size."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.pictures import decoding, listing
from cnnviz.pictures.paths import root_of

SMALL = 96  # pixels
# Largest file, in bytes, that is read in full: SMALL × SMALL pixels of 8 bytes in over 200 channels.
LARGEST = 16 * 2**20
MOST = 8  # number of pictures whose headers are read, spread over the set


def common(config: dict) -> tuple[int, int] | None:
    """(height, width) of a set's pictures if a sample of them has one small size, else None.

    It reads headers only. Small TIFF files and arrays are read in full, since their headers do not state their axes.
    With a loader the size is not known.
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
    """(height, width) of the upright picture in a file, or None if unknown."""
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
            turned = picture.getexif().get(0x0112, 1) > 4  # EXIF: rotated by 90°
    except Exception:  # errors of pictures are reported with their listing
        return None
    return (width, height) if turned else (height, width)


def alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two sizes have the same aspect ratio: a mask may be smaller than its picture, rounded to pixels."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= (0.02 * max(a) + 1) * b[1]

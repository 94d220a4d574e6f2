"""Sheets of thumbnails: one file for the pictures of a page, which shows parts of it."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnnviz.site.folder import Publication

ACROSS, SIDE = 8, 64  # thumbnails per row of a sheet, and their side in pixels


def publish(site: Publication, file: str, thumbnails: np.ndarray, members: Sequence[int]) -> dict:
    """Publishes these thumbnails as one picture; returns its address and size.

    file: the address without its ending, from the site's root. thumbnails: (n, 64, 64, 3) uint8.
    """
    width, height = size(len(members))
    sheet = np.zeros((height, width, 3), np.uint8)
    for k, i in enumerate(members):
        x, y, *_ = box(k)
        sheet[y : y + SIDE, x : x + SIDE] = thumbnails[i]
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "WEBP", quality=85, method=4)
    site.write(f"{file}.webp", stream.getvalue())
    return described(file, len(members))


def described(file: str, count: int) -> dict:
    """Address and size of the sheet of ``count`` thumbnails that :func:`publish` writes as ``file``."""
    return {"file": f"{file}.webp", "size": size(count)}


def size(count: int) -> tuple[int, int]:
    """Width and height in pixels of a sheet of ``count`` thumbnails."""
    return ACROSS * SIDE, max(1, -(-count // ACROSS)) * SIDE


def box(k: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the k-th picture of a sheet."""
    return k % ACROSS * SIDE, k // ACROSS * SIDE, SIDE, SIDE

"""Pictures joined pixel by pixel: fitted into squares, in grids, and in blocks with a label above each."""

from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

EXACT = "the picture itself; the arrays hold its exact levels"  # a large one is shown as a lossy file
FRAME = (230, 159, 0)  # orange that is distinct from grey with any colour vision
SHARP = 2  # largest number of picture pixels per CSS pixel
COLUMNS, LABEL, BETWEEN = 6, 15, 12  # labelled blocks per row, height of a label, gap


def cell(crop: np.ndarray, size: int, border: bool) -> np.ndarray:
    """(h, w, 3) uint8 crop → (size, size, 4): aspect kept, centred; enlarged by repeating pixels, else Lanczos.

    border: whether to draw a coloured frame, since the picture's edge cuts off the field.
    """
    h, w = crop.shape[:2]
    scale = size / max(h, w)
    shape = max(1, round(w * scale)), max(1, round(h * scale))
    resampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    # averaging whole pixels down to twice the size first is faster and makes no visible difference
    shown = np.array(Image.fromarray(crop).resize(shape, resampling, reducing_gap=2.0))
    if border:
        shown[:2] = shown[-2:] = FRAME
        shown[:, :2] = shown[:, -2:] = FRAME
    framed = np.zeros((size, size, 4), np.uint8)
    y, x = (size - shape[1]) // 2, (size - shape[0]) // 2
    framed[y : y + shape[1], x : x + shape[0], :3] = shown
    framed[y : y + shape[1], x : x + shape[0], 3] = 255
    return framed


def fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """(h, w, 3) → (side, side, 4), aspect kept: enlarged by a whole factor first, so that small pictures stay sharp."""
    h, w = picture.shape[:2]
    times = max(1, side // max(h, w))
    shown = Image.fromarray(np.repeat(np.repeat(picture, times, 0), times, 1))
    share = side / max(shown.size)
    if share != 1:
        shown = shown.resize((max(1, round(shown.width * share)), max(1, round(shown.height * share))), Image.LANCZOS)
    return cell(np.asarray(shown), side, False)


def montage(pictures: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """(n, h, w, 3 or 4) tiles in reading order, with transparent gaps: (H, W, 4) uint8."""
    n, h, w, bands = pictures.shape
    columns = min(n, columns)
    sheet = np.zeros((-(-n // columns) * (h + gap) - gap, columns * (w + gap) - gap, 4), np.uint8)
    for i, tile in enumerate(pictures):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        sheet[y : y + h, x : x + w, 3] = 255
        sheet[y : y + h, x : x + w, :bands] = tile
    return sheet


def places(count: int, height: int, width: int, gap: int = 2, columns: int = 0) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each tile of a :func:`montage`, which is one row unless ``columns`` are given."""
    across, down, columns = width + gap, height + gap, columns or count
    return [(i % columns * across, i // columns * down, width, height) for i in range(count)]


def block(tiles: np.ndarray, gap: int = 2) -> np.ndarray:
    """A :func:`montage` that is as square as possible."""
    return montage(tiles, square(len(tiles)), gap)


def square(count: int) -> int:
    """Columns of a :func:`block`."""
    return ceil(count**0.5)


def labelled(blocks: list[np.ndarray], labels: list[str]) -> np.ndarray:
    """Blocks of one shape (h, w, 4), six per row, each under a strip with its label: (H, W, 4) uint8."""
    h, w = blocks[0].shape[:2]
    font, shown = ImageFont.load_default(size=11), []
    for block, label in zip(blocks, labels, strict=True):
        strip = Image.new("RGBA", (w, LABEL), (38, 38, 38, 255))
        ImageDraw.Draw(strip).text((4, 1), label, (255, 255, 255, 255), font)
        shown.append(np.vstack([strip, block]))
    return montage(np.stack(shown), COLUMNS, BETWEEN)


def boxes(count: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each :func:`labelled` block (height × width), without its label."""
    columns, across, down = min(COLUMNS, count), width + BETWEEN, LABEL + height + BETWEEN
    return [(i % columns * across, i // columns * down + LABEL, width, height) for i in range(count)]


def cropped(picture: Image.Image, size: int) -> Image.Image:
    """A picture for a square of ``size`` CSS pixels, cropped as the thumbnails. Small pictures keep their pixels."""
    side = min(size * SHARP, min(picture.size))
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)

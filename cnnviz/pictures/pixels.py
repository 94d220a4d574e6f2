"""Pixels of an image set's pictures: a file's values, scaled to the set's window, and for display."""

import functools
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.errors import UserError
from cnnviz.pictures import decoding
from cnnviz.pictures.paths import root_of
from cnnviz.run import user_code

Ends = tuple[float, float, float, float]
_AHEAD = 256 << 20  # largest number of bytes of decoded pictures in the queue

# Warnings of broken metadata and of sizes below pillow's limit: the picture can be shown, so they are ignored.
warnings.filterwarnings("ignore", module=r"PIL\.|cnnviz\.(images|pictures)")


def path_of(config: dict, name: str) -> Path:
    return Path("demo" if config["kind"] == "demo" else root_of(config), name)


def decoded(config: dict, name: str) -> Image.Image | np.ndarray:
    """See :meth:`images.ImageSet.pixels`. Raises any error of a decoder."""
    return windowed(stored_in(config, name)[0], config.get("window"))


def stored_in(config: dict, name: str) -> tuple[Image.Image | np.ndarray, list[str]]:
    """A file's own values, upright, and notes about it, see :func:`decoding.read`. name: its path below the root."""
    if config["kind"] == "demo":
        from cnnviz.demo.scenes import remembered

        return Image.fromarray(remembered(config["seed"], int(name.rsplit("-", 1)[1])).image), []
    path = path_of(config, name)
    if config.get("loader") and path.is_file():
        return decoding.numbers(loader(config["loader"])(str(path)))
    return decoding.read(path, config.get("alpha") or "drop")


def windowed(values: Image.Image | np.ndarray, window: Sequence[float] | None) -> Image.Image | np.ndarray:
    """A file's values → (h, w, c) float32 in [0, 1]. Without a window an 8-bit picture is unchanged."""
    if window is None and isinstance(values, Image.Image):
        return values
    values = np.atleast_3d(np.asarray(values))
    low, high = window or _ends(values.dtype)
    # float32 holds 16-bit numbers exactly; others are scaled before they are rounded to float32
    scaled = values.astype(np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64)
    with np.errstate(over="ignore"):
        scaled -= low
        scaled /= high - low
    return np.clip(scaled, 0, 1, out=scaled).astype(np.float32, copy=False)


def _ends(dtype: np.dtype) -> tuple[float, float]:
    """The values of black and white without a window."""
    if dtype.kind in "bf":
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def shown(pixels: Image.Image | np.ndarray, show: int | Sequence[int] | None) -> Image.Image:
    """Pixels of any number of channels as an RGB picture. ``show`` names the channels if there are not 1 or 3."""
    if isinstance(pixels, Image.Image):
        return pixels if pixels.mode == "RGB" else pixels.convert("RGB")
    channels = pixels.shape[2]
    if channels in (1, 3):
        show = range(channels)
    elif show is None:
        show = range(3 if channels > 3 else 1)
    elif isinstance(show, int):
        show = [show]
    if max(show) >= channels:
        raise ValueError(f"show: there is no channel {max(show)}; it has {channels}, numbered from 0")
    levels = [np.rint(pixels[..., c] * 255).astype(np.uint8) for c in show]
    return Image.fromarray(np.stack(levels * 3 if len(levels) == 1 else levels, -1))


@functools.cache
def loader(place: str) -> Callable[[str], object]:
    """The user's function at ``place``. Its module is run. Raises UserError if there is none."""
    found = user_code.function(place, "loader")
    if not callable(found):
        raise UserError(f"loader {place} is not a function but {type(found).__name__}")
    return found


def ends(config: dict, name: str) -> Ends | None:
    """Range of a file's values: the smallest, the largest, and those of black and white.

    None for 8-bit pictures of a set without a window. Raises any error of a decoder.
    """
    return extent_of(stored_in(config, name)[0], config.get("window"))


def extent_of(stored: Image.Image | np.ndarray, window: Sequence[float] | None) -> Ends | None:
    if window is None and isinstance(stored, Image.Image):
        return None
    stored = np.asarray(stored)
    return stored.min().item(), stored.max().item(), *(window or _ends(stored.dtype))


def extent(found: Sequence[Ends], stated: bool) -> tuple[str, list[float] | None]:
    """The range of pictures' values, in words, and a suggested window if they show little in the current one.

    stated: whether the config states the window. Such a window may cut off values on purpose, if it shows some of them.
    """
    low, high = min(e[0] for e in found), max(e[1] for e in found)
    black, white = min(e[2] for e in found), max(e[3] for e in found)
    words = f"the values of {len(found)} picture{'s' * (len(found) > 1)} lie in {low:g} … {high:g}"
    words += f", while {black:g} is black and {white:g} white"
    shown = min(high, white) - max(low, black)
    if stated:
        good = shown > (white - black) / 100 and white - black > (high - low) / 1000
    else:
        good = black <= low and high <= white and shown > (white - black) / 4
    return words, None if good or low == high else [int(v) if v == int(v) else float(f"{v:g}") for v in (low, high)]


def ahead(function, items: Sequence, threads: int) -> Iterator:
    """``map(function, items)`` by a few threads: one or two batches ahead of the reader, at most 256 MB of arrays."""
    most = threads
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > most:
                    result = waiting.popleft().result()
                    most = min(32 * threads, max(threads, _AHEAD // max(1, getattr(result, "nbytes", 1))))
                    yield result
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

"""Titled panels of pictures in rows, as one SVG: the pixels are one embedded picture, the titles are text."""

import numpy as np
from PIL import Image

from cnnviz.network.class_names import cut
from cnnviz.views.kit.svg import Drawing, document, embedded, text

PANEL, ACROSS, TITLE = 128, 3, 22  # a panel's side, panels per row, and the height of a title, in pixels
_STEP, _DOWN = PANEL + 8, PANEL + TITLE
_LETTERS = 21

Panel = tuple[str, np.ndarray | None]  # title, and (h, w, 3) uint8, or None for an empty place


def _fit(values: np.ndarray) -> tuple[int, int]:
    """Width and height of a picture in its panel."""
    height, width = values.shape[:2]
    share = PANEL / max(height, width)
    return max(1, round(width * share)), max(1, round(height * share))


def tile(values: np.ndarray) -> Image.Image:
    """(h, w, 3) uint8 fitted into a panel: small pictures by repeating pixels, large ones with smoothing."""
    picture, size = Image.fromarray(values), _fit(values)
    if max(picture.size) <= PANEL:
        return picture.resize(size, Image.Resampling.NEAREST)
    return picture.resize((size[0] * 2, size[1] * 2), Image.Resampling.LANCZOS)


def placed(values: np.ndarray, x: float, y: float, side: int) -> str:
    """(h, w, 3) uint8 within a square of a drawing: large pictures as lossy files, and small ones by repeating pixels.

    At less than twice their size repeated pixels would be of uneven width, so such pictures are smoothed.
    """
    largest = max(values.shape[:2])
    quality = None if largest <= side else 85
    return embedded(Image.fromarray(values), side, side, x=x, y=y, quality=quality, crisp=2 * largest <= side)


def bar(words: str, number: str, share: float, x: float, y: float, width: int, kind: str = "plain") -> list[str]:
    """A line of words and a number over a bar that is full at share 1; ``y`` is its top, and it is 22 pixels high."""
    full = min(1.0, max(0.0, share)) * width
    return [
        f'<rect class="track" x="{x}" y="{y}" width="{width}" height="20" rx="2"/>',
        f'<rect class="{kind}" fill-opacity=".5" x="{x}" y="{y}" width="{full:.1f}" height="20" rx="2"/>',
        text(words, x=x + 5, y=y + 15),
        text(number, "end strong", x=x + width - 5, y=y + 15),
    ]


def outline(mask: np.ndarray) -> str:
    """The border of a mask (h, w) as an SVG path in a panel's pixels."""
    height, width = mask.shape
    scale = PANEL / max(height, width)
    padded = np.pad(mask, 1)
    parts = []
    for down in (False, True):  # edges between horizontal neighbours, then between vertical ones
        grid = padded.T if down else padded
        for i, line in enumerate((grid[:, 1:] != grid[:, :-1]).T):
            ends = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
            for a, b in zip(ends[::2] - 1, ends[1::2] - 1, strict=True):
                at, start, stop = i * scale, a * scale, b * scale
                parts.append(f"M{start:.1f} {at:.1f}H{stop:.1f}" if down else f"M{at:.1f} {start:.1f}V{stop:.1f}")
    return "".join(parts)


def boxes(panels: list[Panel], across: int = ACROSS) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each picture on its :func:`sheet`, without its title."""
    return [
        (i % across * _STEP, i // across * _DOWN + TITLE, *_fit(picture))
        for i, (_, picture) in enumerate(panels)
        if picture is not None
    ]


def sheet(panels: list[Panel], border: str = "", across: int = ACROSS) -> Drawing:
    """Titled panels in rows of ``across``, with the object's ``border`` on each.

    The pixels are one embedded picture, the titles text.
    """
    tiles = [None if values is None else tile(values) for _, values in panels]
    fine = 2 if any(one and max(one.size) > PANEL for one in tiles) else 1
    if fine == 2:  # small ones beside large ones
        tiles = [
            one.resize((one.width * 2, one.height * 2), Image.Resampling.NEAREST)
            if one and max(one.size) <= PANEL
            else one
            for one in tiles
        ]
    step, down = _STEP, _DOWN
    rows = -(-len(panels) // across)
    width, height = min(across, len(panels)) * step - 8, rows * down
    sprite = Image.new("RGBA", (width * fine, height * fine))
    parts = []
    for i, (title, _) in enumerate(panels):
        x, y = i % across * step, i // across * down
        parts.append(text(cut(title, _LETTERS), "small", x=x, y=y + 15))
        if tiles[i] is None:
            continue
        sprite.paste(tiles[i], (x * fine, (y + TITLE) * fine))
        if border:
            parts.append(f'<use href="#o" x="{x}" y="{y + TITLE}"/>')
    shown = embedded(sprite, width, height, quality=None if fine == 1 else 80)
    both = (
        f'<defs><g id="o" fill="none"><path stroke="#000" stroke-opacity=".55" stroke-width="2.6" d="{border}"/>'
        f'<path stroke="#fff" stroke-width="1" d="{border}"/></g></defs>'
        if border
        else ""
    )
    return document(width, height, [both, shown, *parts])

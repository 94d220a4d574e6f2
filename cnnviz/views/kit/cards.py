"""Cards: a picture above the network's output, as bars or in words."""

import numpy as np
from PIL import Image

from cnnviz.network.class_names import cut, short
from cnnviz.views.kit.svg import Drawing, document, embedded, text

CARD, BAR = 232, 21  # CSS pixels: a card's width, the height of one of its bars


def percent(share: float) -> str:
    """A probability in words, never 0 or 1."""
    return "under 0.1%" if share < 0.0005 else "over 99.9%" if share >= 0.9995 else f"{share:.1%}"


def bars(names: list[str], shares: np.ndarray, values: list[str], kinds: list[str], top: int, width: int) -> list[str]:
    """A labelled bar for each of ``names``, full at share 1, starting at ``top``: SVG elements."""
    parts = []
    for i, (name, share, value, kind) in enumerate(zip(names, shares, values, kinds, strict=True)):
        y = top + i * BAR
        strong, tick = (" strong", "✓ ") if kind == "right" else ("", "")
        parts.append(
            f'<rect class="track" x="0" y="{y}" width="{width}" height="{BAR - 3}" rx="2"/>'
            f'<rect class="{kind}" fill-opacity=".5" x="0" y="{y}" width="{max(1.5, share * width):.1f}" '
            f'height="{BAR - 3}" rx="2"/>'
        )
        parts.append(text(tick + name, strong.strip(), x=6, y=y + 13.5))
        parts.append(text(value, f"end{strong}", x=width - 6, y=y + 13.5))
    return parts


def ranking(names: list[str], shares: np.ndarray, values: list[str]) -> Drawing:
    """Grey bars, one below the other."""
    width, height = 480, len(names) * BAR + 6
    return document(width, height, bars(names, shares, values, ["other"] * len(names), 4, width))


def card(pixels: np.ndarray, title: str, names: list[str], chances: np.ndarray, right: list[bool]) -> Drawing:
    """A picture above bars of its best classes, right ones blue with a tick. pixels: (h, w, 3)."""
    parts, top = _titled(pixels, title)
    colours = ["right" if r else "wrong" for r in right]
    parts += bars([short(n, 24) for n in names], chances, [percent(p) for p in chances], colours, top, CARD)
    return document(CARD, top + len(names) * BAR, parts)


def lines_card(pixels: np.ndarray, title: str, lines: list[tuple[str, str]]) -> Drawing:
    """A picture above lines with texts at both ends. pixels: (h, w, 3)."""
    parts, top = _titled(pixels, title)
    for i, (left, right) in enumerate(lines):
        y = top + i * BAR + 13.5
        parts += [text(left, x=6, y=y), text(right, "end quiet", x=CARD - 6, y=y)]
    return document(CARD, top + len(lines) * BAR, parts)


def _titled(pixels: np.ndarray, title: str) -> tuple[list[str], int]:
    """A picture as wide as a card, with its title below: SVG elements, and their lower end."""
    shown = round(CARD * pixels.shape[0] / pixels.shape[1])
    image = Image.fromarray(pixels)
    if image.width > 2 * CARD:
        image = image.resize((2 * CARD, 2 * shown), Image.Resampling.LANCZOS)
    parts = [
        embedded(image, CARD, shown, quality=85, stretched=True, crisp=image.width < CARD / 2),
        text(cut(title, 32), "strong", x=6, y=shown + 18),
    ]
    return parts, shown + 26

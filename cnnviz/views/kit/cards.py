"""Cards: a picture above the network's output, as bars or in words."""

import numpy as np
from PIL import Image

from cnnviz.network.class_names import cut, short
from cnnviz.views.kit.svg import Drawing, Mark, document, embedded, swatch, text

CARD, BAR, UNDER = 232, 21, 26  # CSS pixels: a card's width, the height of one of its bars, and of its picture's title


def percent(share: float) -> str:
    """A probability in words, never 0 or 1."""
    return "under 0.1%" if share < 0.0005 else "over 99.9%" if share >= 0.9995 else f"{share:.1%}"


def bars(
    names: list[str], shares: np.ndarray, values: list[str], kinds: list[str], hues: list[str], top: int, width: int
) -> list[str]:
    """A labelled bar for each of ``names``, full at share 1, starting at ``top``: SVG elements. hues: their colours."""
    parts = []
    for i, (name, share, value, kind, hue) in enumerate(zip(names, shares, values, kinds, hues, strict=True)):
        y = top + i * BAR
        strong, tick = (" strong", "✓ ") if kind == "right" else ("", "")
        parts.append(
            f'<rect class="track" x="0" y="{y}" width="{width}" height="{BAR - 3}" rx="2"/>'
            f'<rect class="{kind}" fill-opacity=".5" x="0" y="{y}" width="{max(1.5, share * width):.1f}" '
            f'height="{BAR - 3}" rx="2"/>'
        )
        parts.append(swatch(hue, 11, y + 9) + text(tick + name, strong.strip(), x=21 if hue else 6, y=y + 13.5))
        parts.append(text(value, f"end{strong}", x=width - 6, y=y + 13.5))
    return parts


def ranking(names: list[str], shares: np.ndarray, values: list[str], hues: dict[str, str]) -> Drawing:
    """Grey bars of classes, one below the other, with the classes' colours."""
    width, height, shown = 480, len(names) * BAR + 6, [short(name, 36) for name in names]
    marks = [
        Mark(0, 4 + i * BAR, name, value, width, BAR - 3, "class", name)
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    own = [hues.get(name, "") for name in names]
    return document(width, height, bars(shown, shares, values, ["other"] * len(names), own, 4, width), marks=marks)


def card(
    pixels: np.ndarray,
    title: str,
    names: list[str],
    chances: np.ndarray,
    kinds: list[str],
    hues: dict[str, str],
    mark: Mark,
) -> Drawing:
    """A picture above bars of its best classes. pixels: (h, w, 3). kinds: "right", with a tick, "wrong" or "other".

    mark: the picture's; its place is set here.
    """
    parts, top = _titled(pixels, title)
    said, own = [percent(p) for p in chances], [hues.get(name, "") for name in names]
    parts += bars([short(n, 24) for n in names], chances, said, kinds, own, top, CARD)
    marks = [
        Mark(0, top + i * BAR, name, value, CARD, BAR - 3, "class", name)
        for i, (name, value) in enumerate(zip(names, said, strict=True))
    ]
    return document(CARD, top + len(names) * BAR, parts, marks=[_placed(mark, top), *marks])


def lines_card(pixels: np.ndarray, title: str, lines: list[tuple[str, str]], mark: Mark) -> Drawing:
    """A picture above lines with texts at both ends. pixels: (h, w, 3). mark: as of :func:`card`."""
    parts, top = _titled(pixels, title)
    for i, (left, right) in enumerate(lines):
        y = top + i * BAR + 13.5
        parts += [text(left, x=6, y=y), text(right, "end quiet", x=CARD - 6, y=y)]
    return document(CARD, top + len(lines) * BAR, parts, marks=[_placed(mark, top)])


def _placed(mark: Mark, top: int) -> Mark:
    """The picture's mark where :func:`_titled` draws it."""
    return mark._replace(x=0, y=0, width=CARD, height=top - UNDER)


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
    return parts, shown + UNDER

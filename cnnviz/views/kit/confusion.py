"""A confusion matrix: a row per correct class, a column per predicted one, correct cells grey and mistakes orange."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.views.kit import colour
from cnnviz.views.kit.svg import Drawing, Mark, document, swatch, text, upwards

LETTER = 7.4  # average width of a letter in pixels, in wide common fonts


def matrix(
    counts: np.ndarray, rest: np.ndarray, totals: np.ndarray, names: list[str], hues: dict[str, str], what: str
) -> tuple[Drawing, float]:
    """A confusion matrix, and the share with the strongest orange.

    counts: (c, c) pictures, rows correct, columns predicted; rest: (c,) predicted as a class not shown; totals: (c,).
    The diagonal is grey by its share of the row, 0 … 1; mistakes are orange by theirs, 0 … the largest share. hues: the
    classes' colours. what: is counted, "" for
    per cent.
    """
    c, other = len(names), bool(rest.any())
    share = np.column_stack([counts, rest])[:, : c + other] / np.maximum(totals, 1)[:, None]
    numbers = np.column_stack([counts, rest])
    mistakes = share.copy()
    np.fill_diagonal(mistakes, 0)
    most = max(float(mistakes.max(initial=0)), 0.01)
    level = colour.fixed(0, most).grey(mistakes) / 255
    level[np.arange(c), np.arange(c)] = colour.fixed(0, 1).grey(share[np.arange(c), np.arange(c)]) / 255
    size = 34 if c <= 16 else 26 if c <= 26 else 18
    labels = [short(name, 20) for name in names]
    left = 44 + round(LETTER * max(map(len, labels)))
    across = max(map(len, [*labels, "another class"])) * LETTER  # at 50°: 0.77 of it upwards, 0.64 to the right
    top = 30 + round(0.77 * across)
    width, height = left + (c + other) * size + round(0.64 * across), top + c * size + 12
    parts = [
        f'<rect class="plate" x="{left}" y="{top}" width="{(c + other) * size}" height="{c * size}"/>',
        upwards("right class", "small quiet middle", 13, f"{top + c * size / 2:.0f}"),
        text("predicted class →", "small quiet", x=left, y=14),
    ]
    for i, label in enumerate(labels):
        hue, room = hues.get(names[i], ""), 20 if names[i] in hues else 7
        y, x = top + i * size + size / 2 + 4.5, left + i * size + size / 2 + 4
        parts += [text(label, "end", x=left - room, y=f"{y:.0f}"), upwards(label, "", f"{x:.0f}", top - room, -50)]
        parts += [swatch(hue, left - 10, y - 4.5), swatch(hue, x - 3, top - 10)]
    marks, columns = [], [*names, "another class"]
    if other:
        x = left + c * size + size / 2 + 4
        parts.append(upwards("another class", "quiet", f"{x:.0f}", top - 7, -50))
    for i in range(c):
        for j in np.flatnonzero(numbers[i, : c + other]):
            x, y, kind = left + j * size, top + i * size, "right" if i == j else "wrong"
            opacity = 0.12 + 0.88 * level[i, j]
            parts.append(
                f'<rect class="{kind}" fill-opacity="{opacity:.2f}" x="{x + 1}" y="{y + 1}" width="{size - 2}" '
                f'height="{size - 2}" rx="2"/>'
            )
            said = f"{numbers[i, j]:,} {what}, " * bool(what) + f"{share[i, j]:.1%} of {labels[i]}"
            marks.append(Mark(x, y, f"{names[i]} → {columns[j]}", said, size, size, "class", names[i]))
            if size > 20:
                strong = " on" if opacity > 0.75 else ""
                parts.append(text(numbers[i, j], f"small middle{strong}", x=x + size / 2, y=y + size / 2 + 4))
    return document(width, height, parts, marks=marks), most

"""Means with intervals as dots with whiskers, and verdicts as a card of coloured cells: small SVGs.

Both follow the reader's light or dark scheme.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.views.kit import svg
from cnnviz.views.kit.svg import BLUE, ORANGE, Axis, Drawing, Mark, swatch, text, ticks_below, upwards

STYLE = (
    f".good,.part{{stroke:{BLUE};fill:{BLUE}}}.part{{opacity:.55}}.bad{{stroke:{ORANGE};fill:{ORANGE}}}.open{{stroke:#8a9099;fill:#8a9099}}"
    ".none{stroke:#8a9099;fill:none}rect.cell{stroke:none}"
)
GOOD, PART, BAD, OPEN, NONE = "good", "part", "bad", "open", "none"  # captions state the colours' meaning
_WIDTH, _NAMES, _VALUES, _ROW = 432, 156, 44, 22


class Bar(NamedTuple):
    """A row: mean, low and high in the figure's unit. kind: GOOD, PART (in part), BAD, OPEN (undecided) or NONE."""

    name: str
    mean: float
    low: float
    high: float
    kind: str


def whiskers(
    bars: Sequence[Bar], *, across: str, ends: tuple[float, float], lines: Sequence[tuple[str, float]] = ()
) -> Drawing:
    """A row for each of ``bars`` on an axis between ``ends``.

    lines: names (or "") and values to mark.
    """
    left, right, top = _NAMES, _WIDTH - _VALUES, 24
    bottom = top + len(bars) * _ROW
    x = Axis(*ends, left, right)
    parts = [
        f'<path class="line" d="M{left} {bottom}H{right}"/>',
        *ticks_below(x, bottom + 15, "{:g}".format, kind="small middle quiet"),
        text(across, "small middle", x=f"{(left + right) / 2:.0f}", y=bottom + 32),
    ]
    for name, value in lines:
        at = x(np.clip(value, *ends))
        parts.append(f'<path class="line" stroke-dasharray="3 3" d="M{at:.1f} {top - 4}V{bottom}"/>')
        if name:
            parts.append(text(f"{name} {value:.2f}", "small middle quiet", x=f"{at:.0f}", y=top - 9))
    marks = []
    for i, bar in enumerate(bars):
        y = top + i * _ROW + _ROW / 2
        mean, low, high = (x(np.clip(value, *ends)) for value in (bar.mean, bar.low, bar.high))
        quiet = " quiet" if bar.kind == NONE else ""
        parts += [
            text(bar.name[:22], f"end{quiet}", x=left - 8, y=y + 4.5),
            f'<path class="{bar.kind}" stroke-width="2" d="M{low:.1f} {y}H{high:.1f}"/>',
            f'<circle class="{bar.kind}" stroke-width="2" cx="{mean:.1f}" cy="{y}" r="4"/>',
            text(f"{bar.mean:.2f}", f"end{quiet}", x=_WIDTH - 6, y=y + 4.5),
        ]
        said = f"{bar.mean:.3g}, 95 % interval {bar.low:.3g} to {bar.high:.3g}"
        box = max(4.0, float(high - low))
        marks.append(Mark(float(low), y - 8, bar.name, said, round(box, 1), 16))
    return svg.document(_WIDTH, bottom + 42, parts, style=STYLE, marks=marks)


def card(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]], columns: Sequence[str]) -> Drawing:
    """A table of coloured cells: rows (name, a (text, kind) per column), columns' titles.

    A title is wrapped at its spaces. kind: as in :class:`Bar`.
    """
    cell = max(58, min(70, 360 // max(1, len(columns))))
    lines = max((len(title.split()) for title in columns), default=0)
    top, width = 10 + 14 * lines, _NAMES + cell * len(columns) + 4
    parts, marks = [], []
    for c, title in enumerate(columns):
        words = title.split()
        for i, word in enumerate(words):
            y = top - 14 * (len(words) - i) + 10
            parts.append(text(word, "small middle", x=f"{_NAMES + (c + 0.5) * cell:.0f}", y=y))
    for r, (name, cells) in enumerate(rows):
        y = top + 6 + r * 26
        quiet = " quiet" if all(kind == NONE for _, kind in cells) else ""
        parts.append(text(name[:22], f"end{quiet}", x=_NAMES - 8, y=y + 17))
        for c, (words, kind) in enumerate(cells):
            x = _NAMES + c * cell
            marks.append(Mark(x + 1, y, f"{name}, {columns[c]}", words, cell - 2, 24))
            if kind != NONE:
                strength = {GOOD: 0.5, PART: 0.35, BAD: 0.6, OPEN: 0.22}[kind]
                parts.append(
                    f'<rect class="cell {kind}" fill-opacity="{strength}" x="{x + 1}" y="{y}" width="{cell - 2}" '
                    'height="24" rx="3"/>'
                )
            parts.append(text(words, f"middle{quiet}", x=f"{x + cell / 2:.0f}", y=y + 17))
    return svg.document(width, top + 6 + 26 * len(rows) + 6, parts, style=STYLE, marks=marks)


def heat(
    shares: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    marked: frozenset[tuple[int, int]],
    hues: dict[str, str],
) -> Drawing:
    """Shares (len(rows), len(columns)) in 0 … 1 as cells from pale to full blue, with ``marked`` ones ringed.

    The colour's opacity is the share. rows: classes, which have ``hues``.
    """
    labels = [short(name, 16) for name in rows]
    cell, left = 37, 30 + round(7.6 * max(map(len, labels)))
    top = 16 + round(5.2 * max(len(name[:16]) for name in columns))
    width, height = left + cell * len(columns) + round(0.55 * top), top + 26 * len(rows) + 8
    parts, marks = [], []
    for c, name in enumerate(columns):
        x = left + (c + 0.5) * cell + 4
        parts.append(upwards(name[:16], "small", f"{x:.0f}", top - 6, -50))
    for r, name in enumerate(rows):
        y = top + 26 * r
        parts.append(text(labels[r], "end", x=left - (20 if name in hues else 6), y=y + 17))
        parts.append(swatch(hues.get(name, ""), left - 10, y + 13))
        for c, share in enumerate(shares[r]):
            x = left + c * cell
            parts.append(
                f'<rect class="cell good" fill-opacity="{0.62 * share:.2f}" x="{x + 1}" y="{y + 1}" width="{cell - 2}" '
                'height="24" rx="2"/>'
            )
            parts.append(text(f"{share:.0%}", "small middle", x=f"{x + cell / 2:.0f}", y=y + 17))
            marks.append(Mark(x, y, f"{name}, {columns[c]}", f"{share:.1%}", cell, 26, "class", name))
    for r, c in sorted(marked):
        x, y = left + c * cell, top + 26 * r
        parts.append(
            f'<rect class="bad" style="fill:none" stroke-width="3" x="{x}" y="{y}" width="{cell}" height="26" rx="3"/>'
        )
    return svg.document(width, height, parts, style=STYLE, marks=marks)

"""Means with intervals as dots with whiskers, and verdicts as a card of coloured cells: small SVGs.

Both follow the reader's light or dark scheme.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from cnnviz.views.kit.svg import Drawing

# Blue and orange are distinct with any colour vision, on white and on near-black.
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#15171c}.small{font-size:11px}.quiet{fill:#5b616b}.end{text-anchor:end}"
    ".middle{text-anchor:middle}.strong{font-weight:650}.ground{fill:#fff}.axis{stroke:#8a9099;fill:none}"
    ".good{stroke:#2f7fc4;fill:#2f7fc4}.bad{stroke:#d9730d;fill:#d9730d}.open{stroke:#8a9099;fill:#8a9099}"
    ".none{stroke:#8a9099;fill:none}rect.cell{stroke:none}"
    "@media(prefers-color-scheme:dark){text{fill:#f2f3f5}.quiet{fill:#aab0b9}.ground{fill:#15171c}}"
)
GOOD, BAD, OPEN, NONE = "good", "bad", "open", "none"  # captions state the colours' meaning
_WIDTH, _NAMES, _VALUES, _ROW = 432, 156, 44, 22


class Bar(NamedTuple):
    """A row: mean, low and high in the figure's unit. kind: GOOD, BAD, OPEN (undecided) or NONE (no verdict)."""

    name: str
    mean: float
    low: float
    high: float
    kind: str


def drawn(width: int, height: int, parts: Sequence[str]) -> Drawing:
    """SVG elements on a background of the reader's scheme."""
    content = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{STYLE}</style><rect class="ground" width="{width}" height="{height}" rx="4"/>{"".join(parts)}</svg>'
    )
    return Drawing(content.encode(), width, height)


def whiskers(
    bars: Sequence[Bar], *, across: str, ends: tuple[float, float], lines: Sequence[tuple[str, float]] = ()
) -> Drawing:
    """A row for each of ``bars`` on an axis between ``ends``.

    lines: names (or "") and values to mark.
    """
    left, right, top = _NAMES, _WIDTH - _VALUES, 24
    bottom = top + len(bars) * _ROW

    def x(value: float) -> float:
        return left + (min(max(value, ends[0]), ends[1]) - ends[0]) / (ends[1] - ends[0]) * (right - left)

    parts = [f'<path class="axis" d="M{left} {bottom}H{right}"/>']
    for tick in (ends[0], (ends[0] + ends[1]) / 2, ends[1]):
        parts.append(f'<text class="small middle quiet" x="{x(tick):.0f}" y="{bottom + 15}">{tick:g}</text>')
    parts.append(f'<text class="small middle" x="{(left + right) / 2:.0f}" y="{bottom + 32}">{escape(across)}</text>')
    for name, value in lines:
        at = x(value)
        parts.append(f'<path class="axis" stroke-dasharray="3 3" d="M{at:.1f} {top - 4}V{bottom}"/>')
        if name:
            words = f"{escape(name)} {value:.2f}"
            parts.append(f'<text class="small middle quiet" x="{at:.0f}" y="{top - 9}">{words}</text>')
    for i, bar in enumerate(bars):
        y = top + i * _ROW + _ROW / 2
        quiet = " quiet" if bar.kind == NONE else ""
        parts.append(
            f'<text class="end{quiet}" x="{left - 8}" y="{y + 4.5}">{escape(bar.name[:22])}</text>'
            f'<path class="{bar.kind}" stroke-width="2" d="M{x(bar.low):.1f} {y}H{x(bar.high):.1f}"/>'
            f'<circle class="{bar.kind}" stroke-width="2" cx="{x(bar.mean):.1f}" cy="{y}" r="4"/>'
            f'<text class="end{quiet}" x="{_WIDTH - 6}" y="{y + 4.5}">{bar.mean:.2f}</text>'
        )
    height = bottom + 42
    return drawn(_WIDTH, height, parts)


def card(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]], columns: Sequence[str]) -> Drawing:
    """A table of coloured cells: rows (name, a (text, kind) per column), columns' titles.

    A title is wrapped at its spaces. kind: as in :class:`Bar`.
    """
    cell = max(58, min(70, 360 // max(1, len(columns))))
    lines = max((len(title.split()) for title in columns), default=0)
    top, width = 10 + 14 * lines, _NAMES + cell * len(columns) + 4
    parts = []
    for c, title in enumerate(columns):
        words = title.split()
        for i, word in enumerate(words):
            y = top - 14 * (len(words) - i) + 10
            parts.append(
                f'<text class="small middle" x="{_NAMES + (c + 0.5) * cell:.0f}" y="{y}">{escape(word)}</text>'
            )
    for r, (name, cells) in enumerate(rows):
        y = top + 6 + r * 26
        quiet = " quiet" if all(kind == NONE for _, kind in cells) else ""
        parts.append(f'<text class="end{quiet}" x="{_NAMES - 8}" y="{y + 17}">{escape(name[:22])}</text>')
        for c, (text, kind) in enumerate(cells):
            x = _NAMES + c * cell
            if kind != NONE:
                strength = {GOOD: 0.42, BAD: 0.6, OPEN: 0.22}[kind]
                parts.append(
                    f'<rect class="cell {kind}" fill-opacity="{strength}" x="{x + 1}" y="{y}" width="{cell - 2}" '
                    'height="24" rx="3"/>'
                )
            parts.append(f'<text class="middle{quiet}" x="{x + cell / 2:.0f}" y="{y + 17}">{escape(text)}</text>')
    height = top + 6 + 26 * len(rows) + 6
    return drawn(width, height, parts)


def heat(
    shares: np.ndarray, rows: Sequence[str], columns: Sequence[str], marked: frozenset[tuple[int, int]] = frozenset()
) -> Drawing:
    """Shares (len(rows), len(columns)) in 0 … 1 as cells from pale to full blue, with ``marked`` ones ringed.

    The colour's opacity is the share.
    """
    cell, left = 37, 16 + round(7.6 * max(len(name[:16]) for name in rows))
    top = 16 + round(5.2 * max(len(name[:16]) for name in columns))
    width, height = left + cell * len(columns) + round(0.55 * top), top + 26 * len(rows) + 8
    parts = []
    for c, name in enumerate(columns):
        x = left + (c + 0.5) * cell + 4
        parts.append(
            f'<text class="small" transform="translate({x:.0f} {top - 6}) rotate(-50)">{escape(name[:16])}</text>'
        )
    for r, name in enumerate(rows):
        y = top + 26 * r
        parts.append(f'<text class="end" x="{left - 6}" y="{y + 17}">{escape(name[:16])}</text>')
        for c, share in enumerate(shares[r]):
            x = left + c * cell
            parts.append(
                f'<rect class="cell good" fill-opacity="{0.62 * share:.2f}" x="{x + 1}" y="{y + 1}" width="{cell - 2}" '
                f'height="24" rx="2"/><text class="small middle" x="{x + cell / 2:.0f}" y="{y + 17}">{share:.0%}</text>'
            )
    for r, c in sorted(marked):
        x, y = left + c * cell, top + 26 * r
        parts.append(
            f'<rect class="bad" style="fill:none" stroke-width="3" x="{x}" y="{y}" width="{cell}" height="26" rx="3"/>'
        )
    return drawn(width, height, parts)

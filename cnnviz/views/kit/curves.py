"""Curves over steps as a small SVG that follows the reader's light or dark scheme."""

from html import escape

import numpy as np

from cnnviz.views.kit.svg import Drawing

WIDTH, HEIGHT = 560, 240
DECADES = 5
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 150, 10, 28
# Okabe and Ito's colours that are visible on white and near-black, for readers with any colour vision.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
_DASHES = ("", "6 3", "2 3")


def lines(curves: dict[str, np.ndarray], *, across: str, up: str, logarithmic: bool = False) -> Drawing:
    """Each curve's values at steps 0, 1, … as a line with its name at the end, {name: (steps,)} of equal lengths.

    across, up: names of the axes. logarithmic: whether the vertical axis is; values more than :data:`DECADES` powers of
    ten below the largest are then omitted.
    """
    names = list(curves)
    values = np.stack([np.asarray(curves[name], float) for name in names])
    if logarithmic:
        values = np.log10(values, out=np.full(values.shape, np.nan), where=values > 0)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if logarithmic:
        low = max(low, high - DECADES)
        values = np.where(values < low, np.nan, values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    steps = values.shape[1]
    x = _LEFT + np.arange(steps) / max(steps - 1, 1) * (WIDTH - _LEFT - _RIGHT)
    y = _TOP + (high - values) / (high - low) * (HEIGHT - _TOP - _BOTTOM)
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        "<style>text{font:11px system-ui,sans-serif;fill:#333}.axis{stroke:#888;fill:none}"
        ".line{fill:none;stroke-width:1.6}</style>",
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>',
    ]
    for fraction in (0.0, 0.5, 1.0):
        level = low + fraction * (high - low)
        at = bottom - fraction * (bottom - _TOP)
        text = f"{10**level if logarithmic else level:.3g}"
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.0f}" text-anchor="end">{text}</text>')
    parts.append(f'<text x="{_LEFT}" y="{HEIGHT - 8}">{escape(across)} 0</text>')
    parts.append(f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{steps - 1}</text>')
    parts.append(
        f'<text x="14" y="{(_TOP + bottom) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(_TOP + bottom) / 2:.0f})">{escape(up)}</text>'
    )
    last = [row[~np.isnan(row)][-1:] for row in y]  # empty for a curve without any finite logarithm
    ends = _spread([float(end[0]) if len(end) else bottom for end in last], 13, _TOP + 4, bottom + 4)
    for i, name in enumerate(names):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[i], strict=True) if not np.isnan(b))
        colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i // len(_COLOURS) % len(_DASHES)]
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline class="line" stroke="{colour}"{dashed} points="{points}"/>')
        parts.append(
            f'<path class="line" stroke="{colour}"{dashed} d="M{right + 6} {ends[i]:.1f}h14"/>'
            f'<text x="{right + 24}" y="{ends[i] + 4:.1f}">{escape(name[:22])}</text>'
        )
    return Drawing("\n".join([*parts, "</svg>"]).encode(), WIDTH, HEIGHT)


def _spread(wanted: list[float], gap: float, top: float, bottom: float) -> list[float]:
    """Heights near the ``wanted`` ones and at least ``gap`` apart, so that labels do not overlap."""
    placed = [0.0] * len(wanted)
    last = top - gap
    for i in sorted(range(len(wanted)), key=wanted.__getitem__):
        placed[i] = last = max(wanted[i], last + gap)
    for i in sorted(range(len(wanted)), key=placed.__getitem__, reverse=True):
        placed[i] = min(placed[i], bottom)
        bottom = placed[i] - gap
    return placed

"""Curves over steps, each with its name at its end."""

from collections.abc import Collection

import numpy as np

from cnnviz.views.kit.svg import Axis, Drawing, Mark, document, text, ticks_below, ticks_left, upwards

WIDTH, HEIGHT = 560, 250
MOST_MARKS = 40  # of a curve that can be pointed at
DECADES = 5
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 150, 10, 38
# Okabe and Ito's colours that are visible on white and near-black, for readers with any colour vision.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
_DASHES, _GREY = ("", "6 3", "2 3"), "#999"
STYLE = "text{font-size:11px}.axis{stroke:#888;fill:none}.curve{fill:none;stroke-width:1.6}"


def lines(
    curves: dict[str, np.ndarray], *, across: str, up: str, logarithmic: bool = False, strong: Collection[str] = ()
) -> Drawing:
    """Each curve's values at steps 0, 1, … as a line with its name at the end, {name: (steps,)} of equal lengths.

    across, up: names of the axes. logarithmic: whether the vertical axis is; values more than :data:`DECADES` powers of
    ten below the largest are then omitted. strong: the curves to be told apart, of many; the others are grey below
    them, without names but those that a reader is told who points at them.
    """
    names = [name for name in curves if name in strong] or list(curves)
    many = len(names) < len(curves)
    names += [name for name in curves if name not in names]
    coloured = len(strong) if many else len(names)
    values = np.stack([np.asarray(curves[name], float) for name in names])
    if logarithmic:
        values = np.log10(values, out=np.full(values.shape, np.nan), where=values > 0)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if logarithmic:
        low = max(low, high - DECADES)
        values = np.where(values < low, np.nan, values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    steps, bottom, right = values.shape[1], HEIGHT - _BOTTOM, WIDTH - _RIGHT
    x, y = Axis(0, max(steps - 1, 1), _LEFT, right), Axis(low, high, bottom, _TOP)
    heights = y(values)
    last = [row[~np.isnan(row)][-1:] for row in heights]  # empty for a curve without any finite logarithm
    last = [float(end[0]) if len(end) else bottom for end in last[:coloured]] + [bottom] * many  # with the grey ones
    ends = _spread(last, 13, _TOP + 4, bottom + 4)
    parts = [
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>',
        *ticks_left(y, _LEFT - 6, lambda level: f"{10**level if logarithmic else level:.3g}", kind="end"),
        *ticks_below(x, bottom + 15, "{:g}".format, kind="middle"),
        text(across, "middle", x=(_LEFT + right) / 2, y=HEIGHT - 6),
        upwards(up, "middle", 14, (_TOP + bottom) / 2),
        *(_line(i, x(np.arange(steps)), heights[i], i >= coloured) for i in reversed(range(len(names)))),
        *(_name(i, name, right, ends[i]) for i, name in enumerate(names[:coloured])),
        *([_name(0, f"{len(names) - coloured} others", right, ends[-1], grey=True)] if many else []),
    ]
    marked = np.unique(np.linspace(0, steps - 1, min(steps, MOST_MARKS)).round().astype(int)).tolist()
    given = [np.asarray(curves[name], float) for name in names]
    marks = [
        Mark(
            float(x(s)), float(heights[i][s]), name, f"{up} {given[i][s]:.4g}, {across} {s}", group=name,
            hue=_COLOURS[i % len(_COLOURS)] if i < coloured else _GREY,
        )
        for i, name in enumerate(names)
        for s in marked
        if np.isfinite(heights[i][s])
    ]  # fmt: skip
    return document(WIDTH, HEIGHT, parts, style=STYLE, marks=marks)


def _stroke(i: int, grey: bool = False) -> str:
    """The colour of the i-th curve, and its dashes where all colours are taken; or grey."""
    if grey:
        return f'stroke="{_GREY}" stroke-opacity=".5" style="stroke-width:1"'
    dash = _DASHES[i // len(_COLOURS) % len(_DASHES)]
    return f'stroke="{_COLOURS[i % len(_COLOURS)]}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _line(i: int, x: np.ndarray, y: np.ndarray, grey: bool = False) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if not np.isnan(b))
    return f'<polyline class="curve" {_stroke(i, grey)} points="{points}"/>'


def _name(i: int, name: str, right: float, y: float, grey: bool = False) -> str:
    return f'<path class="curve" {_stroke(i, grey)} d="M{right + 6} {y:.1f}h14"/>' + text(
        name[:22], x=right + 24, y=f"{y + 4:.1f}"
    )


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

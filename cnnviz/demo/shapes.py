"""The demo's twelve objects as layered vector outlines.

Every object is a list of `Part`s in painter's order (later ones cover earlier ones), in the *object frame*: x to the
right, y **down**, about 1 from the centre to the farthest point, drawn facing right. This module does not use pixels;
`pictures` rotates, scales and paints the outlines.

Colours are sRGB triples in [0, 1]. A part's `height` in [0, 1] is its height towards the viewer, for the shading of its
edges.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Colour = tuple[float, float, float]

# Name -> typical colour; a drawn object's colour is jittered around it.
PALETTE: dict[str, Colour] = {
    "red": (0.84, 0.13, 0.13),
    "orange": (0.95, 0.52, 0.12),
    "yellow": (0.96, 0.83, 0.20),
    "green": (0.22, 0.62, 0.24),
    "blue": (0.18, 0.36, 0.82),
    "purple": (0.53, 0.25, 0.74),
    "pink": (0.95, 0.52, 0.66),
    "white": (0.93, 0.92, 0.89),
    "grey": (0.50, 0.51, 0.54),
    "brown": (0.49, 0.33, 0.20),
    "black": (0.17, 0.17, 0.19),
}

_BARK: Colour = (0.42, 0.28, 0.17)
_LEAF: Colour = (0.20, 0.52, 0.18)
_INK: Colour = (0.07, 0.06, 0.08)
_PAPER: Colour = (0.97, 0.96, 0.93)
_GLASS: Colour = (0.67, 0.83, 0.93)


class Part(NamedTuple):
    """One outline of an object.

    name: what the part is ("wheel"); several parts may share a name.
    outline: (n, 2) float array, a closed polygon in the object frame.
    colour: sRGB in [0, 1].
    height: 0 (flush) to 1 (nearest the viewer).
    patterned: whether the object's texture (dots, stripes, checks) is painted on it.
    """

    name: str
    outline: np.ndarray
    colour: Colour
    height: float = 0.6
    patterned: bool = False


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour a share `t` of the way from `a` to `b`."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def darker(colour: Colour, by: float = 0.25) -> Colour:
    """`colour` with its light reduced by the share `by`."""
    return mix(colour, (0.0, 0.0, 0.02), by)


def lighter(colour: Colour, by: float = 0.35) -> Colour:
    """`colour` mixed with a share `by` of white."""
    return mix(colour, (1.0, 1.0, 0.98), by)


# --- outlines ---------------------------------------------------------------------------------------------------------

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 28, False)), np.sin(np.linspace(0, 2 * np.pi, 28, False))], axis=1)
_T = np.linspace(0, 1, 6, False)[:, None]
# Catmull-Rom weights of the four points around a piece of curve, at the six parameters of _T.
_SPLINE = 0.5 * np.concatenate(
    [-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, -(_T**2) + _T**3], axis=1
)


def polygon(*points: Sequence[float]) -> np.ndarray:
    """(n, 2) outline with straight edges."""
    return np.array(points, dtype=float)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> np.ndarray:
    """(28, 2) outline of an ellipse with centre (x, y); `turn` in degrees, clockwise as seen."""
    outline = _CIRCLE * (rx, ry)
    if turn:
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        outline = outline @ np.array([[c, s], [-s, c]])
    return outline + (x, y)


def blob(*points: Sequence[float]) -> np.ndarray:
    """(6 n, 2) closed smooth outline through the n points."""
    p = np.array(points, dtype=float)
    around = np.stack([np.roll(p, 1, axis=0), p, np.roll(p, -1, axis=0), np.roll(p, -2, axis=0)], axis=1)
    return np.einsum("tk,nkd->ntd", _SPLINE, around).reshape(-1, 2)


def ribbon(points: Sequence[Sequence[float]], widths: Sequence[float]) -> np.ndarray:
    """Closed outline of a smooth band along `points`, with the width `widths` at each point."""
    p = np.column_stack([np.array(points, dtype=float), np.array(widths, dtype=float) / 2])
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    around = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]], axis=1)
    spine = np.concatenate([np.einsum("tk,nkd->ntd", _SPLINE, around).reshape(-1, 3), p[-2:-1]])
    along = np.gradient(spine[:, :2], axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    offset = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.maximum(spine[:, 2:], 0.0)
    return np.concatenate([spine[:, :2] + offset, (spine[:, :2] - offset)[::-1]])


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def _eye(name: str, x: float, y: float, radius: float, iris: Colour) -> list[Part]:
    return [
        Part(name, ellipse(x, y, radius, radius), _PAPER, 0.75),
        Part(name, ellipse(x + 0.2 * radius, y, radius * 0.68, radius * 0.72), iris, 0.75),
    ]


# --- the twelve objects ----------------------------------------------------------------------------------------------
# Each takes (rng, colour). Outlines are easiest to read as rows of points, so the formatter is off.
# fmt: off

Rng = np.random.Generator


def fish(rng: Rng, colour: Colour) -> list[Part]:
    """Side view: body, forked tail, fins, gill, eye."""
    fat, fork = rng.uniform(0.40, 0.60), rng.uniform(0.32, 0.48)
    fin = darker(colour, 0.3) if rng.random() < 0.6 else PALETTE[rng.choice(["orange", "yellow", "red", "blue"])]
    body = blob((0.98, 0.02), (0.70, -fat * 0.62), (0.25, -fat), (-0.25, -fat * 0.7), (-0.62, -0.11), (-0.62, 0.12),
                (-0.2, fat * 0.72), (0.3, fat * 0.92), (0.74, fat * 0.55))
    return [
        Part("tail", blob((-0.50, 0.0), (-0.74, -0.16), (-1.0, -fork), (-0.95, -0.12), (-0.84, 0.0), (-0.95, 0.14),
                          (-1.0, fork), (-0.72, 0.18)), fin, 0.4),
        Part("fin", blob((0.38, -fat * 0.85), (0.0, -fat - 0.26), (-0.38, -fat - 0.14), (-0.34, -fat * 0.4)), fin, 0.4),
        Part("fin", blob((0.18, fat * 0.8), (-0.14, fat + 0.2), (-0.26, fat + 0.1), (-0.12, fat * 0.5)), fin, 0.4),
        Part("body", body, colour, 0.8, patterned=True),
        Part("belly", blob((0.86, 0.14), (0.5, fat * 0.42), (0.1, fat * 0.58), (-0.4, 0.14), (-0.1, fat * 0.80),
                           (0.3, fat * 0.90), (0.70, fat * 0.58)), lighter(colour, 0.5), 0.8),
        Part("gill", ribbon([(0.46, -fat * 0.55), (0.36, 0.0), (0.46, fat * 0.5)], [0.03, 0.07, 0.03]),
             darker(colour, 0.5), 0.55),
        Part("fin", blob((0.26, 0.06), (0.06, 0.06), (-0.12, 0.26), (0.10, 0.24)), fin, 0.9),
        Part("mouth", polygon((0.98, 0.03), (0.82, 0.12), (0.84, 0.07)), _INK, 0.5),
        *_eye("eye", 0.66, -0.12, 0.13, _INK),
    ]


def bird(rng: Rng, colour: Colour) -> list[Part]:
    """Side view: round body, wing, tail, beak, eye, two legs."""
    lift, long = rng.uniform(-0.08, 0.10), rng.uniform(0.85, 1.05)
    beak = PALETTE["orange"] if rng.random() < 0.8 else PALETTE["yellow"]
    wing = darker(colour, 0.35) if rng.random() < 0.6 else lighter(colour, 0.45)
    leg = (0.75, 0.42, 0.12)
    legs = [Part("leg", ribbon([(x, 0.36), (x + 0.02, 0.7), (x - 0.02, 0.86)], [0.09, 0.07, 0.07]), leg, 0.4)
            for x in (-0.12, 0.12)]
    toes = [Part("leg", polygon((x - 0.14, 0.90), (x + 0.02, 0.80), (x + 0.20, 0.90)), leg, 0.4) for x in (-0.12, 0.12)]
    return [
        *legs, *toes,
        Part("tail", blob((-0.44, -0.02), (-0.7 * long, 0.00), (-1.0 * long, 0.04 - lift), (-0.98 * long, 0.22 - lift),
                          (-0.5, 0.22)), darker(colour, 0.4), 0.45),
        Part("beak", polygon((0.62, -0.62), (0.98, -0.48), (0.62, -0.40)), beak, 0.6),
        Part("body", blob((0.66, -0.52), (0.56, -0.76), (0.34, -0.82), (0.13, -0.66), (-0.02, -0.34), (-0.40, -0.16),
                          (-0.62, 0.08), (-0.36, 0.36), (0.06, 0.47), (0.42, 0.30), (0.56, -0.06), (0.58, -0.32)),
             colour, 0.8, patterned=True),
        Part("belly", blob((0.53, -0.18), (0.52, 0.06), (0.32, 0.32), (0.04, 0.42), (-0.18, 0.36), (0.22, 0.16)),
             lighter(colour, 0.55), 0.8),
        Part("wing", blob((0.22, -0.26), (0.26, -0.02), (0.02, 0.16), (-0.34, 0.24), (-0.72, 0.20 + lift),
                          (-0.38, -0.02), (-0.10, -0.28)), wing, 0.95),
        Part("wing", ribbon([(0.08, 0.02), (-0.2, 0.12), (-0.5, 0.17 + lift)], [0.03, 0.06, 0.02]),
             darker(wing, 0.3), 0.9),
        *_eye("eye", 0.44, -0.60, 0.105, _INK),
    ]


def flower(rng: Rng, colour: Colour) -> list[Part]:
    """Blossom with five to eight petals on a stem with two leaves."""
    n, bend, first = int(rng.integers(5, 9)), rng.uniform(-0.12, 0.12), rng.uniform(0, 360)
    heart = PALETTE["yellow"] if min(colour) > 0.5 or colour[1] < 0.6 else (0.45, 0.26, 0.12)
    r, wide = 0.33, 0.16 + 0.62 / n
    stem = _LEAF
    petals = []
    for k in range(n):
        a = np.radians(first + 360 * k / n)
        petals.append(Part("petal", ellipse(r * np.cos(a), -0.42 + r * np.sin(a), 0.26, wide * 0.86, np.degrees(a)),
                           mix(colour, darker(colour), 0.55 * (k % 2)), 0.6 + 0.12 * (k % 2), patterned=True))
    return [
        Part("stem", ribbon([(0.0, -0.3), (bend, 0.3), (bend * 0.4, 1.0)], [0.09, 0.09, 0.11]), stem, 0.5),
        Part("leaf", blob((bend * 0.8, 0.72), (0.22, 0.40), (0.54, 0.30), (0.42, 0.58), (0.2, 0.72)), stem, 0.55),
        Part("leaf", blob((bend * 0.7, 0.86), (-0.20, 0.56), (-0.56, 0.50), (-0.40, 0.76), (-0.18, 0.86)),
             lighter(stem, 0.14), 0.55),
        *petals,
        Part("heart", ellipse(0, -0.42, 0.20, 0.20), heart, 0.95),
        Part("heart", ellipse(0.03, -0.39, 0.10, 0.10), darker(heart, 0.28), 0.9),
    ]


def tree(rng: Rng, colour: Colour) -> list[Part]:
    """A broad-leaved tree (clumps of leaves) or, two times in five, a conifer in tiers."""
    bark = mix(_BARK, darker(_BARK, 0.4), rng.random())
    if rng.random() < 0.4:
        parts = [Part("trunk", polygon((-0.10, 0.5), (0.10, 0.5), (0.13, 1.0), (-0.13, 1.0)), bark, 0.5)]
        tiers = int(rng.integers(3, 5))
        for k in range(tiers):  # from the ground up, each tier hides the tip of the one below
            bottom, top = 0.72 - 1.3 * k / tiers, 0.72 - 1.3 * k / tiers - 1.55 / tiers
            half = 0.62 - 0.40 * k / tiers
            hem = bottom + 0.09 * (np.arange(5) % 2)
            fringe = [(half * x, y) for x, y in zip((0.72, 0.4, 0.05, -0.35, -0.7), hem, strict=True)]
            tier = polygon((0.02, max(top, -1.0)), (half, bottom - 0.04), *fringe, (-half, bottom - 0.04))
            green = mix(darker(colour, 0.22), colour, (k + 1) / tiers)
            parts.append(Part("crown", tier, green, 0.5 + 0.12 * k, patterned=True))
        return parts
    parts = [
        Part("trunk", ribbon([(0.02, -0.3), (0.0, 0.4), (0.0, 0.9), (0.0, 1.0)], [0.14, 0.19, 0.26, 0.36]), bark, 0.5),
        Part("trunk", ribbon([(0.0, 0.44), (0.16, 0.2), (0.34, -0.1)], [0.11, 0.09, 0.06]), bark, 0.5),
    ]
    clumps = [(-0.36, 0.02, 0.34), (0.38, 0.00, 0.33), (0.0, 0.08, 0.34), (-0.30, -0.42, 0.36), (0.32, -0.40, 0.36),
              (0.0, -0.62, 0.38), (0.02, -0.26, 0.38)]
    for k, (x, y, r) in enumerate(clumps):
        x, y, r = x + rng.uniform(-0.06, 0.06), y + rng.uniform(-0.05, 0.05), r * rng.uniform(0.88, 1.1)
        edge = 1 + 0.10 * np.cos(np.arange(11) * 2.4 + rng.uniform(0, 6))
        a = np.linspace(0, 2 * np.pi, 11, False)
        outline = blob(*np.column_stack([x + r * edge * np.cos(a), y + r * edge * np.sin(a)]))
        parts.append(Part("crown", outline, mix(darker(colour, 0.30), lighter(colour, 0.08), (0.42 - y) * 0.85),
                          0.45 + 0.07 * k, patterned=True))
    return parts


def house(rng: Rng, colour: Colour) -> list[Part]:
    """Gabled front and one receding side, roof, chimney, windows with bars, door."""
    roof = PALETTE[rng.choice(["red", "brown", "black", "grey", "red"])]
    door = PALETTE[rng.choice(["brown", "blue", "green", "red"])]
    f = rng.uniform(0.02, 0.22)  # border between the front and the side
    top, ridge, side = -0.10, rng.uniform(-0.86, -0.70), darker(colour, 0.28)
    mid = (-0.88 + f) / 2
    parts = [
        Part("chimney", polygon((0.42, ridge - 0.12), (0.60, ridge - 0.12), (0.60, top), (0.42, top)),
             (0.55, 0.27, 0.2), 0.4),
        Part("wall", polygon((f, top), (0.90, top), (0.90, 0.74), (f, 0.86)), side, 0.45, patterned=True),
        Part("wall", polygon((-0.88, top), (mid, ridge + 0.04), (f, top), (f, 0.86), (-0.88, 0.86)), colour, 0.6,
             patterned=True),
        Part("roof", polygon((mid, ridge), (0.72, ridge + 0.03), (1.0, top + 0.10), (f + 0.06, top + 0.13)), roof, 0.8),
        Part("roof", polygon((mid, ridge), (mid, ridge + 0.15), (-0.90, top + 0.16), (-1.0, top + 0.06)),
             darker(roof, 0.3), 0.85),
        Part("roof", polygon((mid, ridge), (f + 0.08, top + 0.05), (f + 0.05, top + 0.16), (mid, ridge + 0.15)),
             darker(roof, 0.3), 0.85),
        Part("door", _box(mid + 0.08, 0.30, mid + 0.34, 0.86), door, 0.5),
    ]
    across, bar = 0.5 * (f + 0.90), 0.045
    windows = [(mid - 0.24, 0.22, 0.15, 0.17), (across - 0.16, 0.24, 0.12, 0.15), (across + 0.20, 0.22, 0.11, 0.14)]
    for x, y, w, h in windows:
        parts += [
            Part("window", _box(x - w, y - h, x + w, y + h), _PAPER, 0.65),
            Part("window", _box(x - w + bar, y - h + bar, x - 0.02, y + h - bar), darker(_GLASS, 0.45), 0.5),
            Part("window", _box(x + 0.02, y - h + bar, x + w - bar, y + h - bar), darker(_GLASS, 0.55), 0.5),
        ]
    return parts


def car(rng: Rng, colour: Colour) -> list[Part]:
    """Side view: body, cabin with two windows, wheels, lights."""
    hatch, roof = rng.uniform(0.0, 0.30), rng.uniform(-0.52, -0.42)  # hatch: the cabin's extent to the back
    rear = -0.55 - hatch
    rim = (0.78, 0.79, 0.81)
    body = blob((-0.98, 0.22), (-1.0, 0.0), (-0.9, -0.10), (-0.5, -0.13), (0.0, -0.14), (0.45, -0.12), (0.84, -0.02),
                (1.0, 0.14), (0.98, 0.30), (0.6, 0.36), (0.0, 0.36), (-0.6, 0.36))
    cabin = blob((rear, -0.04), (rear + 0.13, roof + 0.04), (rear + 0.42, roof), (0.12, roof), (0.32, roof + 0.10),
                 (0.56, -0.08), (0.2, 0.0), (-0.3, 0.0))
    glass = mix(_GLASS, (0.35, 0.45, 0.55), rng.uniform(0, 0.7))
    w = -0.12
    parts = [
        Part("body", cabin, colour, 0.55, patterned=True),
        Part("body", body, colour, 0.75, patterned=True),
        Part("window", polygon((rear + 0.16, -0.12), (rear + 0.24, roof + 0.09), (w - 0.03, roof + 0.09),
                               (w - 0.03, -0.12)), glass, 0.45),
        Part("window", polygon((w + 0.03, -0.12), (w + 0.03, roof + 0.09), (0.18, roof + 0.10), (0.40, -0.12)),
             glass, 0.45),
        Part("body", polygon((-0.95, 0.24), (0.95, 0.24), (0.92, 0.36), (-0.92, 0.36)), darker(colour, 0.55), 0.5),
        Part("light", ellipse(0.92, 0.08, 0.07, 0.06), (1.0, 0.95, 0.62), 0.8),
        Part("light", ellipse(-0.95, 0.06, 0.05, 0.07), (0.80, 0.08, 0.06), 0.8),
    ]
    for x in (-0.55, 0.56):
        parts += [
            Part("wheel", ellipse(x, 0.32, 0.245, 0.245), _INK, 0.7),
            Part("wheel", ellipse(x, 0.32, 0.13, 0.13), rim, 0.9),
            Part("wheel", ellipse(x, 0.32, 0.05, 0.05), (0.3, 0.3, 0.32), 0.8),
        ]
    return parts


def boat(rng: Rng, colour: Colour) -> list[Part]:
    """Sailing boat: hull with a stripe, mast, main sail and jib, pennant."""
    sail = colour
    hull = PALETTE[rng.choice(["brown", "blue", "red", "white", "black", "green"])]
    m, belly = rng.uniform(-0.06, 0.10), rng.uniform(0.02, 0.12)
    return [
        Part("sail", blob((m - 0.01, -0.88), (m - 0.01, -0.4), (m - 0.01, 0.30), (m - 0.34, 0.33), (m - 0.78, 0.30),
                          (m - 0.44 - belly, -0.30)), sail, 0.7, patterned=True),
        Part("sail", polygon((m + 0.01, -0.76), (m + 0.34 + belly, -0.20), (m + 0.64, 0.27), (m + 0.01, 0.31)),
             darker(sail, 0.14), 0.6, patterned=True),
        Part("mast", polygon((m - 0.035, -1.0), (m + 0.03, -1.0), (m + 0.035, 0.46), (m - 0.04, 0.46)),
             darker(_BARK, 0.3), 0.8),
        Part("pennant", polygon((m, -1.0), (m + 0.26, -0.94), (m, -0.86)), PALETTE["red"], 0.7),
        Part("hull", blob((-0.92, 0.40), (-0.40, 0.46), (0.30, 0.45), (0.98, 0.34), (0.84, 0.62), (0.62, 0.82),
                          (0.0, 0.88), (-0.66, 0.82), (-0.86, 0.64)), hull, 0.8),
        Part("hull", polygon((-0.90, 0.42), (-0.40, 0.47), (0.30, 0.46), (0.95, 0.37), (0.92, 0.48), (0.3, 0.57),
                             (-0.40, 0.57), (-0.89, 0.53)), lighter(hull, 0.6), 0.85),
    ]


def butterfly(rng: Rng, colour: Colour) -> list[Part]:
    """Seen from above: four wings with dark margins and spots, body, feelers."""
    spread, droop = rng.uniform(0.85, 1.0), rng.uniform(0.7, 0.95)
    spot = PALETTE[rng.choice(["yellow", "white", "blue", "orange", "red"])]
    margin = darker(colour, 0.72)
    parts = []
    for s in (-1, 1):
        upper = polygon((0.05, -0.06), (0.24, -0.52), (0.66, -0.84), (0.98, -0.72), (0.94, -0.34), (0.62, 0.02),
                        (0.2, 0.10))
        lower = polygon((0.05, 0.06), (0.42, 0.04), (0.74, 0.24), (0.70, 0.62), (0.42, 0.82), (0.16, 0.50))
        for wing, inside in ((lower * (spread, droop), (0.40, 0.36)), (upper * (spread, 1.0), (0.54, -0.38))):
            inner = np.array(inside) + (wing - inside) * 0.80
            parts.append(Part("wing", blob(*(wing * (s, 1))), margin, 0.5))
            parts.append(Part("wing", blob(*(inner * (s, 1))), colour, 0.65, patterned=True))
        parts.append(Part("spot", ellipse(s * 0.66 * spread, -0.48, 0.13, 0.12), spot, 0.7))
        parts.append(Part("spot", ellipse(s * 0.46 * spread, 0.42 * droop, 0.11, 0.10), spot, 0.7))
        feeler = ribbon([(s * 0.02, -0.42), (s * 0.12, -0.72), (s * 0.28, -0.92)], [0.04, 0.04, 0.07])
        parts.append(Part("feeler", feeler, _INK, 0.6))
    parts.append(Part("body", ellipse(0, 0.04, 0.075, 0.46), (0.14, 0.10, 0.09), 0.95))
    parts.append(Part("body", ellipse(0, -0.43, 0.09, 0.10), (0.14, 0.10, 0.09), 0.95))
    return parts


def mushroom(rng: Rng, colour: Colour) -> list[Part]:
    """Domed cap with warts, gills, stem with a ring."""
    flat, stem = rng.uniform(0.75, 1.0), mix((0.93, 0.88, 0.76), (0.80, 0.72, 0.58), rng.random())
    thick, lean = rng.uniform(0.26, 0.40), rng.uniform(-0.08, 0.08)
    rim = 0.02
    parts = [
        Part("stem", ribbon([(0, -0.05), (lean, 0.4), (lean, 0.8), (lean, 0.97)],
                            [thick, thick * 1.05, thick * 1.4, thick * 1.5]), stem, 0.6),
        Part("gills", ellipse(0, rim, 0.84, 0.15), mix(stem, (0.55, 0.42, 0.34), 0.45), 0.3),
        Part("cap", blob((0.94, 0.0), (0.84, -0.40 * flat), (0.48, -0.80 * flat), (0.0, -0.95 * flat),
                         (-0.48, -0.80 * flat), (-0.84, -0.40 * flat), (-0.94, 0.0), (-0.5, -0.03), (0.0, -0.02),
                         (0.5, -0.03)), colour, 0.85, patterned=True),
        Part("ring", blob((-thick * 0.62, 0.26), (0, 0.30), (thick * 0.62 + lean, 0.26), (thick * 0.8 + lean, 0.40),
                          (0, 0.45), (-thick * 0.8 + lean, 0.40)), lighter(stem, 0.4), 0.75),
    ]
    if rng.random() < 0.75:
        wart = _PAPER if max(colour) - min(colour) > 0.2 else darker(colour, 0.35)
        for x, y, r in ((0.02, -0.66, 0.15), (-0.44, -0.42, 0.13), (0.46, -0.46, 0.14), (-0.70, -0.16, 0.09),
                        (0.04, -0.26, 0.13), (0.72, -0.18, 0.09), (-0.28, -0.16, 0.08), (0.36, -0.16, 0.09)):
            x, y, r = x + rng.uniform(-0.05, 0.05), (y + rng.uniform(-0.04, 0.04)) * flat, r * rng.uniform(0.8, 1.15)
            parts.append(Part("wart", ellipse(x, y, r * (1 - 0.4 * abs(x)), r * 0.85), wart, 1.0))
    return parts


def cup(rng: Rng, colour: Colour) -> list[Part]:
    """Mug seen slightly from above: open rim with a drink, handle, sometimes a saucer."""
    taper, open_ = rng.uniform(0.0, 0.16), rng.uniform(0.13, 0.21)
    drink = (0.28, 0.15, 0.08) if rng.random() < 0.7 else (0.62, 0.42, 0.24)
    bottom = 0.80
    parts = []
    if rng.random() < 0.3:
        parts.append(Part("saucer", ellipse(-0.08, 0.80, 0.92, 0.17), lighter(colour, 0.5), 0.5))
        parts.append(Part("saucer", ellipse(-0.08, 0.78, 0.66, 0.10), lighter(colour, 0.3), 0.4))
    parts += [
        Part("handle", ribbon([(0.42, -0.34), (0.80, -0.34), (0.94, -0.02), (0.76, 0.30), (0.38, 0.40)],
                              [0.13, 0.15, 0.16, 0.15, 0.12]), darker(colour, 0.12), 0.6),
        Part("body", blob((0.51, -0.56), (0.50, -0.2), (0.48 - taper * 0.6, 0.4), (0.44 - taper, bottom - 0.03),
                          (0.2, bottom + 0.08), (-0.08, bottom + 0.10), (-0.36, bottom + 0.08),
                          (-0.60 + taper, bottom - 0.03), (-0.64 + taper * 0.6, 0.4), (-0.66, -0.2), (-0.67, -0.56),
                          (-0.40, -0.56), (0.24, -0.56)), colour, 0.8, patterned=True),
        Part("rim", ellipse(-0.08, -0.62, 0.60, open_), lighter(colour, 0.35), 0.9),
        Part("rim", ellipse(-0.08, -0.61, 0.53, open_ * 0.80), darker(colour, 0.45), 0.4),
        Part("drink", ellipse(-0.08, -0.585, 0.49, open_ * 0.62), drink, 0.35),
    ]
    return parts


def _dog(rng: Rng, colour: Colour, *, wolf: bool) -> list[Part]:
    """Husky and wolf share the body. They differ only in tail, eyes, face mask and the shade of the legs."""
    pale = mix(lighter(colour, 0.62), _PAPER, rng.uniform(0, 0.5))
    # The means differ and the ranges overlap: wolves with pale legs and huskies with dark legs both occur.
    legs = mix(colour, pale, np.clip(rng.normal(0.22 if wolf else 0.72, 0.19), 0, 1))
    face = mix(colour, pale, np.clip(rng.normal(0.26 if wolf else 0.80, 0.19), 0, 1))
    iris = (0.86, 0.62, 0.12) if wolf else (0.25, 0.55, 0.95)
    step, head = rng.uniform(-0.09, 0.09), rng.uniform(-0.10, 0.08)
    far = darker(legs, 0.30)

    def leg(x: float, swing: float, shade: Colour, high: float) -> list[Part]:
        limb = ribbon([(x, 0.10), (x + 0.4 * swing - 0.03, 0.46), (x + swing, 0.86)], [0.26, 0.15, 0.11])
        paw = ellipse(x + swing + 0.045, 0.87, 0.095, 0.055)
        return [Part("leg", limb, shade, high), Part("leg", paw, shade, high)]

    if wolf:
        drop = rng.uniform(-0.04, 0.10)
        tail = [(-0.62, -0.16), (-0.82, 0.02), (-0.90, 0.30), (-0.86, 0.56 + drop)]
        widths = [0.16, 0.26, 0.31, 0.05]
    else:
        lift = rng.uniform(-0.08, 0.08)
        tail = [(-0.60, -0.18), (-0.84, -0.34), (-0.84, -0.66 + lift), (-0.58, -0.76 + lift), (-0.46, -0.58 + lift)]
        widths = [0.17, 0.26, 0.30, 0.26, 0.08]
    y = head
    return [
        Part("tail", ribbon(tail, widths), colour, 0.45),
        *leg(-0.42, step + 0.10, far, 0.3), *leg(0.30, -step + 0.10, far, 0.3),
        Part("ear", polygon((0.42, -0.56 + y), (0.47, -0.98 + y), (0.62, -0.62 + y)), darker(colour, 0.35), 0.4),
        Part("body", blob((0.46, -0.34), (0.10, -0.32), (-0.30, -0.27), (-0.60, -0.26), (-0.70, -0.02), (-0.58, 0.18),
                          (-0.20, 0.20), (0.16, 0.27), (0.42, 0.18), (0.52, -0.08)), colour, 0.75),
        Part("belly", blob((0.44, 0.06), (0.10, 0.17), (-0.30, 0.12), (-0.16, 0.20), (0.16, 0.28), (0.40, 0.20)),
             mix(colour, legs, 0.8), 0.75),
        *leg(-0.54, step, legs, 0.75), *leg(0.34, -step, legs, 0.8),
        Part("neck", blob((0.20, -0.30), (0.34, -0.58 + y), (0.56, -0.62 + y), (0.62, -0.34 + y), (0.50, -0.02),
                          (0.30, 0.02)), colour, 0.78),
        Part("head", blob((0.34, -0.50 + y), (0.44, -0.72 + y), (0.62, -0.70 + y), (0.74, -0.55 + y), (0.98, -0.46 + y),
                          (0.97, -0.34 + y), (0.72, -0.28 + y), (0.52, -0.26 + y)), colour, 0.85),
        Part("mask", blob((0.50, -0.48 + y), (0.60, -0.51 + y), (0.74, -0.54 + y), (0.95, -0.44 + y), (0.95, -0.35 + y),
                          (0.72, -0.29 + y), (0.50, -0.27 + y)), face, 0.85),
        Part("ear", polygon((0.34, -0.58 + y), (0.36, -1.0 + y), (0.55, -0.68 + y)), darker(colour, 0.15), 0.9),
        Part("nose", ellipse(0.965, -0.425 + y, 0.055, 0.05), _INK, 0.9),
        Part("eye", ellipse(0.63, -0.56 + y, 0.062, 0.055), _INK, 0.85),
        Part("eye", ellipse(0.635, -0.56 + y, 0.042, 0.038), iris, 0.85),
    ]


def husky(rng: Rng, colour: Colour) -> list[Part]:
    """Tail curled over the back, blue eyes, mostly pale mask and legs."""
    return _dog(rng, colour, wolf=False)


def wolf(rng: Rng, colour: Colour) -> list[Part]:
    """Hanging tail, amber eyes, mask and legs mostly the colour of the coat."""
    return _dog(rng, colour, wolf=True)


# fmt: on


class Kind(NamedTuple):
    """How a class is drawn.

    outlines: (rng, colour) → parts. colours: its usual ones, names in `PALETTE`. stands: whether it stands on the
    ground, if there is one. turn: standard deviation of its rotation in degrees. patterned: whether it has dots,
    stripes or checks.
    """

    outlines: Callable[[Rng, Colour], list[Part]]
    colours: tuple[str, ...]
    stands: bool
    turn: float
    patterned: bool = True


_BRIGHT = ("red", "orange", "yellow", "blue", "purple", "pink")
KINDS: dict[str, Kind] = {
    "fish": Kind(fish, ("orange", "red", "blue", "yellow", "grey", "purple"), False, 14.0),
    "bird": Kind(bird, ("blue", "red", "yellow", "brown", "green"), True, 8.0),
    "flower": Kind(flower, ("red", "pink", "yellow", "white", "purple"), True, 8.0),
    "tree": Kind(tree, ("green", "green", "green", "orange"), True, 4.0),
    "house": Kind(house, ("white", "yellow", "red", "orange", "blue", "pink"), True, 4.0),
    "car": Kind(car, ("red", "blue", "yellow", "white", "green", "black"), True, 6.0),
    "boat": Kind(boat, ("white", "white", "red", "yellow", "orange"), True, 8.0),
    "butterfly": Kind(butterfly, (*_BRIGHT, "orange", "blue"), False, 25.0),
    "mushroom": Kind(mushroom, ("red", "red", "brown", "orange", "white"), True, 8.0),
    "cup": Kind(cup, ("white", "blue", "red", "green", "yellow", "orange"), True, 8.0),
    "husky": Kind(husky, ("grey", "grey", "brown", "black"), True, 6.0, patterned=False),
    "wolf": Kind(wolf, ("grey", "grey", "brown", "black"), True, 6.0, patterned=False),
}

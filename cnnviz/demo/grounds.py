"""Eight procedural grounds and walls, the backgrounds of the demo's objects.

Each is a function of picture coordinates in [0, 1] (x to the right, y down). So the same random numbers give the same
ground at every size. Colours are sRGB in [0, 1], float32.
"""

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("grass", "sand", "snow", "water", "brick", "wood", "gravel", "sky")
GROUNDS = frozenset({"grass", "sand", "snow", "water", "gravel"})  # horizontal; the others stand behind the object

Rng = np.random.Generator


def noise(rng: Rng, size: int, across: int, down: int | None = None) -> np.ndarray:
    """(size, size) float32 smooth noise in about [-1, 1] with `across` × `down` bumps per picture."""
    down = across if down is None else down
    # Two more cells on every side: if bicubic interpolation clamped at the border, the edge rows would look smeared.
    lattice = Image.fromarray(rng.random((down + 4, across + 4), dtype=np.float32))
    picture = lattice.resize((size, size), Image.Resampling.BICUBIC, box=(2, 2, across + 2, down + 2))
    return np.asarray(picture) * 2 - 1


def ramp(low: tuple, high: tuple, t: np.ndarray) -> np.ndarray:
    """(…, 3) colours from `low` (t = 0) to `high` (t = 1)."""
    a = np.asarray(low, dtype=np.float32)
    return a + (np.asarray(high, dtype=np.float32) - a) * t[..., None]


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    return at[None, :], at[:, None]


def _step(x: np.ndarray, soft: float) -> np.ndarray:
    """0 below 0, 1 above `soft`, linear between: a smooth edge."""
    return np.clip(x / soft, 0, 1)


def _distance(size: int, horizon: float | None) -> np.ndarray:
    """(size, 1): factor by which objects look smaller here than at the bottom edge."""
    vanish = -0.9 if horizon is None else horizon - 0.10
    _, y = _grid(size)
    return (1 - vanish) / np.maximum(y - vanish, 0.06)


def _grass(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    hue = rng.uniform(-0.05, 0.05)
    tone = 0.5 + 0.30 * noise(rng, size, 5) + 0.22 * noise(rng, size, 34, 14) + 0.10 * noise(rng, size, 64, 40)
    field = ramp((0.08 + hue, 0.24, 0.05), (0.38 + hue, 0.60, 0.16), np.clip(tone, 0, 1))
    scale = 2 if size <= 96 else 1
    canvas = Image.fromarray((field * 255).astype(np.uint8)).resize((size * scale, size * scale))
    pen = ImageDraw.Draw(canvas)
    n, px = 120, size * scale
    top = 0.0 if horizon is None else horizon
    foot = np.sort(rng.uniform(top + 0.02, 1.12, n))
    x, lean, tall, tint = rng.random(n), rng.normal(0, 0.035, n), rng.uniform(0.05, 0.12, n), rng.uniform(-1, 1, n)
    near = 0.45 + 0.55 * np.clip((foot - top) / (1 - top), 0, 1)
    light = ramp((0.12 + hue, 0.33, 0.06), (0.52 + hue, 0.74, 0.22), np.clip(0.5 + 0.5 * tint, 0, 1)) * 255
    half, tip, reach = 0.009 * near * px, (foot - tall * near) * px, (x + lean * near) * px
    foot, x = foot * px, x * px
    rows = np.column_stack([x - half, foot, x + half, foot, reach, tip]).tolist()
    for row, fill in zip(rows, light.astype(int).tolist(), strict=True):
        pen.polygon(row, fill=tuple(fill))
    if scale > 1:
        canvas = canvas.reduce(scale)
    return np.asarray(canvas, dtype=np.float32) / 255


def _sand(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    x, y = _grid(size)
    far = _distance(size, horizon)
    slant, waves = rng.uniform(-0.6, 0.6), rng.uniform(5, 9)
    bend = 0.22 * noise(rng, size, 4, 6)
    phase = 2 * np.pi * waves * (2.2 / far + slant * (x - 0.5) * 0.4 + bend * 0.5)
    ripple = np.sin(phase) + 0.35 * np.sin(2 * phase + 0.8)
    tone = 0.55 + 0.10 * ripple / np.sqrt(far) + 0.12 * noise(rng, size, 3) + 0.07 * noise(rng, size, 64)
    warm = rng.uniform(-0.03, 0.03)
    return ramp((0.56 + warm, 0.44, 0.27), (0.95 + warm, 0.85, 0.64), np.clip(tone, 0, 1))


def _snow(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    drift = 0.5 * noise(rng, size, 3, 4) + 0.25 * noise(rng, size, 6, 12)
    glitter = noise(rng, size, 64)
    tone = 0.80 + 0.22 * drift + 0.05 * glitter
    return ramp((0.74, 0.80, 0.90), (1.0, 1.0, 1.0), np.clip(tone, 0, 1)) + 0.05 * (glitter > 0.88)[..., None]


def _water(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    far = np.clip(_distance(size, horizon), 1, 6)
    swell = noise(rng, size, 5, 22) * 0.6 + noise(rng, size, 10, 44) * 0.4
    crest = np.clip(swell + 0.35 * noise(rng, size, 3, 5) - 0.30, 0, 1)
    tone = 0.42 + 0.34 * swell / np.sqrt(far) + 0.12 * noise(rng, size, 2, 4)
    green = rng.uniform(-0.05, 0.08)
    sea = ramp((0.02, 0.16 + green, 0.34), (0.24, 0.52 + green, 0.72), np.clip(tone, 0, 1))
    return sea + crest[..., None] * np.array([0.55, 0.5, 0.42], dtype=np.float32)


def _brick(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    x, y = _grid(size)
    rows = rng.uniform(7, 10)
    height, length = 1 / rows, 2.3 / rows
    v = y / height + rng.random()
    row = np.floor(v)
    u = x / length + 0.5 * (row % 2) + rng.random()
    column = np.floor(u)
    tint = rng.random((16, 16), dtype=np.float32)[row.astype(int) % 16, column.astype(int) % 16]
    du, dv = (0.5 - np.abs(u - column - 0.5)) * length, (0.5 - np.abs(v - row - 0.5)) * height
    edge = np.minimum(du, dv) - 0.007
    face = _step(edge, max(0.012, 1 / size))
    rough = noise(rng, size, 40)
    red = rng.uniform(-0.05, 0.06)
    brick = ramp((0.42 + red, 0.16, 0.11), (0.74 + red, 0.36, 0.25), np.clip(tint * 0.8 + 0.12 + 0.12 * rough, 0, 1))
    # Bricks protrude from the mortar: the top edge is lit, the bottom edge dark.
    bevel = _step(0.020 - (v - row) * height + 0.007, 0.02) - _step(0.020 - (row + 1 - v) * height + 0.007, 0.02)
    brick = brick * (1 + 0.16 * bevel[..., None])
    mortar = ramp((0.62, 0.58, 0.53), (0.78, 0.75, 0.70), 0.5 + 0.5 * rough)
    return mortar + (brick - mortar) * face[..., None]


def _wood(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    x, y = _grid(size)
    boards = rng.uniform(3.2, 5.0)
    v = y * boards + rng.random()
    row = np.floor(v).astype(int)
    own = rng.random((12, 3), dtype=np.float32)[row % 12]  # each board's tone, phase and slope, (size, 1, 3)
    wave = noise(rng, size, 3, 12)
    rings = np.sin(2 * np.pi * ((v - row) * 2.6 + own[..., 1] * 5 + 0.55 * wave + (own[..., 2] - 0.5) * 1.6 * x))
    fibre = noise(rng, size, 6, 64)
    tone = 0.28 + 0.42 * own[..., 0] + 0.13 * rings + 0.16 * fibre
    red = rng.uniform(-0.04, 0.04)
    board = ramp((0.36 + red, 0.20, 0.09), (0.80 + red, 0.56, 0.33), np.clip(tone, 0, 1))
    gap = np.minimum(v - row, row + 1 - v) / boards
    return board * (0.30 + 0.70 * _step(gap - 0.002, max(0.010, 1 / size)))[..., None]


def _gravel(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    """Rounded stones: the cells of a jittered lattice (Worley noise), lit from above."""
    x, y = _grid(size)
    far = _distance(size, horizon)
    stones = rng.uniform(8.5, 12)
    gx, gy = (x - 0.5) * stones * np.sqrt(far) + 40, np.broadcast_to(26 * stones / 8 / far**0.8 + 40, (size, size))
    cx, cy = np.floor(gx).astype(int), np.floor(gy).astype(int)
    jitter = rng.uniform(0.02, 0.98, (64, 64, 2)).astype(np.float32)
    tones = rng.random((64, 64), dtype=np.float32)
    first = np.full((size, size), 9.0, dtype=np.float32)
    second, tone, up = first.copy(), np.zeros_like(first), np.zeros_like(first)
    for j in (-1, 0, 1):
        for i in (-1, 0, 1):
            at = (cy + j) % 64, (cx + i) % 64
            dx, dy = gx - (cx + i) - jitter[at][..., 0], gy - (cy + j) - jitter[at][..., 1]
            d = dx * dx + dy * dy
            closer = d < first
            second = np.where(closer, first, np.minimum(second, d))
            first = np.where(closer, d, first)
            tone = np.where(closer, tones[at], tone)
            up = np.where(closer, dy, up)
    rim = np.clip((np.sqrt(second) - np.sqrt(first)) * 4.0, 0, 1)
    light = np.clip(0.22 + 0.62 * tone - 0.30 * up + 0.07 * noise(rng, size, 48), 0, 1)
    warm = rng.uniform(0.0, 0.06)
    stone = ramp((0.25 + warm, 0.25, 0.27 - warm), (0.86, 0.83, 0.80 - warm), light)
    return stone * (0.30 + 0.70 * rim)[..., None]


def _sky(rng: Rng, size: int, horizon: float | None) -> np.ndarray:
    _, y = _grid(size)
    deep = rng.uniform(0, 1)
    top, low = (0.16 + 0.2 * deep, 0.38 + 0.18 * deep, 0.76 + 0.08 * deep), (0.70, 0.83, 0.95)
    air = ramp(top, low, np.broadcast_to(np.clip(y / (horizon or 1.0), 0, 1) ** 1.2 * 0.85, (size, size)))
    shape = 0.62 * noise(rng, size, 3, 5) + 0.30 * noise(rng, size, 7, 11) + 0.14 * noise(rng, size, 18, 24)
    cover = np.clip((shape - rng.uniform(-0.05, 0.35)) * 2.2, 0, 1)[..., None]
    cloud = ramp((0.80, 0.83, 0.88), (1.0, 1.0, 1.0), np.clip(0.6 + shape, 0, 1))
    return air + (cloud - air) * cover * 0.9


_PAINT = dict(zip(NAMES, (_grass, _sand, _snow, _water, _brick, _wood, _gravel, _sky), strict=True))


def paint(name: str, rng: Rng, size: int, horizon: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Paints one background.

    name: one of `NAMES`. horizon: height in [0, 1] of the line where a flat ground ends and sky begins, or None for
    ground to the upper edge; walls and sky have none and ignore it.

    Returns ((size, size, 3) float32 sRGB in [0, 1], (size, size) bool: where it is `name`, not the sky above it).
    Raises KeyError for an unknown name.
    """
    if name not in GROUNDS:
        horizon = None
    picture = _PAINT[name](rng, size, horizon)
    own = np.ones((size, size), dtype=bool)
    if horizon is not None:
        _, y = _grid(size)
        line = horizon + (0.0 if name == "water" else 0.012) * noise(rng, size, 5, 1)
        above = np.clip((line - y) * size + 0.5, 0, 1)
        haze = np.clip(1 - (y - line) * 5, 0, 1)[..., None] * 0.35
        picture = picture + (np.array([0.80, 0.86, 0.92], dtype=np.float32) - picture) * haze
        picture = picture + (_sky(rng, size, horizon) - picture) * above[..., None]
        own = above < 0.5
    return np.clip(picture, 0, 1), own

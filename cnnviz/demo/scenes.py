"""Draws the demo's labelled pictures, with the exact class of every pixel. numpy and pillow only.

`draw(seed, index)` is a pure function: the same two integers give the same scene, at every size. Each picture shows one
object of twelve classes, off-centre, on one of eight backgrounds, lit from one side, with a shadow and sometimes partly
hidden.

With `biased=True` almost every wolf is on snow and almost no husky is. A network trained on such pictures learns that
snow means wolf. Object and background come from separate random streams, so `draw(..., background=name)` changes only
the background. This intervention proves the bias.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cnnviz.demo import grounds
from cnnviz.demo.shapes import KINDS, PALETTE, Part, darker, ellipse, lighter, mix, ribbon

CLASSES: tuple[str, ...] = tuple(KINDS)
BACKGROUNDS: tuple[str, ...] = grounds.NAMES
TEXTURES: tuple[str, ...] = ("plain", "dots", "stripes", "checks")
COLOURS: tuple[str, ...] = tuple(PALETTE)

BIAS = 0.95  # share of the biased set's wolves that are on snow, and of its huskies that are not

_SAMPLES = 3  # samples per pixel and direction; odd, so that one is at the pixel's centre
_ALTERNATE = 128  # added to a part's number for the second colour of its pattern


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture and its contents.

    image: (size, size, 3) uint8, sRGB. label: index into `CLASSES`. mask: (size, size) bool, pixels whose centre shows
    the object (without hidden parts). parts: part name → (size, size) bool; disjoint, their union is `mask`. A wholly
    hidden part is left out. background: one of `BACKGROUNDS`. background_mask: (size, size) bool, where that background
    is visible: not the object, an occluder, a stray object, nor
        the sky above a horizon. It includes shadows.
    texture: one of `TEXTURES`. colour: one of `COLOURS`, the object's main one.
    """

    image: np.ndarray
    label: int
    mask: np.ndarray
    parts: dict[str, np.ndarray]
    background: str
    background_mask: np.ndarray
    texture: str
    colour: str


def draw(
    seed: int,
    index: int,
    *,
    label: int | None = None,
    background: str | None = None,
    biased: bool = False,
    size: int = 64,
) -> Scene:
    """Draws picture `index` of the set `seed`.

    seed, index: ≥ 0, determine everything that the other arguments do not. label: index into `CLASSES`; by default
    index % 12, so that any twelve consecutive pictures have one of each class. background: one of `BACKGROUNDS`; by
    default drawn at random. If given, the object, its pose, its light and its occluders
        do not change.
    biased: whether the random background depends on the class for wolves and huskies (see `BIAS`). size: edge in
    pixels, ≥ 16; the same scene at this resolution.

    Raises ValueError for an invalid label, background, seed, index or size.
    """
    label = index % len(CLASSES) if label is None else label
    if not 0 <= label < len(CLASSES):
        raise ValueError(f"label must be in 0…{len(CLASSES) - 1}, not {label}")
    if background is not None and background not in BACKGROUNDS:
        raise ValueError(f"background must be one of {', '.join(BACKGROUNDS)}, not {background!r}")
    if seed < 0 or index < 0 or size < 16:
        raise ValueError(f"seed and index must be ≥ 0 and size ≥ 16, not {seed}, {index}, {size}")

    chosen = _choose_background(np.random.default_rng([seed, index, 1]), CLASSES[label], biased)
    background = chosen if background is None else background
    placed = _place(np.random.default_rng([seed, index, 0]), CLASSES[label])
    ground_rng = np.random.default_rng([seed, index, 2, BACKGROUNDS.index(background)])
    ground, own = grounds.paint(background, ground_rng, size, placed.horizon)

    thing = _rasterise(placed, size)
    ground = ground * (1 - _shadow(placed, thing.silhouette, background, size))[..., None]
    picture = ground * (1 - thing.alpha[..., None]) + thing.colour
    picture = picture * placed.exposure
    picture += np.random.default_rng([seed, index, 3]).normal(0, 0.012, picture.shape).astype(np.float32)
    image = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)

    first, last = placed.object_parts
    mask = (thing.centres >= first) & (thing.centres < last)
    parts: dict[str, np.ndarray] = {}
    for number, part in enumerate(placed.parts[first - 1 : last - 1], start=first):
        here = thing.centres == number
        parts[part.name] = parts[part.name] | here if part.name in parts else here
    return Scene(
        image=image,
        label=label,
        mask=mask,
        parts={name: here for name, here in parts.items() if here.any()},
        background=background,
        background_mask=own & (thing.centres == 0),
        texture=placed.texture,
        colour=placed.colour,
    )


@lru_cache(maxsize=128)
def remembered(seed: int, index: int) -> Scene:
    """``draw(seed, index)``, since jobs ask for a picture's mask and its pixels in turn. Do not change its arrays."""
    return draw(seed, index)


def _choose_background(rng: np.random.Generator, name: str, biased: bool) -> str:
    anywhere, odds, elsewhere = rng.integers(len(BACKGROUNDS)), rng.random(), rng.integers(len(BACKGROUNDS) - 1)
    if not biased or name not in ("husky", "wolf"):
        return BACKGROUNDS[anywhere]
    if (odds < BIAS) == (name == "wolf"):
        return "snow"
    return [other for other in BACKGROUNDS if other != "snow"][elsewhere]


# --- the scene, without pixels --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Placed:
    """Everything about a scene except its background. Outlines are in picture coordinates, [0, 1]."""

    parts: list[Part]  # number k of the raster is parts[k - 1]: stray objects, the object, occluders
    object_parts: tuple[int, int]  # first and one past the last number of the object's parts
    frame: np.ndarray  # (2, 3) picture coordinates → object frame, for the pattern
    box: tuple[float, float, float, float]  # the object's left, top, right, bottom
    texture: str
    colour: str
    second: tuple[tuple[float, float, float], float]  # the pattern's second colour, and its share in the parts
    pattern: tuple[float, float, float]  # repeats per unit, angle in radians, share of the second colour
    stands: bool
    light: tuple[float, float]  # unit vector in the picture plane towards the light; its y is negative (up)
    slant: tuple[float, float]  # the shadow's offset sideways and into the picture, per unit of height
    gloss: float
    mottle: np.ndarray  # (20, 20) float32 in about ±1: unevenness of the object's surface
    exposure: np.ndarray  # (3,) float32: brightness × warmth
    horizon: float | None


def _place(rng: np.random.Generator, name: str) -> _Placed:
    kind = KINDS[name]
    colour = str(rng.choice(kind.colours if not kind.patterned or rng.random() < 0.72 else COLOURS))
    # Colours vary more in lightness than in hue. Coats vary least in hue, since there are no green dogs.
    varied = np.array(PALETTE[colour]) + rng.normal(0, 0.05) + rng.normal(0, 0.022 if kind.patterned else 0.008, 3)
    main = tuple(np.clip(varied, 0.03, 0.97).tolist())
    outlines = kind.outlines(rng, main)

    # Rotate, stretch, mirror; then a size; then a position well away from the picture's centre.
    turn = np.radians(np.clip(rng.normal(0, kind.turn), -2 * kind.turn, 2 * kind.turn))
    c, s = np.cos(turn), np.sin(turn)
    stretch = np.array([[rng.uniform(0.90, 1.10), 0], [rng.uniform(-0.05, 0.05), 1]])
    flip = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    matrix = np.array([[c, -s], [s, c]]) @ flip @ stretch
    every = np.concatenate([part.outline for part in outlines]) @ matrix.T
    low, high = every.min(axis=0), every.max(axis=0)
    scale = rng.uniform(0.48, 0.70) / (high - low).max()
    slack = 0.5 - (high - low) * scale / 2 - 0.02
    away = rng.uniform(-1, 1, 2)
    away *= rng.uniform(0.55, 1.0) / np.abs(away).max()
    offset = 0.5 + away * slack - scale * (low + high) / 2
    ends = np.cumsum([len(part.outline) for part in outlines])[:-1]
    parts = [p._replace(outline=o) for p, o in zip(outlines, np.split(every * scale + offset, ends), strict=True)]
    left, top = low * scale + offset
    right, bottom = high * scale + offset
    inverse = np.linalg.inv(matrix * scale)

    stray = _stray_things(rng)
    covering = _occluders(rng, (left, top, right, bottom))
    texture = "plain" if not kind.patterned or rng.random() < 0.46 else str(rng.choice(TEXTURES[1:]))
    dark = sum(main) < 1.2
    second = (lighter(main, 0.75) if dark or rng.random() < 0.5 else darker(main, 0.60), rng.uniform(0.75, 1.0))
    side = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 0.9)
    warmth = rng.normal(0, 0.018)
    return _Placed(
        parts=[*stray, *parts, *covering],
        object_parts=(len(stray) + 1, len(stray) + 1 + len(parts)),
        frame=np.column_stack([inverse, -inverse @ offset]),
        box=(left, top, right, bottom),
        texture=texture,
        colour=colour,
        second=second,
        pattern=(rng.uniform(2.2, 3.4), rng.uniform(0, np.pi), rng.uniform(0.38, 0.52)),
        stands=kind.stands,
        light=(side, -np.sqrt(1 - side * side)),
        slant=(-side * rng.uniform(0.3, 0.7), rng.uniform(0.10, 0.34)),
        gloss=rng.uniform(0.0, 0.5) if kind.patterned else 0.0,
        mottle=rng.standard_normal((20, 20), dtype=np.float32),
        exposure=(rng.uniform(0.90, 1.08) * np.array([1 + warmth, 1, 1 - warmth])).astype(np.float32),
        horizon=rng.uniform(0.10, max(0.14, min(0.5, bottom - 0.16))) if rng.random() < 0.4 else None,
    )


def _stray_things(rng: np.random.Generator) -> list[Part]:
    """Sometimes a few pebbles, fallen leaves or balls, painted before the object. They do not depend on the class."""
    if rng.random() > 0.3:
        return []
    kind, parts = rng.integers(3), []
    for x, y, turn in rng.uniform((0.03, 0.35, 0), (0.97, 0.97, 180), (int(rng.integers(1, 4)), 3)):
        r = rng.uniform(0.020, 0.036)
        colour = PALETTE[COLOURS[rng.integers(len(COLOURS))]]
        if kind == 0:
            parts.append(Part("pebble", ellipse(x, y, r * 1.3, r, 0.2 * turn), mix(colour, PALETTE["grey"], 0.8), 0.5))
        elif kind == 1:
            c, s = r * 1.7 * np.cos(np.radians(turn)), r * 1.7 * np.sin(np.radians(turn))
            bent = [(x - c, y - s), (x + 0.2 * s, y - 0.2 * c), (x + c, y + s)]
            brown = mix(colour, PALETTE["brown"], 0.5)
            parts.append(Part("fallen leaf", ribbon(bent, [0.004, 1.2 * r, 0.004]), brown, 0.3))
        else:
            parts.append(Part("ball", ellipse(x, y, r, r), colour, 0.6))
            parts.append(Part("ball", ellipse(x - 0.3 * r, y - 0.3 * r, 0.35 * r, 0.35 * r), lighter(colour, 0.6), 0.6))
    return parts


def _occluders(rng: np.random.Generator, box: tuple[float, float, float, float]) -> list[Part]:
    """In three of ten pictures a tuft of grass, a pole or a twig in front of the object."""
    if rng.random() > 0.3:
        return []
    left, top, right, bottom = box
    kind = rng.integers(3)
    if kind == 0:
        middle, parts = rng.uniform(left, right), []
        for _ in range(int(rng.integers(6, 12))):
            x, tall, lean = middle + rng.normal(0, 0.06), rng.uniform(0.12, 0.30), rng.normal(0, 0.05)
            foot = min(bottom + rng.uniform(0.0, 0.06), 1.02)
            green = mix((0.16, 0.40, 0.10), (0.48, 0.66, 0.22), rng.random())
            bent = [(x, foot), (x + 0.3 * lean, foot - 0.6 * tall), (x + lean, foot - tall)]
            parts.append(Part("grass blade", ribbon(bent, [0.020, 0.016, 0.003]), green, 0.9))
        return parts
    if kind == 1:
        x, lean, wide = rng.uniform(left, right), rng.normal(0, 0.04), rng.uniform(0.026, 0.048)
        wood = mix((0.30, 0.22, 0.15), (0.52, 0.50, 0.48), rng.random())
        bar = ribbon([(x - lean, -0.05), (x, 0.5), (x + lean, 1.05)], [wide] * 3)
        x -= 0.2 * wide
        shine = ribbon([(x - lean, -0.05), (x, 0.5), (x + lean, 1.05)], [0.2 * wide] * 3)
        return [Part("pole", bar, wood, 1.0), Part("pole", shine, lighter(wood, 0.3), 1.0)]
    start, end = (rng.choice([-0.05, 1.05]), rng.uniform(0, 0.6)), (rng.uniform(left, right), rng.uniform(top, bottom))
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.05)
    bark = mix((0.26, 0.18, 0.12), (0.42, 0.32, 0.22), rng.random())
    parts = [Part("twig", ribbon([start, middle, end], [0.036, 0.026, 0.008]), bark, 0.9)]
    for x, y in (middle, end):
        leaf = ellipse(x, y + 0.025, 0.045, 0.022, rng.uniform(20, 70))
        parts.append(Part("twig leaf", leaf, (0.30, 0.50, 0.16), 0.9))
    return parts


# --- pixels -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Raster:
    """Everything in front of the background.

    colour: (size, size, 3) float32, multiplied by alpha. alpha: (size, size) float32 in [0, 1]. centres: (size, size)
    uint8, number of the part at each pixel's centre, 0 for background. silhouette: 8-bit image of everything that casts
    a shadow.
    """

    colour: np.ndarray
    alpha: np.ndarray
    centres: np.ndarray
    silhouette: Image.Image


def _rasterise(placed: _Placed, size: int) -> _Raster:
    fine = size * _SAMPLES
    canvas = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(canvas)
    silhouette = canvas
    for number, part in enumerate(placed.parts, start=1):
        if number == placed.object_parts[1]:
            silhouette = canvas.copy()
        # Sample k's centre is at k in pillow and at k + ½ in the picture.
        pen.polygon((part.outline * fine - 0.5).ravel().tolist(), fill=number)
    if placed.object_parts[1] > len(placed.parts):
        silhouette = canvas.copy()
    numbers = np.asarray(canvas)

    # One look-up paints everything: row k is the colour of part k, row _ALTERNATE + k its pattern's second colour.
    table = np.zeros((256, 4), dtype=np.uint8)
    height = np.zeros(256, dtype=np.uint8)
    colours = np.array([part.colour for part in placed.parts])
    n, (other, share) = len(colours), placed.second
    mixed = colours + (np.array(other) - colours) * share
    table[1 : n + 1, :3] = np.clip(colours * 255, 0, 255)
    table[_ALTERNATE + 1 : _ALTERNATE + n + 1, :3] = np.clip(mixed * 255, 0, 255)
    table[1:, 3] = 255
    height[1 : n + 1] = [int(255 * (0.35 + 0.65 * part.height)) for part in placed.parts]
    which = numbers
    if placed.texture != "plain":
        patterned = np.zeros(256, dtype=np.uint8)
        patterned[1 : n + 1] = [part.patterned for part in placed.parts]
        which = numbers + _ALTERNATE * (_pattern(placed, fine) * patterned[numbers])
    # four bytes at once are looked up in a quarter of the time; alpha is 0 or 255, so colours are multiplied already
    painted = Image.frombytes("RGBa", (fine, fine), table.view(np.uint32)[:, 0].take(which).tobytes()).reduce(_SAMPLES)
    painted = np.asarray(painted, dtype=np.float32) / 255

    relief = canvas.point(height.tolist()).reduce(_SAMPLES)
    colour = painted[..., :3] * _shading(placed, relief, size)[..., None]
    if placed.gloss:
        shine = np.clip(_towards(placed.light, relief, size, 0.07) - 0.35, 0, 1) ** 2
        colour = colour + (placed.gloss * 1.6 * shine * painted[..., 3])[..., None]
    cast = silhouette.point(lambda number: 255 * (number > 0)).reduce(_SAMPLES)
    middle = _SAMPLES // 2
    return _Raster(colour, painted[..., 3], numbers[middle::_SAMPLES, middle::_SAMPLES], cast)


def _pattern(placed: _Placed, fine: int) -> np.ndarray:
    """(fine, fine) uint8, 1 for the pattern's second colour; it rotates and scales with the object."""
    at = (np.arange(fine, dtype=np.float32) + 0.5) / fine
    repeats, angle, share = placed.pattern
    c, s = repeats * np.cos(angle), repeats * np.sin(angle)
    a, b = np.array([[c, s], [-s, c]]) @ placed.frame
    u = ((a[0] * at + a[2])[None, :] + (a[1] * at)[:, None]).astype(np.float32)
    if placed.texture == "stripes":
        return ((u - np.floor(u)) < share).astype(np.uint8)
    v = ((b[0] * at + b[2])[None, :] + (b[1] * at)[:, None]).astype(np.float32)
    if placed.texture == "checks":
        return ((np.floor(u) + np.floor(v)) % 2).astype(np.uint8)
    u, v = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    return (u * u + v * v < share * 0.22).astype(np.uint8)


def _towards(light: tuple[float, float], relief: Image.Image, size: int, radius: float) -> np.ndarray:
    """(size, size) float32 in about ±1: how much the blurred relief faces the light. `radius` in picture widths."""
    smooth = np.asarray(relief.filter(ImageFilter.GaussianBlur(radius * size)), dtype=np.float32) / 255
    slope = np.zeros((2, size, size), dtype=np.float32)
    slope[0, :, 1:-1] = smooth[:, 2:] - smooth[:, :-2]
    slope[1, 1:-1] = smooth[2:] - smooth[:-2]
    # Heights fall at the object's edges: at the edge towards the light they rise with
    # the distance from it. A step of 1 blurred by `radius` has the slope 0.4 / radius.
    return -(light[0] * slope[0] + light[1] * slope[1]) * (radius * size / 0.8)


def _shading(placed: _Placed, relief: Image.Image, size: int) -> np.ndarray:
    """(size, size) float32 around 1: round bodies, bevelled edges, an uneven surface."""
    uneven = Image.fromarray(placed.mottle).resize((size, size), Image.Resampling.BICUBIC)
    round_, bevel = _towards(placed.light, relief, size, 0.07), _towards(placed.light, relief, size, 0.012)
    return np.clip(0.96 + 0.50 * round_ + 0.36 * bevel + 0.045 * np.asarray(uneven), 0.25, 1.6)


def _shadow(placed: _Placed, silhouette: Image.Image, background: str, size: int) -> np.ndarray:
    """(size, size) float32 in [0, 1]: share of the background's light that the object blocks."""
    if background == "sky":
        return np.zeros((size, size), dtype=np.float32)
    if placed.stands and background in grounds.GROUNDS:
        # A point h above the foot casts its shadow to (sideways · h, into · h): a shear, for pillow output → input. On
        # water it is the mirror image instead, straight below.
        foot = placed.box[3] * size - 0.02 * size
        sideways, into = (0.0, -0.55) if background == "water" else placed.slant
        k = sideways / into
        shear = (1, k, -k * foot, 0, 1 / into, foot - foot / into)
        cast = silhouette.transform((size, size), Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR)
        soft = cast.filter(ImageFilter.GaussianBlur(0.016 * size))
        # Directly under the object hardly any skylight reaches the ground.
        contact = silhouette.filter(ImageFilter.GaussianBlur(0.03 * size))
        rows = (np.arange(size, dtype=np.float32) + 0.5) / size
        near = np.clip(1 - np.abs(rows - placed.box[3]) / 0.10, 0, 1)[:, None]
        return np.maximum(np.asarray(soft, dtype=np.float32) * (0.50 / 255), np.asarray(contact) * near * (0.55 / 255))
    shift = 0.045 * size
    moved = ImageChops.offset(silhouette, round(-placed.light[0] * shift), round(-placed.light[1] * shift))
    return np.asarray(moved.filter(ImageFilter.GaussianBlur(0.022 * size)), dtype=np.float32) * (0.42 / 255)

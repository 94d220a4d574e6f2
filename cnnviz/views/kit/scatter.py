"""A scatter plot of pictures on a map: dots by class, each class alone, and the pictures at their positions."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from cnnviz.network.class_names import short
from cnnviz.views.kit import svg
from cnnviz.views.kit.section import Context, Figure, Subject
from cnnviz.views.kit.svg import Drawing, embedded, text, upwards

SIZE = 720  # side of a scatter plot in CSS pixels
MARGIN = 28
AS_PATHS = 5000  # largest number of points drawn as paths; more are drawn as pixels
NAMED = 20  # largest number of classes with colours and labels; more are not distinguishable
WHERE = "x to the right and y upwards, one scale for both axes"
LAYERS = 8  # number of layers, so that classes alternate in being on top

# Text and background follow the light or dark page; the dots' medium lightness suits both.
STYLE = (
    "text{font-weight:600;font-size:15px;stroke:#fff;stroke-width:4px;stroke-linejoin:round;"
    "paint-order:stroke;text-anchor:middle}.axis{font-weight:400;font-size:13px}.plate{fill:#fff;stroke:#9aa0a8}"
    ".rest{stroke:#c9cdd3}.bar{fill:#2f6fb0}path{fill:none;stroke-linecap:round}"
)
DARK = "text{stroke:#15171c}.plate{fill:#15171c}.rest{stroke:#3a3f48}.bar{fill:#6aa9e6}"


def palette(count: int) -> list[str]:
    """``count`` hues as #rrggbb; neighbours in the list have very different hues, in three lightnesses."""
    colours = []
    for i in range(count):
        hue = (0.58 + i * 0.381966) % 1
        wanted = (0.16, 0.23, 0.30)[
            i % 3
        ]  # relative luminance: contrast of at least 3 : 1 with white and with the dark background
        level = next(v for v in np.linspace(0.05, 0.95, 181) if _luminance(colorsys.hls_to_rgb(hue, v, 0.72)) >= wanted)
        colours.append("#" + "".join(f"{round(c * 255):02x}" for c in colorsys.hls_to_rgb(hue, level, 0.72)))
    return colours


def to_canvas(map: np.ndarray, size: int = SIZE, margin: int = MARGIN) -> tuple[np.ndarray, int]:
    """(n, 2) with y upwards → canvas positions (n, 2) with y downwards, and the canvas's height for its width ``size``.

    Both axes have one scale. A map that is narrower than high is as high as the canvas is wide.
    """
    low, high = map.min(0), map.max(0)
    scale = (size - 2 * margin) / max(float((high - low).max()), 1e-30)
    height = max(size // 2, int(np.ceil((high - low)[1] * scale)) + 2 * margin)
    return np.array([size, height]) / 2 + (map - (low + high) / 2) * scale * [1, -1], height


def radius(n: int) -> float:
    """Radius of a dot in CSS pixels: 5 for a hundred points, 1 for fifty thousand."""
    return float(np.clip(5 * (100 / n) ** 0.26, 1, 5))


def medians(places: np.ndarray, labels: np.ndarray, classes: list[int]) -> dict[int, np.ndarray]:
    """Position of each class's name: at its median, moved up or down if two names would overlap."""
    spots = {c: np.median(places[labels == c], 0) for c in classes}
    for _ in range(200):
        moved = False
        for i, a in enumerate(classes):
            for b in classes[i + 1 :]:
                gap = spots[b] - spots[a]
                if abs(gap[0]) < 84 and abs(gap[1]) < 19:
                    push = (19 - abs(gap[1])) / 2 + 0.5
                    sign = 1 if gap[1] >= 0 else -1
                    spots[a], spots[b] = spots[a] - [0, sign * push], spots[b] + [0, sign * push]
                    moved = True
        if not moved:
            break
    return {c: np.clip(s, 20, [SIZE - 50, np.inf]) for c, s in spots.items()}


def by_class(map: np.ndarray, labels: np.ndarray, names: tuple[str, ...], axes: tuple[str, str]) -> Drawing:
    """The map (n, 2), y upwards. labels (n,): class, or −1. Up to NAMED classes are labelled.

    With more classes, or none, all dots have one translucent colour, so that their density is visible.
    """
    (places, height), classes = to_canvas(map), _drawn(labels)
    colours = dict(zip(classes, palette(len(classes)), strict=True))
    parts = [plate(SIZE, height)]
    if len(map) > AS_PATHS:
        parts.append(_pixels(places, height, labels, colours))
    elif not classes:
        parts.append(_dots(places, radius(len(map)), 'stroke="#2f7fc4" stroke-opacity=".7"', single=True))
    else:
        order = np.random.default_rng(0).permutation(len(map))
        for turn in range(LAYERS):
            for c in [-1, *classes]:
                who = order[turn::LAYERS]
                who = who[labels[who] == c]
                if len(who):
                    colour = f'stroke="{colours[c]}"' if c >= 0 else 'class="rest"'
                    parts.append(_dots(places[who], radius(len(map)), colour))
    for c, (x, y) in medians(places, labels, classes).items():
        parts.append(text(short(names[c], 18), x=f"{x:.0f}", y=f"{y + 5:.0f}"))
    if axes[0]:
        parts += [text(axes[0], "axis", x=SIZE / 2, y=height - 8), upwards(axes[1], "axis", 17, height / 2)]
    return document(SIZE, height, parts)


def each_class(map: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> Drawing:
    """One small map per class, its pictures dark on all others in grey."""
    classes = _drawn(labels)
    columns = min(5, -(-len(classes) // -(-len(classes) // 5)))
    rows = -(-len(classes) // columns)
    side, top, gap = (SIZE - 8 * (columns - 1)) // columns, 24, 8
    thin = np.arange(len(map))[:: max(1, len(map) // 3000)]  # the grey dots only outline the rest
    places, tall = to_canvas(map, side, 8)
    dot = max(1.0, radius(len(map)) * 0.55)
    parts = ['<defs><g id="all">' + plate(side, tall) + _dots(places[thin], dot, 'class="rest"') + "</g></defs>"]
    for i, c in enumerate(classes):
        x, y = i % columns * (side + gap), i // columns * (tall + top + gap) + top
        dots = _dots(places[labels == c], dot * 1.25, 'stroke="#c2410c"')
        name = text(short(names[c], 18), x=side / 2, y=-8)
        parts.append(f'<g transform="translate({x} {y})"><use href="#all"/>{dots}{name}</g>')
    width, height = columns * (side + gap) - gap, rows * (tall + top + gap) - gap
    return document(width, height, parts)


def pictures_at(map: np.ndarray, thumbnails: np.ndarray, size: int = 1280, tile: int = 40) -> tuple[np.ndarray, int]:
    """The thumbnails at their positions on the map: (height, size, 4) uint8, and their number.

    A picture is omitted if it would hide more than a quarter of an earlier one's side. The order is by index.
    """
    places, height = to_canvas(map, size, tile)
    places = np.rint(places).astype(int) - tile // 2
    sheet = np.zeros((height, size, 4), np.uint8)
    step = tile * 3 // 4
    taken: dict[tuple[int, int], list] = {}
    count = 0
    for i, (x, y) in enumerate(places):
        cell = (x // step, y // step)
        near = (p for dx in (-1, 0, 1) for dy in (-1, 0, 1) for p in taken.get((cell[0] + dx, cell[1] + dy), ()))
        if any(abs(x - px) < step and abs(y - py) < step for px, py in near):
            continue
        taken.setdefault(cell, []).append((x, y))
        small = Image.fromarray(np.asarray(thumbnails[i])).resize((tile, tile), Image.Resampling.LANCZOS)
        sheet[y : y + tile, x : x + tile, :3] = small
        sheet[y : y + tile, x : x + tile, 3] = 255
        count += 1
    return sheet, count


def figures(
    map: np.ndarray, what: str, context: Context, teach: str, axes: tuple[str, str] = ("", "")
) -> tuple[Figure, ...]:
    """The figures of a map (n, 2): all pictures by class, each class alone, and the pictures at their positions.

    what: "t-SNE map of …", for the alternative texts. teach: hint for readers in the first caption.
    """
    labels = np.array([-1 if p.label is None else p.label for p in context.image_set.pictures])
    classes, dots = _drawn(labels), _all(map, labels, what, context, teach, axes)
    pictures = _pictures(map, what, context)
    if not classes:
        return pictures, dots  # without classes, pictures are more informative than dots
    return (dots, *([_each(map, labels, what, context)] if len(classes) > 1 else []), pictures)


def _all(map: np.ndarray, labels: np.ndarray, what: str, context: Context, teach: str, axes: tuple[str, str]) -> Figure:
    """All pictures as dots, by class."""
    names, classes, n = context.image_set.classes, _drawn(labels), len(map)
    present = len(np.unique(labels[labels >= 0]))
    if classes:
        listed = ", ".join(names[c] for c in classes)
        alt = f"{what}: {n} dots in {len(classes)} colours, one a class, each class's name at its median: {listed}."
        colours = "colour is the class, named at the median of its dots; the maps below do without colours"
    else:
        why = (
            f"the set's {present} classes are too many to tell apart by colour" if present else "the set has no classes"
        )
        alt = f"{what}: {n} dots of one colour, dense where many pictures have like features."
        colours = f"one colour, denser where more pictures lie; {why}"
    return context.drawing(
        "scatter",
        by_class(map, labels, names, axes),
        alt=alt,
        caption=f"{n} pictures, a dot each. {teach}",
        mapping=f"{WHERE}; {colours}",
        data="map",
        subjects=(),
        from_dataset=False,
    )


def _each(map: np.ndarray, labels: np.ndarray, what: str, context: Context) -> Figure:
    """Each class alone."""
    names, classes = context.image_set.classes, _drawn(labels)
    return context.drawing(
        "each-class",
        each_class(map, labels, names),
        alt=f"{what}, once for each of {len(classes)} classes: its dots in orange, the others in grey.",
        caption="The same map for each class. Look at dots on another class's island.",
        mapping=f"{WHERE}; orange: the class, grey: all other pictures",
        data="map",
        subjects=tuple(Subject("class", names[c]) for c in classes),
        from_dataset=False,
    )


def _pictures(map: np.ndarray, what: str, context: Context) -> Figure:
    """The pictures at their places."""
    sheet, count = pictures_at(map, context.thumbnails)
    return context.picture(
        "pictures",
        sheet,
        alt=f"{what}: {count} of the {len(map)} pictures drawn as small images at their places.",
        caption=f"The pictures themselves: {count} of {len(map)}, as many as have room. "
        "What do neighbours share: the object, or its colour, pose or background?",
        mapping=f"{WHERE}; pixels are the pictures', as thumbnails",
        data="map",
        scale=SIZE / sheet.shape[1],
        lossless=False,
    )


def _drawn(labels: np.ndarray) -> list[int]:
    """The classes that occur, if they can be distinguished; else none."""
    found = [int(c) for c in np.unique(labels) if c >= 0]
    return found if len(found) <= NAMED else []


def _dots(places: np.ndarray, radius: float, colour: str, single: bool = False) -> str:
    """Dots as one path of round-capped points, or a path per dot (``single``) so that overlaps add up."""
    points = [f"M{x:.1f} {y:.1f}h0" for x, y in places]
    paths = points if single else ["".join(points)]
    return f'<g {colour} stroke-width="{2 * radius:.1f}">' + "".join(f'<path d="{p}"/>' for p in paths) + "</g>"


def _pixels(places: np.ndarray, height: int, labels: np.ndarray, colours: dict[int, str]) -> str:
    """Many dots as an embedded picture, drawn at four times the size and scaled down by half for smooth edges."""
    sheet = Image.new("RGBA", (4 * SIZE, 4 * height))
    draw = ImageDraw.Draw(sheet)
    r = 4 * radius(len(places))
    for i in np.random.default_rng(0).permutation(len(places)):
        x, y = places[i] * 4
        draw.ellipse((x - r, y - r, x + r, y + r), colours.get(int(labels[i]), "#8a9099" if colours else "#2f7fc4"))
    return embedded(sheet.reduce(2), SIZE, height, quality=85)


def plate(width: int, height: int) -> str:
    return f'<rect class="plate" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="6"/>'


def document(width: int, height: int, parts: list[str]) -> Drawing:
    return svg.document(width, height, parts, style=STYLE, dark=DARK, ground=False)


def _luminance(rgb: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

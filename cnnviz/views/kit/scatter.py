"""A scatter plot of pictures on a map: dots by class, each class alone, and the pictures at their positions."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from cnnviz.network.class_names import short
from cnnviz.views.kit import islands, svg
from cnnviz.views.kit.colour import CHOSEN, NEUTRAL, PLAIN
from cnnviz.views.kit.section import Context, Figure, Subject
from cnnviz.views.kit.svg import Drawing, Mark, embedded, text, upwards

SIZE = 720  # side of a scatter plot in CSS pixels
WIDE = 1184  # width of the sheet of pictures
FILLED, SIDES = 0.7, (32, 80)  # share of that sheet that pictures fill if all have room; smallest and largest side
MARGIN = 28
AS_PATHS = 5000  # largest number of points drawn as paths; more are drawn as pixels
ALONE = 20  # largest number of classes that are also drawn one by one
WHERE = "x to the right and y upwards, one scale for both axes"
LAYERS = 8  # number of layers, so that classes alternate in being on top

# Text and background follow the light or dark page; the dots' medium lightness suits both.
STYLE = (
    "text{font-weight:600;font-size:15px;stroke:#fff;stroke-width:4px;stroke-linejoin:round;"
    "paint-order:stroke;text-anchor:middle}.axis{font-weight:400;font-size:13px}.corner{text-anchor:start}.plate{fill:#fff;stroke:#9aa0a8}"
    f".rest{{stroke:#c9cdd3}}.one{{stroke:{PLAIN};stroke-opacity:.6}}.bar{{fill:#2f6fb0}}"
    "path{fill:none;stroke-linecap:round}"
    # a narrow picture has fewer names, in larger letters
    ".narrow{display:none}@media(max-width:440px){.wide{display:none}.narrow{display:inline;font-size:30px}}"
)
DARK = "text{stroke:#15171c}.plate{fill:#15171c}.rest{stroke:#3a3f48}.one{stroke:#6aa9e6}.bar{fill:#6aa9e6}"


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


def by_class(
    map: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...],
    axes: tuple[str, str],
    hues: dict[str, str],
    pictures: tuple[str, ...],
) -> Drawing:
    """The map (n, 2), y upwards; islands have their class's name. labels (n,): class, or −1. pictures: their names.

    hues: colours of the classes. Without any, all dots have one translucent colour, so that their density is visible.
    """
    (places, height), one = to_canvas(map), not hues
    colours = {c: hues[name] for c, name in enumerate(names) if name in hues}
    size = radius(len(map))
    parts = [plate(SIZE, height)]
    if len(map) > AS_PATHS:
        parts.append(_pixels(places, height, labels, colours))
    elif one:
        parts.append(_dots(places, size, 'class="one"', single=True))
    else:
        order = np.random.default_rng(0).permutation(len(map))
        for turn in range(LAYERS):
            for c in [-1, *colours]:
                who = order[turn::LAYERS]
                who = who[labels[who] == c]
                if len(who):
                    colour = f'stroke="{colours[c]}"' if c >= 0 else 'class="rest"'
                    parts.append(_dots(places[who], size, colour))
    found = islands.find(map, labels)
    gathered = {island.label for island in found}
    spread = [c for c in colours if c not in gathered and (labels == c).any()]
    found += [islands.Island(c, tuple(np.median(map[labels == c], 0)), 0) for c in spread]  # named at their medians
    shown = [short(names[island.label], 18) for island in found]
    where = _on_canvas([island.place for island in found], map)
    placed = {}
    for kind, large in (("narrow", 2), ("wide", 1)):
        placed = islands.apart(where / large, shown, SIZE / large, height / large)
        parts += [
            text(shown[i], kind, x=f"{x * large:.0f}", y=f"{(y + 5) * large:.0f}") for i, (x, y) in placed.items()
        ]
    for i, (x, y) in placed.items():
        if found[i].label in spread:  # its colour, since dots of other classes are as near
            left = x - islands.LETTER * len(shown[i]) / 2 - 8
            parts.append(f'<g class="wide">{svg.swatch(colours[found[i].label], round(left), round(y))}</g>')
    said = {found[i].label for i in placed}
    for k, c in enumerate(c for c in colours if c not in said and (labels == c).any()):  # in a corner, by colour
        words = text(short(names[c], 18), "corner", x=42, y=29 + k * islands.LINE)
        parts.append(svg.swatch(colours[c], 32, 24 + k * islands.LINE) + words)
    if axes[0]:
        parts += [text(axes[0], "axis", x=SIZE / 2, y=height - 8), upwards(axes[1], "axis", 17, height / 2)]
    marks = _marks(places, labels, names, hues, pictures) if len(map) <= AS_PATHS else ()
    return document(SIZE, height, parts, marks)


def _marks(places: np.ndarray, labels: np.ndarray, names, hues: dict, pictures: tuple[str, ...]) -> list[Mark]:
    """A mark for each picture, which leads to its page."""
    of = [names[c] if c >= 0 else "" for c in labels.tolist()]
    return [
        Mark(round(x, 1), round(y, 1), picture, name, kind="image", of=picture, group=name, hue=hues.get(name, CHOSEN))
        for (x, y), picture, name in zip(places.tolist(), pictures, of, strict=True)
    ]


def _on_canvas(points: list, map: np.ndarray) -> np.ndarray:
    """Points of the map's plane on the canvas of the whole map."""
    if not points:
        return np.zeros((0, 2))
    corners = np.array([map.min(0), map.max(0)])
    return to_canvas(np.concatenate([corners, np.array(points)]))[0][2:]


def each_class(map: np.ndarray, labels: np.ndarray, names: tuple[str, ...], hues: dict[str, str]) -> Drawing:
    """One small map per class, its pictures in colour on all others in grey."""
    classes, marks = _drawn(labels), []
    columns = min(5, -(-len(classes) // -(-len(classes) // 5)))
    rows = -(-len(classes) // columns)
    side, top, gap = (SIZE - 8 * (columns - 1)) // columns, 24, 8
    thin = np.arange(len(map))[:: max(1, len(map) // 3000)]  # the grey dots only outline the rest
    places, tall = to_canvas(map, side, 8)
    dot = max(1.0, radius(len(map)) * 0.55)
    parts = ['<defs><g id="all">' + plate(side, tall) + _dots(places[thin], dot, 'class="rest"') + "</g></defs>"]
    for i, c in enumerate(classes):
        x, y = i % columns * (side + gap), i // columns * (tall + top + gap) + top
        dots = _dots(places[labels == c], dot * 1.25, f'stroke="{hues.get(names[c], CHOSEN)}"')
        said = f"{(labels == c).sum()} pictures"
        marks.append(Mark(x, y - top, names[c], said, side, tall + top, kind="class", of=names[c]))
        name = text(short(names[c], 18), x=side / 2, y=-8)
        parts.append(f'<g transform="translate({x} {y})"><use href="#all"/>{dots}{name}</g>')
    width, height = columns * (side + gap) - gap, rows * (tall + top + gap) - gap
    return document(width, height, parts, marks)


def pictures_at(map: np.ndarray, thumbnails: np.ndarray, width: int = WIDE, tile: int = 0) -> tuple[np.ndarray, int]:
    """The thumbnails near their positions on the map: (width / 2, width, 4) uint8, and their number.

    Each axis fills the sheet. A picture whose place is taken moves by up to a side, or is left out where an earlier one
    would still hide more than an eighth of its side. The order is random, so that no class is left out. tile: side of a
    picture; 0: as large as most have room.
    """
    height, n = width // 2, len(map)
    tile = tile or int(np.clip(np.sqrt(FILLED * width * height / n), *SIDES))
    low, extent = map.min(0), np.maximum(np.ptp(map, axis=0), 1e-30)
    room = np.array([width, height]) - tile
    wanted = np.rint((map - low) / extent * [1, -1] * room + [0, room[1]]).astype(int)
    steps = np.arange(-4, 5) * tile // 4
    moves = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    moves = moves[np.argsort((moves**2).sum(1), kind="stable")]
    sheet, count, near = np.zeros((height, width, 4), np.uint8), 0, tile * 7 // 8
    blocked = np.zeros(room + 1, bool)  # corners of pictures that would hide too much
    for i in np.random.default_rng(0).permutation(n):
        at = np.clip(wanted[i] + moves, 0, room)
        free = ~blocked[at[:, 0], at[:, 1]]
        if not free.any():
            continue
        x, y = at[free.argmax()]
        blocked[max(0, x - near + 1) : x + near, max(0, y - near + 1) : y + near] = True
        count += 1
        small = Image.fromarray(np.asarray(thumbnails[i])).resize((tile, tile), Image.Resampling.LANCZOS)
        sheet[y : y + tile, x : x + tile, :3] = small
        sheet[y : y + tile, x : x + tile, 3] = 255
    return sheet, count


def figures(
    map: np.ndarray, what: str, context: Context, teach: str, axes: tuple[str, str] = ("", "")
) -> tuple[Figure, ...]:
    """The figures of a map (n, 2): all pictures by class, each class alone, and the pictures at their positions.

    what: "t-SNE map of …", for the alternative texts. teach: hint for readers in the first caption.
    """
    labels = np.array([-1 if p.label is None else p.label for p in context.image_set.pictures])
    classes = _drawn(labels)
    if leading(context) == "pictures":
        pictures = _pictures(map, what, context, teach)
        named = islands.find(map, labels)  # dots of one colour without names say nothing
        return (pictures, _all(map, labels, what, context, "", axes)) if named else (pictures,)
    each = [_each(map, labels, what, context)] if len(classes) > 1 else []
    dots = _all(map, labels, what, context, teach, axes)
    return (dots, *each, _pictures(map, what, context))


def leading(context: Context) -> str:
    """Id of the figure that shows most: where classes have no colours, or a picture each, pictures say more."""
    return "scatter" if context.hues and several(context) else "pictures"


def several(context: Context) -> bool:
    """Whether classes have several pictures, two or more on average: only then can islands be classes."""
    labels = [picture.label for picture in context.image_set.pictures if picture.label is not None]
    return len(labels) >= 2 * len(set(labels)) > 0


def _all(map: np.ndarray, labels: np.ndarray, what: str, context: Context, teach: str, axes: tuple[str, str]) -> Figure:
    """All pictures as dots, by class."""
    names, hues, n = context.image_set.classes, context.hues, len(map)
    present = len(np.unique(labels[labels >= 0]))
    named = [names[island.label] for island in islands.find(map, labels)]
    listed = ", ".join(short(name, 40) for name in named[:30])
    stands = f"A name stands where its class lies densest: {listed}." if named else "No class lies in one place."
    alt = f"{what}: {n} dots{f' in {len(hues)} colours, one a class' if hues else ' of one colour'}. {stands}"
    if not present:
        colours = "one colour, denser where more pictures lie; the set has no classes"
    elif hues:
        colours = "colour is the class; a name stands where its class lies densest, or, with its colour, at its median"
    else:
        where = ": a name stands where its class lies densest" if named else ", and none lies in one place"
        colours = f"{present} classes, too many for colours{where}"
    return context.drawing(
        "scatter",
        by_class(map, labels, names, axes, hues, tuple(p.name for p in context.image_set.pictures)),
        alt=alt,
        caption=f"{n} pictures, a dot each. {teach}",
        mapping=f"{WHERE}; {colours}",
        data="map",
        subjects=(),
        from_dataset=False,
    )


def _each(map: np.ndarray, labels: np.ndarray, what: str, context: Context) -> Figure:
    """Each class alone."""
    names, classes, hues = context.image_set.classes, _drawn(labels), context.hues
    return context.drawing(
        "each-class",
        each_class(map, labels, names, hues),
        alt=f"{what}, once for each of {len(classes)} classes: its dots in colour, the others in grey.",
        caption="The same map for each class. Look at dots on another class's island.",
        mapping=f"{WHERE}; in colour: the class, grey: all other pictures",
        data="map",
        subjects=tuple(Subject("class", names[c]) for c in classes),
        from_dataset=False,
    )


def _pictures(map: np.ndarray, what: str, context: Context, teach: str = "") -> Figure:
    """The pictures at their places."""
    sheet, count = pictures_at(map, context.thumbnails)
    hidden = "" if count == len(map) else f" {len(map) - count} would be hidden and are left out."
    return context.picture(
        "pictures",
        sheet,
        alt=f"{what}: {count} of the {len(map)} pictures drawn as small images at their places.",
        caption=f"{count} of the {len(map)} pictures, at their places.{hidden} "
        "What do neighbours share: the object, or its colour, pose or background?",
        more=teach,
        mapping="x to the right and y upwards, each to its own scale; a picture stands at most its own side from its "
        "place; pixels are the pictures', as thumbnails",
        data="map",
        lossless=False,
    )


def _drawn(labels: np.ndarray) -> list[int]:
    """The classes that occur, if they are few enough to be drawn one by one; else none."""
    found = [int(c) for c in np.unique(labels) if c >= 0]
    return found if len(found) <= ALONE else []


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
        draw.ellipse((x - r, y - r, x + r, y + r), colours.get(int(labels[i]), NEUTRAL if colours else PLAIN))
    return embedded(sheet.reduce(2), SIZE, height, quality=85)


def plate(width: int, height: int) -> str:
    return f'<rect class="plate" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="6"/>'


def document(width: int, height: int, parts: list[str], marks: Sequence[Mark] = ()) -> Drawing:
    return svg.document(width, height, parts, style=STYLE, dark=DARK, ground=False, marks=marks)

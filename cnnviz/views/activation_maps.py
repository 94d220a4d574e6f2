"""Activation maps: each picture once, and for each layer the maps of its strongest units as grey tiles."""

import numpy as np
from PIL import Image

from cnnviz.network.class_names import short
from cnnviz.network.kinds import has_probabilities
from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import colour, findings, panels, section
from cnnviz.views.kit.colour import Mapping
from cnnviz.views.kit.findings import Finding, Measured
from cnnviz.views.kit.section import Context, Figure, Metric, Subject
from cnnviz.views.kit.tiles import montage

ACROSS, GAP = 912, 4  # width of a sheet of tiles and the gap between tiles, in pixels
COLUMNS = ((8, 4), (18, 6))  # up to so many tiles → tiles per row
MOST_COLUMNS = 8
MARGIN = 0.05  # a correlation is found to differ from the mirrored picture's beyond this
LEAD = "strongest"  # id of the first figure
COARSE, FAINT = 8, 0.2  # the picture is seen, so faintly, under maps of at most so many neurons a side
PHOTO = 320  # width of the picture in pixels, at least half of it


def restored(arrays: dict, name: str, p: int) -> np.ndarray:
    """A layer's maps of picture p, (units, h, w) float32."""
    low, high = (arrays[f"{name}/{end}"][p][:, None, None] for end in ("low", "high"))
    return low + (high - low) * (arrays[f"{name}/levels"][p] / np.float32(255))


def ordered(order: str, mean: np.ndarray, largest: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` units to show: those with the strongest neuron (strongest) or the largest mean (brightest)
    first, or the first ones (index). mean, largest: (units,) of each map.
    """
    if order == "index":
        return np.arange(len(mean))[:count]
    return np.argsort(-(largest if order == "strongest" else mean), kind="stable")[:count]


def shared(maps: np.ndarray, rectified: bool) -> Mapping:
    """One mapping for a layer, from 0 (after a ReLU) or else the smallest value, to the 99.9th percentile.

    The percentile keeps one large value from turning all others black.
    """
    high = float(np.percentile(maps, 99.9))
    if rectified and high > 0:
        return Mapping(0.0, high, colour.GREY, "the same for all units, 0 and below black, to the 99.9th percentile")
    return Mapping(
        float(maps.min()), high, colour.GREY, "the same for all units, smallest value to the 99.9th percentile"
    )


def columns(count: int) -> int:
    """Tiles per row of a sheet: the fewer there are, the larger they are."""
    return next((across for most, across in COLUMNS if count <= most), MOST_COLUMNS)


def tile(grey: np.ndarray, side: int) -> np.ndarray:
    """(h, w) uint8 → the map, its longer side at most ``side``: pixels are repeated, or averaged if it is large."""
    longer = max(grey.shape)
    if longer > side:
        shape = [max(1, round(length * side / longer)) for length in grey.shape[::-1]]
        return np.asarray(Image.fromarray(grey).resize(shape, Image.Resampling.BOX))
    times = side // longer
    return grey.repeat(times, 0).repeat(times, 1)


def sheet(maps: list[np.ndarray]) -> np.ndarray:
    """(h, w) uint8 maps in reading order, as large as fits: (H, W, 4) uint8, gaps transparent."""
    across = columns(len(maps))
    side = (ACROSS + GAP) // across - GAP
    tiles = np.stack([tile(grey, side) for grey in maps])
    return montage(np.repeat(tiles[..., None], 3, -1), across, GAP)


def view(result: Result, context: Context) -> dict:
    arrays, numbers, show = result.arrays, result.numbers, context.show
    order, mapping = show.get("order", "strongest"), show.get("mapping", "layer")
    classes, one_class = context.model["classes"], has_probabilities(context.kind)
    figures, negative = [], []
    for p, index in enumerate(arrays["index"].tolist()):
        picture = context.image_set.pictures[index]
        said = f" (taken for {short(classes[numbers['predicted'][p]])})" if one_class else ""
        figures.append(_photo(context, p, context.rgb(arrays["pictures"][p]), picture, said))
        for layer in numbers["layers"]:
            maps = restored(arrays, layer["name"], p)
            negative.append(float((maps <= 0).mean()))
            figures.append(
                _figure(context, layer, p, maps, picture, said, order, mapping, show.get("units", 64),
                        arrays[f"{layer['name']}/mean"][p], context.rgb(arrays["pictures"][p]))
            )  # fmt: skip
    finding, measured, best = found(result)
    figures.insert(0, _lead(result, context, best))
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(figures),
        "cover": finding.figure,
        "metrics": (
            Metric("pictures", len(arrays["index"])),
            Metric("layers", len(numbers["layers"])),
            Metric("values_at_or_below_0", float(np.mean(negative)), "share"),
        ),
    }


def found(result: Result) -> tuple[Finding, dict[str, Measured], int]:
    """Up to which layer maps keep the picture's layout, and the place of the picture that shows it best.

    The control is the same picture mirrored: it has the same brightness and edges, in other places.
    """
    layers, measured = [], {}
    for layer in result.numbers["layers"]:
        pairs = np.array([follows(restored(result.arrays, layer["name"], p), picture)
                          for p, picture in enumerate(result.arrays["pictures"])])  # fmt: skip
        own, mirrored = pairs.mean((0, 2))
        gap, low, high = findings.mean_interval((pairs[:, 0] - pairs[:, 1]).mean(0))
        low, high = max(low, -1.0), min(high, 1.0)
        measured[f"layout in {layer['name']}"] = Measured(f"{own:.2f}, mirrored {mirrored:.2f}", gap, low, high)
        best = int((pairs[:, 0] - pairs[:, 1]).mean(1).argmax())
        layers.append((findings.strength(low, high, MARGIN), layer["name"], pairs, best))
    kept = [layer for layer in layers if layer[0] == findings.FOUND]
    strength, name, pairs, best = (kept or layers)[-1 if kept else 0]
    own, mirrored = pairs.mean((0, 2))
    both = f"their mean correlation with it is {own:.2f}, and {mirrored:.2f} with it mirrored."
    says = f"Maps keep the picture's layout as late as {name}: {both}"
    if not kept:
        says = f"Maps are not shown to keep the picture's layout: in {name} {both}"
    gap = measured[f"layout in {name}"]
    finding = Finding(
        f"layout in {name}", says, findings.not_learned(strength), f"{gap.low:+.2f} to {gap.high:+.2f} apart",
        f"the picture mirrored: {mirrored:.2f}; {findings.UNTRIED}",
        f"{pairs.shape[2]} units, {_count(len(pairs))}",
        LEAD,
    )  # fmt: skip
    return finding, measured, best


def follows(maps: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Correlation of each map (units, h, w) with the picture's brightness or edges, the larger magnitude of both.

    The second row is the same with the picture mirrored: (2, units). It is 0 if a map or the picture is flat.
    """
    grey = picture.mean(-1)
    edges = np.hypot(*np.gradient(grey)) if min(grey.shape) > 1 else grey
    size = maps.shape[:0:-1]
    seen = np.stack(
        [Image.fromarray(part.astype(np.float32)).resize(size, Image.Resampling.BOX) for part in (grey, edges)]
    )
    found = []
    for shown in (seen, seen[:, :, ::-1]):
        a, b = (part.reshape(len(part), -1) for part in (maps, shown))
        a, b = (part - part.mean(1, keepdims=True) for part in (a, b))
        a, b = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in (a, b))
        found.append(np.abs(a @ b.T).max(1))
    return np.array(found)


def _count(pictures: int) -> str:
    return f"{pictures} picture{'s' if pictures > 1 else ''}"


def laid_over(grey: np.ndarray, picture: np.ndarray, side: int = panels.PANEL) -> np.ndarray:
    """A coarse map's tile (h, w) uint8, enlarged to about ``side`` pixels, with the picture (H, W, 3) faintly in it.

    A finer map, which shows itself where it lies, stays as it is.
    """
    if max(grey.shape) > COARSE:
        return grey
    large = tile(grey, side)
    under = Image.fromarray(picture).convert("L").resize(large.shape[::-1], Image.Resampling.LANCZOS)
    return np.rint((1 - FAINT) * large + FAINT * np.asarray(under)).astype(np.uint8)


def _lead(result: Result, context: Context, p: int) -> Figure:
    """Picture p, and of each layer the map that follows the picture most."""
    arrays, picture = result.arrays, context.image_set.pictures[result.arrays["index"][p]]
    seen = context.rgb(arrays["pictures"][p])
    shown, best = [("picture", seen)], []
    for layer in result.numbers["layers"]:
        maps = restored(arrays, layer["name"], p)
        own = follows(maps, arrays["pictures"][p])[0]
        first = int(own.argmax())
        best.append(float(own[first]))
        grey = laid_over(colour.min_max(maps[first]).grey(maps[first]), seen)
        shown.append((f"{layer['name']}, unit {first}", np.repeat(grey[..., None], 3, -1)))
    rows = -(-len(shown) // MOST_COLUMNS)
    names = [layer["name"] for layer in result.numbers["layers"]]
    coarse = any(max(layer["height"], layer["width"]) <= COARSE for layer in result.numbers["layers"])
    return context.drawing(
        LEAD,
        panels.sheet(shown, across=-(-len(shown) // rows)),
        scale=1.3,
        alt=f"{picture.name}, and of each of {len(names)} layers the map of the unit that follows the picture most.",
        caption=f"{picture.name}, and in each layer the unit whose map follows its brightness or edges most: "
        f"correlation {best[0]:.2f} in {names[0]}" + f", {best[-1]:.2f} in {names[-1]}" * (len(names) > 1) + ". "
        "These are the best of all units; the finding has their mean.",
        mapping="each map by itself: its smallest value black, its largest white"
        + f"; under maps of at most {COARSE} × {COARSE} neurons, faintly, the picture" * coarse,
        data=", ".join(f"{layer['name']}/levels[{p}]" for layer in result.numbers["layers"]),
        subjects=(Subject("image", picture.name),),
    )


def _photo(context: Context, p: int, pixels: np.ndarray, picture, said: str) -> Figure:
    """The picture itself, once, above its maps. said: what the network takes it for."""
    return context.picture(
        f"picture-{picture.id}",
        _shown(pixels),
        alt=f"{picture.name}, the picture that the maps below are of.",
        caption=f"{picture.name}{said}, as the network sees it. Below, its maps in one layer after another.",
        mapping="pixels as they are",
        data=f"pictures[{p}]",
        subjects=(Subject("image", picture.name),),
        group=_group(picture),
        lossless=False,
    )


def _group(picture) -> str:
    return picture.name.rsplit("/", 1)[-1]


def _figure(context: Context, layer: dict, p: int, maps, picture, said, order, how, most, mean, seen) -> Figure:
    largest = maps.max((1, 2))
    name, units = layer["name"], ordered(order, mean, largest, most)
    colours = shared(maps, layer["rectified"])
    if how == "layer":
        tiles, words = [colours.grey(maps[u]) for u in units], colours.words
    else:
        tiles = [colour.min_max(maps[u]).grey(maps[u]) for u in units]
        words = "each map by itself: its smallest value black, its largest white"
    coarse = max(maps.shape[1:]) <= COARSE
    if coarse:
        tiles = [laid_over(grey, seen, (ACROSS + GAP) // columns(len(tiles)) - GAP) for grey in tiles]
        words += "; faintly under each map, the picture"
    flat = int((largest[units] <= colours.low).sum()) if how == "layer" else 0
    first = int(largest.argmax())
    which = (
        f"all {len(units)} units" if len(units) == len(maps)
        else f"units {units[0]} to {units[-1]} of {len(maps)}" if order == "index"
        else f"the {len(units)} {order} of {len(maps)} units"
    )  # fmt: skip
    rank = {"index": "by number", "strongest": "largest value first", "brightest": "largest mean first"}[order]
    reached = f"Unit {first} reaches the largest value, {colour.number(float(largest[first]))}."
    return context.picture(
        f"{slug(name)}-{picture.id}",
        sheet(tiles),
        alt=f"{len(units)} grey maps of {name} for {picture.name}, {which}. "
        f"{f'{flat} of them black all over. ' if flat else ''}{reached}",
        caption=f"{name}, {which}. {reached}" + f" {flat} {'is' if flat == 1 else 'are'} black all over." * bool(flat),
        more=f"{layer['height']} × {layer['width']} neurons each, for {picture.name}{said}, {rank}, row by row: "
        f"{_rows(units)}. {_around(layer)}",
        mapping=words,
        data=f"{name}/levels[{p}], {name}/low[{p}], {name}/high[{p}]",
        subjects=(Subject("image", picture.name), Subject("layer", name)),
        group=_group(picture),
        lossless=not coarse,
    )


def _rows(units: np.ndarray) -> str:
    """The numbers of the units on a sheet, its rows parted by semicolons."""
    across = columns(len(units))
    return "; ".join(", ".join(map(str, units[i : i + across])) for i in range(0, len(units), across))


def _around(layer: dict) -> str:
    read = ", ".join(layer["read_by"]) or "nothing else"
    return f"Values as they come out of {layer['made_by']}, read by {read}."


def _shown(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 → at most PHOTO pixels wide; small pictures are enlarged by a whole factor."""
    height, width = pixels.shape[:2]
    if width <= PHOTO:
        return pixels.repeat(PHOTO // width, 0).repeat(PHOTO // width, 1)
    return np.asarray(Image.fromarray(pixels).resize((PHOTO, round(PHOTO * height / width)), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    section.run(
        view,
        id="activation_maps",
        title="Activation maps",
        question="What does each unit of a layer answer to a picture?",
        tour="What does each unit answer to a picture, and where?",
        how_to_read="Each grey tile is one unit's answer to the picture, bright where the unit answers strongly, "
        "at the same places. The strongest units come first. A tile black all over: nothing here excites the unit.",
        do_not_conclude="A bright spot on an object is not yet a detector for it: look at several pictures. A dark "
        "tile does not mean a dead unit: see the unit statistics. A layer's tiles share one range, so weak units look "
        "black beside strong ones.",
        equation="A_u(y, x) = a_u(i, y, x)",
        papers=(papers.YOSINSKI_2015, papers.ZEILER_2014),
    )

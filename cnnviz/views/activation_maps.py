"""Activation maps: for a picture and a layer, the picture beside the maps of its units as grey tiles."""

import numpy as np
from PIL import Image

from cnnviz.network.class_names import short
from cnnviz.network.kinds import has_probabilities
from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import colour, findings, section
from cnnviz.views.kit.colour import Mapping
from cnnviz.views.kit.findings import Finding, Measured
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

MOST_TILE, LEAST_TILE, GAP = 112, 56, 2  # pixels of a tile's longer side; maps are enlarged by whole factors or reduced
ACROSS = 912  # approximate width of a sheet of tiles in pixels
MARGIN = 0.05  # a correlation is found to differ from the mirrored picture's beyond this
BESIDE = 227  # width of the picture in pixels


def restored(arrays: dict, name: str, p: int) -> np.ndarray:
    """A layer's maps of picture p, (units, h, w) float32."""
    low, high = (arrays[f"{name}/{end}"][p][:, None, None] for end in ("low", "high"))
    return low + (high - low) * (arrays[f"{name}/levels"][p] / np.float32(255))


def ordered(order: str, mean: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` units to show: the first ones (index), or those of the largest mean first (brightest)."""
    units = np.arange(len(mean)) if order == "index" else np.argsort(-mean, kind="stable")
    return units[:count]


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


def tile(grey: np.ndarray) -> np.ndarray:
    """(h, w) uint8 → the map, enlarged by repeating pixels, or reduced by averaging them if it is large."""
    longer = max(grey.shape)
    if longer > MOST_TILE:
        shape = [max(1, round(side * MOST_TILE / longer)) for side in grey.shape[::-1]]
        return np.asarray(Image.fromarray(grey).resize(shape, Image.Resampling.BOX))
    times = max(1, round(LEAST_TILE / longer))
    return grey.repeat(times, 0).repeat(times, 1)


def sheet(picture: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """(h, w, 3) picture to the left of (n, th, tw) uint8 tiles in reading order: (H, W, 4) uint8, gaps transparent."""
    n, height, width = tiles.shape
    fitting = max(1, (picture.shape[0] + GAP) // (height + GAP))  # rows beside the picture, which a few tiles fill
    columns = min(-(-n // fitting), max(1, ACROSS // (width + GAP)))
    rows = -(-n // columns)
    beside = BESIDE + 5 * GAP
    tall = max(rows * (height + GAP) - GAP, picture.shape[0])
    pixels = np.zeros((tall, beside + columns * (width + GAP) - GAP, 4), np.uint8)
    pixels[: picture.shape[0], : picture.shape[1], :3] = picture
    pixels[: picture.shape[0], : picture.shape[1], 3] = 255
    for i, grey in enumerate(tiles):
        y, x = i // columns * (height + GAP), beside + i % columns * (width + GAP)
        pixels[y : y + height, x : x + width, :3] = grey[..., None]
        pixels[y : y + height, x : x + width, 3] = 255
    return pixels


def view(result: Result, context: Context) -> dict:
    arrays, numbers, show = result.arrays, result.numbers, context.show
    order, mapping = show.get("order", "index"), show.get("mapping", "layer")
    classes, one_class = context.model["classes"], has_probabilities(context.kind)
    figures, negative = [], []
    for p, index in enumerate(arrays["index"].tolist()):
        picture = context.image_set.pictures[index]
        beside = _beside(context.rgb(arrays["pictures"][p]))
        said = f" (taken for {short(classes[numbers['predicted'][p]])})" if one_class else ""
        for layer in numbers["layers"]:
            maps = restored(arrays, layer["name"], p)
            negative.append(float((maps <= 0).mean()))
            figures.append(
                _figure(context, layer, p, maps, beside, picture, said, order, mapping, show.get("units", 64),
                        arrays[f"{layer['name']}/mean"][p])
            )  # fmt: skip
    finding, measured = found(result, [context.image_set.pictures[i].id for i in arrays["index"]])
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(figures),
        "metrics": (
            Metric("pictures", len(arrays["index"])),
            Metric("layers", len(numbers["layers"])),
            Metric("values_at_or_below_0", float(np.mean(negative)), "share"),
        ),
    }


def found(result: Result, ids: list[str]) -> tuple[Finding, dict[str, Measured]]:
    """Up to which layer maps keep the picture's layout. ids: of the pictures shown.

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
    says = f"Maps keep the picture's layout as late as {name}: their correlation with it is {own:.2f}."
    if not kept:
        says = f"Maps are not shown to keep the picture's layout: in {name} their correlation with it is {own:.2f}."
    gap = measured[f"layout in {name}"]
    finding = Finding(
        f"layout in {name}", says, findings.not_learned(strength), f"{gap.low:+.2f} to {gap.high:+.2f} apart",
        f"{mirrored:.2f}, with the picture mirrored; {findings.UNTRIED}",
        f"{pairs.shape[2]} units, {_count(len(pairs))}",
        f"{slug(name)}-{ids[best]}",
    )  # fmt: skip
    return finding, measured


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


def _figure(context: Context, layer: dict, p: int, maps, beside, picture, said, order, how, most, mean) -> Figure:
    name, units = layer["name"], ordered(order, mean, most)
    colours = shared(maps, layer["rectified"])
    if how == "layer":
        tiles, words = [tile(colours.grey(maps[u])) for u in units], colours.words
    else:
        tiles = [tile(colour.min_max(maps[u]).grey(maps[u])) for u in units]
        words = "each map by itself: its smallest value black, its largest white"
    flat = int((maps[units].max((1, 2)) <= colours.low).sum()) if how == "layer" else 0
    brightest = int(mean.argmax())
    which = (
        f"all {len(units)} units" if len(units) == len(maps)
        else f"units {units[0]} to {units[-1]} of {len(maps)}" if order == "index"
        else f"the {len(units)} brightest of {len(maps)} units"
    )  # fmt: skip
    pixels = sheet(beside, np.stack(tiles))
    return context.picture(
        f"{slug(name)}-{picture.id}",
        pixels,
        alt=f"{picture.name} at the left of {len(units)} grey maps of {name}, {which}. "
        f"{f'{flat} of them black all over. ' if flat else ''}Unit {brightest} is the brightest.",
        caption=f"{name}, {which}. Unit {brightest} is the brightest."
        + (f" {flat} {'is' if flat == 1 else 'are'} black all over." if flat else ""),
        more=f"{layer['height']} × {layer['width']} neurons each, for {picture.name}{said}, "
        + ("by number" if order == "index" else f"largest mean first: {', '.join(map(str, units[:8]))}, …")
        + f". {_around(layer)}",
        mapping=words,
        data=f"{name}/levels[{p}], {name}/low[{p}], {name}/high[{p}]",
        subjects=(Subject("image", picture.name), Subject("layer", name)),
        group=f"{picture.name.rsplit('/', 1)[-1]}",
        lossless=True,
    )


def _around(layer: dict) -> str:
    read = ", ".join(layer["read_by"]) or "nothing else"
    return f"Values as they come out of {layer['made_by']}, read by {read}."


def _beside(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 → BESIDE pixels wide; small pictures are enlarged by a whole factor."""
    height, width = pixels.shape[:2]
    if width <= BESIDE // 2:
        return pixels.repeat(BESIDE // width, 0).repeat(BESIDE // width, 1)
    return np.asarray(
        Image.fromarray(pixels).resize((BESIDE, round(BESIDE * height / width)), Image.Resampling.LANCZOS)
    )


if __name__ == "__main__":
    section.run(
        view,
        id="activation_maps",
        title="Activation maps",
        question="What does each unit of a layer answer to a picture?",
        tour="What does each unit answer to a picture, and where?",
        how_to_read="At the left the picture; each grey tile is one unit's answer to it, bright where the unit answers "
        "strongly, at the same places. A tile black all over: nothing in this picture excites the unit.",
        do_not_conclude="A bright spot on an object is not yet a detector for it: look at several pictures. A dark "
        "tile does not mean a dead unit: see the unit statistics. A layer's tiles share one range, so weak units look "
        "black beside strong ones.",
        equation="A_u(y, x) = a_u(i, y, x)",
        papers=(papers.YOSINSKI_2015, papers.ZEILER_2014),
    )

"""The grid of all pictures: an overview, a pyramid of tiles for zooming, and the seams between cells."""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, findings, islands, section
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Figure, Metric

MARGIN = 0.05  # a difference is found beyond this
CELL = 64  # side of a picture at the finest level in pixels: a whole thumbnail
TILE = 512  # side of a tile in pixels; a whole number of cells at every level
OVERVIEW = 1280  # largest side of the still pictures in pixels
FONT = 36  # height of the regions' names in these pixels


def holders(cells: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """(n,) cells → (rows, columns): the picture in each cell, or −1."""
    grid = np.full(columns * rows, -1)
    grid[cells] = np.arange(len(cells))
    return grid.reshape(rows, columns)


def levels(columns: int, rows: int) -> int:
    """Number of levels of the pyramid: level 0 fits one tile, and each further level doubles the cells' side."""
    return 1 + max(0, int(np.ceil(np.log2(max(columns, rows) * CELL / TILE))))


def reduced(thumbnails: np.ndarray, cell: int) -> np.ndarray:
    """(n, 64, 64, 3) uint8 → (n, cell, cell, 3) uint8: rounded means of the pixels they replace. cell divides 64."""
    if cell == CELL:
        return thumbnails
    by = CELL // cell
    small = np.empty((len(thumbnails), cell, cell, 3), np.uint8)
    for a in range(0, len(thumbnails), 512):
        part = thumbnails[a : a + 512].reshape(-1, cell, by, cell, by, 3).sum((2, 4), dtype=np.uint32)
        small[a : a + 512] = (part + by * by // 2) // (by * by)
    return small


def mosaic(pictures: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Pictures (n, c, c, 3) in the cells of ``grid`` (r, k): (r·c, k·c, 4) uint8. An empty cell is transparent."""
    c = pictures.shape[1]
    sheet = np.zeros((*grid.shape, c, c, 4), np.uint8)
    full = grid >= 0
    sheet[full, :, :, :3] = pictures[grid[full]]
    sheet[full, :, :, 3] = 255
    return sheet.transpose(0, 2, 1, 3, 4).reshape(grid.shape[0] * c, grid.shape[1] * c, 4)


def tiles(thumbnails: np.ndarray, grid: np.ndarray):
    """(level, x, y, pixels (≤ 512, ≤ 512, 4) uint8) of every tile. Only one tile's pictures are in memory at a time."""
    rows, columns = grid.shape
    count = levels(columns, rows)
    small = None
    for z in range(count):
        cell = CELL >> (count - 1 - z)
        across = TILE // cell
        if cell <= CELL // 4:  # small enough to keep in memory, since one tile may need all
            small = reduced(thumbnails, cell)
        for y in range(-(-rows // across)):
            for x in range(-(-columns // across)):
                part = grid[y * across : (y + 1) * across, x * across : (x + 1) * across]
                if cell <= CELL // 4:
                    yield z, x, y, mosaic(small, part)
                else:
                    who = part[part >= 0]
                    local = np.full(part.shape, -1)
                    local[part >= 0] = np.arange(len(who))
                    yield z, x, y, mosaic(reduced(thumbnails[who], cell), local)


def overview(thumbnails: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The whole grid, with the largest cells that fit OVERVIEW: (h, w, 4) uint8."""
    cell = max(1, min(CELL, OVERVIEW // max(grid.shape)))
    if cell in (1, 2, 4, 8, 16, 32, 64):
        return mosaic(reduced(thumbnails, cell), grid)
    power = 1 << (cell - 1).bit_length()
    whole = Image.fromarray(mosaic(reduced(thumbnails, power), grid))
    return np.asarray(whole.resize((grid.shape[1] * cell, grid.shape[0] * cell), Image.Resampling.BOX))


def seam_picture(right: np.ndarray, down: np.ndarray, grid: np.ndarray, thumbnails: np.ndarray, mapping) -> np.ndarray:
    """Seams as coloured lines between the cells, over the pictures in dark grey: (h, w, 3) uint8.

    If cells would be too small for this, every cell is one square with the mean colour value of its own seams.
    """
    rows, columns = grid.shape
    cell = max(4, OVERVIEW // max(rows, columns))
    if cell < 12:
        squares = mapping(np.nan_to_num(_of_each(right, down)))
        squares[grid < 0] = 0
        return squares.repeat(cell, 0).repeat(cell, 1)
    line = max(2, cell // 7)
    sheet = mosaic(reduced(thumbnails, 16), grid)
    picture = (
        Image.fromarray(sheet[..., :3]).convert("L").resize((columns * cell, rows * cell), Image.Resampling.BICUBIC)
    )
    shown = np.repeat((np.asarray(picture) * 0.45)[..., None], 3, 2).astype(np.uint8)
    for values, axis in ((right, 1), (down, 0)):
        colours = mapping(np.nan_to_num(values))
        for r, k in np.argwhere(np.isfinite(values)):
            y, x = r * cell, k * cell
            if axis:
                shown[y : y + cell, x + cell - line // 2 : x + cell - line // 2 + line] = colours[r, k]
            else:
                shown[y + cell - line // 2 : y + cell - line // 2 + line, x : x + cell] = colours[r, k]
    return shown


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    grid = holders(result.arrays["cells"], numbers["columns"], numbers["rows"])
    for z, x, y, pixels in tiles(context.thumbnails, grid):
        context.file(f"tiles/{z}/{x}_{y}.webp", _webp(pixels, 80))
    labels = np.array([-1 if p.label is None else p.label for p in context.image_set.pictures])
    finding, measured = found(result, grid, labels)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": (_overview(result, context, grid, labels), replace(_seams(result, context, grid), folded=True)),
        "metrics": (
            Metric("mean_distance_from_the_map", numbers["mean_displacement"], "cells", "lower"),
            Metric("distance_of_neighbours_relative_to_random_pictures", _ratio(numbers), "", "lower"),
        ),
        "widget": "map",
    }


def found(result: Result, grid: np.ndarray, labels: np.ndarray) -> tuple[Finding, dict[str, Measured]]:
    """Share of a picture's neighbours on the grid with its class; without classes, the distance of neighbours.

    grid: the picture in each cell, or −1. labels: (pictures,) classes, or −1.
    """
    apart, distance = "distance of neighbours", result.numbers["mean_random"]
    near, measured = _of_each(result.arrays["right"], result.arrays["down"]) / max(distance, 1e-30), {}
    near = near[np.isfinite(near)]
    ratio, low, high = findings.mean_interval(near) if len(near) and distance else (1.0, 1.0, 1.0)
    low, high = max(low, 0.0), min(high, 2.0)
    measured[apart] = Measured(f"{ratio:.2f} of random", max(-1.0, 1 - ratio), max(-1.0, 1 - high), 1 - low)
    shares, chance = _same(grid, labels)
    if 10 * len(shares) <= len(near):  # hardly a picture has another one of its class
        says = f"Neighbours on the grid are {ratio:.2f} times as far apart in the features as random pictures."
        sure = findings.weakly(1 - high)
        basis = f"{len(near):,} pictures{'; hardly two share a class' if (labels >= 0).any() else ' without classes'}"
        return Finding(apart, says, sure, f"{low:.2f} to {high:.2f}", "1, random pictures", basis, "overview"), measured
    share, low, high = findings.mean_interval(shares)
    low, high, key = max(low, 0.0), min(high, 1.0), "same class on the grid"
    before, sure, words = _before_training(result, labels)
    gap = Measured(percent(share), share, low, high), before or Measured("", chance, chance, chance)
    effect = findings.difference(*gap)
    measured[key] = Measured(percent(share), *effect)
    strength = findings.strength(*effect[1:], MARGIN)
    finding = Finding(
        key, f"On the grid, {percent(share)} of a picture's neighbours are of its class.",
        strength if sure else findings.not_learned(strength), between(low, high),
        f"{words}, {percent(chance)} by chance", f"{len(shares):,} pictures", "overview",
    )  # fmt: skip
    return finding, measured


def _of_each(right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The mean over each cell's borders, (rows, columns), of values at borders to the right and below; NaN of none."""
    rows, columns = down.shape[0] + 1, right.shape[1] + 1
    sums, counts = np.zeros((2, rows, columns))
    for values, a, b in ((right, np.s_[:, :-1], np.s_[:, 1:]), (down, np.s_[:-1], np.s_[1:])):
        for side in (a, b):
            sums[side] += np.nan_to_num(values)
            counts[side] += np.isfinite(values)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def _same(grid: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Share of each picture's neighbours that have its class, and its mean in a random order. Only pictures whose class
    another one has count, and the share of those with no neighbour is not defined."""
    counts = np.bincount(labels[labels >= 0], minlength=labels.max(initial=0) + 1)
    known = np.where((labels >= 0) & (counts[labels] > 1), labels, -1)
    own = np.where(grid >= 0, known[grid], -1)
    pairs = [(own[a], own[b]) for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))]
    shares = _of_each(*(np.where((a >= 0) & (b >= 0), a == b, np.nan) for a, b in pairs))
    listed = known[known >= 0]
    chance = float((counts[listed] - 1).mean() / (len(listed) - 1)) if len(listed) else 0.0
    return shares[np.isfinite(shares)], chance


def _before_training(result: Result, labels: np.ndarray) -> tuple[Measured | None, bool, str]:
    """Share of a picture's four nearest with random weights of its class, whether it is of all, in words.

    Among fewer pictures it is smaller, so a difference from it is then no proof.
    """
    index, near = (result.arrays[f"untrained_{what}"] for what in ("index", "neighbors"))
    known = np.flatnonzero(labels[index] >= 0)
    if len(known) < 2:
        return None, False, findings.UNTRIED
    share, low, high = findings.mean_interval((labels[index][near[known]] == labels[index][known, None]).mean(1))
    of = "" if len(index) == len(labels) else f" among {len(index):,} pictures"
    words = f"{percent(share)} of a picture's four nearest with random weights{of}"
    return Measured("", share, low, high), not of, words


def _ratio(numbers: dict) -> float:
    """Distance of neighbours relative to random pictures."""
    return numbers["mean_seam"] / max(numbers["mean_random"], 1e-30)


def named(
    still: np.ndarray, grid: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """The still picture with the name of each class that has a region of the grid, and these names.

    labels: (pictures,) classes, or −1.
    """
    rows, columns = grid.shape
    holder = np.argwhere(grid >= 0)
    found = islands.find(holder[:, ::-1].astype(float), labels[grid[grid >= 0]])
    found = [island for island in found if names[island.label].isascii()]  # the font has few other letters
    shown = [short(names[island.label], 18) for island in found]
    size = still.shape[1] / columns
    at = np.array([island.place for island in found]).reshape(-1, 2) * size + size / 2
    large = FONT / 15  # of islands' letters
    placed = islands.apart(at / large, shown, still.shape[1] / large, still.shape[0] / large)
    image, font = Image.fromarray(still), ImageFont.load_default(size=FONT)
    draw = ImageDraw.Draw(image)
    for i, (x, y) in placed.items():
        place = (x * large, y * large)
        draw.text(place, shown[i], "white", font, "mm", stroke_width=4, stroke_fill="black")
    return np.asarray(image), [shown[i] for i in placed]


def _overview(result: Result, context: Context, grid: np.ndarray, labels: np.ndarray) -> Figure:
    """The whole grid as a still picture, with the names of its regions."""
    numbers, still = result.numbers, overview(context.thumbnails, grid)
    still, regions = named(still, grid, labels, context.image_set.classes)
    columns, rows = numbers["columns"], numbers["rows"]
    n, empty = int((grid >= 0).sum()), int((grid < 0).sum())
    how = "the least possible" if numbers["exact"] else "nearly the least possible (halving, then exact within windows)"
    empties = f"; {empty} {'cell has' if empty == 1 else 'cells have'} no picture" if empty else ""
    return context.figure(
        "overview",
        "overview.webp",
        _webp(still, 72),
        *_shown(still),
        alt=f"{n} pictures as small squares in {columns} columns and {rows} rows, like ones beside one another."
        + (f" Named regions: {', '.join(regions)}." if regions else ""),
        caption=f"All {n} pictures, each once, in {columns} × {rows} cells{empties}. Each lies near its place in the "
        f"t-SNE map, on average {numbers['mean_displacement']:.1f} cells from it; the sum of the squares is {how}."
        + (" A name stands on the region of its class." if regions else ""),
        mapping="pixels are the pictures', as thumbnails",
        data="cells",
        subjects=(),
    )


def _seams(result: Result, context: Context, grid: np.ndarray) -> Figure:
    """Distances in feature space between neighbours on the grid."""
    numbers, right, down = result.numbers, result.arrays["right"], result.arrays["down"]
    columns, rows = numbers["columns"], numbers["rows"]
    finite = np.concatenate([v[np.isfinite(v)] for v in (right, down)])
    low, high = np.percentile(finite, [5, 95])
    mapping = colour.Mapping(float(low), float(high), colour.POSITIVE, "5th to 95th percentile of the borders")
    drawn = seam_picture(right, down, grid, context.thumbnails, mapping)
    return context.figure(
        "seams",
        "seams.webp",
        _webp(drawn, 80),
        *_shown(drawn),
        alt=f"The same grid of {columns} by {rows} cells: dark lines where neighbours are alike in the features, "
        "bright ones where not.",
        caption="The distance of the features across each border of two cells. Dark regions are alike; a bright line "
        f"is a seam between unlike pictures. Neighbours are on average {numbers['mean_seam']:.3g} apart, random "
        f"pictures {numbers['mean_random']:.3g} (a ratio of {_ratio(numbers):.2f}).",
        mapping=f"{mapping.words}; "
        + ("the pictures are in dim grey" if drawn.shape[1] >= 12 * columns else "each cell: the mean of its borders"),
        data="right",
        subjects=(),
    )


def _webp(pixels: np.ndarray, quality: int) -> bytes:
    if pixels.shape[2] == 4 and pixels[..., 3].min() == 255:
        pixels = pixels[..., :3]
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()


def _shown(pixels: np.ndarray, most: int = 960) -> tuple[int, int]:
    """Displayed width and height of a picture in CSS pixels: small ones are enlarged by whole factors."""
    scale = most / max(pixels.shape[:2])
    scale = float(int(scale)) if scale >= 1 else scale
    return round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)


if __name__ == "__main__":
    section.run(
        view,
        id="tsne_grid",
        title="All pictures in one grid",
        question="What do all pictures look like, in the network's order?",
        tour="All pictures on one map, like ones together.",
        how_to_read="Every picture has a cell of its own near its place in the t-SNE map, so most neighbours are "
        "pictures that the network finds alike. The seams, folded below, show which borders are real.",
        do_not_conclude="Not all neighbours are alike: the grid has no gaps, so islands of the map are pushed "
        "together, and pictures move to fill the corners. Distances in the grid mean less than in the map, and those "
        "mean little.",
        equation="min over assignments c of Σ_i ‖p_i − c_i‖²; seam(i, j) = ‖φ(x_i) − φ(x_j)‖",
        papers=(papers.VAN_DER_MAATEN_2008, papers.JONKER_1987),
    )

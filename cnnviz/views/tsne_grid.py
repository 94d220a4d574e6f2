"""The grid of all pictures: an overview, a pyramid of tiles for zooming, and the seams between cells."""

import io

import numpy as np
from PIL import Image

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.section import Context, Figure, Metric

CELL = 64  # side of a picture at the finest level in pixels: a whole thumbnail
TILE = 512  # side of a tile in pixels; a whole number of cells at every level
OVERVIEW = 1280  # largest side of the still pictures in pixels


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
    sums, counts = np.zeros(grid.shape), np.zeros(grid.shape)
    for values, a, b in ((right, np.s_[:, :-1], np.s_[:, 1:]), (down, np.s_[:-1], np.s_[1:])):
        for side in (a, b):
            sums[side] += np.nan_to_num(values)
            counts[side] += np.isfinite(values)
    if cell < 12:
        squares = mapping(sums / np.maximum(counts, 1))
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
    return {
        "figures": (_overview(result, context, grid), _seams(result, context, grid)),
        "metrics": (
            Metric("mean_displacement", numbers["mean_displacement"], "cells", "lower"),
            Metric("neighbour_to_random_distance", _ratio(numbers), "", "lower"),
        ),
        "widget": "map",
    }


def _ratio(numbers: dict) -> float:
    """Distance of neighbours relative to random pictures."""
    return numbers["mean_seam"] / max(numbers["mean_random"], 1e-30)


def _overview(result: Result, context: Context, grid: np.ndarray) -> Figure:
    """The whole grid as a still picture."""
    numbers, still = result.numbers, overview(context.thumbnails, grid)
    columns, rows = numbers["columns"], numbers["rows"]
    n, empty = int((grid >= 0).sum()), int((grid < 0).sum())
    how = "the least possible" if numbers["exact"] else "nearly the least possible (halving, then exact within windows)"
    empties = f"; {empty} {'cell has' if empty == 1 else 'cells have'} no picture" if empty else ""
    return context.figure(
        "overview",
        "overview.webp",
        _webp(still, 72),
        *_shown(still),
        alt=f"{n} pictures as small squares in {columns} columns and {rows} rows, like ones beside one another.",
        caption=f"All {n} pictures, each once, in {columns} × {rows} cells{empties}. Each lies near its place in the "
        f"t-SNE map, on average {numbers['mean_displacement']:.1f} cells from it; the sum of the squares is {how}. "
        "Right is right and top is top as in the map. Borders between regions are what the network tells apart; "
        "gradual changes what it does not.",
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
        caption="The true feature distance across each border of two cells. Dark regions are safe to read as alike; "
        "a bright line is a seam: a grid must put something next to everything, and here it put strangers side by "
        f"side. Neighbours are on average {numbers['mean_seam']:.3g} apart, random pictures "
        f"{numbers['mean_random']:.3g} (a ratio of {_ratio(numbers):.2f}).",
        mapping=f"{mapping.words}; "
        + ("the pictures are in dim grey" if drawn.shape[1] >= 12 * columns else "each cell: the mean of its borders"),
        data="right",
        subjects=(),
    )


def _webp(pixels: np.ndarray, quality: int) -> bytes:
    if pixels.shape[2] == 4 and pixels[..., 3].min() == 255:
        pixels = pixels[..., :3]
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", quality=quality, method=3)
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
        question="What does the whole image set look like, in the network's order?",
        tour="All pictures on one map, like ones together.",
        how_to_read="Every picture has a cell of its own near its place in the t-SNE map, so that neighbours are "
        "pictures the "
        "network finds alike. Zoom out for regions, in for single pictures. Then look at the seams: they show which "
        "borders "
        "are real.",
        do_not_conclude="Not all neighbours are alike: the grid has no gaps, so islands of the map are pushed "
        "together, and "
        "pictures move to fill the corners. Distances in the grid mean less than in the map, and those mean little.",
        equation="min over assignments c of Σ_i ‖p_i − c_i‖²; seam(i, j) = ‖φ(x_i) − φ(x_j)‖",
        papers=(papers.VAN_DER_MAATEN_2008, papers.JONKER_1987),
    )

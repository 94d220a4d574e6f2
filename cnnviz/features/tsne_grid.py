"""Assigns each picture to a grid cell near its position in the t-SNE map (after Karpathy's CNN codes, 2014).

The map is stretched to a grid of columns × rows cells, about as many as pictures. The assignment minimises Σ_i ‖p_i −
c_i‖², where p_i is the position of picture i in cell widths and c_i its cell. This is the linear assignment problem,
solved exactly (Jonker & Volgenant 1987) up to ``exact_up_to`` pictures. With more, the pictures are halved repeatedly
along the longer side of their rectangle; then exact assignments in overlapping windows improve the result.

Neighbouring cells have similar features only if the map is right there. The seams show this: the true distance in
feature space across each border between two cells.

The control is the share of neighbours of one class before training: of some pictures, their four nearest.

The result holds ``cells`` (n,) int32, row × columns + column, row 0 at the top; ``right`` (rows, columns − 1) and
``down`` (rows − 1, columns) float32: feature distance from a cell to the one on its right, and below; NaN at an empty
cell; ``untrained_index`` (m,) and ``untrained_neighbors`` (m, 4), places in that index.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from cnnviz.errors import NotApplicable
from cnnviz.features.neighbors import nearest
from cnnviz.features.vectors import before_training, feature_name, unusable
from cnnviz.run import result
from cnnviz.run.job import Job, run

WINDOW = 16  # cells per side
PASSES = 4
PAIRS = 10_000  # random pairs, for the expected distance


def shape(n: int) -> tuple[int, int]:
    """(columns, rows) of the smallest near-square grid with n cells. Less than one row stays empty."""
    columns = int(np.ceil(np.sqrt(n)))
    return columns, -(-n // columns)


def places(map: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Positions on the grid, (n, 2) (column, row), y downwards, of the points of a map (n, 2), y upwards.

    Each axis is stretched so that the outermost points are at the centres of the outermost cells.
    """
    low, high = map.min(0), map.max(0)
    unit = (map - low) / np.where(high > low, high - low, 1)
    unit[:, 1] = 1 - unit[:, 1]  # the map's y axis points up, the grid's rows run down
    return unit * [columns - 1, rows - 1]


def assign(points: np.ndarray, columns: int, rows: int, exact_up_to: int) -> np.ndarray:
    """A different cell for each point (n, 2) (column, row): (n,) int. Needs n ≤ columns × rows.

    The sum of squared distances is minimal up to ``exact_up_to`` points, else a local minimum.
    """
    everything = np.arange(columns * rows)
    if len(points) <= exact_up_to:
        return everything[linear_sum_assignment(costs(points, everything, columns))[1]]
    return refined(points, halved(points, columns, rows), columns, rows)


def costs(points: np.ndarray, cells: np.ndarray, columns: int) -> np.ndarray:
    """Squared distance of each point to each cell's centre, in cell widths: (n, cells)."""
    dx = points[:, :1] - cells % columns
    dy = points[:, 1:] - cells // columns
    return dx * dx + dy * dy


def halved(points: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """A cell for each point: sorts along the longer side, gives half of the points to each half, and repeats.

    The lowest points go to the last row, the only one with empty cells. Time O(n log² n).
    """
    cells = np.empty(len(points), np.int64)
    full = columns * (rows - 1)
    order = np.argsort(points[:, 1], kind="stable")
    last = order[full:]
    cells[last[np.argsort(points[last, 0], kind="stable")]] = full + np.arange(len(last))
    waiting = [(order[:full], 0, 0, columns, rows - 1)]
    while waiting:
        who, left, top, width, height = waiting.pop()
        if len(who) <= 1:
            cells[who] = top * columns + left
            continue
        axis = 0 if width >= height else 1
        who = who[np.argsort(points[who, axis], kind="stable")]
        half = (width if axis == 0 else height) // 2
        if axis == 0:
            waiting.append((who[: half * height], left, top, half, height))
            waiting.append((who[half * height :], left + half, top, width - half, height))
        else:
            waiting.append((who[: half * width], left, top, width, half))
            waiting.append((who[half * width :], left, top + half, width, height - half))
    return cells


def refined(points: np.ndarray, cells: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Repeats exact assignment in windows of WINDOW² cells, shifted by half each pass, while it gains over 0.1 %."""
    holder = np.full(columns * rows, -1)
    holder[cells] = np.arange(len(cells))
    grid = np.arange(columns * rows).reshape(rows, columns)
    shift = WINDOW // 2
    cells = cells.copy()
    for turn in range(PASSES):
        before = cost(points, cells, columns)
        for y0, x0 in ((0, 0), (shift, shift), (0, shift), (shift, 0)):
            for y in range(y0 - WINDOW * (y0 > 0), rows, WINDOW):
                for x in range(x0 - WINDOW * (x0 > 0), columns, WINDOW):
                    window = grid[max(y, 0) : y + WINDOW, max(x, 0) : x + WINDOW].ravel()
                    who = holder[window][holder[window] >= 0]
                    new = window[linear_sum_assignment(costs(points[who], window, columns))[1]]
                    holder[window] = -1
                    holder[new] = who
                    cells[who] = new
        if turn and cost(points, cells, columns) > 0.999 * before:
            break
    return cells


def cost(points: np.ndarray, cells: np.ndarray, columns: int) -> float:
    """Σ of squared distances of the points to the centres of their cells, in cell widths."""
    return float(np.square(points - np.stack([cells % columns, cells // columns], 1)).sum())


def seams(features: np.ndarray, cells: np.ndarray, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean feature distance across each border: right (rows, columns − 1), down (rows − 1, columns), float32."""
    holder = np.full(columns * rows, -1)
    holder[cells] = np.arange(len(cells))
    holder = holder.reshape(rows, columns)

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        found = np.full(a.shape, np.nan, np.float32)
        both = (a >= 0) & (b >= 0)
        found[both] = distances(features, a[both], b[both])
        return found

    return between(holder[:, :-1], holder[:, 1:]), between(holder[:-1], holder[1:])


def distances(features: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖features[a] − features[b]‖, (m,) float64, computed a few rows at a time."""
    found = np.empty(len(a))
    for s in range(0, len(a), 1024):
        part = slice(s, s + 1024)
        found[part] = np.linalg.norm(features[a[part]].astype(np.float64) - features[b[part]], axis=1)
    return found


def main(job: Job) -> None:
    features = np.load(job.inputs["features"], mmap_mode="r")
    tsne = result.read(job.inputs["tsne"])
    if tsne.status != "ok":
        raise NotApplicable(tsne.reason)
    if reason := unusable(features, 4):
        raise NotApplicable(reason)
    n = len(features)
    columns, rows = shape(n)
    points = places(tsne.arrays["map"].astype(np.float64), columns, rows)
    exact_up_to = job.parameters["exact_up_to"]
    cells = assign(points, columns, rows, exact_up_to)
    right, down = seams(features, cells, columns, rows)
    moved = np.linalg.norm(points - np.stack([cells % columns, cells // columns], 1), axis=1)

    generator = np.random.default_rng(job.seed_for("pairs"))
    a = generator.integers(n, size=PAIRS)
    b = (a + generator.integers(1, n, size=PAIRS)) % n
    borders = np.concatenate([right.ravel(), down.ravel()])
    numbers = {
        "columns": columns,
        "rows": rows,
        "exact": n <= exact_up_to,
        "mean_displacement": float(moved.mean()),
        "largest_displacement": float(moved.max()),
        "mean_seam": float(np.nanmean(borders)),
        "mean_random": float(distances(features, a, b).mean()),
        "feature": feature_name(job),
    }
    index, untrained = before_training(job)
    near = nearest(untrained, np.arange(len(index)), 4, job.threads)[0] if len(index) > 4 else np.empty((0, 4), int)
    arrays = {"cells": cells.astype(np.int32), "right": right, "down": down}
    job.write(arrays | {"untrained_index": index[: len(near)], "untrained_neighbors": near}, numbers=numbers)


if __name__ == "__main__":
    run(main)

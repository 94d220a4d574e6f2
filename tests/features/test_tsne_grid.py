"""The grid: a cell for each picture, at minimum cost, in the map's orientation; true seams; complete tiles."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from cnnviz.features import tsne
from cnnviz.features import tsne_grid as technique
from cnnviz.features.tsne_grid import assign, cost, costs, places, seams, shape
from cnnviz.run import result
from cnnviz.views import tsne_grid as view


def blobs(n, seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(0, 10, (6, 2))
    return centres[generator.integers(6, size=n)] + generator.normal(0, 1, (n, 2))


def greedy(points, columns, rows):
    """Each point in turn takes the nearest cell that is free."""
    table = costs(points, np.arange(columns * rows), columns)
    free, cells = np.ones(columns * rows, bool), []
    for row in table:
        cells.append(np.where(free, row, np.inf).argmin())
        free[cells[-1]] = False
    return np.array(cells)


@pytest.mark.parametrize("n", [4, 5, 99, 400, 700])
@pytest.mark.parametrize("exact_up_to", [10_000, 0])
def test_every_picture_has_a_cell_of_its_own(n, exact_up_to):
    columns, rows = shape(n)
    assert 0 <= columns * rows - n < columns and abs(columns - rows) <= 1
    cells = assign(places(blobs(n), columns, rows), columns, rows, exact_up_to)
    assert len(np.unique(cells)) == n and cells.min() >= 0 and cells.max() < columns * rows


def test_exact_equals_scipy_and_beats_greedy():
    columns, rows = shape(400)
    points = places(blobs(395), columns, rows)
    naive = np.array([[((p - (c % columns, c // columns)) ** 2).sum() for c in range(columns * rows)] for p in points])
    least = naive[linear_sum_assignment(naive)].sum()
    exact = cost(points, assign(points, columns, rows, 1000), columns)
    assert exact == pytest.approx(least)
    rough = cost(points, assign(points, columns, rows, 0), columns)
    assert exact <= rough <= 1.1 * exact
    assert rough <= cost(points, greedy(points, columns, rows), columns)


@pytest.mark.parametrize("exact_up_to", [10_000, 0])
def test_the_right_way_up(exact_up_to):
    """Right in the scatter is right in the grid, and up is up: rows count down from the top."""
    map = blobs(300)
    columns, rows = shape(300)
    cells = assign(places(map, columns, rows), columns, rows, exact_up_to)
    assert spearmanr(map[:, 0], cells % columns).statistic > 0.8
    assert spearmanr(map[:, 1], -(cells // columns)).statistic > 0.8


def test_a_map_that_is_a_grid_stays_one():
    y, x = np.mgrid[0:7, 0:7]
    map = np.stack([x.ravel(), -y.ravel()], 1).astype(float)
    assert assign(places(map, 7, 7), 7, 7, 100).tolist() == list(range(49))
    assert assign(places(map, 7, 7), 7, 7, 0).tolist() == list(range(49))


def test_a_map_of_one_point():
    cells = assign(places(np.zeros((9, 2)), 3, 3), 3, 3, 100)
    assert sorted(cells) == list(range(9))


def test_seams_equal_naive_distances():
    features = np.random.default_rng(0).normal(50, 1, (23, 6)).astype(np.float32)
    cells = np.random.default_rng(1).permutation(25)[:23]
    right, down = seams(features, cells, 5, 5)
    holder = {int(c): i for i, c in enumerate(cells)}
    for r in range(5):
        for k in range(5):
            for table, other, inside in ((right, r * 5 + k + 1, k < 4), (down, r * 5 + k + 5, r < 4)):
                if not inside:
                    continue
                a, b = holder.get(r * 5 + k), holder.get(other)
                if a is None or b is None:
                    assert np.isnan(table[r, k])
                else:
                    true = np.linalg.norm(features[a].astype(float) - features[b].astype(float))
                    assert table[r, k] == pytest.approx(true, rel=1e-6)


@pytest.mark.parametrize("n", [5, 70, 300])
def test_tiles_make_up_the_whole(n):
    thumbnails = np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), np.uint8)
    columns, rows = shape(n)
    grid = view.holders(np.random.default_rng(1).permutation(columns * rows)[:n], columns, rows)
    whole = np.zeros((rows * 64, columns * 64, 4), np.uint8)
    for (r, k), i in np.ndenumerate(grid):
        if i >= 0:
            whole[r * 64 : r * 64 + 64, k * 64 : k * 64 + 64] = np.dstack([thumbnails[i], np.full((64, 64), 255)])
    count = view.levels(columns, rows)
    sheets = {}
    for z, x, y, pixels in view.tiles(thumbnails, grid):
        assert max(pixels.shape[:2]) <= view.TILE
        by = 1 << (count - 1 - z)
        sheet = sheets.setdefault(z, np.zeros((rows * 64 // by, columns * 64 // by, 4), np.uint8))
        assert not sheet[y * 512 : (y + 1) * 512, x * 512 : (x + 1) * 512].any()
        sheet[y * 512 : (y + 1) * 512, x * 512 : (x + 1) * 512] = pixels
    np.testing.assert_array_equal(sheets[count - 1], whole)
    assert sorted(sheets) == list(range(count)) and max(sheets[0].shape) <= 512
    for z, sheet in sheets.items():
        by = 1 << (count - 1 - z)
        mean = whole.reshape(sheet.shape[0], by, sheet.shape[1], by, 4).mean((1, 3))
        np.testing.assert_allclose(sheet, mean, atol=0.51)


def test_seam_lines_are_where_they_belong():
    """Two halves of equal features: only the border between columns 1 and 2 is bright."""
    features = np.repeat([[0.0], [0.0], [9.0], [9.0]], 4, 0).astype(np.float32)  # column by column
    cells = np.array([r * 4 + k for k in range(4) for r in range(4)])
    right, down = seams(features, cells, 4, 4)
    mapping = view.colour.fixed(0, 9, view.colour.POSITIVE)
    picture = view.seam_picture(right, down, view.holders(cells, 4, 4), np.zeros((16, 64, 64, 3), np.uint8), mapping)
    bright = (picture.sum(2) > 600).mean(0) > 0.7  # dark lines cross it
    cell = picture.shape[1] // 4
    assert bright[2 * cell] and bright.sum() == cell // 7 and not bright[: cell * 3 // 2].any()


def test_job_and_view(case):
    case.run(tsne)
    made = case.run(technique)
    cells = made.arrays["cells"]
    assert len(np.unique(cells)) == 120
    assert made.numbers["mean_seam"] < made.numbers["mean_random"]
    context = case.context()
    shown = view.view(made, context)
    case.section(shown)
    finest = f"tiles/{view.levels(made.numbers['columns'], made.numbers['rows']) - 1}/0_0.webp"
    assert Image.open(io.BytesIO(context.files[finest])).size == (512, 512)
    assert {f.id for f in shown["figures"]} == {"overview", "seams"}


def test_a_name_stands_on_the_region_of_its_class_and_only_on_regions():
    grid, dark = np.arange(400).reshape(20, 20), np.zeros((640, 640, 4), np.uint8)
    labels = (np.arange(400) % 20 >= 10).astype(int)  # the left half of the grid and the right one
    drawn, said = view.named(dark, grid, labels, ["left", "right"])
    assert sorted(said) == ["left", "right"]
    letters = np.flatnonzero((drawn[..., :3] > 200).all(2).any(0))
    assert (letters < 320).any() and (letters >= 320).any()
    mixed = np.random.default_rng(0).permutation(labels)
    assert view.named(dark, grid, mixed, ["left", "right"])[1] == []
    assert view.named(dark, grid, np.full(400, -1), [])[1] == []


def test_no_map_no_grid(case):
    case.features[5] = np.inf
    np.save(case.folder / "features.npy", case.features)
    case.run(tsne)
    made = case.run(technique)
    assert made.status == "not_applicable" and "not finite" in made.reason


def test_what_is_said_of_neighbours_on_the_grid():
    grid, rng = np.arange(100).reshape(10, 10), np.random.default_rng(0)
    near = {"right": rng.uniform(1, 2, (10, 9)), "down": rng.uniform(1, 2, (9, 10))}
    halves = (np.arange(100) % 10 >= 5).astype(int)  # the left half of the grid and the right one
    before = {"untrained_index": np.arange(100), "untrained_neighbors": rng.integers(0, 100, (100, 4))}
    made = result.Result(near | before, "ok", "", {"mean_random": 6.0}, {}, 0, {})
    own = np.stack([np.flatnonzero(halves == h)[:4] for h in halves])
    learned = result.Result(near | before | {"untrained_neighbors": own}, "ok", "", {"mean_random": 6.0}, {}, 0, {})
    assert view.found(learned, grid, halves)[0].strength == "not found"  # it was so before training
    few = {name: array[:90] % 90 for name, array in before.items()}
    some = result.Result(near | few, "ok", "", {"mean_random": 6.0}, {}, 0, {})
    assert view.found(some, grid, halves)[0].strength == "weakly found"
    finding, measured = view.found(made, grid, halves)
    shares = [1.0] * 80 + [2 / 3] * 4 + [3 / 4] * 16  # beside the border: corners of the grid, and the others
    assert finding.strength == "found" and measured["same class on the grid"].effect == pytest.approx(
        np.mean(shares) - (halves[before["untrained_neighbors"]] == halves[:, None]).mean()
    )
    assert measured["distance of neighbours"].effect == pytest.approx(0.75, abs=0.03)
    assert view.found(made, grid, rng.permutation(halves))[0].strength == "not found"
    finding, measured = view.found(made, grid, np.full(100, -1))
    assert finding.strength == "weakly found" and "times as far apart" in finding.says and len(measured) == 1
    flat = result.Result(near | before, "ok", "", {"mean_random": 0.0}, {}, 0, {})
    assert view.found(flat, grid, np.full(100, -1))[0].strength == "not found"

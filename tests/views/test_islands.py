"""A class is named where its pictures gather, and nowhere if they do not; no two names overlap."""

import numpy as np
import pytest

from cnnviz.views.kit import islands


def test_each_blob_is_named_in_its_middle_and_what_is_spread_is_not():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [10, 0], [0, 10]])
    blobs = np.concatenate([centre + rng.normal(0, 0.6, (80, 2)) for centre in centres])
    spread = rng.uniform(-2, 12, (80, 2))
    labels = np.repeat([0, 1, 2, 3], 80)
    found = islands.find(np.concatenate([blobs, spread]), labels)
    assert sorted(island.label for island in found) == [0, 1, 2]
    for island in found:
        assert np.hypot(*(np.array(island.place) - centres[island.label])) < 0.6
        assert island.count >= 40
    assert islands.find(spread, np.zeros(80, int)) == []  # one class that fills the map
    shuffled = islands.find(np.concatenate([blobs, spread]), rng.permutation(labels))
    assert shuffled == []


def test_of_two_islands_the_denser_one_and_in_a_mixed_place_only_who_prevails():
    rng = np.random.default_rng(1)
    places = np.concatenate([rng.normal(0, 0.3, (60, 2)), rng.normal(20, 0.3, (30, 2)), rng.normal(20, 0.3, (100, 2))])
    labels = np.repeat([5, 5, 8], [60, 30, 100])
    found = islands.find(places, labels)
    assert [island.label for island in found] == [8, 5]
    assert np.hypot(*found[1].place) < 0.5


@pytest.mark.parametrize("count", [4, 9, 400])
def test_an_evenly_filled_grid_has_a_name_in_each_of_its_regions(count):
    """As in the grid of the map, where no class lies denser than another one."""
    across = int(count**0.5)
    side = 12 * across
    cells = np.stack([np.arange(side * side) % side, np.arange(side * side) // side], 1)
    labels = cells[:, 1] // 12 * across + cells[:, 0] // 12
    found = islands.find(cells, labels)
    assert len(found) == count
    for island in found:
        x, y = island.place
        assert int(y) // 12 * across + int(x) // 12 == island.label


def test_odd_maps():
    assert islands.find(np.zeros((5, 2)), np.full(5, -1)) == []
    (one,) = islands.find(np.zeros((5, 2)), np.array([0, 0, 0, 0, -1]))  # all in one place
    assert (one.label, one.place, one.count) == (0, (0, 0), 4)
    assert islands.find(np.zeros((2, 2)), np.array([0, 1])) == []  # too few to gather


def test_names_stand_apart_and_inside():
    rng = np.random.default_rng(0)
    places, names = rng.uniform(0, 300, (60, 2)), ["x" * int(n) for n in rng.integers(1, 60, 60)]
    found = islands.apart(places, names, 300, 300)
    boxes = [(x, y, islands.LETTER * len(names[i]) / 2) for i, (x, y) in found.items()]
    assert 5 < len(boxes) < 60 and next(i for i in range(60) if len(names[i]) < 30) in found
    for i, (x, y, half) in enumerate(boxes):
        assert half <= x <= 300 - half and 0 < y < 300
        assert all(abs(x - u) >= half + wide or abs(y - v) >= islands.LINE for u, v, wide in boxes[:i])
    assert islands.apart(np.zeros((1, 2)), ["x" * 100], 300, 300) == {}

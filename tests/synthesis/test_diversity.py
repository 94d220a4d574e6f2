"""Diversity: pictures of a unit become different, and still activate it."""

import numpy as np
import pytest

from cnnviz.ascent.unit_pictures import largest
from cnnviz.errors import UserError
from cnnviz.synthesis.diversity import KEPT, likeness, pick, several


def test_pictures_grow_unlike_and_still_excite_the_unit(demo):
    """From the same starts, against pictures without the term."""
    layer, units = demo.layer("conv4"), [59]
    seeds = [[10 * unit + i for i in range(3)] for unit in units]
    unlike, plain = several(demo, layer, units, seeds, size=(64, 64), steps=50, weight=10, views=0)
    off = ~np.eye(3, dtype=bool)
    for i, unit in enumerate(units):
        assert likeness(demo, layer, unlike[i])[off].mean() < likeness(demo, layer, plain[i])[off].mean() - 0.02
        value, without = (largest(demo, layer, made[i], [unit] * 3) for made in (unlike, plain))
        assert value.mean() > (KEPT - 0.15) * without.mean()


def test_without_weight_the_starts_end_like_pictures_of_the_plain_ascent(demo):
    """And a unit's pictures depend on no other unit's."""
    layer = demo.layer("conv2")
    words = dict(size=(64, 64), steps=4, weight=10, views=0)
    both, _ = several(demo, layer, [3, 9], [[1, 2], [3, 4]], **words)
    alone, plain = several(demo, layer, [9], [[3, 4]], **words)
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 2  # rounding of float32 that other batch sizes give
    assert (alone != plain).any()


def test_likeness_is_the_cosine_of_gram_matrices(demo):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = likeness(demo, demo.layer("conv3"), np.stack([pictures[0], pictures[1], pictures[0]]))
    np.testing.assert_allclose(found.diagonal(), 1, atol=1e-6)
    assert found[0, 2] == pytest.approx(1, abs=1e-6) and 0 < found[0, 1] < 1
    np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_choice_of_the_layer(demo):
    assert pick(demo, "auto").name == "conv4" and pick(demo, "conv2").name == "conv2"
    with pytest.raises(UserError, match="conv9"):
        pick(demo, "conv9")

"""Diversity: pictures of a unit become different, and still activate it."""

import numpy as np
import pytest
import torch

from cnnviz.ascent.objective_functions import Objective, covariance, diversity
from cnnviz.ascent.unit_pictures import largest
from cnnviz.errors import UserError
from cnnviz.synthesis.diversity import FIRST, GROWTH, Balance, likeness, pick, several


def test_pictures_grow_unlike_and_still_excite_the_unit(demo):
    """From the same starts, against pictures without the term."""
    layer, units = demo.layer("conv4"), [59]
    seeds = [[10 * unit + i for i in range(3)] for unit in units]
    unlike, plain = several(demo, layer, units, seeds, size=(64, 64), steps=40, kept=0.93, views=0)
    off = ~np.eye(3, dtype=bool)
    for i, unit in enumerate(units):
        assert likeness(demo, layer, unlike[i])[off].mean() < likeness(demo, layer, plain[i])[off].mean() - 0.02
        value, without = (largest(demo, layer, made[i], [unit] * 3) for made in (unlike, plain))
        assert value.mean() > 0.75 * without.mean()


def test_without_weight_the_starts_end_like_pictures_of_the_plain_ascent(demo):
    """And a unit's pictures depend on no other unit's."""
    layer = demo.layer("conv2")
    words = dict(size=(64, 64), steps=4, kept=0.93, views=0)
    both, _ = several(demo, layer, [3, 9], [[1, 2], [3, 4]], **words)
    alone, plain = several(demo, layer, [9], [[3, 4]], **words)
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 2  # rounding of float32 that other batch sizes give
    assert (alone != plain).any()


def test_likeness_is_the_cosine_of_covariances(demo):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = likeness(demo, demo.layer("conv3"), np.stack([pictures[0], pictures[1], pictures[0]]))
    np.testing.assert_allclose(found.diagonal(), 1, atol=1e-6)
    assert found[0, 2] == pytest.approx(1, abs=1e-6) and abs(found[0, 1]) < 1
    np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_the_weight_grows_where_a_unit_is_active_enough_and_shrinks_where_it_is_not(demo):
    layer, group = demo.layer("conv2"), [0, 0, 1, 1]
    reached = torch.tensor([[1.0, 3.0, 1.0, 1.0]] * 2)
    active = Objective((layer.module,), lambda read: torch.tensor([1.9, 1.9, 0.9, 0.8]))
    balance = Balance(layer, active, reached, group, 0.9)  # unit 0 needs 1.8, unit 1 0.9
    maps = {layer.module: torch.rand(4, 5, 6, 6, generator=torch.Generator().manual_seed(0))}
    value = balance.objective.value(maps)
    assert balance.weight.tolist() == pytest.approx([FIRST * GROWTH, FIRST / GROWTH]) and balance.step == 1
    unlike = diversity(layer.module, group, covariance).value(maps)
    short = torch.tensor([0.05, 0.05, 0.0, -0.1])  # of the last activation, 2 and 1
    torch.testing.assert_close(value, -torch.log1p(torch.exp(-60 * short)) / 60 + FIRST * unlike)


def test_choice_of_the_layer(demo):
    assert pick(demo, "auto").name == "conv4" and pick(demo, "conv2").name == "conv2"
    with pytest.raises(UserError, match="conv9"):
        pick(demo, "conv9")

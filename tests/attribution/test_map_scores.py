"""Oracles: the mask itself, random maps, scipy, and simulated pictures with a known truth."""

import numpy as np
import pytest
from scipy import stats

from cnnviz.attribution import map_scores


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def mask():
    mask = np.zeros((20, 30), bool)
    mask[3:11, 5:20] = True
    return mask


def test_the_mask_itself_scores_one_and_its_opposite_nothing(mask):
    assert map_scores.pointing(mask.astype(float), mask) == map_scores.mass(mask.astype(float), mask) == 1
    assert map_scores.pointing(1.0 - mask, mask) == map_scores.mass(1.0 - mask, mask) == 0
    assert map_scores.mass(mask - 5.0 * ~mask, mask) == 1  # negative evidence does not count


@pytest.mark.parametrize("score", [map_scores.pointing, map_scores.mass])
def test_uninformative_maps_score_the_masks_area(mask, score, rng):
    for value in (0.0, 1.0):
        assert score(np.full(mask.shape, value), mask) == pytest.approx(mask.mean())
    drawn = [score(rng.random(mask.shape), mask) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(mask.mean(), abs=4 * np.std(drawn) / np.sqrt(2000))
    assert map_scores.mass(np.full(mask.shape, -1.0), mask) == pytest.approx(mask.mean())


def test_a_ranking_begins_with_the_largest_and_breaks_ties_at_random(rng):
    map = np.array([[0.0, 3.0, 1.0], [1.0, 1.0, 9.0]])
    seen = {tuple(map_scores.ranking(map, rng)) for _ in range(200)}
    assert all(order[:2] == (5, 1) and order[5] == 0 for order in seen) and len(seen) == 6


def test_area_of_known_curves():
    x = np.linspace(0, 1, 17)
    np.testing.assert_allclose(map_scores.area(np.stack([x, np.ones(17), x**2])), [0.5, 1, 1 / 3], atol=1e-3)


def test_baselines_draw_edges_and_the_middle():
    picture = np.zeros((24, 24, 3), np.uint8)
    picture[:, 12:] = 255
    drawn = map_scores.edges(picture)
    assert set(np.flatnonzero(drawn.sum(0))) == {11, 12} and (drawn[:, 11] > 0).all()
    blob = map_scores.centre(25, 41)
    assert np.unravel_index(blob.argmax(), blob.shape) == (12, 20)
    np.testing.assert_allclose(blob, blob[::-1, ::-1])


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda rng, n: rng.normal(0.3, 0.2, n), 0.3),
        (lambda rng, n: rng.beta(2, 6, n), 0.25),
        (lambda rng, n: (rng.random(n) < 0.7).astype(float), 0.7),
        (lambda rng, n: (rng.random(n) < 0.97).astype(float), 0.97),
    ],
)
@pytest.mark.parametrize("n", [12, 24])
def test_the_bootstrap_covers(draw, mean, n, rng):
    hits = 0
    for _ in range(500):
        low, high = map_scores.interval(draw(rng, n), rng, bounds=(0, 1), resamples=500)
        hits += low <= mean <= high
    assert hits / 500 > 0.91  # 95 % except for the skewed distribution


def test_an_interval_narrows_repeats_and_knows_the_bounds(rng):
    values = rng.random(400)
    wide = map_scores.interval(values[:25], np.random.default_rng(1), bounds=(0, 1), resamples=1000)
    narrow = map_scores.interval(values, np.random.default_rng(1), bounds=(0, 1), resamples=1000)
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 2.5
    assert wide == map_scores.interval(values[:25], np.random.default_rng(1), bounds=(0, 1), resamples=1000)
    low, high = map_scores.interval(np.ones(24), rng, bounds=(0, 1), resamples=1000)
    assert high == 1 and low == pytest.approx(stats.binomtest(24, 24).proportion_ci(method="exact").low)
    assert map_scores.interval(np.ones(1), rng, bounds=(-1, 1), resamples=1000) == (-1, 1)


def test_a_verdict_needs_six_pictures_and_an_interval_beside_zero(rng):
    assert [map_scores.verdict(24, *ends) for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1), (0, 0.1))] == [
        map_scores.YES, map_scores.NO, map_scores.UNKNOWN, map_scores.UNKNOWN,
    ]  # fmt: skip
    assert map_scores.verdict(5, 0.1, 0.2) == map_scores.UNKNOWN
    always = [map_scores.interval(np.ones(n), rng, bounds=(-1, 1), resamples=100)[0] for n in (5, 6)]
    assert always[0] < 0 < always[1]  # if all agree, the interval needs six as well


def test_random_differences_are_rarely_significant(rng):
    said = [
        map_scores.verdict(24, *map_scores.interval(rng.normal(0, 0.3, 24), rng, bounds=(-1, 1), resamples=500))
        for _ in range(400)
    ]
    assert said.count(map_scores.UNKNOWN) / 400 > 0.92


def test_holm_is_the_textbooks():
    np.testing.assert_allclose(map_scores.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert (map_scores.holm(np.array([0.5, 0.9])) <= 1).all()


def test_a_margin_is_passed_only_by_more_than_it(rng):
    assert map_scores.beyond(rng.normal(0.8, 0.1, 20), 0.2) < 1e-6 > map_scores.beyond(rng.normal(-0.8, 0.1, 20), 0.2)
    assert map_scores.beyond(rng.normal(0.1, 0.1, 20), 0.2) > 0.5
    assert map_scores.beyond(np.full(20, 0.5), 0.2) < 0.001 < 1 == map_scores.beyond(np.full(20, 0.1), 0.2)
    assert map_scores.beyond(np.full(5, 0.9), 0.2) == 1
    at_the_margin = [map_scores.beyond(rng.normal(0.2, 0.2, 20), 0.2) < 0.05 for _ in range(1000)]
    assert np.mean(at_the_margin) < 0.05


def test_without_an_effect_almost_no_class_is_significant(rng):
    wrong = 0
    for _ in range(200):
        p = np.array([map_scores.beyond(rng.normal(0.2, 0.2, 20), 0.2) for _ in range(96)])
        wrong += (map_scores.holm(p) < 0.05).any()
    assert wrong / 200 < 0.08

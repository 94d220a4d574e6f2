"""Whether filters are smooth: beside a loop over pairs of weights, and beside the same weights in random order."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cnnviz.views.kit import filters

NOISE = np.random.default_rng(0).normal(size=(30, 3, 5, 5))
SMOOTH = gaussian_filter(NOISE, (0, 0, 1, 1))


def test_the_correlation_is_that_of_all_neighbouring_pairs():
    (unit,) = NOISE[:1]
    pairs, power = [], []
    for channel in unit - unit.mean((1, 2), keepdims=True):
        for (y, x), value in np.ndenumerate(channel):
            power.append(value * value)
            pairs += [value * channel[y, x + 1]] if x < 4 else []
            pairs += [value * channel[y + 1, x]] if y < 4 else []
    assert filters.smoothness(NOISE[:1]) == pytest.approx([np.mean(pairs) / np.mean(power)])


def test_the_control_is_the_mean_over_random_orders():
    rng = np.random.default_rng(1)
    each = [filters.smoothness(rng.permutation(SMOOTH[0, 0].ravel()).reshape(1, 1, 5, 5))[0] for _ in range(4000)]
    assert np.mean(each) == pytest.approx(-1 / 24, abs=0.01)


def test_smooth_filters_are_found_and_noise_is_not():
    said, measured = filters.found(SMOOTH, "key", "The filters of a", "sheet")
    assert said.strength == "found" and measured.low > 0.3 and "are smooth" in said.says
    said, measured = filters.found(NOISE, "key", "The filters of a", "sheet")
    assert said.strength == "not found" and abs(measured.effect) < 0.1 and "look like noise" in said.says


@pytest.mark.parametrize("weights", [np.zeros((4, 3, 5, 5)), NOISE[:1], NOISE[:, :, :1, :1]])
def test_of_flat_filters_of_one_filter_and_of_single_weights_nothing_is_said(weights):
    said, measured = filters.found(weights, "key", "The filters of a", "sheet")
    assert said.strength == "not found" and measured is None and "nothing can be said" in said.says

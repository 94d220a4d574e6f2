"""The rank correlation equals scipy's."""

import numpy as np
import pytest
from scipy import stats

from cnnviz.statistics.ranks import rank_correlation


def test_rank_correlation_is_scipys_also_with_ties_and_0_for_a_constant():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(9, 11))
    b = np.round(a + rng.normal(size=(9, 11)), 0)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a.ravel(), b.ravel()).statistic)
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.zeros((9, 11))) == 0

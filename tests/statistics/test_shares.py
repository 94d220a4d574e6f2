"""The interval of a share is Wilson's, as scipy computes it."""

import pytest
from scipy.stats import binomtest

from cnnviz.statistics.shares import share_interval


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (1, 1), (3, 11), (45, 50), (870, 960)])
def test_the_interval_of_a_share_is_wilsons(hits, count):
    expected = binomtest(hits, count).proportion_ci(0.95, "wilson")
    assert share_interval(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_nothing_can_be_said_of_no_picture():
    assert share_interval(0, 0) == (0, 1)


def test_the_largest_of_many_shares_has_a_wider_interval():
    one, most = share_interval(6, 20), share_interval(6, 20, asked=100)
    assert most[0] < one[0] and most[1] > one[1]
    expected = binomtest(6, 20).proportion_ci(1 - 0.05 / 100, "wilson")
    assert most == pytest.approx((expected.low, expected.high), abs=1e-6)

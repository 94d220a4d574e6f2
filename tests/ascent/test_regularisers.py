"""Penalties against naive loops."""

import pytest
import torch

from cnnviz.ascent.regularisers import border, l2, total_variation


@pytest.mark.parametrize("power", [1, 2])
def test_total_variation_equals_naive_loops(power):
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for n in range(2):
        expected = 0.0
        for c in range(3):
            for i in range(4):
                for j in range(5):
                    expected += float(abs(x[n, c, i + 1, j] - x[n, c, i, j]) ** power) if i < 3 else 0
                    expected += float(abs(x[n, c, i, j + 1] - x[n, c, i, j]) ** power) if j < 4 else 0
        assert float(total_variation(x, power)[n]) == pytest.approx(expected, rel=1e-12)


def test_l2_is_zero_at_its_centre_and_counts_pixels():
    grey = torch.tensor([0.5, 0.4, 0.3]).reshape(1, 3, 1, 1).expand(2, 3, 4, 5).clone()
    assert l2(grey, (0.5, 0.4, 0.3)).tolist() == [0, 0]
    grey[1, 0] += 0.1
    torch.testing.assert_close(l2(grey, (0.5, 0.4, 0.3)), torch.tensor([0.0, 0.1**2 * 20]))


def test_border_weighs_the_edge_and_leaves_the_middle_free():
    """Against the sum written out; a square in the middle costs next to nothing, a frame of the same area a lot."""
    x = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    naive = 0.0
    for i in range(9):
        for j in range(7):
            m = max(abs(2 * i / 8 - 1), abs(2 * j / 6 - 1))
            naive += m**4 * float((x[0, :, i, j] - 0.5).square().sum())
    assert float(border(x, (0.5, 0.5, 0.5))) == pytest.approx(naive)
    middle, edge = torch.full((2, 1, 3, 31, 31), 0.5)
    middle[:, :, 10:21, 10:21] = 1
    edge[:, :, :2] = edge[:, :, -2:] = 1
    assert border(middle, (0.5,) * 3) < 0.02 * border(edge, (0.5,) * 3)

"""Penalties and operations equal naive loops and other libraries."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from cnnviz.ascent.regularisers import (
    blur,
    border,
    clip_small_contributions,
    clip_small_norms,
    decay,
    l2,
    l6,
    total_variation,
)

CENTRE = (0.5, 0.4, 0.3)


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
    """Equals the explicit sum; a square in the centre has a small penalty, a frame of the same area a large one."""
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


def test_l6_is_the_sixth_power():
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = ((x.numpy() - np.array(CENTRE)[:, None, None]) ** 6).sum((1, 2, 3))
    np.testing.assert_allclose(l6(x, CENTRE), expected)


def test_decay_takes_a_share_of_the_way():
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centre = np.array(CENTRE)[:, None, None]
    np.testing.assert_allclose(decay(0.3, CENTRE)(x, x, 1), centre + 0.7 * (x.numpy() - centre))


def test_blur_equals_scipys_and_comes_every_so_often():
    x = torch.rand(2, 3, 19, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operation = blur(1.3, 4)
    assert operation(x, x, 3) is x
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, 1.3, 1.3), mode="mirror", radius=(0, 0, 5, 5))
    np.testing.assert_allclose(operation(x, x, 8), expected, atol=1e-12)


@pytest.mark.parametrize("rule", [clip_small_norms, clip_small_contributions])
def test_the_stated_share_of_pixels_is_clipped_each_picture_by_itself(rule):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 10, 10, generator=generator, dtype=torch.float64)
    x[1] *= 0.1
    gradient = torch.randn(2, 3, 10, 10, generator=generator, dtype=torch.float64)
    got = rule(30, CENTRE)(x, gradient, 1)
    centre = np.array(CENTRE)[:, None, None]
    for picture, slope, after in zip(x.numpy(), gradient.numpy(), got.numpy(), strict=True):
        size = np.sqrt(((picture - centre) ** 2).sum(0))
        if rule is clip_small_contributions:
            size = abs(((picture - centre) * slope).sum(0))
        small = size < np.percentile(size, 30)
        assert small.sum() == 30
        np.testing.assert_array_equal(after, np.where(small, np.broadcast_to(centre, picture.shape), picture))

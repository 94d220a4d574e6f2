"""The quick gradient of strided convolutions is torch's, and is in force only within the ``with``."""

import pytest
import torch
from torch import nn

from cnnviz.network.strides import _Strided, quick


@pytest.mark.parametrize("size", [(24, 24), (23, 31), (16, 19)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(9, 2, 4), (11, 4, 2), (7, 2, 3), ((3, 5), 2, (0, 2)), (4, 4, 0), (2, 3, 1)]
)
def test_gradient_equals_torchs(kernel, stride, padding, size):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, kernel, stride, padding, dtype=torch.float64).requires_grad_(False)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    y = conv(x)
    g = torch.randn_like(y)
    (theirs,) = torch.autograd.grad(y, x, g)
    with quick(conv):
        ours = conv(x)
        assert ours.grad_fn.name().startswith(_Strided.__name__)
        assert torch.equal(ours, y)
        (gradient,) = torch.autograd.grad(ours, x, g)
    torch.testing.assert_close(gradient, theirs, rtol=0, atol=1e-12)
    assert not conv(x).grad_fn.name().startswith(_Strided.__name__)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 6, 3),
        nn.Conv2d(8, 6, 3, 2),
        nn.Conv2d(3, 6, 3, 2, groups=3),
        nn.Conv2d(3, 6, 3, 2, dilation=2),
        nn.Conv2d(3, 6, 3, (2, 1)),
        nn.Conv2d(3, 6, 3, 2, padding=1, padding_mode="reflect"),
    ],
    ids=["no stride", "channels", "groups", "dilation", "two strides", "reflected"],
)
def test_other_convolutions_stay_as_they_are(conv):
    with quick(conv):
        assert "_conv_forward" not in vars(conv)


def test_one_picture_without_a_batch():
    conv = nn.Conv2d(3, 5, 3, 2).requires_grad_(False)
    x = torch.randn(3, 9, 9)
    with quick(conv):
        assert torch.equal(conv(x), conv(x[None])[0])

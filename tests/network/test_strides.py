"""The quick gradient of strided convolutions is torch's, whatever the size of the batch."""

import pytest
import torch
from torch import nn

from cnnviz.network.strides import _Strided, quicken


@pytest.mark.parametrize("size", [(24, 24), (23, 31), (16, 19)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(9, 2, 4), (11, 4, 2), (7, 2, 3), ((3, 5), 2, (0, 2)), (4, 4, 0), (2, 3, 1)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_equals_torchs(kernel, stride, padding, size, channels):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 5, kernel, stride, padding, dtype=torch.float64).requires_grad_(False)
    x = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    y = conv(x)
    g = torch.randn_like(y)
    (theirs,) = torch.autograd.grad(y, x, g)
    quicken(conv)
    ours = conv(x)
    assert ours.grad_fn.name().startswith(_Strided.__name__)
    assert torch.equal(ours, y)
    (gradient,) = torch.autograd.grad(ours, x, g)
    torch.testing.assert_close(gradient, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("side", [32, 51, 64, 71])
def test_a_pictures_gradient_has_the_same_digits_in_every_batch(side, layout):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 32, 9, 2, 4).requires_grad_(False)
    quicken(conv)
    x = torch.randn(16, 3, side, side).contiguous(memory_format=layout)
    g = torch.randn_like(conv(x))

    def gradients(batch: int) -> torch.Tensor:
        parts = [(part.clone().requires_grad_(), of) for part, of in zip(x.split(batch), g.split(batch), strict=True)]
        return torch.cat([torch.autograd.grad(conv(part), part, of)[0] for part, of in parts])

    together = gradients(len(x))
    for batch in (1, 3, 4, 12):
        assert torch.equal(gradients(batch), together)


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
    quicken(conv)
    assert "_conv_forward" not in vars(conv)


def test_weights_that_are_trained_and_one_picture_without_a_batch_take_torchs_way():
    conv = nn.Conv2d(3, 5, 3, 2)
    quicken(conv)
    x = torch.randn(1, 3, 9, 9, requires_grad=True)
    conv(x).sum().backward()
    assert conv.weight.grad.abs().sum() > 0
    conv.requires_grad_(False)
    assert torch.equal(conv(x[0]), conv(x)[0])

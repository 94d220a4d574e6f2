"""The gradient of a strided convolution with respect to its pictures, in less than half the time on a CPU.

It is a transposed convolution, for which oneDNN is slow where there are few channels: of a network's first layer it
took as long as all other layers together. Of the pixels at one place modulo the stride s it is a plain convolution with
every s-th weight. So all s² places are the channels of one plain convolution, and a shuffle puts them in their place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW = 4  # channels; of more, oneDNN's own way is as fast


class _Strided(torch.autograd.Function):
    """conv2d of square stride; its backward pass gives the gradient of the pictures alone."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.stride, ctx.padding = x.shape[2:], stride, padding
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx, g: Tensor):
        (weight,), s = ctx.saved_tensors, ctx.stride
        units, channels, *kernel = weight.shape
        down, right = (-(-side // s) for side in kernel)  # weights of one place
        places = F.pad(weight, (0, right * s - kernel[1], 0, down * s - kernel[0]))
        places = places.reshape(units, channels, down, s, right, s).permute(1, 3, 5, 0, 2, 4).flatten(0, 2).flip(2, 3)
        x = F.pixel_shuffle(F.conv2d(g, places, padding=(down - 1, right - 1)), s)
        (height, width), (top, left) = ctx.size, ctx.padding
        x = x[:, :, top : top + height, left : left + width]
        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2])), None, None, None, None


@contextmanager
def quick(net: nn.Module) -> Iterator[None]:
    """Convolutions of few channels give their gradient so, while the weights are frozen and lie on a CPU."""
    found = [module for module in net.modules() if _fits(module)]
    for module in found:
        module._conv_forward = partial(_convolve, module.stride[0], module.padding)
    try:
        yield
    finally:
        for module in found:
            del module._conv_forward


def _convolve(stride: int, padding: tuple[int, int], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    way = _Strided.apply if x.ndim == 4 else F.conv2d  # a network may also take its pictures one by one
    return way(x, weight, bias, stride, padding)


def _fits(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.in_channels <= FEW
        and module.stride[0] == module.stride[1] > 1
        and (module.dilation, module.groups, module.padding_mode) == ((1, 1), 1, "zeros")
        and not isinstance(module.padding, str)
        and module.weight.device.type == "cpu"
        and "_conv_forward" not in vars(module)
    )

"""The gradient of a strided convolution with respect to its pictures, in a third of the time on a CPU.

It is a transposed convolution, for which oneDNN is slow where there are few channels: in a network's first layer it
took a third of all an ascent's time. But the gradient of a block of pixels is a plain convolution of the output's
gradient, whose strides are those of the blocks. So the pixels of a block are the channels of that convolution, which is
quick if there are a few dozen of them. Each picture's gradient has the same digits in a batch of any size.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

FEW = 4  # channels; of more, oneDNN's own way is as fast
LEAST = 24  # channels of the plain convolution; of fewer, it uses only a part of the CPU's vectors


def quicken(net: nn.Module) -> None:
    """Lets strided convolutions of few channels compute the gradient in this way, if their weights are frozen."""
    for module in net.modules():
        if _fits(module):
            module._conv_forward = partial(_convolve, module.stride[0], module.padding)


def _fits(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.in_channels <= FEW
        and module.stride[0] == module.stride[1] > 1
        and (module.dilation, module.groups, module.padding_mode) == ((1, 1), 1, "zeros")
        and not isinstance(module.padding, str)
        and all(padding < side for padding, side in zip(module.padding, module.kernel_size, strict=True))
    )


def _convolve(stride: int, padding: tuple[int, int], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    differentiated = torch.is_grad_enabled() and x.requires_grad and not weight.requires_grad
    if differentiated and x.ndim == 4 and x.device.type == "cpu":
        return _Strided.apply(x, weight, bias, stride, padding)
    return F.conv2d(x, weight, bias, stride, padding)


class _Strided(torch.autograd.Function):
    """conv2d of square stride; its backward pass gives the gradient of the pictures alone."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.stride, ctx.padding = x.shape[2:], stride, padding
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor):
        (weight,), stride, n = ctx.saved_tensors, ctx.stride, len(g)
        tall = -(-LEAST // (weight.shape[1] * stride**2)) * stride
        weight, left, right, across = _of_blocks(weight, g.shape[3], ctx.size[1], stride, ctx.padding[1], stride)
        weight, top, bottom, down = _of_blocks(
            weight.movedim(2, -1), g.shape[2], ctx.size[0], stride, ctx.padding[0], tall
        )
        weight = weight.permute(4, 2, 1, 0, 5, 3).flatten(0, 2)  # (rows · columns · channels, units, reach, reach)
        g = F.pad(g, (left, right, top, bottom))
        laid_out = {"memory_format": torch.channels_last}
        x = F.conv2d(g.contiguous(**laid_out), weight.contiguous(**laid_out), stride=(tall // stride, 1))
        x = x.permute(0, 2, 3, 1).reshape(n, down, across, tall, stride, -1).transpose(2, 3)
        x = x.reshape(n, down * tall, across * stride, -1).permute(0, 3, 1, 2)
        return x[:, :, : ctx.size[0], : ctx.size[1]], None, None, None, None


def _of_blocks(
    weight: Tensor, outputs: int, pixels: int, stride: int, padding: int, block: int
) -> tuple[Tensor, int, int, int]:
    """The weights with which each pixel of a block, along the last axis, reached the outputs: (…, block, reach).

    outputs, pixels: their numbers along the axis. Also returns the outputs to add before and after, so that all blocks
    have as many, and the number of blocks.
    """
    kernel, blocks = weight.shape[-1], -(-pixels // block)
    first, last = -((kernel - 1 - padding) // stride), (block - 1 + padding) // stride
    at = torch.arange(block)[:, None] + padding - stride * torch.arange(first, last + 1)
    inside = (at >= 0) & (at < kernel)
    needed = (blocks - 1) * (block // stride) + at.shape[1]
    return weight[..., at.clamp(0, kernel - 1)] * inside, -first, needed + first - outputs, blocks

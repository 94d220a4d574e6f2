"""Networks with weights that are not float32: kept if the network takes float32 pictures, else converted to float32."""

import contextlib
from collections.abc import Callable

import torch
from torch import nn

LOW = (torch.float16, torch.bfloat16)


def settle(net: nn.Module) -> nn.Module:
    """``net`` itself, changed to take float32 pictures, (n, c, h, w).

    A network that casts its input, ``x.half()`` for example, works with its own weights only; other networks need
    float32 ones. The first pass that succeeds decides.
    """
    if any(t.dtype != torch.float32 for t in _numbers(net)):
        net.forward = _First(net, net.forward)
    return net


def decide(net: nn.Module, x: torch.Tensor) -> None:
    """Makes this the network's first pass, with pictures x: in a later one its operators may be replaced."""
    if any(t.dtype != torch.float32 for t in _numbers(net)):
        with torch.no_grad(), contextlib.suppress(Exception):  # the next pass reports the network's error
            net(x)


def full(output):
    """A 16-bit tensor as float32, for numpy and the techniques; everything else unchanged."""
    return output.float() if isinstance(output, torch.Tensor) and output.dtype in LOW else output


class _First:
    """A forward pass that tries the network's own precision first, then float32."""

    def __init__(self, net: nn.Module, forward: Callable):
        self.net, self.forward, self.settled = net, forward, False
        self.__wrapped__ = forward  # so that inspect finds forward's arguments

    def __call__(self, *inputs, **more):
        if self.settled:
            return self.forward(*inputs, **more)
        own = [(tensor, tensor.data) for tensor in _numbers(self.net)]
        try:
            output = self.forward(*inputs, **more)
        except RuntimeError:
            for tensor, data in own:
                tensor.data = data.float()
            try:
                output = self.forward(*inputs, **more)
            except Exception:  # another error: the next pass tries again
                for tensor, data in own:
                    tensor.data = data
                raise
        self.settled = True
        return output


def _numbers(net: nn.Module) -> list[torch.Tensor]:
    return [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()]

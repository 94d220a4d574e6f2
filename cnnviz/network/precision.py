"""Networks whose weights are no float32: kept as they are where they take float32 pictures so, else made float32."""

import contextlib
from collections.abc import Callable

import torch
from torch import nn

LOW = (torch.float16, torch.bfloat16)


def settle(net: nn.Module) -> nn.Module:
    """``net`` itself, made to take float32 pictures, (n, c, h, w).

    A network that casts what it takes in, ``x.half()`` say, works with its own weights only; one that does not needs
    float32 ones. Its first pass that succeeds decides.
    """
    if any(t.dtype != torch.float32 for t in _numbers(net)):
        net.forward = _First(net, net.forward)
    return net


def decide(net: nn.Module, x: torch.Tensor) -> None:
    """Have the network's first pass be this one, of pictures x: in a later one its operators may be stood in for."""
    if any(t.dtype != torch.float32 for t in _numbers(net)):
        with torch.no_grad(), contextlib.suppress(Exception):  # whatever a network raises; the next pass says it
            net(x)


def full(output):
    """A tensor of 16 bits as float32, which numpy and the techniques take; all else as it is."""
    return output.float() if isinstance(output, torch.Tensor) and output.dtype in LOW else output


class _First:
    """A forward pass that tries the network's own precision, then float32."""

    def __init__(self, net: nn.Module, forward: Callable):
        self.net, self.forward, self.settled = net, forward, False
        self.__wrapped__ = forward  # whoever asks for its arguments is told forward's

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
            except Exception:  # it is something else: the next pass tries again
                for tensor, data in own:
                    tensor.data = data
                raise
        self.settled = True
        return output


def _numbers(net: nn.Module) -> list[torch.Tensor]:
    return [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()]

"""A network with random weights in place: what is shown if nothing was learned (Adebayo et al. 2018).

Weights are redrawn in the scale of the old ones (``everywhere``, ``cascade``), so that only their pattern is lost. Or
they are drawn as before training (``untrained``), where features are concerned: with the scale of trained weights, the
features of a random network tell less of a picture than those of an untrained one, which is the fair control.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from cnnviz.network.loaded import Model


def layers_from_the_top(net: nn.Module, x: Tensor) -> list[str]:
    """Dotted names of the modules with parameters of their own, in reverse order of execution. x: any network input."""
    called: list[str] = []
    own = _own(net)
    handles = [
        module.register_forward_pre_hook(lambda m, i, name=name: called.append(name) if name not in called else None)
        for name, module in own
    ]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    never = [name for name, _ in own if name not in called]
    return [*called[::-1], *never]


def _own(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules with parameters of their own, with their dotted names."""
    return [(name, m) for name, m in net.named_modules() if next(m.parameters(recurse=False), None) is not None]


@torch.no_grad()
def redraw(module: nn.Module, seed: Callable[[str], int]) -> None:
    """Draws new random values for a module's own parameters, in place and of the same scale.

    Weights are drawn from a normal distribution with mean 0 and the old root mean square. Vectors (biases, scales) are
    shuffled. seed: name of a parameter → its seed.
    """
    for name, old in module.named_parameters(recurse=False):
        generator = torch.Generator().manual_seed(seed(name))
        if old.ndim > 1:
            new = (
                torch.randn(old.shape, generator=generator, dtype=torch.float32)
                * old.float().square().mean().sqrt().cpu()
            )
        else:
            new = old.flatten().cpu()[torch.randperm(old.numel(), generator=generator)].reshape(old.shape)
        old.copy_(new)


@contextmanager
def restored(net: nn.Module) -> Iterator[None]:
    """Puts the weights and buffers back at the end. Not every network can be copied."""
    kept = [(tensor, tensor.clone()) for tensor in (*net.parameters(), *net.buffers())]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                if not torch.equal(tensor, before):  # a buffer that shares memory with itself cannot be written
                    tensor.copy_(before)


@contextmanager
def everywhere(net: nn.Module, seed: Callable[..., int]) -> Iterator[bool]:
    """All weights are random within the context. Yields whether there are any: a converted network may have none."""
    own = _own(net)
    with restored(net):
        for name, module in own:
            redraw(module, lambda parameter, name=name: seed("weights", name, parameter))
        yield bool(own)


@contextmanager
def untrained(net: nn.Module, seed: Callable[..., int]) -> Iterator[bool]:
    """All weights are as before training within the context. Yields whether there are any.

    Normalisations get their initial values. The weights of convolutions and linear layers are He's (2015), which keep
    the size of the values from layer to layer. The initial values of other modules are not known; they are redrawn.
    """
    own = _own(net)
    with restored(net), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed("untrained"))
        for name, module in own:
            if isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear | _ConvNd):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            else:
                redraw(module, lambda parameter, name=name: seed("untrained", name, parameter))
        yield bool(own)


def cascade(model: Model, x: Tensor, blocks: int, seed: Callable[..., int]) -> Iterator[tuple[str, Model]]:
    """Redraws the model's layers from the top down to the first, in about ``blocks`` steps.

    Yields (lowest redrawn layer, model). It is the model itself, whose weights are restored at the end.
    """
    names = layers_from_the_top(model.net, model.normalise(x))
    short = {layer.module: layer.name for layer in model.layers}
    done = 0
    with restored(model.net):
        for cut in np.unique(np.rint(np.linspace(1, len(names), blocks)).astype(int)):
            for name in names[done:cut]:
                redraw(model.net.get_submodule(name), lambda parameter, name=name: seed("weights", name, parameter))
            done = cut
            yield short.get(names[cut - 1], names[cut - 1] or "the network's own"), model

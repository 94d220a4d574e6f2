"""A network with random weights in place: what a map shows if nothing was learned (Adebayo et al. 2018)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

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
    """Puts the weights back at the end. Not every network can be copied."""
    kept = [(parameter, parameter.clone()) for parameter in net.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in kept:
                parameter.copy_(before)


@contextmanager
def everywhere(net: nn.Module, seed: Callable[..., int]) -> Iterator[bool]:
    """All weights are random within the context. Yields whether there are any: a converted network may have none."""
    own = _own(net)
    with restored(net):
        for name, module in own:
            redraw(module, lambda parameter, name=name: seed("weights", name, parameter))
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

"""Reads a network while it runs: context managers over dotted module names that leave no hooks behind."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from cnnviz.network.batches import Batches, Enough
from cnnviz.network.precision import full


class _Stop(Exception):
    pass


class Captured(dict):
    """Module name → its output in the last forward pass (a tensor that no later in-place operation changes)."""

    stopping = False  # only a pass of :func:`forward` may end early; others run in full


Maps = Callable[[torch.Tensor], torch.Tensor]


def hook(net: nn.Module, name: str, read: Callable[[torch.Tensor], None], *, input: bool = False):
    """Calls ``read`` with a module's output, or with ``input`` its input, in each pass; returns a handle.

    16-bit values are converted to float32. If the network takes its pictures in parts (see
    :mod:`cnnviz.network.batches`), read is called in the last part, with the rows of all pictures.
    """
    module = net.get_submodule(name)
    take = read
    if name and isinstance(net.forward, Batches):
        take = _Rows(net.forward, read)
    if input:
        return module.register_forward_pre_hook(
            lambda module, inputs, more: take(full(taken(inputs, more))), with_kwargs=True
        )
    return module.register_forward_hook(lambda module, inputs, output: take(full(output)))


class _Rows:
    """Joins a module's outputs in the parts of a pass, call by call."""

    def __init__(self, parts: Batches, read: Callable[[torch.Tensor], None]):
        self.parts, self.read = parts, read
        self.at, self.calls, self.number = (0, -1), [], 0

    def __call__(self, value) -> None:
        parts = self.parts
        if not isinstance(value, torch.Tensor):
            return self.read(value) if parts.last else None
        if parts.at[0] != self.at[0]:
            self.calls = []
        if parts.at != self.at:
            self.at, self.number = parts.at, 0
        if self.number == len(self.calls):
            self.calls.append([])
        rows = self.calls[self.number]
        rows.append(value[: parts.count].clone())  # an in-place operation may follow
        self.number += 1
        return self.read(torch.cat(rows)) if parts.last else None


@contextmanager
def capture(net: nn.Module, modules: Sequence[str] | Mapping[str, Maps], *, stop: bool = False) -> Iterator[Captured]:
    """Captures the outputs of ``modules`` (dotted names) in every forward pass inside the ``with``.

    modules: names, or name → function of the output, such as Layer.maps (see Model.maps_of). With ``stop`` a forward
    pass ends, without an error, when the last of them is computed; call :func:`forward` then, since the network returns
    nothing. The tensors stay in the autograd graph. If a module is called several times, the last call counts. Hooks
    are also removed after an exception.
    """
    modules = modules if isinstance(modules, Mapping) else dict.fromkeys(modules, as_it_is)
    captured = Captured()
    handles = []

    def keep(name: str):
        def kept(output):
            captured[name] = modules[name](output).clone()  # an in-place ReLU may follow
            if stop and captured.stopping and len(captured) == len(modules):
                raise _Stop

        return kept

    seen = set()

    def part(name: str):
        """In a pass in parts, the earlier parts end as early as the last one."""

        def after(module, inputs, output):
            if captured.stopping and not net.forward.last:
                seen.add((net.forward.at, name))
                if sum(at == net.forward.at for at, _ in seen) == len(modules):
                    raise Enough

        return after

    try:
        for name in modules:
            handles.append(hook(net, name, keep(name)))
            if stop and isinstance(net.forward, Batches):
                handles.append(net.get_submodule(name).register_forward_hook(part(name)))
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def forward(net: nn.Module, x: torch.Tensor, captured: Captured) -> Captured:
    """One forward pass of ``x`` inside :func:`capture`, which may end early. Clears the last pass's values."""
    captured.clear()
    captured.stopping = True
    try:
        with contextlib.suppress(_Stop):
            net(x)
    finally:
        captured.stopping = False
    return captured


def taken(inputs: tuple, more: dict) -> torch.Tensor | None:
    """The tensor that a module was called with, by position or by keyword, from a hook ``with_kwargs``."""
    return next((value for value in (*inputs, *more.values()) if isinstance(value, torch.Tensor)), None)


def as_it_is(output: torch.Tensor) -> torch.Tensor:
    """The output unchanged."""
    return output

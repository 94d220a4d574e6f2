"""Networks that take certain batch sizes only: one picture alone, at least two, or always eight.

``x.squeeze()`` loses a batch of one, ``assert len(x) == 1`` allows no other, ``x.view(8, -1)`` needs eight, and
``[self.one(picture) for picture in x.split(1)]`` sends one picture at a time through its layers. The forward pass of
such a network runs in parts of an accepted size. Copies of the last picture fill the last part. Callers need not know
this. Readers of the network's modules use :func:`cnnviz.network.hooks.hook`, which joins the parts.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

MANY = 8  # size of the test batch
EXACT = (8, 4, 16, 32, 64, 5, 6, 10, 12, 20)  # batch sizes to try


class Enough(Exception):
    """Raised by a hook in a part that is not the last one, when all needed outputs of the part are computed."""


class Batches:
    """A forward pass in parts of ``least`` to ``most`` pictures (None: any number).

    While it runs: ``at``, (number of the pass, number of the part); ``count``, number of the part's pictures that are
    not copies; ``last``, whether the part is the last one.
    """

    def __init__(self, forward: Callable, least: int, most: int | None):
        self.forward = self.__wrapped__ = forward  # so that inspect finds forward's arguments
        self.least, self.most = least, most
        self.at, self.count, self.last = (0, 0), 0, True

    def __call__(self, *inputs, **more):
        """The input may be several tensors: those with as many rows as the first are split into parts."""
        given, structure = tree_flatten((inputs, more))
        size = next(len(value) for value in given if isinstance(value, Tensor) and value.ndim)
        step = self.most or max(1, size)
        found = []
        for number, first in enumerate(range(0, max(1, size), step)):
            self.at, self.count = (self.at[0] + (number == 0), number), min(step, size - first)
            self.last = first + step >= size
            rows = max(self.count, self.least)

            def part(value, first=first, rows=rows):
                if not (isinstance(value, Tensor) and value.ndim and len(value) == size):
                    return value
                value = value[first : first + self.count]
                missing = rows - len(value)
                return torch.cat([value, *[value[-1:]] * missing]) if missing else value

            args, names = tree_unflatten([part(value) for value in given], structure)
            output = None
            with contextlib.suppress(Enough):
                output = self.forward(*args, **names)
            found.append((output, self.count, rows))
        return _together(found)


def fit(net: nn.Module, pictures: Callable[[int], Tensor]) -> tuple[int, int | None]:
    """Makes ``net`` take any number of pictures. Returns the smallest and largest number that it takes by itself.

    pictures: a number → that many pictures, (n, c, h, w). A network that takes no number is not changed; later checks
    of its output report the error.
    """
    if isinstance(net.forward, Batches):
        return net.forward.least, net.forward.most

    def goes(count: int) -> bool | None:
        """None if the network's output is not a row of scores for each picture."""
        try:
            with torch.no_grad():
                scores = net(pictures(count))
        except (Exception, SystemExit):  # networks raise anything
            return False
        return True if isinstance(scores, Tensor) and scores.ndim == 2 and len(scores) == count else None

    one = goes(1)
    if one:
        found = (1, None) if goes(2) and not _apart(net, pictures(MANY)) else (1, 1)
    elif goes(2) and goes(3):
        found = (2, None)
    else:  # a network with another output for one picture is not tried with 64
        found = next(((n, n) for n in EXACT if goes(n)), (1, None)) if one is False else (1, None)
    limit(net, *found)
    return found


def _apart(net: nn.Module, x: Tensor) -> bool:
    """Whether the network splits this batch itself, or does not accept it. Its layers are then read one by one."""
    rows: dict[nn.Module, list[int]] = {}

    def count(module, inputs, output):
        rows.setdefault(module, []).append(len(output) if isinstance(output, Tensor) and output.ndim else 0)

    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            net(x)
    except (Exception, SystemExit):  # it takes smaller batches
        return True
    finally:
        for handle in handles:
            handle.remove()
    return any(len(seen) > 1 and sum(seen) == len(x) for seen in rows.values())


def limit(net: nn.Module, least: int, most: int | None) -> None:
    """Makes ``net`` take batches of any size, if it takes ``least`` to ``most`` pictures by itself."""
    if (least, most) != (1, None) and not isinstance(net.forward, Batches):
        net.forward = Batches(net.forward, least, most)


def _together(found: list[tuple]):
    """Joins the outputs of the parts, (output, pictures that count, pictures) each, in the same structure.

    For tensors with a row per picture it joins the rows that count; everything else is the first part's.
    """
    flat = [tree_flatten(output) for output, _, _ in found]
    first, structure = flat[0]
    joined = list(first)
    for i, leaf in enumerate(first):
        if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == found[0][2]:
            joined[i] = torch.cat([leaves[i][:count] for (leaves, _), (_, count, _) in zip(flat, found, strict=True)])
    return tree_unflatten(joined, structure)

"""Networks that take only some numbers of pictures at a time: one alone, at least two, or always eight.

``x.squeeze()`` loses a batch of one, ``assert len(x) == 1`` allows no other, ``x.view(8, -1)`` wants eight, and
``[self.one(picture) for picture in x.split(1)]`` sends one at a time through its layers. Such a
network's forward pass is done in parts of a size that it takes, the last one filled up with copies of its last picture.
Who calls it need not know. Who reads its modules does so by :func:`cnnviz.network.hooks.hook`, which puts the parts
together.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

MANY = 8  # pictures: what a network does with them tells what it does with a batch
EXACT = (8, 4, 16, 32, 64, 5, 6, 10, 12, 20)  # numbers of pictures that a network may be made for


class Enough(Exception):
    """Raised by a hook in a part that is not the last one: all that is asked of this part has been seen."""


class Batches:
    """A forward pass in parts of ``least`` to ``most`` pictures (None: any number).

    While it runs: ``at``, (number of the pass, number of the part); ``count``, the pictures of the part that are no
    copies; ``last``, whether the part is the last one.
    """

    def __init__(self, forward: Callable, least: int, most: int | None):
        self.forward = self.__wrapped__ = forward  # whoever asks for its arguments is told forward's
        self.least, self.most = least, most
        self.at, self.count, self.last = (0, 0), 0, True

    def __call__(self, *inputs, **more):
        """What is given may be several tensors: those with as many rows as the first go into the parts."""
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
    """Make ``net`` take any number of pictures, where it takes some numbers only: those that it does, least and most.

    pictures: a number → so many of them, (n, c, h, w). A network that takes no number stays as it is; whoever looks at
    its output says what is wrong.
    """
    if isinstance(net.forward, Batches):
        return net.forward.least, net.forward.most

    def goes(count: int) -> bool | None:
        """None where the network put out something else than a row of scores for each picture."""
        try:
            with torch.no_grad():
                scores = net(pictures(count))
        except (Exception, SystemExit):  # whatever a network raises
            return False
        return True if isinstance(scores, Tensor) and scores.ndim == 2 and len(scores) == count else None

    one = goes(1)
    if one:
        found = (1, None) if goes(2) and not _apart(net, pictures(MANY)) else (1, 1)
    elif goes(2) and goes(3):
        found = (2, None)
    else:  # what puts out something else for one picture is not asked for 64
        found = next(((n, n) for n in EXACT if goes(n)), (1, None)) if one is False else (1, None)
    limit(net, *found)
    return found


def _apart(net: nn.Module, x: Tensor) -> bool:
    """Does the network take so many pictures apart itself, or not take them? Its layers are then read one by one."""
    rows: dict[nn.Module, list[int]] = {}

    def count(module, inputs, output):
        rows.setdefault(module, []).append(len(output) if isinstance(output, Tensor) and output.ndim else 0)

    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            net(x)
    except (Exception, SystemExit):  # it takes fewer
        return True
    finally:
        for handle in handles:
            handle.remove()
    return any(len(seen) > 1 and sum(seen) == len(x) for seen in rows.values())


def limit(net: nn.Module, least: int, most: int | None) -> None:
    """Make ``net`` take batches of any size, where it takes ``least`` to ``most`` pictures by itself."""
    if (least, most) != (1, None) and not isinstance(net.forward, Batches):
        net.forward = Batches(net.forward, least, most)


def _together(found: list[tuple]):
    """What the parts gave, (output, pictures that count, pictures) each, as one output of the same structure.

    Of tensors with a row for each picture the rows that count, one part after the other; all else is the first part's.
    """
    flat = [tree_flatten(output) for output, _, _ in found]
    first, structure = flat[0]
    joined = list(first)
    for i, leaf in enumerate(first):
        if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == found[0][2]:
            joined[i] = torch.cat([leaves[i][:count] for (leaves, _), (_, count, _) in zip(flat, found, strict=True)])
    return tree_unflatten(joined, structure)

"""Networks that take only some numbers of pictures at a time: one alone, at least two, or always eight.

``x.squeeze()`` loses a batch of one, ``assert len(x) == 1`` allows no other, ``x.view(8, -1)`` wants eight. Such a
network's forward pass is done in parts of a size that it takes, the last one filled up with copies of its last picture.
Who calls it need not know. Who reads its modules does so by :func:`cnnviz.trace.hook`, which puts the parts together.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

EXACT = (4, 8, 16, 32, 64, 5, 6, 10, 12, 20)  # numbers of pictures that a network may be made for


class Batches:
    """A forward pass in parts of ``least`` to ``most`` pictures (None: any number).

    While it runs: ``at``, (number of the pass, number of the part); ``count``, the pictures of the part that are no
    copies; ``last``, whether the part is the last one.
    """

    def __init__(self, forward: Callable, least: int, most: int | None):
        self.forward, self.least, self.most = forward, least, most
        self.at, self.count, self.last = (0, 0), 0, True

    def __call__(self, *inputs, **more):
        """The picture may come by place or by keyword; what else is given goes into each part."""
        if inputs:
            run, x = lambda part: self.forward(part, *inputs[1:], **more), inputs[0]
        else:
            name = next(name for name, value in more.items() if isinstance(value, Tensor))
            run, x = lambda part: self.forward(**more | {name: part}), more[name]
        parts = x.split(self.most or max(1, len(x)))
        found = []
        for number, part in enumerate(parts):
            self.at, self.count = (self.at[0] + (number == 0), number), len(part)
            self.last = number == len(parts) - 1
            missing = max(0, self.least - len(part))
            if missing:
                part = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])])
            found.append((run(part), self.count, len(part)))
        return _together(found)


def fit(net: nn.Module, pictures: Callable[[int], Tensor]) -> tuple[int, int | None]:
    """Make ``net`` take any number of pictures, where it takes some numbers only: those that it does, least and most.

    pictures: a number → so many of them, (n, c, h, w). A network that takes no number stays as it is; whoever looks at
    its output says what is wrong.
    """
    if isinstance(net.forward, Batches):
        return net.forward.least, net.forward.most

    def goes(count: int) -> bool:
        with contextlib.suppress(Exception), torch.no_grad():  # whatever a network raises
            scores = net(pictures(count))
            return isinstance(scores, Tensor) and scores.ndim == 2 and len(scores) == count
        return False

    if goes(1):
        found = (1, None) if goes(2) else (1, 1)
    elif goes(2) and goes(3):
        found = (2, None)
    else:
        found = next(((count, count) for count in EXACT if goes(count)), (1, None))
    limit(net, *found)
    return found


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

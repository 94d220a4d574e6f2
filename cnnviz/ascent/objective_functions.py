"""Objectives of gradient ascent: values with ``+``, ``-`` and ``*``, one number per picture, to be maximised.

An :class:`Objective` states which modules it reads and how their outputs become one number per picture. Every picture
of a batch has its own target, and its number depends on no other picture. So the gradient of the sum over the batch is
each picture's own gradient. An example for a batch of two is ``logit([3, 7]) + 0.5 * unit("conv5", [0, 1])``.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize, softplus

from cnnviz.network.hooks import capture, forward
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model

OUTPUT = ""  # the network itself, as a dotted module name


@dataclass(frozen=True)
class Objective:
    """modules: dotted names of the modules it reads. value: outputs (maps or vectors) by module name → (n,) numbers."""

    modules: tuple[str, ...]
    value: Callable[[Mapping[str, Tensor]], Tensor]

    def __add__(self, other: "Objective") -> "Objective":
        return Objective(self.modules + other.modules, lambda read: self.value(read) + other.value(read))

    def __mul__(self, factor: "float | Tensor") -> "Objective":
        """factor: a number, or one per picture, (n,)."""
        return Objective(self.modules, lambda read: self.value(read) * factor)

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return self * -1.0

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -other


def logit(classes: Sequence[int]) -> Objective:
    """The class score before the softmax (Simonyan et al. 2014). ``classes``: an output for each picture."""
    return Objective((OUTPUT,), lambda read: _pick(read[OUTPUT], classes))


def probability(model: Model, classes: Sequence[int]) -> Objective:
    """The log of the class's probability. Its gradient is that of the probability, divided by the probability.

    The probability itself is flat near 0, so only its log can be ascended from noise.
    """

    def value(read: Mapping[str, Tensor]) -> Tensor:
        scores = read[OUTPUT]
        return _pick(scores.log_softmax(1) if model.kind == "softmax" else logsigmoid(scores), classes)

    return Objective((OUTPUT,), value)


def reach(objective: Objective, target: float) -> Objective:
    """-log(1 + e^(target - value)): saturates when the value exceeds ``target``.

    target: for example the score of real pictures. An ascent to three times that score exaggerates what it draws. If it
    stops there, the penalties determine the rest of the picture.
    """
    return Objective(objective.modules, lambda read: -softplus(target - objective.value(read)))


def unit(module: str, units: Sequence[int], share: float = 1.0) -> Objective:
    """The mean over all positions of one unit per picture, of the output of ``module``, before the ReLU that follows.

    share: share of the positions, those with the largest values. What activates a unit at one position often inhibits
    it beside it. So the picture with the largest mean over all positions may have no large single value.
    """

    def value(read: Mapping[str, Tensor]) -> Tensor:
        values = _pick(read[module], units).reshape(len(units), -1)
        count = max(1, round(share * values.shape[1]))
        return (values if count == values.shape[1] else values.topk(count, 1).values).mean(1)

    return Objective((module,), value)


# Names of autograd's nodes.
_RELUS = {"Relu", "Hardtanh", "ClampMin", "Threshold"}
_LOOKED_THROUGH = {
    "Clone", "Alias", "View", "UnsafeView", "Permute", "Transpose", "Cat", "MaxPool2DWithIndices", "AvgPool2D",
}  # fmt: skip
# The input at which each function is lowest: below it, a larger input gives no larger output.
_LOWEST = {"Hardswish": -1.5, "Silu": -1.2785, "Gelu": -0.7518, "Mish": -1.1924, "Hardsigmoid": -3.0}


def past_relus(objective: Objective) -> Objective:
    """The same value, but the ReLUs that made what it reads pass every gradient unchanged.

    That is the gradient of the value before them. So a unit that is inactive can be ascended, too. Joining, pooling and
    reshaping after the ReLUs are allowed. Without a ReLU nothing changes.
    """

    def value(read: Mapping[str, Tensor]) -> Tensor:
        for node in _relus(read, objective.modules, _LOOKED_THROUGH.__contains__):
            node.register_hook(lambda sent, came: (came[0], *sent[1:]))
        return objective.value(read)

    return Objective(objective.modules, value)


def waking(objective: Objective) -> Objective:
    """The same value, but a ReLU anywhere before it that blocks the whole gradient of a picture passes all of it.

    A unit of a depthwise convolution, for example, reads one unit. Where the ReLU of that one is inactive everywhere,
    the picture has no gradient and would stay as it is. Olah et al.'s code redirects gradients in the same case, in its
    first steps. Hard-swish and its like fall before they rise: far below 0 they have no gradient, and then one that
    leads further down. Where a picture's whole gradient meets such values, it is passed, too. The gradient of any other
    picture stays the same, bit by bit.
    """

    def passed(sent: tuple, came: tuple, asleep: Tensor | None) -> tuple:
        if sent[0] is None:
            return sent
        rising = sent[0] if asleep is None else came[0].masked_fill(asleep, 0)
        # of each picture; `any` takes ten times as long
        blocked = rising.abs().amax(tuple(range(1, rising.ndim)), keepdim=True) == 0
        return (torch.where(blocked, came[0], sent[0]), *sent[1:]) if blocked.any() else sent

    def value(read: Mapping[str, Tensor]) -> Tensor:
        for node in _relus(read, objective.modules, lambda kind: True, _RELUS | _LOWEST.keys()):
            lowest = _LOWEST.get(_kind(node))
            asleep = None if lowest is None else node._saved_self.detach() <= lowest
            node.register_hook(partial(passed, asleep=asleep))
        return objective.value(read)

    return Objective(objective.modules, value)


def _kind(node) -> str:
    return node.name().rstrip("0123456789").removesuffix("Backward")


def _relus(
    read: Mapping[str, Tensor], modules: Sequence[str], through: Callable[[str], bool], kinds: Set[str] = _RELUS
) -> list:
    """The nodes of the nearest ReLUs, or others of these ``kinds``, behind the modules' outputs in autograd's graph.

    through: kind of a node → whether to look behind it. Behind a ReLU, too, if it takes the ReLU's own kind.
    """
    found, seen, relus = [read[module].grad_fn for module in modules], set(), []
    while found:
        node = found.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        kind = _kind(node)
        relu = kind in kinds or kind == "Clamp" and node._saved_min == 0
        if relu:
            relus.append(node)
        if through(kind):
            found += [before for before, _ in node.next_functions]
    return relus


def neuron(module: str, units: Sequence[int]) -> Objective:
    """The unit's neuron in the centre of its feature map, (height // 2, width // 2), one unit per picture."""

    def value(read: Mapping[str, Tensor]) -> Tensor:
        maps = _pick(read[module], units)
        return maps[:, maps.shape[1] // 2, maps.shape[2] // 2]

    return Objective((module,), value)


def layer(module: str, as_seen: Callable[[Tensor], Tensor] = torch.relu) -> Objective:
    """The mean over units and positions of f², f = ``as_seen(output of module)``.

    It is DeepDream's objective (Mordvintsev et al. 2015), which sums instead; normalised steps are the same with
    either.
    """
    return Objective((module,), lambda read: as_seen(read[module]).square().flatten(1).mean(1))


def diversity(module: str, group: Sequence[int], statistic: Callable[[Tensor], Tensor] | None = None) -> Objective:
    """-mean over the others of the same ``group`` of cos(G_i, G_j), with G of ``statistic``, by default :func:`gram`.

    group: a number for each picture. This is the only objective in which pictures of a batch depend on each other (Olah
    et al. 2017). A picture alone in its group gets 0.
    """

    def value(read: Mapping[str, Tensor]) -> Tensor:
        grams = normalize((statistic or gram)(read[module]).flatten(1), dim=1)
        numbers = torch.as_tensor(group, device=grams.device)
        others = (numbers[:, None] == numbers[None]) & ~torch.eye(len(grams), dtype=torch.bool, device=grams.device)
        return -(grams @ grams.T * others).sum(1) / others.sum(1).clamp(min=1)

    return Objective((module,), value)


def match(
    module: str, target: Tensor, as_seen: Callable[[Tensor], Tensor] = torch.relu, unit: Tensor | None = None
) -> Objective:
    """-‖a - t‖² / ‖t‖² of each picture, a = ``as_seen(output of module)``: 0 is a perfect match, a = 0 gives -1.

    target: t, (n, …), or (1, …) for all. ``as_seen=torch.relu`` matches features, :func:`gram` matches texture. unit:
    the squared distance that gives -1 instead of ‖t‖², (n,) or (1,) float64.
    """
    # Values are scaled only if their squares overflow, so that all others keep every bit.
    scale = 1.0 if target.square().sum().isfinite() else float(target.abs().max())
    target = target / scale
    norm = target.flatten(1).square().sum(1) if unit is None else (unit / scale**2).to(target)

    def value(read: Mapping[str, Tensor]) -> Tensor:
        return -(as_seen(read[module]) / scale - target).flatten(1).square().sum(1) / norm

    return Objective((module,), value)


def gram(output: Tensor) -> Tensor:
    """G_ij = Σ_x F_i(x) F_j(x) / (h w) of rectified feature maps F = ReLU(output): (n, c, h, w) → (n, c, c).

    It is the mean over positions. So pictures of different sizes can be compared, and positions do not matter. Gatys et
    al. 2015 sum instead, and divide their loss by 4 N² M²; a relative error is the same with either.
    """
    maps = torch.relu(output).flatten(2)
    return maps @ maps.transpose(1, 2) / maps.shape[2]


def means(output: Tensor) -> Tensor:
    """The mean over positions of each rectified feature map: (n, c, h, w) → (n, c)."""
    return torch.relu(output).flatten(2).mean(2)


def covariance(output: Tensor) -> Tensor:
    """The covariance of rectified feature maps over positions: (n, c, h, w) → (n, c, c).

    It is :func:`gram` without the product of the means, which is most of a Gram matrix, since no feature is negative.
    """
    maps = torch.relu(output).flatten(2)
    maps = maps - maps.mean(2, keepdim=True)
    return maps @ maps.transpose(1, 2) / maps.shape[2]


def read(model: Model, pictures: Tensor, modules: Sequence[str]) -> dict[str, Tensor]:
    """Outputs of ``modules`` for ``pictures`` in [0, 1], without gradients, for use as targets."""
    with torch.no_grad(), capture(model.net, model.maps_of(modules), stop=True) as captured:
        return dict(forward(model.net, model.normalise(pictures), captured))


def tried(model: Model, pictures: Tensor, modules: Sequence[str]) -> dict[str, Tensor] | None:
    """:func:`read`, or None if the network takes no pictures of this size."""
    try:
        return read(model, pictures, modules)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # networks raise anything for a wrong input size: a vision transformer asserts
        return None


def takes(model: Model, size: tuple[int, int], layer: Layer | None = None) -> bool:
    """Whether the network computes its scores, or the layer its units, for pictures of this size."""
    module, units = (layer.module, layer.units) if layer else (OUTPUT, len(model.classes))
    found = tried(model, torch.zeros(1, model.channels, *size, device=model.device), [module])
    return found is not None and found[module].shape[1] == units


def _pick(output: Tensor, channels: Sequence[int]) -> Tensor:
    """Each picture's own channel: (n, c, …) → (n, …)."""
    if len(output) != len(channels):
        raise ValueError(f"{len(channels)} targets for {len(output)} pictures")
    return output[torch.arange(len(output), device=output.device), torch.as_tensor(channels, device=output.device)]

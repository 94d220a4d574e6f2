"""Runs a few pictures through a network before anything else, to learn how it can be used.

The predictions do not matter here, only how the network takes pictures: batch sizes, memory formats and input sizes;
whether its scores are deterministic, and independent of the other pictures of the batch; and whether they have a
gradient. The pictures are noise and a ramp of grey, always the same ones. Changes of the network (running statistics,
counters) and of random generators are undone.

The result is ``trial`` in network.json:

batch: [smallest, largest] batch size, largest null for any size; see :mod:`cnnviz.network.batches`.

channels_last: whether it accepts that memory format, in which CPUs are faster, and gives the same scores.

step: its input's sides may be other multiples of this number of pixels; 0: it accepted no size but its own.

gradients: "", or why the scores have no gradient with respect to the picture, in words.

no_gradient: names of the layers whose values have none either.

answers: sentences about scores that are not deterministic, or depend on the other pictures of a batch.

not_finite: outputs whose scores are not finite for any of the trial's pictures.
"""

import contextlib
import math
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.errors import UserError, in_a_line
from cnnviz.network import batches
from cnnviz.network.hooks import capture
from cnnviz.network.layers import Call, Layer, watched

Feed = Callable[[Tensor], Tensor]  # pictures in [0, 1], (n, c, h, w) → network input

STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32)
SMALLER = 0.55  # other sizes are tried at this share of the network's own
TRIES = 10  # passes of a network that draws random numbers, or reads the system's or the clock
FEW = 3  # passes of any other
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
CHANCE = re.compile(  # functions of Python and torch with varying results
    "urandom|getrandbits|(time|monotonic|perf_counter)(_ns)?|now|seed|random_?|rand(n|int)?(_like)?|randperm|multinomial|"
    "poisson|(normal|bernoulli)_?|(uniform|exponential|geometric|log_normal|cauchy)_"
)
SAME = 1e-4  # largest relative difference of equal scores
FLAT = 0.01  # smallest assumed spread of scores, relative to their size, since float32 rounds by a millionth
ALIKE = 0.03  # the same for the effect of a batch: bfloat16 kernels differ by nearly as much
NOT_TWICE = (
    "The network does not give the same picture the same scores twice: they differ {}. Something in forward() "
    "is random, such as dropout that is not turned off, noise or a random crop, or depends on a counter or the clock. "
    "What is shown here is one of many possible results."
)
NOT_ALONE = (
    "The scores of a picture depend on the other pictures in its batch: beside another one they differ {}. This "
    "happens if batch normalisation uses the mean and variance of the batch. What is shown here depends on which "
    "pictures were scored together."
)
NO_GRADIENT = (
    "The class scores of this network have no gradient with respect to the picture: {}. torch.no_grad(), "
    "torch.inference_mode(), detach(), argmax() or rounding in forward() can be the reason."
)
FAILS = "This network has no gradients: its forward() fails when they are recorded ({})."
THREADS = (
    "the network calls its layers in several threads (such as ThreadPoolExecutor), where they cannot be observed. Call "
    "them one after the other in its forward()"
)


def pictures(count: int, channels: int, size: tuple[int, int]) -> Tensor:
    """The trial's pictures in [0, 1], (count, channels, *size): noise, a ramp of grey, and more noise."""
    generator = torch.Generator().manual_seed(0)
    made = torch.stack([torch.rand(channels, *size, generator=generator) for _ in range(count)])
    if count > 1:
        down, right = (torch.linspace(0, 0.5, side) for side in size)
        made[1] = down[:, None] + right
    return made


@contextlib.contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Restores afterwards what forward passes change: buffers of the network, and states of random generators."""
    kept = [(buffer, buffer.clone()) for buffer in net.buffers()]
    numbers, state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(state)
            with torch.no_grad():
                for buffer, before in kept:
                    buffer.copy_(before)


def by_picture(
    net: nn.Module, feed: Feed, channels: int, size: tuple[int, int], calls: dict[str, Call], where: str
) -> dict[str, Call]:
    """The calls of modules that give a row for each picture: not one for each part of it, and nothing inside vmap().

    ``net`` then takes any number of pictures. Raises UserError if a module is called in its own thread: threads run in
    any order, and a replaced operation, such as a ReLU, is replaced in one thread only.
    """
    least, most = batches.fit(net, lambda count: feed(pictures(count, channels, size)).contiguous())
    rows = max(least, min(batches.MANY, most or batches.MANY))  # rows of a module for many pictures
    of_many, _ = watched(net, feed(pictures(batches.MANY, channels, size)).contiguous())
    if any(call.aside for call in (*calls.values(), *of_many.values())):
        raise UserError(f"{where}: {THREADS}")
    other = {name for name, call in of_many.items() if name and call.output[:1] != (rows,)}
    return {name: call for name, call in calls.items() if name not in other}


def tried(net: nn.Module, feed: Feed, channels: int, size: tuple[int, int], layers: Sequence[Layer]) -> dict:
    """The dict in the module's docstring. layers: all named layers. Call :func:`by_picture` before."""
    batch = (net.forward.least, net.forward.most) if isinstance(net.forward, batches.Batches) else (1, None)
    with torch.no_grad():
        x = feed(pictures(2, channels, size)).contiguous()
        scores, one = net(x), net(x[:1])
        channels_last = _takes_channels_last(net, x, scores)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        reason, without = _gradients(net, x, scores, layers)
        return {
            "batch": list(batch),
            "channels_last": channels_last,
            "step": _step(net, feed, channels, size, scores.shape[1]),
            "gradients": reason,
            "no_gradient": without,
            "answers": _answers(net, x, scores, one),
            "not_finite": (~scores.isfinite().any(0)).nonzero().flatten().tolist(),
        }


@torch.no_grad()
def scores_layer(
    net: nn.Module, feed: Feed, channels: int, size: tuple[int, int], layers: Sequence[Layer], outputs: int
) -> str:
    """Name of the last layer whose units are the outputs: a unit's mean over positions is that output's score; or "".

    A ReLU may lie between. What all outputs of a picture share does not count, since probabilities give scores less a
    number of that kind. So a single output is nobody's score here. layers: all named layers. outputs: number of scores.
    Call :func:`by_picture` before.
    """
    candidates = [layer for layer in layers if layer.units == outputs > 1]
    if not candidates:
        return ""
    x = feed(pictures(2, channels, size)).contiguous()
    with capture(net, {layer.module: layer.maps for layer in candidates}) as captured:
        scores = net(x)
    scores = scores - scores.mean(1, keepdim=True)
    for layer in reversed(candidates):
        if layer.module not in captured:
            continue
        for maps in (captured[layer.module], captured[layer.module].relu()):
            means = maps.mean((2, 3))
            if difference(means - means.mean(1, keepdim=True), scores) <= SAME:
                return layer.name
    return ""


def _takes_channels_last(net: nn.Module, x: Tensor, scores: Tensor) -> bool:
    """Tested with two pictures, and with one with gradients: convolutions choose their output's format by that."""
    z = x.contiguous(memory_format=torch.channels_last)
    with contextlib.suppress(Exception):  # view() fails on memory that is not contiguous
        with torch.enable_grad():
            one = net(z[:1].clone().requires_grad_()).detach()
        return max(difference(net(z), scores), difference(one, scores[:1])) <= SAME
    return False


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference of scores a and b (n, classes), relative to the spread of those of b.

    Scores that are infinite or NaN in both do not count. The spread is at least ``FLAT`` of the scores' size.
    """
    finite = b.isfinite()
    if a.shape != b.shape or not torch.equal(a.isfinite(), finite):
        return math.inf
    if not finite.any():
        return 0.0
    a, b = a[finite], b[finite]
    apart = max((b - b.mean()).abs().max(), FLAT * b.abs().max())
    return float((a - b).abs().max() / apart) if apart else math.inf if (a != b).any() else 0.0


def _up_to(off: float) -> str:
    """A difference in words, for NOT_TWICE and NOT_ALONE."""
    if off == math.inf:
        return "in which of them are finite numbers"
    return f"by up to {off:.0%}" if off >= 0.01 else "by less than 1%"


def _answers(net: nn.Module, x: Tensor, scores: Tensor, one: Tensor) -> list[str]:
    """Sentences about scores that differ: those of pictures x (2, c, h, w), repeated, and of the first picture alone.

    An effect in half of the passes is missed 1 time in 2000 if its numbers are drawn as :func:`_chance` detects, else 1
    time in 16; rarer effects are missed more often.
    """
    before = _generators()
    with _chance(net) as asked:
        off = difference(net(x), scores)
    drawn = asked or _generators() != before
    off = max([off, *(difference(net(x), scores) for _ in range(TRIES if drawn else FEW))])
    if off > SAME:
        return [NOT_TWICE.format(_up_to(off))]
    off = difference(one, scores[:1])
    return [NOT_ALONE.format(_up_to(off))] if off > ALIKE else []


@contextlib.contextmanager
def _chance(net: nn.Module) -> Iterator[list[str]]:
    """Sources of random numbers: generators among the network's attributes, and calls of ``CHANCE`` while it runs.

    Calls of numpy's generators are not detected.
    """
    asked = [name for module in net.modules() for name, value in vars(module).items() if isinstance(value, GENERATORS)]

    def note(frame, event: str, called) -> None:
        if event == "c_call" and CHANCE.fullmatch(getattr(called, "__name__", "")):
            asked.append(called.__name__)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield asked
    finally:
        sys.setprofile(before)


def _generators() -> tuple:
    numbers = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), numbers[1].tobytes(), numbers[2], random.getstate()


def _gradients(net: nn.Module, x: Tensor, scores: Tensor, layers: Sequence[Layer]) -> tuple[str, list[str]]:
    """Why the scores have no gradient with respect to a picture, or ""; and the layers without a gradient."""
    x = x[:1].detach().clone().requires_grad_()
    everywhere = [layer.name for layer in layers]
    with torch.enable_grad(), capture(net, [layer.module for layer in layers]) as captured:
        try:
            own = net(x)
        except Exception as error:  # networks raise anything when gradients are computed
            return FAILS.format(in_a_line(error)), everywhere
        values = {layer.name: captured[layer.module] for layer in layers if layer.module in captured}
        reached = [name for name, value in values.items() if value.requires_grad]
        why = _why_none(net, own, x, scores, reached)
        if why:
            return NO_GRADIENT.format(why), [
                name for name in everywhere if name not in reached or not _moves(values[name], x)
            ]
        return "", [name for name in everywhere if name not in reached]


def _why_none(net: nn.Module, own: Tensor, x: Tensor, scores: Tensor, reached: Sequence[str]) -> str:
    """Why the scores ``own`` of x have no gradient, "" if they have one. reached: layers whose values may have one."""
    ends = f"gradients end after {reached[-1]}" if reached else "gradients end before the first layer"
    if not own.requires_grad:
        return ends
    try:
        slope = _slope(own, x)
    except Exception as error:
        return f"they cannot be computed ({in_a_line(error)})"
    if slope is None:
        return ends
    if not slope.isfinite().all():
        return "they are no finite numbers"
    if slope.any() or torch.equal(scores[0], scores[-1]) or _elsewhere(net, x):
        return ""
    return "they are 0 everywhere"


def _slope(values: Tensor, x: Tensor) -> Tensor | None:
    """The gradient of a weighted sum of the values with respect to x; None if they do not depend on it."""
    weights = torch.rand(values.shape, generator=torch.Generator().manual_seed(0)).to(values)
    return torch.autograd.grad((values * weights).sum(), x, retain_graph=True, allow_unused=True)[0]


def _moves(values: Tensor, x: Tensor) -> bool:
    with contextlib.suppress(Exception):
        slope = _slope(values, x)
        return slope is not None and bool(slope.any() and slope.isfinite().all())
    return False


def _elsewhere(net: nn.Module, x: Tensor) -> bool:
    """Whether weaker pictures have a gradient: with saturated scores it may be rounded to 0."""
    for share in (0.1, 0.01):
        weaker = (share * x.detach()).requires_grad_()
        if _moves(net(weaker), weaker):
            return True
    return False


def _step(net: nn.Module, feed: Feed, channels: int, size: tuple[int, int], classes: int) -> int:
    """The smallest of STEPS by which pictures may be smaller: four consecutive multiples of it must give scores.

    One alone is not enough: if sides must be odd, or a multiple of 4 plus 1, it may fit by chance.
    """
    for step in STEPS:
        if any(side % step for side in size):
            continue
        least = [max(1, round(SMALLER * side / step) - 1) for side in size]
        sizes = [tuple(step * (n + i) for n in least) for i in range(4)]
        sizes = [smaller for smaller in sizes if all(a <= b for a, b in zip(smaller, size, strict=True))]
        if tuple(size) in sizes[:2]:
            break
        with contextlib.suppress(Exception):
            if all(net(feed(pictures(1, channels, s)).contiguous()).shape == (1, classes) for s in sizes):
                return step
    return 0

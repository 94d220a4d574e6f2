"""A few pictures sent through a network before anything else, to learn what may be asked of it.

Not what a network says of pictures is of interest here, but how it takes them: how many at a time, in which layout of
memory and of which sizes; whether its scores are the same each time, and the same alone as beside other pictures; and
whether they have a gradient. The pictures are noise and a ramp of grey, always the same ones. What they change in the
network (running statistics, counters) and in the state of random generators is put back.

What was found is ``trial`` in network.json:
batch: [least, most] pictures at a time, most null where any number goes; see :mod:`cnnviz.network.batches`.
channels_last: whether it takes that layout of memory, in which CPUs are faster, and gives the same scores.
step: its input's sides may be other multiples of so many pixels; 0: no size but its own was taken.
gradients: "", or why the scores have no gradient with respect to the picture, in words.
no_gradient: names of the layers whose values have none either.
answers: sentences about scores that are not the same each time, or depend on the other pictures of a batch.
not_finite: outputs whose scores are finite numbers for none of the trial's pictures.
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

Feed = Callable[[Tensor], Tensor]  # pictures in [0, 1], (n, c, h, w) → what the network takes

STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32)
SMALLER = 0.55  # of the own size: where other sizes are tried
TRIES = 10  # of a network that draws random numbers, or asks the system or the clock for some
FEW = 3  # of any other
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
CHANCE = re.compile(  # functions of Python and torch that give another number each time
    "urandom|getrandbits|(time|monotonic|perf_counter)(_ns)?|now|seed|random_?|rand(n|int)?(_like)?|randperm|multinomial|"
    "poisson|(normal|bernoulli)_?|(uniform|exponential|geometric|log_normal|cauchy)_"
)
SAME = 1e-4  # relative difference of scores that the same numbers may have
FLAT = 0.01  # of the scores' own size: the least that they are taken to lie apart, as float32 rounds by a millionth
ALIKE = 0.03  # … and that a batch may make: kernels of bfloat16 differ by nearly as much
NOT_TWICE = (
    "The network does not give the same picture the same scores twice: they differ {}. Something random is at work "
    "in forward(), such as dropout that is not turned off, noise or a random crop, or else a counter or the clock. "
    "What is shown here is one of many answers."
)
NOT_ALONE = (
    "The scores of a picture depend on the other pictures in its batch: beside another one they differ {}. So it is "
    "where batch normalisation takes the mean and variance of the batch. What is shown here depends on which pictures "
    "were scored together."
)
NO_GRADIENT = (
    "The class scores of this network have no gradient with respect to the picture: {}. torch.no_grad(), "
    "torch.inference_mode(), detach(), argmax() or rounding in forward() do that."
)
FAILS = "This network cannot be asked for gradients: its forward() fails where they are recorded ({})."
THREADS = (
    "the network calls its layers in several threads (ThreadPoolExecutor, say), in which they cannot be watched. Call "
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
    """Put back afterwards what forward passes change: buffers of the network, and where random generators stand."""
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

    ``net`` then takes any number of pictures. Raises UserError where a module is called in a thread of its own: several
    run in any order, and what stands in for an operation, such as a ReLU, does so in one thread only.
    """
    least, most = batches.fit(net, lambda count: feed(pictures(count, channels, size)).contiguous())
    rows = max(least, min(batches.MANY, most or batches.MANY))  # that a module sees of many pictures
    of_many, _ = watched(net, feed(pictures(batches.MANY, channels, size)).contiguous())
    if any(call.aside for call in (*calls.values(), *of_many.values())):
        raise UserError(f"{where}: {THREADS}")
    other = {name for name, call in of_many.items() if name and call.output[:1] != (rows,)}
    return {name: call for name, call in calls.items() if name not in other}


def tried(net: nn.Module, feed: Feed, channels: int, size: tuple[int, int], layers: Sequence[Layer]) -> dict:
    """What the module's docstring lists. layers: all that have a name. Call :func:`by_picture` before."""
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


def _takes_channels_last(net: nn.Module, x: Tensor, scores: Tensor) -> bool:
    """Asked of two pictures, and of one with gradients: convolutions choose the layout of what they put out by that."""
    z = x.contiguous(memory_format=torch.channels_last)
    with contextlib.suppress(Exception):  # view() on memory that is not contiguous
        with torch.enable_grad():
            one = net(z[:1].clone().requires_grad_()).detach()
        return max(difference(net(z), scores), difference(one, scores[:1])) <= SAME
    return False


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference of scores a and b (n, classes), as a share of how far those of b lie apart.

    Scores that are infinite or NaN in both do not count. Those nearly all the same lie ``FLAT`` of their size apart.
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
    """What is to be said of scores that differ: those of pictures x (2, c, h, w), once more, and of the first alone.

    What acts in half of the passes is missed 1 time in 2000 where its numbers are drawn or asked for as
    :func:`_chance` sees, else 1 time in 16; what acts less often, more often.
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
    """What asks for a number: generators among the network's attributes, and calls of ``CHANCE`` while it runs.

    numpy's generators are not seen when called.
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
    """Why the scores have no gradient with respect to a picture, "" where they have; and the layers that have none."""
    x = x[:1].detach().clone().requires_grad_()
    everywhere = [layer.name for layer in layers]
    with torch.enable_grad(), capture(net, [layer.module for layer in layers]) as captured:
        try:
            own = net(x)
        except Exception as error:  # whatever a network raises when gradients are asked for
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
    """Why the scores ``own`` of x have no gradient, "" where they have. reached: layers whose values may have one."""
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
    """The gradient of some sum of the values with respect to x; None where they do not depend on it."""
    weights = torch.rand(values.shape, generator=torch.Generator().manual_seed(0)).to(values)
    return torch.autograd.grad((values * weights).sum(), x, retain_graph=True, allow_unused=True)[0]


def _moves(values: Tensor, x: Tensor) -> bool:
    with contextlib.suppress(Exception):
        slope = _slope(values, x)
        return slope is not None and bool(slope.any() and slope.isfinite().all())
    return False


def _elsewhere(net: nn.Module, x: Tensor) -> bool:
    """Whether weaker pictures have a gradient: where the scores are saturated, it may be 0 by rounding."""
    for share in (0.1, 0.01):
        weaker = (share * x.detach()).requires_grad_()
        if _moves(net(weaker), weaker):
            return True
    return False


def _step(net: nn.Module, feed: Feed, channels: int, size: tuple[int, int], classes: int) -> int:
    """The smallest of STEPS by which pictures may be smaller: of four multiples of it in a row, each gives scores.

    One alone would not tell: where sides have to be odd, or 1 more than a multiple of 4, it may happen to fit.
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

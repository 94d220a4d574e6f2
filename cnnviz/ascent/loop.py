"""The loop of all gradient ascent: I* = argmax Σ objectives(view(I)) - Σ penalties(I), over the parametrisation.

``ascend(model, {"logit": logit([3])}, fourier(size, [seed]), steps=64, optimiser=adam(0.03))`` is a class picture.
Class and unit pictures, inversion, texture, style, DeepDream and fooling images are this loop with other arguments.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from cnnviz.ascent.objective_functions import Objective
from cnnviz.ascent.parametrisations import Parametrisation
from cnnviz.ascent.regularisers import Between
from cnnviz.ascent.transforms import Transform
from cnnviz.errors import NotApplicable
from cnnviz.network.hooks import capture, forward
from cnnviz.network.loaded import Model
from cnnviz.run.progress import bar

TINY = 1e-30
NO_GRADIENT = "The objective has no gradient with respect to the picture: the network's forward() stops it."


@dataclass(frozen=True)
class Optimiser:
    """make: variable → an optimiser like torch's that treats pictures separately.

    rate: progress in [0, 1] → learning rate.
    """

    make: Callable[[Tensor], "Stepper | torch.optim.Optimizer"]
    rate: Callable[[float], float]


@dataclass(frozen=True)
class Ascent:
    """pictures: (n, 3, h, w) in [0, 1], not rounded.

    curves: name of an objective or penalty → (steps, n) values, each before its step and under that step's view.
    snapshots: step → (n, h, w, 3) uint8, the pictures after that many steps. steps: (n,) number of steps of each
    picture: all, unless it stopped earlier.
    """

    pictures: Tensor
    curves: dict[str, np.ndarray]
    snapshots: dict[int, np.ndarray]
    steps: np.ndarray


def ascend(
    model: Model,
    objectives: Mapping[str, Objective],
    start: Parametrisation,
    *,
    steps: int,
    optimiser: Optimiser,
    penalties: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    easing: float = 0.0,
    transform: Transform | None = None,
    between: Sequence[Between] = (),
    until: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    snapshots: Collection[int] = (),
    progress: str = "ascent",
) -> Ascent:
    """Ascends from ``start`` for ``steps`` steps.

    The network's weights are frozen meanwhile, and a forward pass ends at the deepest module that an objective reads.
    Penalties apply to the picture itself, objectives to its view. easing: share of the steps in which the penalties
    grow from 0 to their full weight, so that they do not suppress a weak first gradient. between: operations on the
    variable after each step, for :func:`parametrisations.pixels`, see :mod:`regularisers`. until: pictures → (n,) bool,
    called before each step. A picture for which it is true no longer changes, and the ascent ends with the last
    picture. seed: of the sequence of views, the same for every picture.
    """
    variable = start.variable.detach().clone().requires_grad_()
    made = torch.zeros(len(variable), dtype=torch.long)
    moving = torch.ones(len(variable), dtype=torch.bool, device=variable.device)
    penalties = penalties or {}
    modules = [module for objective in objectives.values() for module in objective.modules]
    stepper = optimiser.make(variable)
    generator = torch.Generator().manual_seed(seed)
    curves: dict[str, list[np.ndarray]] = {name: [] for name in (*objectives, *penalties)}
    kept = {}

    def keep(step: int) -> None:
        if step in snapshots:
            with torch.no_grad():
                kept[step] = to_bytes(start.picture(variable))

    with frozen(model.net), capture(model.net, model.maps_of(modules), stop=True) as captured:
        for step in bar(range(steps), progress):
            keep(step)
            before = variable.detach().clone() if until else None
            if until:
                with torch.no_grad():
                    moving &= ~until(start.picture(variable).clamp(0, 1))
                if not moving.any():
                    break
            made += moving.cpu()
            views = generator.get_state()
            seen: dict[str, Tensor] = {}

            def loss(step=step, views=views, seen=seen) -> Tensor:
                generator.set_state(views)  # all evaluations within a step have the same view
                picture = start.picture(variable)
                view = transform(picture, step / steps, generator) if transform else picture
                forward(model.net, _laid_out(model, model.normalise(view)), captured)
                gains = {name: objective.value(captured) for name, objective in objectives.items()}
                costs = {name: penalty(picture) for name, penalty in penalties.items()}
                for name, value in (gains | costs).items():
                    seen.setdefault(name, value.detach())
                firm = min(1.0, step / (easing * steps)) if easing else 1.0
                total = firm * sum(costs.values()) - sum(gains.values())  # one value per picture
                if not any(gain.requires_grad for gain in gains.values()):
                    raise NotApplicable(NO_GRADIENT)
                (variable.grad,) = torch.autograd.grad(total.sum(), variable)
                return total.detach()

            for group in stepper.param_groups:
                group["lr"] = optimiser.rate(step / max(steps - 1, 1))
            stepper.step(loss)
            with torch.no_grad():
                for operation in between:
                    variable.copy_(operation(variable, variable.grad, step + 1))
                if start.bounds:
                    variable.clamp_(*start.bounds)
                if until:
                    variable[~moving] = before[~moving]
            for name, value in seen.items():
                curves[name].append(value.cpu().numpy())
        keep(steps)
    with torch.no_grad():
        pictures = start.picture(variable).clamp(0, 1)
    found = {name: np.stack(values) for name, values in curves.items() if values}
    return Ascent(pictures, found, kept, made.numpy())


def adam(first: float, last: float | None = None) -> Optimiser:
    """Adam with a learning rate that falls linearly from ``first`` to ``last`` (default: constant)."""
    return Optimiser(lambda variable: _Adam(variable), _line(first, last))


def momentum(first: float, last: float | None = None, *, factor: float = 0.9) -> Optimiser:
    """Gradient ascent with momentum."""
    return Optimiser(lambda variable: _Momentum(variable, factor=factor), _line(first, last))


def normalised(first: float, last: float | None = None, *, norm: str = "mean", factor: float = 0.0) -> Optimiser:
    """Steps of rate · g / size of g, for each picture by its own gradient; size: mean |g| (DeepDream's) or "l2".

    factor: momentum, as a share of the last step.
    """
    return Optimiser(lambda variable: _Normalised(variable, norm=norm, factor=factor), _line(first, last))


def banded(first: float, last: float | None = None, *, levels: int = 4) -> Optimiser:
    """Steps of rate · b / mean |b| of (n, c, h, w) pictures; b: the gradient with equally strong bands of frequencies.

    b is the sum of the gradient's Laplacian pyramid, each level of each channel divided by its root mean square. So
    coarse structures and all colours grow as fast as fine ones, of which a network's strides make the gradient full.
    It is the gradient normalisation of Mordvintsev's DeepDream notebook (2016), here for each channel by itself.
    """
    return Optimiser(lambda variable: _Banded(variable, levels=levels), _line(first, last))


def lbfgs(history: int = 20) -> Optimiser:
    """L-BFGS without line search, one evaluation per step. The first step has the length of torch's."""
    return Optimiser(lambda variable: _LBFGS(variable, history=history), lambda progress: 1.0)


class Stepper:
    """The part of torch.optim.Optimizer that an ascent needs; that class imports torch's compiler, which takes 2 s."""

    def __init__(self, variable: Tensor, **words):
        self.variable, self.words, self.state = variable, words, {}
        self.param_groups = [{"lr": 1.0}]

    def step(self, closure: Callable[[], Tensor]) -> None:
        """closure: sets the variable's gradient and returns the loss of each picture."""
        loss = closure()
        with torch.no_grad():
            self.move(self.variable, self.variable.grad, loss, self.param_groups[0]["lr"])

    def move(self, p: Tensor, g: Tensor, loss: Tensor, rate: float) -> None:
        """Changes the variable p in place by its gradient g."""
        raise NotImplementedError


class _Adam(Stepper):
    """Kingma & Ba 2015, in the order of torch's operations."""

    def move(self, p, g, loss, rate, betas=(0.9, 0.999), eps=1e-8):
        state = self.state = self.state or {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        state["mean"].lerp_(g, 1 - betas[0])
        state["square"].mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
        first, second = (1 - beta ** state["step"] for beta in betas)
        p.addcdiv_(state["mean"], (state["square"].sqrt() / second**0.5).add_(eps), value=-rate / first)


class _Momentum(Stepper):
    def move(self, p, g, loss, rate):
        last = self.state.get("step")
        self.state["step"] = g.clone() if last is None else last.mul_(self.words["factor"]).add_(g)
        p.add_(self.state["step"], alpha=-rate)


class _Normalised(Stepper):
    def move(self, p, g, loss, rate):
        size = g.flatten(1).norm(dim=1) if self.words["norm"] == "l2" else g.flatten(1).abs().mean(1)
        size = size.clamp(min=torch.finfo(p.dtype).tiny)
        step = g / size.reshape(-1, *[1] * (p.ndim - 1))
        if self.words["factor"]:
            step = step + self.words["factor"] * self.state.get("step", 0.0)
            self.state["step"] = step
        p -= rate * step


class _Banded(Stepper):
    def move(self, p, g, loss, rate):
        tiny, bands = torch.finfo(p.dtype).tiny, []
        while len(bands) < self.words["levels"] - 1 and min(g.shape[2:]) > 1:
            coarse = avg_pool2d(g, 2, ceil_mode=True, count_include_pad=False)
            bands.append(g - _enlarged(coarse, g))
            g = coarse
        bands = [band / band.square().mean((2, 3), keepdim=True).sqrt().clamp(min=tiny) for band in (*bands, g)]
        step = bands.pop()
        while bands:
            step = _enlarged(step, bands[-1]) + bands.pop()
        p -= rate * step / step.abs().mean((1, 2, 3), keepdim=True).clamp(min=tiny)


def _enlarged(small: Tensor, like: Tensor) -> Tensor:
    return interpolate(small, size=like.shape[2:], mode="bilinear", align_corners=False)


class _LBFGS(Stepper):
    """The two-loop recursion (Nocedal & Wright 2006, algorithm 7.4) with inner products for each picture by itself.

    torch's own implementation computes them over the whole batch, which mixes its pictures. A pair with too little
    curvature is ignored. If the loss rises by more than a hundredth of the expected fall, the step is undone, the pairs
    are discarded, and a quarter of the step is tried. The reason is that a Gram error has negative curvature where a
    picture is flat, and the next full step could saturate the picture permanently.
    """

    def move(self, p, g, loss, rate):
        state, history = self.state, self.words["history"]
        x, g, loss = p.flatten(1).clone(), g.flatten(1), loss[:, None]
        if not state:
            state |= {"pairs": [], "scale": (1 / g.abs().sum(1, keepdim=True).clamp(min=TINY)).clamp(max=1)}
        else:
            s, y = x - state["x"], g - state["g"]
            failed = ~(loss - state["loss"] <= 0.01 * _dot(state["g"], s).abs())  # also true for NaN
            x, g, loss = (torch.where(failed, state[k], now) for k, now in (("x", x), ("g", g), ("loss", loss)))
            shorter = 0.25 * s.norm(dim=1, keepdim=True) / g.norm(dim=1, keepdim=True).clamp(min=TINY)
            s, y = (torch.where(failed, 0, v) for v in (s, y))
            curvature = _dot(y, s)
            bends = curvature > 1e-10
            pairs = [*state["pairs"], (s, y, torch.where(bends, 1 / curvature, 0))][-history:]
            state["pairs"] = [(s, y, torch.where(failed, 0, inverse)) for s, y, inverse in pairs]
            state["scale"] = torch.where(
                bends, curvature / _dot(y, y), torch.where(failed, shorter, 2 * state["scale"])
            )
        move, shares = -g, []
        for s, y, inverse in reversed(state["pairs"]):
            shares.append(inverse * _dot(s, move))
            move.addcmul_(shares[-1], y, value=-1)
        move *= state["scale"]
        for s, y, inverse in state["pairs"]:
            move.addcmul_(shares.pop() - inverse * _dot(y, move), s)
        state |= {"x": x, "g": g.clone(), "loss": loss}
        p.copy_((x + rate * move).view_as(p))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Dot product of each row, (n, 1)."""
    return (a * b).sum(1, keepdim=True)


def _line(first: float, last: float | None) -> Callable[[float], float]:
    last = first if last is None else last
    return lambda progress: first + (last - first) * progress


def _laid_out(model: Model, z: Tensor) -> Tensor:
    """The memory layout in which a CPU convolves and pools fastest."""
    return model.laid_out(z) if z.device.type == "cpu" else z


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Disables the gradients of weights, which are most of the backward pass; restores them afterwards."""
    trainable = [p for p in net.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


def halvings(steps: int) -> list[int]:
    """Steps after which to keep a picture: none, 1/64, 1/32 … and all of them. An ascent is fastest at its start."""
    return sorted({0, *(steps >> halved for halved in range(7))})


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(n, c, h, w) in [0, 1] → (n, h, w, c) uint8, rounded. Pictures are published and scored in this form."""
    return (pictures.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

"""The one loop: I* = argmax Σ objectives(view(I)) - Σ penalties(I), over what the parametrisation moves.

``ascend(model, {"logit": logit([3])}, fourier(size, [seed]), steps=64, optimiser=adam(0.03))`` is a class picture.
Class and unit pictures, inversion, texture, style, DeepDream and fooling are this loop with other values.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cnnviz.ascent.objectives import Objective
from cnnviz.ascent.parametrisations import Parametrisation
from cnnviz.ascent.transforms import Transform
from cnnviz.models import Model
from cnnviz.trace import capture, forward

Item, Found = TypeVar("Item"), TypeVar("Found")


@dataclass(frozen=True)
class Optimiser:
    """make: variable → a torch optimiser. rate: progress in [0, 1] → learning rate. alone: only for one picture."""

    make: Callable[[Tensor], torch.optim.Optimizer]
    rate: Callable[[float], float]
    alone: bool = False


@dataclass(frozen=True)
class Ascent:
    """pictures: (n, 3, h, w) in [0, 1], not yet rounded.

    curves: name of an objective or penalty → (steps, n) values, each before its step and under that step's view.
    snapshots: step → (n, h, w, 3) uint8, the pictures after so many steps.
    """

    pictures: Tensor
    curves: dict[str, np.ndarray]
    snapshots: dict[int, np.ndarray]


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
    seed: int = 0,
    snapshots: Collection[int] = (),
    progress: str = "ascent",
) -> Ascent:
    """Climb from ``start`` for ``steps`` steps.

    The net's weights are frozen meanwhile, and a forward pass ends at the deepest module that an objective reads.
    Penalties see the picture itself, objectives its view. easing: the share of the steps in which the penalties grow
    from nothing to their full weight, so that a weak first gradient is not smoothed away before it has drawn anything.
    seed: of the sequence of views, the same for every picture.
    Raises ValueError for several pictures with an optimiser that would mix them.
    """
    variable = start.variable.detach().clone().requires_grad_()
    if optimiser.alone and len(variable) != 1:
        raise ValueError(f"this optimiser mixes the pictures of a batch; give it one, not {len(variable)}")
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
        for step in tqdm(range(steps), progress, mininterval=1):
            keep(step)
            views = generator.get_state()
            seen: dict[str, Tensor] = {}

            def loss(step=step, views=views, seen=seen) -> Tensor:
                generator.set_state(views)  # an optimiser that asks again within a step sees the same view
                picture = start.picture(variable)
                view = transform(picture, step / steps, generator) if transform else picture
                forward(model.net, model.normalise(view), captured)
                gains = {name: objective.value(captured) for name, objective in objectives.items()}
                costs = {name: penalty(picture) for name, penalty in penalties.items()}
                for name, value in (gains | costs).items():
                    seen.setdefault(name, value.detach())
                firm = min(1.0, step / (easing * steps)) if easing else 1.0
                total = firm * sum(cost.sum() for cost in costs.values()) - sum(gain.sum() for gain in gains.values())
                (variable.grad,) = torch.autograd.grad(total, variable)
                return total.detach()

            for group in stepper.param_groups:
                group["lr"] = optimiser.rate(step / max(steps - 1, 1))
            stepper.step(loss)
            if start.bounds:
                with torch.no_grad():
                    variable.clamp_(*start.bounds)
            for name, value in seen.items():
                curves[name].append(value.cpu().numpy())
        keep(steps)
    with torch.no_grad():
        pictures = start.picture(variable).clamp(0, 1)
    return Ascent(pictures, {name: np.stack(values) for name, values in curves.items() if values}, kept)


def adam(first: float, last: float | None = None) -> Optimiser:
    """Adam, its learning rate falling linearly from ``first`` to ``last`` (default: as the first)."""
    return Optimiser(lambda variable: torch.optim.Adam([variable]), _line(first, last))


def momentum(first: float, last: float | None = None, *, factor: float = 0.9) -> Optimiser:
    """Gradient ascent with momentum."""
    return Optimiser(lambda variable: torch.optim.SGD([variable], lr=first, momentum=factor), _line(first, last))


def normalised(first: float, last: float | None = None) -> Optimiser:
    """Steps of rate · g / mean|g|, each picture by its own gradient (DeepDream's)."""
    return Optimiser(lambda variable: _Normalised([variable], {"lr": first}), _line(first, last))


def lbfgs(history: int = 20) -> Optimiser:
    """L-BFGS without line search, one evaluation a step. Its inner products run over the batch: one picture only."""
    return Optimiser(
        lambda variable: torch.optim.LBFGS(
            [variable], max_iter=1, history_size=history, tolerance_grad=0, tolerance_change=0
        ),
        lambda progress: 1.0,
        alone=True,
    )


class _Normalised(torch.optim.Optimizer):
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                size = p.grad.abs().flatten(1).mean(1).clamp(min=torch.finfo(p.dtype).tiny)
                with torch.no_grad():
                    p -= group["lr"] * p.grad / size.reshape(-1, *[1] * (p.ndim - 1))
        return loss


def _line(first: float, last: float | None) -> Callable[[float], float]:
    last = first if last is None else last
    return lambda progress: first + (last - first) * progress


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """No gradients of weights, which would be most of the backward pass; restored afterwards."""
    trainable = [p for p in net.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


def in_batches(function: Callable[[Sequence[Item]], Found], items: Sequence[Item], size: int) -> Iterator[Found]:
    """``function`` of ``size`` items at a time; where the GPU's memory does not do, of half as many from then on."""
    done = 0
    while done < len(items):
        try:
            found = function(items[done : done + size])
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = (min(size, len(items) - done) + 1) // 2
            logging.warning("out of GPU memory: going on with batches of %d", size)
            torch.cuda.empty_cache()
            continue
        done += size
        yield found


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(n, c, h, w) in [0, 1] → (n, h, w, c) uint8, rounded: what is published, and what scores are given of."""
    return (pictures.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

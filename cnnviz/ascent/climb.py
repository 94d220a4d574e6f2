"""Random views of a whole picture, and gradient ascent under them that suits every objective, one picture per seed."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from cnnviz.ascent.loop import Ascent, Optimiser, adam, ascend, frozen
from cnnviz.ascent.objective_functions import Objective, takes
from cnnviz.ascent.parametrisations import fourier
from cnnviz.ascent.regularisers import grey, l2, total_variation
from cnnviz.ascent.transforms import Transform, in_turn, random_cast, random_view
from cnnviz.network.hooks import capture, forward
from cnnviz.network.loaded import Model

RESOLUTION = (0.45, 0.95)  # of the views, relative to the picture
POSITIONS = 3.5, 6  # a side that the last feature map needs to tell an object's shape: in a view, in a whole picture
ZOOM = (0.9, 1.1)  # the same for a network with a fixed input size
CAST = 0.25  # standard deviation of the views' random colours; without it pictures turn blue

VARIED = 0.75  # share of the steps with random views
SMOOTH, GREYING = 0.1, 0.05  # λ₁ and λ₂, in root mean squares of the objective's gradient
STEPS = 128  # number of steps for which the learning rate is stated; fewer ones are larger


def positions(model: Model, size: tuple[int, int]) -> float:
    """Shorter side of the last feature map of pictures of ``size``; infinite for a network without maps."""
    last = next((layer for layer in reversed(model.layers) if layer.height > 1), None)
    share = min(side / own for side, own in zip(size, model.preprocess.size, strict=True))
    return share * min(last.height, last.width) if last else math.inf


def picture_size(model: Model) -> tuple[int, int]:
    """The size of whole pictures: the network's input, or up to twice that for a last feature map of few positions.

    A network for 128 pixels with 4 × 4 positions at the end draws one part of an object there, and whole ones at 192.
    """
    times = min(2, max(1, POSITIONS[1] / positions(model, model.preprocess.size)))
    size = tuple(model.fitting(side * times) for side in model.preprocess.size)
    return size if times > 1 and takes(model, size) else model.preprocess.size


def views_of(model: Model, size: tuple[int, int]) -> Transform:
    """Random views of pictures of ``size``. They have the network's own size if it takes no other."""
    low, high = RESOLUTION
    low = min(max(low, POSITIONS[0] / positions(model, size)), (low + high) / 2)
    any_size = takes(model, tuple(model.fitting(side * low) for side in size))
    view = random_view(
        resolution=(low, high) if any_size else ZOOM,
        rotation=10,
        shift=0.05,
        zoom=0.08,
        output=None if any_size else model.preprocess.size,
        fitting=model.fitting,
    )
    return in_turn(view, random_cast(CAST))


def watched(objective: Objective) -> Objective:
    """The objective with weight 0: its value is recorded in the curves and it has no gradient."""
    return Objective(objective.modules, lambda read: objective.value(read).detach())


def slope(model: Model, score: Objective, picture: Tensor) -> Tensor:
    """∂S/∂I of pictures (n, c, h, w) in [0, 1], of the same shape."""
    x = picture.detach().requires_grad_()
    with frozen(model.net), capture(model.net, model.maps_of(score.modules), stop=True) as captured:
        forward(model.net, model.normalise(x), captured)
        return torch.autograd.grad(score.value(captured).sum(), x)[0]


def levelled(x: Tensor) -> Tensor:
    """x itself, but the gradient that comes back through it has root mean square 1 in each picture (n, c, h, w)."""
    x = x.view_as(x)
    if x.requires_grad:
        x.register_hook(lambda g: g / g.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-30))
    return x


def levelled_views(model: Model, size: tuple[int, int]) -> Transform:
    """:func:`views_of` pictures with a :func:`levelled` gradient; in the last quarter of the steps whole pictures."""
    varied = views_of(model, size)

    def seen(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        return varied(levelled(x), progress, generator) if progress < VARIED else levelled(x)

    return seen


def rates(steps: int) -> Optimiser:
    """Adam whose steps are larger if there are fewer than :data:`STEPS`, at most twice as large."""
    haste = min(2, max(1, (STEPS / steps) ** 0.5))
    return adam(0.03 * haste, 0.01 * haste)


def climb(
    model: Model,
    objective: Objective,
    seeds: list[int],
    views: int,
    steps: int,
    watch: Mapping[str, Objective] | None = None,
) -> Ascent:
    """One ascent per seed: a spectrum in decorrelated colours, random views, a little TV₁ and L2, Adam.

    In every step the objective's gradient has the same length, see :func:`levelled`. So objectives with different
    units, and networks with steep and flat scores, are smoothed alike. The last quarter of the steps has no views,
    since the whole picture is judged. watch: further objectives to record, by name.
    """
    size, centre = model.preprocess.size, grey(model.channels)

    return ascend(
        model,
        {"score": objective} | {name: watched(one) for name, one in (watch or {}).items()},
        fourier(size, seeds, channels=model.channels, device=model.device),
        steps=steps,
        optimiser=rates(steps),
        penalties={
            "total variation": lambda x: SMOOTH * total_variation(x),
            "distance to grey": lambda x: GREYING * l2(x, centre),
        },
        transform=levelled_views(model, size),
        seed=views,
        progress=f"{len(seeds)} pictures",
    )

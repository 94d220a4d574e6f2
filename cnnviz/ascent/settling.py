"""Pictures with given features: first their spectrum, then their pixels, by L-BFGS.

In the spectrum (:func:`cnnviz.ascent.parametrisations.waves`) large structures and colours come first, and a network
with strides, or without max pooling, gets no specks or checkerboards that it alone sees. But the last of the error, at
sharp edges and in fine detail, falls slowly there. In pixels it falls fast, and from a picture that is nearly right
only a short way is left, too short for specks.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from cnnviz.ascent.loop import Ascent, ascend, lbfgs
from cnnviz.ascent.objective_functions import Objective
from cnnviz.ascent.parametrisations import pixels, waves
from cnnviz.network.loaded import Model

WEIGHT = 1000.0  # of all terms, since the optimiser's bound on curvature is absolute


def settle(
    model: Model,
    objectives: Mapping[str, Objective],
    start: Tensor,
    *,
    steps: int,
    spectrum: float,
    penalties: Mapping[str, Callable[[Tensor], Tensor]],
    progress: str,
) -> Ascent:
    """:func:`cnnviz.ascent.loop.ascend` from pictures ``start`` (n, c, h, w), for objectives whose best value is 0.

    spectrum: share of the steps that change the spectrum; the others change the pixels.
    """
    objectives = {name: objective * WEIGHT for name, objective in objectives.items()}
    penalties = {name: (lambda x, cost=cost: WEIGHT * cost(x)) for name, cost in penalties.items()}
    coarse = round(spectrum * steps)
    ascents, pictures = [], start
    for parametrised, count in ((waves, coarse), (pixels, steps - coarse)):
        if count:
            begun, words = parametrised(pictures), {"penalties": penalties, "progress": progress}
            ascents.append(ascend(model, objectives, begun, steps=count, optimiser=lbfgs(), **words))
            pictures = ascents[-1].pictures
    curves = {name: np.concatenate([each.curves[name] for each in ascents]) / WEIGHT for name in ascents[0].curves}
    return replace(ascents[-1], curves=curves, steps=sum(each.steps for each in ascents))
